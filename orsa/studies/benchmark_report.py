# Copyright (c) orsa contributors. All rights reserved.
"""The table and the picture of a benchmark, see :mod:`.benchmarking`."""
import os.path as osp
import platform
from functools import partial
from typing import Dict, List, Optional, Sequence

import numpy as np
import torch
from mmengine.dataset import default_collate

from orsa.apis.model import build_model
from orsa.utils.fileio import dump_json, load_json, write_csv, write_text
from orsa.utils.markdown import markdown_table
from orsa.visualization.tradeoff import plot_tradeoff
from .ablation import predict
from .benchmark import Benchmark, summarise_validations
from .complexity import count_complexity, time_in_turn
from .occlusion_metrics import FIGURES

BATCHES = (1, 32)
NAME = 'benchmark'
_GROUPS = dict(common='occluded', worn='worn')


def collect(bench: Benchmark, last: int) -> dict:
    """What is stored of all models, and what they cost.

    Args:
        bench (Benchmark): The benchmark.
        last (int): Validations in the mean of the last ones.

    Returns:
        dict: ``models``: by name ``title``, ``config``, ``seeds`` (a dict of
        figures for each seed that is done), ``failed`` (log by seed),
        ``missing`` (seeds), ``mean`` and ``spread`` of the figures, in
        percent and points (None for one seed), ``uar_by_kind`` (mean and
        spread by kind of occluder, over its severities), and ``cost``, None
        for a model without a result; ``machine``; ``last``.
    """
    models = {}
    for model, config in bench.configs.items():
        stored = {
            run.seed: bench.stored(run)
            for run in bench.runs() if run.model == model
        }
        done = {s: r for s, r in stored.items() if r and 'test' in r}
        seeds = {s: flat_figures(r, last) for s, r in done.items()}
        mean, spread = mean_and_spread(list(seeds.values()))
        by_kind = mean_and_spread(
            [uar_by_kind(bench, r) for r in done.values()])
        models[model] = dict(
            title=bench.titles[model],
            config=config,
            validated_on_test=_validated_on_test(bench.cfg(model)),
            seeds=seeds,
            runs={
                s: {
                    k: r[k]
                    for k in ('training', 'suite')
                }
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
            cost=None)
    for model, cost in costs(bench,
                             [m
                              for m in models if models[m]['seeds']]).items():
        models[model]['cost'] = cost
    return dict(
        models=models,
        last=last,
        kinds='all' if bench.kinds is None else list(bench.kinds),
        severities=list(bench.severities),
        machine=dict(
            processor=platform.processor() or platform.machine(),
            threads=1,
            torch=torch.__version__))


def flat_figures(result: dict, last: int) -> Dict[str, float]:
    """The figures of a run by one name each, as the columns of the table.

    Args:
        result (dict): As :func:`orsa.studies.benchmark.execute` stores it.
        last (int): Validations in the mean of the last ones.

    Returns:
        dict: ``accuracy`` and so on of the last epoch on the test split;
        ``best_accuracy`` and ``mean_accuracy`` of the validations;
        ``occluded_accuracy``, ``worn_accuracy`` and, of a list of really
        occluded faces, ``NAME_accuracy``.
    """
    found = dict(result['test'])
    summary = summarise_validations(result['validation'], last)
    for figure in FIGURES:
        if figure in summary:
            found[f'best_{figure}'] = summary[figure]['best']
            found[f'mean_{figure}'] = summary[figure]['mean_last']
    parts = {_GROUPS[k]: v for k, v in result['occluded'].items()}
    for name, figures in (parts | result['lists']).items():
        found.update({f'{name}_{k}': figures[k] for k in FIGURES})
    return found


def uar_by_kind(bench: Benchmark, result: dict) -> Dict[str, float]:
    """UAR under each kind of occluder, the mean over its severities.

    Args:
        bench (Benchmark): The benchmark.
        result (dict): As :func:`orsa.studies.benchmark.execute` stores it.
    """
    cells = load_json(bench.file(result['suite']))['cells']
    return {
        kind: float(np.mean([cell['uar'] for cell in cells[kind].values()]))
        for kind in result['key']['kinds'] if cells.get(kind)
    }


def mean_and_spread(seeds: Sequence[Dict[str, float]]) -> tuple:
    """Mean over seeds and standard deviation, of what all of them have.

    Args:
        seeds (Sequence[dict]): Figures of each.

    Returns:
        tuple[dict, dict]: Both by figure; the deviation of one seed is None.
    """
    mean, spread = {}, {}
    for figure in seeds[0] if seeds else ():
        values = [s.get(figure) for s in seeds]
        if None in values:
            continue
        mean[figure] = float(np.mean(values))
        spread[figure] = (
            float(np.std(values, ddof=1)) if len(values) > 1 else None)
    return mean, spread


def _validated_on_test(cfg) -> Optional[bool]:
    """Whether the best epoch is chosen on the test split; None of neither."""
    if not cfg.get('val_dataloader'):
        return None
    val, test = ({
        k: v
        for k, v in loader.dataset.items()
        if k not in ('pipeline', 'test_mode')
    } for loader in (cfg.val_dataloader, cfg.test_dataloader))
    return val == test


def costs(bench: Benchmark,
          models: Sequence[str],
          rounds: int = 9) -> Dict[str, dict]:
    """Parameters, multiplications and time of models.

    Args:
        bench (Benchmark): The benchmark.
        models (Sequence[str]): Some of its models.
        rounds (int): Batches of each to time. Defaults to 9.

    Returns:
        dict[str, dict]: By model ``parameters``, ``trained``, ``macs`` and
        ``uncounted`` (see
        :func:`orsa.studies.complexity.count_complexity`), and ``ms_batchN``,
        milliseconds of a batch of N on one thread.
    """
    found, calls = {}, {}
    for model in models:
        dataset = bench.suite(model, work_dir=bench.work_dir).clean
        net = build_model(bench.cfg(model), pretrained=False).eval()
        picture = default_collate([dataset[0]])['inputs']
        count = count_complexity(
            net,
            net.data_preprocessor(dict(inputs=picture))['inputs'])
        found[model] = dict(
            parameters=count.total.all,
            trained=count.total.trained,
            macs=count.total.macs,
            uncounted=count.uncounted)
        for size in BATCHES:
            faces = picture.repeat(size, 1, 1, 1).numpy()
            calls[model, size] = partial(predict, net, faces, size)
    for (model, size), seconds in time_in_turn(calls, rounds).items():
        found[model][f'ms_batch{size}'] = 1e3 * seconds
    return found


# ------------------------------------------------------------------- table


def _columns(table: dict) -> Dict[str, str]:
    """Title of a column by its figure: what is measured of any model."""
    present = {f for m in table['models'].values() for f in m['mean']}
    columns = dict(
        best_accuracy='acc best',
        accuracy='last',
        mean_accuracy='mean',
        uar='UAR last',
        occluded_uar='occluded UAR',
        worn_uar='worn UAR')
    known = [
        *columns, *(f'{p}_{f}' for p in ('best', 'mean', 'occluded', 'worn')
                    for f in FIGURES)
    ]
    columns.update({
        f: f.removesuffix('_uar') + ' UAR'
        for f in sorted(present) if f.endswith('_uar') and f not in known
    })
    return {f: t for f, t in columns.items() if f in present}


def markdown(table: dict, command: str) -> str:
    """The table as a page.

    Args:
        table (dict): As :func:`collect` gives it.
        command (str): What it was made by.
    """
    columns = _columns(table)
    head = [
        'model', 'seeds', *columns.values(), 'M trained', 'M all', 'MMACs',
        *(f'ms, batch {n}' for n in BATCHES)
    ]
    rows = [[info['title'], _state(info)] + _cells(info, columns)
            for info in table['models'].values()]
    return '\n'.join([
        '# Benchmark', '',
        _in_words(table, columns), '', *markdown_table(head, rows),
        *_notes(table), *_by_kind(table), '', f'Made by `{command}`.', ''
    ])


def _by_kind(table: dict) -> List[str]:
    """A table of kinds, for whoever asks what a mean hides."""
    models = [m for m in table['models'].values() if m['uar_by_kind']['mean']]
    if not models:
        return []
    rows = [[kind] + [
        _value(m['uar_by_kind']['mean'].get(kind),
               m['uar_by_kind']['spread'].get(kind)) for m in models
    ] for kind in models[0]['uar_by_kind']['mean']]
    head = ['', *(m['title'] for m in models)]
    return [
        '', 'UAR by what hides the face, the mean over severities:', '',
        *markdown_table(head, rows)
    ]


def _state(info: dict) -> str:
    total = len(info['seeds']) + len(info['failed']) + len(info['missing'])
    parts = [str(len(info['seeds']))] if info['seeds'] else []
    if info['failed']:
        logs = ', '.join(f'`{log}`' for log in info['failed'].values())
        count = '' if total == 1 else f"{len(info['failed'])} of {total} "
        parts.append(f'{count}failed: {logs}')
    if info['missing']:
        parts.append(f"{len(info['missing'])} of {total} not run")
    return '; '.join(parts)


def _value(value: Optional[float], spread: Optional[float]) -> str:
    if value is None:
        return '–'
    return f'{value:.1f}' + ('' if spread is None else f' ± {spread:.1f}')


def _cells(info: dict, columns: Sequence[str]) -> List[str]:
    cells = []
    for figure in columns:
        value = info['mean'].get(figure)
        spread = info['spread'].get(figure)
        cells.append(_value(value, spread))
    cost = info['cost']
    if cost is None:
        return cells + ['–'] * (3 + len(BATCHES))
    cells += [
        f"{cost['trained'] / 1e6:.2f}", f"{cost['parameters'] / 1e6:.2f}",
        f"{cost['macs'] / 1e6:.1f}"
    ]
    return cells + [f"{cost[f'ms_batch{n}']:.1f}" for n in BATCHES]


def _in_words(table: dict, columns: Sequence[str]) -> str:
    last = table['last']
    text = [
        'The same test split for all, in percent; mean ± standard deviation '
        'over seeds.', '`acc best` is the best validation, `mean` that of the '
        f'last {last}, `last` and all that follows the last epoch on the test '
        'split.'
    ]
    if 'occluded_uar' in columns or 'worn_uar' in columns:
        severities = ', '.join(map(str, table['severities']))
        kinds = table['kinds']
        kinds = 'all kinds' if kinds == 'all' else ', '.join(kinds)
        text.append(
            '`occluded` and `worn`: the means over the kinds of either '
            f'group and severities {severities} of '
            f'`orsa.OcclusionSuite` ({kinds}).')
    text.append(
        'MMACs: millions of multiplications with an addition, of one face. '
        'ms: one thread of '
        f"{table['machine']['processor']}, median, all models in turn.")
    return ' '.join(text)


def _notes(table: dict) -> List[str]:
    """What a reader of the columns 'best' and 'mean' has to know."""
    models = [m for m in table['models'].values() if m['seeds']]
    chosen = [m['title'] for m in models if m['validated_on_test']]
    other = [m['title'] for m in models if m['validated_on_test'] is False]
    none = [m['title'] for m in models if m['validated_on_test'] is None]
    notes = []
    if chosen:
        notes.append('`acc best` was chosen on the test split, as most '
                     'published figures are, which flatters it: '
                     f'{", ".join(chosen)}.')
    if other:
        notes.append('`acc best` and `mean` are of validation data of their '
                     f'own, not of the test split: {", ".join(other)}.')
    if none:
        notes.append('Without validation, and so without a best epoch: '
                     f'{", ".join(none)}.')
    return [line for note in notes for line in ('', note)]


def _write_csv(table: dict, path: str) -> None:
    """A row for each seed."""
    models = table['models'].values()
    figures = list(
        dict.fromkeys(f for m in models for s in m['seeds'].values()
                      for f in s))
    cost = ['parameters', 'trained', 'macs'
            ] + [f'ms_batch{n}' for n in BATCHES]
    rows = []
    for name, info in table['models'].items():
        for seed, found in info['seeds'].items():
            rows.append([name, seed, 'done'] +
                        [_rounded(found.get(f)) for f in figures] +
                        [_rounded(info['cost'][c]) for c in cost])
        empty = [''] * (len(figures) + len(cost))
        rows += [[name, s, f'failed: {log}', *empty]
                 for s, log in info['failed'].items()]
        rows += [[name, s, 'not run', *empty] for s in info['missing']]
    write_csv(path, [['model', 'seed', 'state', *figures, *cost], *rows])


def _rounded(value: Optional[float]):
    return '' if value is None else round(value, 3)


def _names(bench: Benchmark) -> List[str]:
    titles = list(bench.titles.values())
    return [] if titles == list(bench.titles) else ['--names', *titles]


def write_report(bench: Benchmark, out: str, last: int) -> dict:
    """Write ``benchmark.json``, ``.csv``, ``.md`` and ``.png``.

    Args:
        bench (Benchmark): The benchmark.
        out (str): The folder.
        last (int): Validations in the mean of the last ones.

    Returns:
        dict: The table, see :func:`collect`.
    """
    table = collect(bench, last)
    base = osp.join(out, NAME)
    command = ' '.join([
        'python tools/benchmark.py', *bench.configs.values(), *_names(bench),
        f'--seeds {bench.num_seeds}'
    ])
    dump_json(dict(command=command, **table), base + '.json')
    _write_csv(table, base + '.csv')
    text = markdown(table, command)
    write_text(base + '.md', text)
    print(text)
    points = {
        m['title']:
        dict(
            latency=m['cost']['ms_batch1'],
            value=m['mean']['accuracy'],
            spread=m['spread']['accuracy'],
            occluded=m['mean'].get('occluded_accuracy'))
        for m in table['models'].values() if m['cost']
    }
    if points:
        plot_tradeoff(points, base + '.png')
    print(f'wrote {base}.json, .csv, .md' + (' and .png' if points else ''))
    return table
