# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/benchmark.py`` does: run a benchmark and report it."""
import argparse
import os.path as osp
import shlex
from functools import partial
from typing import Dict, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate

from orsa.apis.model import build_model
from orsa.engine.hooks import ValidationRecordHook
from orsa.evaluation.predictions import read_predictions
from orsa.evaluation.statistics import mean_and_spread, paired_difference
from orsa.utils.fileio import load_json
from .benchmark_report import BATCHES, write_report
from .benchmark_study import Benchmark
from .comparison import is_single, match, shared_conditions
from .complexity import count_complexity, processor_name, time_in_turn
from .occlusion_metrics import COMMON, METRICS, WORN
from .result_file import check_about, write_result
from .study import add_study_arguments, predict_images
from .suite_command import add_about_argument, add_occluder_arguments

_GROUPS = {COMMON: 'occluded', WORN: 'worn'}


def collect(bench: Benchmark, last: int) -> dict:
    """The stored results of all models, and what they cost.

    Args:
        bench (Benchmark): The benchmark.
        last (int): Validations in the mean of the last ones.

    Returns:
        dict: ``models``, by name, with ``seeds`` (see :func:`flat_metrics`),
        their ``mean`` and ``spread`` in percent and points (None for one
        seed), ``uar_by_kind`` of occluder, ``failed`` (log by seed),
        ``missing`` (seeds), ``cost``, None for a model without a result, and
        ``gained``, see :func:`gained`.
    """
    models, suites = {}, {}
    for model, config in bench.configs.items():
        stored = {
            run.seed: bench.stored(run)
            for run in bench.runs() if run.variant == model
        }
        done = {s: r for s, r in stored.items() if r and 'test' in r}
        seeds = {s: flat_metrics(r, last) for s, r in done.items()}
        suites[model] = [bench.file(r['suite']) for r in done.values()]
        mean, spread = mean_of_seeds(list(seeds.values()))
        by_kind = mean_of_seeds(
            [_uar_by_kind(bench, r) for r in done.values()])
        models[model] = dict(
            title=bench.titles[model],
            config=config,
            validated_on_test=_validated_on_test(bench.cfg(model)),
            seeds=seeds,
            runs={
                s: dict(training=r['training'], suite=r['suite'])
                for s, r in done.items()
            },
            failed={
                s: r['log']
                for s, r in stored.items() if r and 'log' in r
            },
            missing=[s for s, r in stored.items() if r is None],
            mean=mean,
            spread=spread,
            uar_by_kind=dict(zip(('mean', 'spread'), by_kind)),
            cost=None,
            gained={})
    for model, differences in gained(suites).items():
        models[model]['gained'] = differences
    done = [m for m, info in models.items() if info['seeds']]
    for model, cost in _costs(bench, done).items():
        models[model]['cost'] = cost
    return dict(
        models=models,
        last=last,
        kinds='all' if bench.kinds is None else list(bench.kinds),
        severities=list(bench.severities),
        machine=dict(
            processor=processor_name(), threads=1, torch=torch.__version__))


def flat_metrics(result: dict, last: int) -> Dict[str, float]:
    """The metrics of a run, as :class:`.Benchmark` stores it, by column.

    ``accuracy`` and so on of the last epoch on the test split; ``best_`` and
    ``mean_accuracy`` of the validations, the mean of the ``last`` ones;
    ``occluded_``, ``worn_`` and, of really occluded faces, ``NAME_accuracy``.
    """
    found = dict(result['test'])
    hook = ValidationRecordHook(last)
    hook.records = result['validation']
    summary = hook.summary()
    for metric in METRICS:
        if metric in summary:
            found[f'best_{metric}'] = summary[metric]['best']
            found[f'mean_{metric}'] = summary[metric]['mean_last']
    groups = {_GROUPS[k]: v for k, v in result['occluded'].items()}
    for name, values in (groups | result['lists']).items():
        found.update({f'{name}_{k}': values[k] for k in METRICS})
    return found


def gained(suites: Dict[str, Sequence[str]]) -> Dict[str, dict]:
    """By how much the UAR of models is above that of the first.

    Args:
        suites (dict[str, list[str]]): By model the ``occlusion_suite.json`` of
            its seeds. Models without any are left out.

    Returns:
        dict: By model, but for the first, and condition (clean, the means of
        the kinds, lists of occluded faces) the difference in points and the
        limits of its 95% interval, of the paired bootstrap over faces and
        seeds.
    """
    runs = {
        m: [read_predictions(p) for p in found]
        for m, found in suites.items() if found
    }
    if len(runs) < 2:
        return {}
    reference, *others = runs
    first = runs[reference][0]
    runs = {m: [match(first, r) for r in found] for m, found in runs.items()}
    labels = first.label_indices()
    conditions = {
        name: found
        for name, found in shared_conditions(sum(runs.values(), [])).items()
        if not is_single(name)
    }

    def correct(model: str, names: Sequence[str], chosen: np.ndarray):
        return np.stack([
            np.mean([r.scores[n].argmax(1) == labels
                     for n in names], axis=0)[chosen] for r in runs[model]
        ])

    return {
        model: {
            name:
            paired_difference(
                correct(model, *found),
                correct(reference, *found),
                labels[found[1]],
                over_runs=True)
            for name, found in conditions.items()
        }
        for model in others
    }


