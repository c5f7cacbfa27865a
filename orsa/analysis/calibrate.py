# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/calibrate.py`` does: fit how scores are to be read."""
import argparse
import copy
import os.path as osp
from typing import Dict, Iterator, List, Optional, Tuple

import numpy as np
import torch.nn as nn
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from orsa.apis.inference import predict_faces
from orsa.apis.model import init_model, load_config
from orsa.datasets.drawing.occluders import KINDS
from orsa.evaluation.calibration import (Calibration, apply_temperature,
                                         coverage_table, fit_temperature,
                                         fit_temperature_by_cover, mean_nll,
                                         read_calibration, save_calibration)
from orsa.evaluation.metrics.fer_metric import expected_calibration_error
from orsa.studies.occlusion_conditions import with_occluder
from orsa.utils.configs import OptionsAction

_SEVERITIES = (1, 2, 3, 4, 5)


def add_calibrate_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``tools/calibrate.py``."""
    parser.add_argument(
        'config',
        help='its test_dataloader has the held-out faces, see '
        '--cfg-options')
    parser.add_argument(
        'checkpoint', help='weights that have not seen these faces')
    parser.add_argument(
        '--for-weights',
        metavar='FILE',
        help='weights that will be used with it, of the same recipe trained '
        'on all faces (default: CHECKPOINT)')
    parser.add_argument(
        '--faces',
        required=True,
        metavar='TEXT',
        help='which faces these are, for people')
    parser.add_argument('--out', help='the JSON (default: beside the weights)')
    parser.add_argument(
        '--min-confidence', type=float, default=Calibration.min_confidence)
    parser.add_argument(
        '--max-covered', type=float, default=Calibration.max_covered)
    parser.add_argument(
        '--measure-only',
        metavar='JSON',
        help='fit nothing: say what this calibration does on these faces, '
        'which may be test faces')
    parser.add_argument('--device', default='cpu')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, help='key=value')


def held_out_faces(cfg: Config,
                   allow_test: bool = False) -> Iterator[Tuple[dict, dict]]:
    """Faces as they are, and each with something in front of it.

    Kind and severity of what hides a face go round with its number, so that
    all of ``orsa.OccludeFace``'s are among them.

    Args:
        cfg (Config): The experiment, of which ``test_dataloader`` is used.
        allow_test (bool): Whether they may be test faces. Defaults to False.

    Yields:
        tuple[dict, dict]: The sample, with ``img`` and ``gt_label``, and the
        same covered, with ``occlusion_ratio`` too.

    Raises:
        ValueError: If they are test faces: a temperature fitted on them would
            make every figure on them worthless.
    """
    dataset = copy.deepcopy(cfg.test_dataloader.dataset)
    if dataset.get('split', 'test') == 'test' and not allow_test:
        raise ValueError(
            'test_dataloader.dataset is the test split: calibrate on faces '
            'held out of the training split, --cfg-options '
            'test_dataloader.dataset.split=val '
            'test_dataloader.dataset.num_folds=5 '
            'test_dataloader.dataset.fold=0')
    dataset.pipeline = dataset.pipeline[:1]
    hidden = with_occluder(dataset)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        hidden = DATASETS.build(hidden)
    load, occlude = hidden.pipeline.transforms
    for i in range(len(hidden)):
        sample = load(hidden.get_data_info(i))
        occlude.kinds = (KINDS[i % len(KINDS)], )
        occlude.severity = _SEVERITIES[i // len(KINDS) % len(_SEVERITIES)]
        yield sample, occlude(dict(sample))


def ask(model: nn.Module,
        cfg: Config,
        allow_test: bool = False) -> Dict[str, Dict[str, np.ndarray]]:
    """What a model says of :func:`held_out_faces`.

    Returns:
        dict: 'clean' and 'occluded', each with ``scores`` (N, C), ``labels``
        (N, ), ``covered`` (N, ), as measured, and ``ratio`` (N, ), the true
        covered share.
    """
    rows: Dict[str, List] = dict(clean=[], occluded=[])
    for clean, hidden in held_out_faces(cfg, allow_test):
        rows['clean'].append(clean)
        rows['occluded'].append(hidden)
    said = {}
    for name, samples in rows.items():
        found = predict_faces(model, [s['img'] for s in samples])
        said[name] = dict(
            scores=np.array([list(f.scores.values()) for f in found]),
            labels=np.array([int(s['gt_label']) for s in samples]),
            covered=np.array(
                [np.nan if f.covered is None else f.covered for f in found]),
            ratio=np.array([s.get('occlusion_ratio', 0.) for s in samples]))
    return said


def fit(said: Dict[str, Dict[str, np.ndarray]], **kwargs) -> Calibration:
    """Fit a calibration to what :func:`ask` returned.

    Args:
        said (dict): See there; clean and covered faces count alike, as people
            have photographs of both.
        **kwargs: Other fields of :class:`Calibration`.
    """
    scores, labels, measured = (
        np.concatenate([said[k][field] for k in ('clean', 'occluded')])
        for field in ('scores', 'labels', 'covered'))
    if not np.isfinite(measured).all():  # the model has no parser
        return Calibration(fit_temperature(scores, labels), **kwargs)
    rest = float(said['clean']['covered'].mean())
    covered = _corrected(measured, Calibration(covered_at_rest=rest))
    temperature, slope = fit_temperature_by_cover(scores, labels, covered)
    return Calibration(temperature, slope, rest, **kwargs)


def _corrected(measured: np.ndarray, calibration: Calibration) -> np.ndarray:
    return np.array([calibration.covered(v) for v in measured])


def figures(said: Dict[str, Dict[str, np.ndarray]],
            calibration: Calibration) -> dict:
    """What a calibration does on faces: ECE, what is answered, covered share.

    Returns:
        dict: For 'clean' and 'occluded' faces, before and after; 'covered'
        compares the measured with the true share.
    """
    result: dict = {}
    for name, one in said.items():
        covered, labels = one['covered'], one['labels']
        known = np.isfinite(covered).all()
        covered = _corrected(covered, calibration) if known else None
        scores = apply_temperature(one['scores'],
                                   calibration.temperature_at(covered))
        result[name] = dict(
            num_faces=len(scores),
            accuracy=100 * float((scores.argmax(1) == labels).mean()),
            ece_before=_ece(one['scores'], labels),
            ece=_ece(scores, labels),
            nll_before=mean_nll(one['scores'], labels),
            nll=mean_nll(scores, labels),
            abstained=_abstained(scores, labels, covered, calibration),
            coverage=coverage_table(scores, labels))
    result['covered'] = _covered_figures(said, calibration)
    return result


def _abstained(scores: np.ndarray, labels: np.ndarray, covered,
               calibration: Calibration) -> dict:
    """The share of faces of which nothing is said, and what was right."""
    best, right = scores.max(1), scores.argmax(1) == labels
    covered = [None] * len(best) if covered is None else covered
    silent = np.array(
        [bool(calibration.reasons(b, c)) for b, c in zip(best, covered)])
    return dict(
        share=float(silent.mean()),
        accuracy_answered=_mean(right[~silent]),
        accuracy_abstained=_mean(right[silent]))


def _correlation(one: np.ndarray, other: np.ndarray) -> Optional[float]:
    if min(np.ptp(one), np.ptp(other)) < 1e-9:
        return None  # of a constant there is none
    return float(np.corrcoef(one, other)[0, 1])


def _mean(values: np.ndarray) -> Optional[float]:
    return float(values.mean()) if len(values) else None


def _ece(scores: np.ndarray, labels: np.ndarray) -> float:
    return float(expected_calibration_error(scores, labels))


def _covered_figures(said: dict, calibration: Calibration) -> dict:
    both = [said[k] for k in ('clean', 'occluded')]
    measured, true = (
        np.concatenate([one[field] for one in both])
        for field in ('covered', 'ratio'))
    right = np.concatenate(
        [one['scores'].argmax(1) == one['labels'] for one in both])
    if not np.isfinite(measured).all():
        return {}
    measured = _corrected(measured, calibration)
    hidden = true > 0
    table = []
    for low, high in ((0., .1), (.1, .2), (.2, .3), (.3, .4), (.4, .5),
                      (.5, 1.01)):
        here = (measured >= low) & (measured < high)
        table.append(
            dict(
                measured=[low, min(high, 1.)],
                num_faces=int(here.sum()),
                true_mean=_mean(true[here]),
                accuracy=_mean(right[here])))
    return dict(
        correlation=_correlation(measured, true),
        correlation_occluded=_correlation(measured[hidden], true[hidden]),
        mean_error=float(np.abs(measured - true).mean()),
        clean_mean=float(measured[~hidden].mean()),
        table=table)


def calibrate(args: argparse.Namespace) -> dict:
    """Fit, or measure, by parsed arguments.

    Returns:
        dict: The figures.

    Raises:
        ValueError: If the faces are test faces and something is to be fitted.
    """
    cfg = load_config(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    model = init_model(cfg, args.checkpoint, args.device)
    said = ask(model, cfg, allow_test=bool(args.measure_only))
    if args.measure_only:
        return figures(said, read_calibration(args.measure_only)[0])
    calibration = fit(
        said,
        min_confidence=args.min_confidence,
        max_covered=args.max_covered,
        fitted_on=args.faces)
    found = figures(said, calibration)
    path = save_calibration(calibration, args.for_weights or args.checkpoint,
                            args.out, **found)
    print(f'wrote {osp.relpath(path)}')
    return found


def describe(found: dict) -> str:
    """The figures as lines for people."""
    lines = []
    for name in ('clean', 'occluded'):
        one = found[name]
        lines.append(f'{name:<9} {one["num_faces"]} faces, accuracy '
                     f'{one["accuracy"]:.1f}, ECE {one["ece_before"]:.1f} -> '
                     f'{one["ece"]:.1f}, NLL {one["nll_before"]:.3f} -> '
                     f'{one["nll"]:.3f}; abstains from '
                     f'{one["abstained"]["share"]:.0%}, of the others '
                     f'{one["abstained"]["accuracy_answered"] or 0:.0%} right')
        lines += [
            f'  confidence >= {row["min_confidence"]:.1f}: '
            f'{row["answered"]:.0%} answered, '
            f'{(row["accuracy"] or 0):.0%} of them right'
            for row in one['coverage']
        ]
    covered = found['covered']
    if covered:
        lines.append(
            f'covered   r {covered["correlation"] or 0:.2f} (of occluded '
            f'faces {covered["correlation_occluded"] or 0:.2f}), mean error '
            f'{covered["mean_error"]:.3f}')
        lines += [
            f'  measured {row["measured"][0]:.1f}-{row["measured"][1]:.1f}: '
            f'{row["num_faces"]} faces, truly {row["true_mean"]:.2f}, '
            f'{row["accuracy"]:.0%} right' for row in covered['table']
            if row['num_faces']
        ]
    return '\n'.join(lines)
