# Copyright (c) orsa contributors. All rights reserved.
"""Fit temperature and thresholds: what ``tools/calibrate.py`` does."""
import argparse
import copy
import os.path as osp
from typing import Dict, Iterator, List, Optional, Tuple

import numpy as np
import torch.nn as nn
from mmengine.config import Config
from mmengine.registry import DATASETS

from orsa.apis.inference import predict_faces
from orsa.apis.model import init_model, load_config
from orsa.apis.testing import use_data_from
from orsa.datasets.drawing.occluders import KINDS
from orsa.evaluation.calibration import (Calibration, apply_temperature,
                                         fit_temperature,
                                         fit_temperature_by_occlusion,
                                         mean_nll, read_calibration,
                                         save_calibration)
from orsa.evaluation.metrics import expected_calibration_error
from orsa.studies.occlusion_conditions import with_occluder
from orsa.utils.configs import (add_cfg_options, class_of, scope_of,
                                split_pipeline)
from .inputs import number_as

_SEVERITIES = (1, 2, 3, 4, 5)
# rows of the tables: lowest confidences, and measured occluded fractions
_THRESHOLDS = (0., .3, .4, .5, .6, .7, .8)
_EDGES = (0., .1, .2, .3, .4, .5)


def add_calibrate_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``tools/calibrate.py`` to a parser."""
    parser.add_argument(
        'config',
        help='its test_dataloader has the held-out faces, see '
        '--dataloader and --cfg-options')
    parser.add_argument(
        'checkpoint', help='weights not trained on these faces')
    parser.add_argument(
        '--for-weights',
        metavar='FILE',
        help='weights that will be used with it, of the same recipe trained '
        'on all faces (default: CHECKPOINT)')
    parser.add_argument(
        '--faces',
        required=True,
        metavar='TEXT',
        help='which faces these are, stored with it')
    parser.add_argument(
        '--dataloader',
        choices=('test', 'val'),
        default='test',
        help='whose faces are taken (default: %(default)s)')
    parser.add_argument(
        '--data-from',
        metavar='CONFIG',
        help='take the faces of the test_dataloader of this config, as '
        'tools/test.py does')
    parser.add_argument('--out', help='the JSON (default: beside the weights)')
    parser.add_argument(
        '--min-confidence', type=float, default=Calibration.min_confidence)
    parser.add_argument(
        '--max-occluded', type=float, default=Calibration.max_covered)
    parser.add_argument(
        '--measure-only',
        metavar='JSON',
        help='fit nothing: measure this calibration on these faces, which '
        'may be test faces')
    parser.add_argument('--device', default='cpu')
    add_cfg_options(parser)


def held_out_faces(cfg: Config,
                   allow_test: bool = False) -> Iterator[Tuple[dict, dict]]:
    """Faces of ``test_dataloader`` as they are, and each with an occluder.

    Of a ``ConcatDataset`` those of each of its datasets.

    Kind and severity go round with the number of the face, so that all of
    ``orsa.OccludeFace``'s are among them.

    Args:
        cfg (Config): The experiment.
        allow_test (bool): Whether they may be test faces. Defaults to False.

    Yields:
        tuple[dict, dict]: The sample, with ``img`` and ``gt_label``, and the
        same occluded, with ``occlusion_ratio`` too.

    Raises:
        ValueError: If they are test faces: a temperature fitted on them would
            invalidate every result on them.
    """
    whole = copy.deepcopy(cfg.test_dataloader.dataset)
    for dataset in whole.get('datasets', [whole]):
        with scope_of(cfg):
            kind = class_of(dataset, DATASETS)
        tested = getattr(kind, 'TEST_SPLITS', ('test', ))
        if dataset.get('split', 'test') in tested and not allow_test:
            how = ('--cfg-options test_dataloader.dataset.split=val '
                   'test_dataloader.dataset.num_folds=5 '
                   'test_dataloader.dataset.fold=0')
            if not getattr(kind, 'DIVIDES', False):
                how = ('split=train and a subset_file of what the model has '
                       'not learned from')
            raise ValueError(
                'test_dataloader.dataset is a test split: calibrate on '
                f'faces held out of the training split, {how}')
        dataset.pipeline = split_pipeline(dataset.pipeline).load
        dataset = with_occluder(dataset)
        with scope_of(cfg):
            dataset = DATASETS.build(dataset)
        *load, occlude = dataset.pipeline.transforms
        for i in range(len(dataset)):
            sample = dataset.get_data_info(i)
            for transform in load:
                sample = transform(sample)
            occlude.kinds = (KINDS[i % len(KINDS)], )
            occlude.severity = _SEVERITIES[i // len(KINDS) % len(_SEVERITIES)]
            yield sample, occlude(dict(sample))


def predict_held_out(model: nn.Module,
                     cfg: Config,
                     allow_test: bool = False) -> Dict[str, dict]:
    """Predictions for :func:`held_out_faces`, whose arguments it takes.

    Returns:
        dict: 'clean' and 'occluded', each with ``scores`` (N, C), ``labels``
        (N, ), ``covered`` (N, ), the measured occluded fraction, NaN without
        a parser, and ``ratio`` (N, ), the true one.
    """
    predictions = {}
    for name, samples in zip(('clean', 'occluded'),
                             zip(*held_out_faces(cfg, allow_test))):
        found = predict_faces(model, [s['img'] for s in samples])
        predictions[name] = dict(
            scores=np.array([list(f.scores.values()) for f in found]),
            labels=np.array([int(s['gt_label']) for s in samples]),
            covered=np.array([f.covered for f in found], np.float64),
            ratio=np.array([s.get('occlusion_ratio', 0.) for s in samples]))
    return predictions


def fit(predictions: Dict[str, dict], **kwargs) -> Calibration:
    """Fit a calibration, whose other fields are ``kwargs``.

    Clean and occluded faces of :func:`predict_held_out` count alike, as people
    have photographs of both. Without a parser it is of one temperature alone.
    """
    scores, labels, measured = _joined(predictions, 'scores', 'labels',
                                       'covered')
    if not np.isfinite(measured).all():
        return Calibration(fit_temperature(scores, labels), **kwargs)
    rest = float(predictions['clean']['covered'].mean())
    covered = _corrected(measured, Calibration(covered_at_rest=rest))
    temperature, slope = fit_temperature_by_occlusion(scores, labels, covered)
    return Calibration(temperature, slope, rest, **kwargs)


def _joined(predictions: Dict[str, dict], *fields: str) -> List[np.ndarray]:
    return [
        np.concatenate([predictions[k][field] for k in ('clean', 'occluded')])
        for field in fields
    ]


def _corrected(measured: np.ndarray, calibration: Calibration) -> np.ndarray:
    return np.array([calibration.covered(v) for v in measured])


def measure(predictions: Dict[str, dict], calibration: Calibration) -> dict:
    """The effect of a calibration: ECE, abstentions, occluded fractions.

    Args:
        predictions (dict): Of :func:`predict_held_out`.
        calibration (Calibration): What to measure.

    Returns:
        dict: For 'clean' and 'occluded' faces, before and after; 'covered'
        compares the measured with the true occluded fraction.
    """
    result: dict = {}
    for name, one in predictions.items():
        covered, labels = one['covered'], one['labels']
        known = np.isfinite(covered).all()
        covered = _corrected(covered, calibration) if known else None
        scores = apply_temperature(one['scores'],
                                   calibration.temperature_at(covered))
        best, right = scores.max(1), scores.argmax(1) == labels
        abstain = np.array([
            bool(calibration.reasons(b, c))
            for b, c in zip(best, covered if known else [None] * len(best))
        ])
        result[name] = dict(
            num_faces=len(scores),
            accuracy=100 * float(right.mean()),
            ece_before=expected_calibration_error(one['scores'], labels),
            ece=expected_calibration_error(scores, labels),
            nll_before=mean_nll(one['scores'], labels),
            nll=mean_nll(scores, labels),
            abstained=dict(
                share=float(abstain.mean()),
                accuracy_answered=_mean(right[~abstain]),
                accuracy_abstained=_mean(right[abstain])),
            coverage=[
                dict(
                    min_confidence=t,
                    answered=float((best >= t).mean()),
                    accuracy=_mean(right[best >= t])) for t in _THRESHOLDS
            ])
    result['covered'] = compare_fractions(predictions, calibration)
    return result


def _mean(values: np.ndarray) -> Optional[float]:
    return float(values.mean()) if len(values) else None


def _correlation(one: np.ndarray, other: np.ndarray) -> Optional[float]:
    if min(np.ptp(one), np.ptp(other)) < 1e-9:
        return None  # of a constant there is none
    return float(np.corrcoef(one, other)[0, 1])


def compare_fractions(predictions: Dict[str, dict],
                      calibration: Calibration) -> dict:
    """Compare measured with true occluded fractions.

    Args:
        predictions (dict): Of :func:`predict_held_out`.
        calibration (Calibration): Corrects what is measured.

    Returns:
        dict: ``correlation``, ``correlation_occluded`` of faces with an
        occluder (None of a constant), ``mean_error``, ``clean_mean``, and
        ``table`` by measured fraction. Empty without a parser.
    """
    scores, labels, measured, true = _joined(predictions, 'scores', 'labels',
                                             'covered', 'ratio')
    if not np.isfinite(measured).all():
        return {}
    measured = _corrected(measured, calibration)
    right, occluded = scores.argmax(1) == labels, true > 0
    table = []
    for low, high in zip(_EDGES, (*_EDGES[1:], 1.01)):
        here = (measured >= low) & (measured < high)
        table.append(
            dict(
                measured=[low, min(high, 1.)],
                num_faces=int(here.sum()),
                true_mean=_mean(true[here]),
                accuracy=_mean(right[here])))
    return dict(
        correlation=_correlation(measured, true),
        correlation_occluded=_correlation(measured[occluded], true[occluded]),
        mean_error=float(np.abs(measured - true).mean()),
        clean_mean=float(measured[~occluded].mean()),
        table=table)


def calibrate(args: argparse.Namespace) -> dict:
    """Fit, or measure, by parsed arguments, and return :func:`measure`'s.

    Raises:
        ValueError: If the faces are test faces and something is to be fitted.
    """
    cfg, options = load_config(args.config), args.cfg_options
    own = copy.deepcopy(cfg)
    own.merge_from_dict(options)
    model = init_model(own, args.checkpoint, args.device)
    if args.dataloader == 'val':
        cfg.test_dataloader = own.val_dataloader
    if args.data_from:
        use_data_from(cfg, load_config(args.data_from))
    cfg.merge_from_dict(options)
    number_as(model, cfg)
    predictions = predict_held_out(
        model, cfg, allow_test=bool(args.measure_only))
    if args.measure_only:
        return measure(predictions, read_calibration(args.measure_only)[0])
    calibration = fit(
        predictions,
        min_confidence=args.min_confidence,
        max_covered=args.max_occluded,
        fitted_on=args.faces)
    found = measure(predictions, calibration)
    path = save_calibration(calibration, args.for_weights or args.checkpoint,
                            args.out, **found)
    print(f'wrote {osp.relpath(path)}')
    return found


def describe(found: dict) -> str:
    """The results of :func:`measure` as text."""
    lines = []
    for name in ('clean', 'occluded'):
        one = found[name]
        abstained = one['abstained']
        lines.append(f'{name:<9} {one["num_faces"]} faces, accuracy '
                     f'{one["accuracy"]:.1f}, ECE {one["ece_before"]:.1f} -> '
                     f'{one["ece"]:.1f}, NLL {one["nll_before"]:.3f} -> '
                     f'{one["nll"]:.3f}; abstains from '
                     f'{abstained["share"]:.0%}, of the others '
                     f'{abstained["accuracy_answered"] or 0:.0%} right')
        lines += [
            f'  confidence >= {row["min_confidence"]:.1f}: '
            f'{row["answered"]:.0%} predicted, '
            f'{(row["accuracy"] or 0):.0%} of them right'
            for row in one['coverage']
        ]
    covered = found['covered']
    if covered:
        lines.append(
            f'occluded fraction: r {covered["correlation"] or 0:.2f} (of '
            f'occluded faces {covered["correlation_occluded"] or 0:.2f}), '
            f'mean error {covered["mean_error"]:.3f}')
        lines += [
            f'  measured {row["measured"][0]:.1f}-{row["measured"][1]:.1f}: '
            f'{row["num_faces"]} faces, truly {row["true_mean"]:.2f}, '
            f'{row["accuracy"]:.0%} right' for row in covered['table']
            if row['num_faces']
        ]
    return '\n'.join(lines)