def _uar_by_kind(bench: Benchmark, result: dict) -> Dict[str, float]:
    """UAR under each kind of occluder, the mean over its severities."""
    suite = load_json(bench.file(result['suite']))['cells']
    return {
        kind: float(np.mean([c['uar'] for c in suite[kind].values()]))
        for kind in result['key']['kinds'] if suite.get(kind)
    }


def mean_of_seeds(seeds: Sequence[Dict[str, float]]) -> Tuple[dict, dict]:
    """Mean and standard deviation over seeds, of metrics that all have."""
    found = {
        metric: mean_and_spread([s[metric] for s in seeds])
        for metric in (seeds[0] if seeds else ()) if all(
            s.get(metric) is not None for s in seeds)
    }
    return tuple({k: v[i] for k, v in found.items()} for i in range(2))


def _validated_on_test(cfg: Config) -> Optional[bool]:
    """Whether the best epoch is chosen on the test split; None of neither."""
    if not cfg.get('val_dataloader'):
        return None
    val, test = ({
        k: v
        for k, v in loader.dataset.items()
        if k not in ('pipeline', 'test_mode')
    } for loader in (cfg.val_dataloader, cfg.test_dataloader))
    return val == test


def _costs(bench: Benchmark, models: Sequence[str]) -> Dict[str, dict]:
    """Parameters, multiplications and time of models."""
    found, calls = {}, {}
    for model in models:
        dataset = bench.suite(model, work_dir=bench.work_dir).faces.clean
        net = build_model(bench.cfg(model), pretrained=False).eval()
        image = default_collate([dataset[0]])['inputs']
        cost = count_complexity(
            net,
            net.data_preprocessor(dict(inputs=image))['inputs'])
        found[model] = dict(
            zip(('parameters', 'trained', 'macs'), cost.total),
            uncounted=cost.uncounted)
        for size in BATCHES:
            faces = image.repeat(size, 1, 1, 1).numpy()
            calls[model, size] = partial(predict_images, net, faces, size)
    for (model, size), seconds in time_in_turn(calls).items():
        found[model][f'ms_batch{size}'] = 1e3 * seconds
    return found


def add_benchmark_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``tools/benchmark.py`` to a parser."""
    parser.add_argument(
        'configs', nargs='+', metavar='CONFIG', help='of the models')
    parser.add_argument(
        '--seeds',
        type=int,
        default=1,
        metavar='N',
        help='trainings of each, with seeds 0 to N-1 (default: %(default)s)')
    add_study_arguments(parser, 'work_dirs/benchmark')
    add_occluder_arguments(parser)
    parser.add_argument(
        '--last',
        type=int,
        default=3,
        help='validations in the mean of the last ones (default: %(default)s)')
    parser.add_argument(
        '--names', nargs='+', help='of the models (default: of their files)')
    parser.add_argument(
        '--results',
        metavar='FOLDER',
        help='also write a result of each model there, see '
        'docs/leaderboard.md')
    add_about_argument(parser, 'selected_on; and data (a title)')


def benchmark(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Run a benchmark by parsed arguments and write its table.

    Args:
        args (Namespace): See :func:`add_benchmark_arguments`.
        words (Sequence[str]): Of the command line, which the report names.

    Returns:
        int: How many runs failed.
    """
    if args.last < 1:
        raise ValueError(f'--last should be positive, got {args.last}')
    bench = Benchmark(args.configs, args.seeds, args.work_dir, args.kinds,
                      args.severities, args.names)
    bench.check_same_data()
    about = dict(args.about, epoch='last')
    if args.results:  # wrong ones are not to be found after the trainings
        check_about(dict(about, title='-', seed='0'))
    if not args.report_only:
        bench.run_missing(bench.runs(), args.jobs)
    command = shlex.join(['python', 'tools/benchmark.py', *words])
    write_report(
        collect(bench, args.last), command, args.out or bench.work_dir)
    if args.results:
        write_results(bench, args.results, about, command)
    return sum('log' in (bench.stored(run) or {}) for run in bench.runs())


def write_results(bench: Benchmark, folder: str, about: Dict[str, str],
                  command: str) -> None:
    """Write a result of each model from what is stored, a run a seed.

    Args:
        bench (Benchmark): The benchmark.
        folder (str): Of the results.
        about (dict[str, str]): See :func:`.result_file.write_result`; title
            and seed are filled in.
        command (str): That of the benchmark.
    """
    for run in bench.runs():
        done = bench.stored(run)
        if not done or 'test' not in done:
            continue
        path = osp.join(folder, f'{run.variant}.json')
        write_result(
            path, bench.file(done['suite']), bench.cfg(run.variant),
            osp.join(bench.train_dir(run), done['training']['checkpoint']),
            dict(about, title=bench.titles[run.variant], seed=str(run.seed)),
            command)
        print(f'wrote {path}, seed {run.seed}')
