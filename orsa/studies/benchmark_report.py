# Copyright (c) orsa contributors. All rights reserved.
"""Tables and figure of a benchmark, see :mod:`.benchmark`."""
import os.path as osp
from typing import Dict, List, Sequence

from orsa.utils.tables import Table, with_interval, with_spread
from orsa.visualization.tradeoff import plot_tradeoff
from . import report
from .occlusion_metrics import METRICS
from .report import Section

BATCHES = (1, 32)


def _columns(table: dict) -> Dict[str, str]:
    """Title of a column by its metric: what is measured of any model."""
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
                    for f in METRICS)
    ]
    columns.update({
        f: f.removesuffix('_uar') + ' UAR'
        for f in sorted(present) if f.endswith('_uar') and f not in known
    })
    return {f: t for f, t in columns.items() if f in present}


def sections(table: dict, command: str) -> List[Section]:
    """The report of :func:`.benchmark.collect`, and what it was made by."""
    columns = _columns(table)
    head = [
        'model', 'seeds', *columns.values(), 'M trained', 'M all', 'MMACs',
        *(f'ms, batch {n}' for n in BATCHES)
    ]
    rows = [[info['title'], _state(info), *_row(info, columns)]
            for info in table['models'].values()]
    found = [Section('', _in_words(table, columns), Table(head, rows))]
    found += [Section('', note) for note in _notes(table)]
    compared = {
        m['title']: m['gained']
        for m in table['models'].values() if m['gained']
    }
    if compared:
        conditions = list(next(iter(compared.values())))
        rows = [[title, *(with_interval(*gains[c]) for c in conditions)]
                for title, gains in compared.items()]
        several = all(
            len(m['seeds']) > 1 for m in table['models'].values()
            if m['seeds'])
        seeds = ' and seeds' if several else ''
        first = next(m['title'] for m in table['models'].values()
                     if m['seeds'])
        found.append(
            Section(
                '', f'UAR above that of {first}, in points, with the 95% '
                f'interval of the paired bootstrap over faces{seeds}:',
                Table(['model', *conditions], rows)))
    models = [m for m in table['models'].values() if m['uar_by_kind']['mean']]
    if models:
        kinds = models[0]['uar_by_kind']['mean']
        rows = [[
            kind, *(with_spread(m['uar_by_kind']['mean'].get(kind),
                                m['uar_by_kind']['spread'].get(kind))
                    for m in models)
        ] for kind in kinds]
        found.append(
            Section('', 'UAR by kind of occluder, the mean over severities:',
                    Table(['', *(m['title'] for m in models)], rows)))
    return [*found, Section('', f'Made by `{command}`.')]


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


def _row(info: dict, columns: Sequence[str]) -> List[str]:
    cells = [
        with_spread(info['mean'].get(metric), info['spread'].get(metric))
        for metric in columns
    ]
    cost = info['cost']
    if cost is None:
        return cells + ['–'] * (3 + len(BATCHES))
    cells += [f'{cost[k] / 1e6:.2f}' for k in ('trained', 'parameters')]
    cells += [f"{cost['macs'] / 1e6:.1f}"]
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
    """Which data the columns 'best' and 'mean' are of."""
    notes = {
        True:
        '`acc best` was chosen on the test split, as most published results '
        'are, which flatters it',
        False:
        '`acc best` and `mean` are of validation data of their own, not of '
        'the test split',
        None:
        'Without validation, and so without a best epoch'
    }
    titles = {
        on_test:
        ', '.join(m['title'] for m in table['models'].values()
                  if m['seeds'] and m['validated_on_test'] is on_test)
        for on_test in notes
    }
    return [f'{note}: {titles[k]}.' for k, note in notes.items() if titles[k]]


def _by_seed(table: dict) -> Table:
    """A row for each seed."""
    models = table['models']
    metrics = list(
        dict.fromkeys(k for m in models.values() for s in m['seeds'].values()
                      for k in s))
    cost = ['parameters', 'trained', 'macs']
    cost += [f'ms_batch{n}' for n in BATCHES]

    def rounded(values: dict, names: Sequence[str]) -> list:
        found = [values.get(name) for name in names]
        return ['' if v is None else round(v, 3) for v in found]

    rows = []
    for name, info in models.items():
        rows += [[
            name, seed, 'done', *rounded(found, metrics),
            *rounded(info['cost'], cost)
        ] for seed, found in info['seeds'].items()]
        empty = [''] * (len(metrics) + len(cost))
        rows += [[name, s, f'failed: {log}', *empty]
                 for s, log in info['failed'].items()]
        rows += [[name, s, 'not run', *empty] for s in info['missing']]
    return Table(['model', 'seed', 'state', *metrics, *cost], rows)


def write_report(table: dict, command: str, out: str) -> None:
    """Write and print the report, as JSON, CSV, Markdown and PNG."""
    base, parts = osp.join(out, 'benchmark'), sections(table, command)
    files = report.write_report(base, dict(command=command, **table),
                                _by_seed(table), 'Benchmark', parts)
    print(report.markdown('Benchmark', parts))
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
        files.append(base + '.png')
        plot_tradeoff(points, files[-1])
    print(f'wrote {", ".join(files)}')
