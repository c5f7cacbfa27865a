# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/ablate.py`` does: run an ablation study and report it."""
import argparse
import shlex
from functools import partial
from typing import Dict, List, Sequence

import numpy as np

from orsa.apis.model import build_model
from orsa.evaluation import FERMetric
from .ablation_report import BATCH, OCCLUDED, write_report
from .ablation_study import AblationStudy
from .complexity import time_in_turn
from .occlusion_metrics import METRICS
from .study import Run, add_study_arguments, predict_images


def _read_results(study: AblationStudy,
                  runs: Sequence[Run]) -> Dict[str, List[dict]]:
    """The stored results of each variant, a list by seed.

    Under cross-validation the folds of a seed are put together: their faces
    are the training split's, each once.
    """
    stored = {run: study.stored(run) for run in runs}
    stored = {run: r for run, r in stored.items() if r and 'log' not in r}
    paired = _paired(list(stored))
    found: Dict[str, Dict[int, List[dict]]] = {}
    for run in paired:
        result = stored[run]
        with np.load(study.predictions_file(run)) as predictions:
            result['predictions'] = dict(predictions)
        seeds = found.setdefault(run.variant, {})
        seeds.setdefault(run.seed, []).append(result)
    left_out = [str(run) for run in stored if run not in paired]
    if left_out:
        print(f'left out are {", ".join(left_out)}: the others do not have '
              'their folds')
    return {
        variant: [_merge(study, results) for results in seeds.values()]
        for variant, seeds in found.items()
    }


def _paired(runs: Sequence[Run]) -> List[Run]:
    """Of the runs of folds those that all variants have, on equal faces.

    The folds are those of the first seed; another one needs all of them.
    """
    variants = {run.variant for run in runs}
    folds: Dict[int, set] = {}
    for run in runs:
        if all(run._replace(variant=v) in runs for v in variants):
            folds.setdefault(run.seed, set()).add(run.fold)
    first = folds[min(folds)] if folds else set()
    return [
        run for run in runs
        if run.fold is None or run.fold in first <= folds.get(run.seed, set())
    ]


def _merge(study: AblationStudy, results: List[dict]) -> dict:
    metrics, correct, labels = {}, {}, {}
    for name in results[0]['metrics']:
        predicted, labels[name] = (
            np.concatenate([r['predictions'][f'{name}/{k}'] for r in results])
            for k in ('predicted', 'labels'))
        correct[name] = predicted == labels[name]
        report = FERMetric.calculate(predicted, labels[name])
        metrics[name] = {k: report[k] for k in METRICS}
    metrics[OCCLUDED] = {
        k: float(np.mean([metrics[level][k] for level in study.levels]))
        for k in METRICS
    } if study.levels else {}
    return dict(
        metrics=metrics,
        correct=correct,
        labels=labels,
        seed=results[0]['seed'],
        parameters=results[0]['parameters'],
        seconds=max((r['seconds'] for r in results if r['seconds']),
                    default=None),
        num_runs=len(results))


def _time_per_face(study: AblationStudy,
                   variants: Sequence[str]) -> Dict[str, float]:
    """Milliseconds a face takes, in batches of ``BATCH`` on one thread."""
    calls, sizes = {}, {}
    for variant in variants:
        cfg = study.config(Run(variant))
        model = build_model(cfg, pretrained=False)
        faces = study.faces(cfg)['inputs'][:BATCH]
        calls[variant] = partial(predict_images, model, faces, BATCH)
        sizes[variant] = len(faces)
    seconds = time_in_turn(calls)
    return {v: 1e3 * s / sizes[v] for v, s in seconds.items()}


def add_ablate_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``tools/ablate.py`` to a parser."""
    parser.add_argument(
        'study',
        nargs='?',
        default='configs/ablations/faces.py',
        help='config of the study (default: %(default)s)')
    add_study_arguments(parser, None, 'work_dirs/ablation_STUDY')
    parser.add_argument(
        '--variants', nargs='+', help='some of the variants (default: all)')
    parser.add_argument(
        '--seeds', nargs='+', type=int, help="default: the study's")
    parser.add_argument(
        '--cv',
        action='store_true',
        help='cross-validate inside the training split, by which every '
        'choice is to be made, instead of testing')
    parser.add_argument(
        '--folds', nargs='+', type=int, help='of --cv (default: all)')
    parser.add_argument(
        '--priors-only',
        action='store_true',
        help='train the priors of all folds and stop')


def ablate(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Run a study by parsed arguments and write its report.

    Args:
        args (Namespace): See :func:`add_ablate_arguments`.
        words (Sequence[str]): Of the command line, which the report names.

    Returns:
        int: How many runs failed.
    """
    study = AblationStudy(args.study, args.work_dir)
    seeds, folds = args.seeds or list(study.cfg.seeds), [None]
    if args.folds and not args.cv:
        raise ValueError('--folds are those of a cross-validation: add --cv')
    if args.cv and not study.cfg.num_folds:
        raise ValueError(f"'{args.study}' has num_folds=0, and nothing to "
                         'cross-validate: leave out --cv')
    if args.cv:
        folds = args.folds or list(range(study.cfg.num_folds))
        seeds = args.seeds or seeds[:1]
    runs = study.runs(args.variants or list(study.cfg.variants), seeds, folds)
    failed = []
    if not args.report_only:
        failed = study.run_missing(study.prior_runs(), args.jobs)
        if failed or args.priors_only:
            return len(failed)
        failed = study.run_missing(runs, args.jobs)
    command = shlex.join(['python', 'tools/ablate.py', *words])
    report(study, runs, args.out or study.work_dir, command, args.cv)
    return len(failed)


def report(study: AblationStudy,
           runs: Sequence[Run],
           out: str,
           command: str,
           cv: bool = False) -> None:
    """Write the report of the results of runs that are stored."""
    results = _read_results(study, runs)
    if not results:
        print('there is no result to report yet')
        return
    write_report(study.cfg, study.path, results,
                 _time_per_face(study, list(results)), out, command, cv)
