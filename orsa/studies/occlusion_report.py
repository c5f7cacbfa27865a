# Copyright (c) orsa contributors. All rights reserved.
"""Tables, figures and a page of a test under occlusion."""
import os.path as osp
from typing import Callable, Iterator, List, Optional, Sequence

from orsa.utils.fileio import write_text
from orsa.utils.tables import Table, number
from orsa.visualization.grids import draw_occluder_grid
from orsa.visualization.occlusion import (plot_occlusion_curves,
                                          plot_occlusion_heatmap)
from . import report as reports
from .occlusion_metrics import COLUMNS, COMMON, GROUP_TITLES, METRICS, WORN
from .report import Section

NAME = 'occlusion_suite'
TITLES = dict(
    accuracy='Accuracy',
    uar='UAR',
    macro_f1='Macro-F1',
    ece='Calibration error (ECE)',
    confidence='Mean confidence',
    agreement='Agreement with the clean prediction')
_PANELS = {
    COMMON: 'one scale of fractions',
    WORN: 'worn: fractions of their own'
}


def write_report(report: dict, folder: str, rows: Sequence) -> List[str]:
    """Write JSON, CSV, Markdown, the figures and the page.

    Args:
        report (dict): As :meth:`orsa.OcclusionSuite.run` returns it.
        folder (str): Where to.
        rows (Sequence): Of :func:`draw_occluder_grid`; empty for no grid.

    Returns:
        list[str]: The files, the page last.
    """
    base, images = osp.join(folder, NAME), {}
    if report['cells']:
        images['curves'] = base + '_curves.png'
        _draw_curves(report, images['curves'])
        images['heatmap'] = base + '_heatmap.png'
        _draw_heatmap(report, images['heatmap'])
    if rows:
        images['sheet'] = base + '_sheet.png'
        draw_occluder_grid(rows, images['sheet'], size=96)
    title, parts = f'{_model_name(report)} under occlusion', _sections(
        report, images)
    files = reports.write_report(base, report, _csv_table(report), title,
                                 parts)
    write_text(base + '.html', reports.html(title, _headline(report), parts))
    return [*files, *images.values(), base + '.html']


def _describe(report: dict) -> str:
    data = report['dataset']
    split = f", split '{data['split']}'" if data['split'] else ''
    return (f"{data['num_faces']} faces of {data['type']}{split}; "
            f"{len(report['classes'])} classes; seed {report['seed']}")


def _model_name(report: dict) -> str:
    path = report['config' if 'config' in report else 'predictions']
    return osp.splitext(osp.basename(path))[0]


def _curves(report: dict) -> Iterator[tuple]:
    """Group, name, metrics by severity and areas of kinds and their means."""
    for group, means in report['means'].items():
        for kind in means['kinds']:
            yield group, kind, report['cells'][kind], report['areas'][kind]
        yield group, GROUP_TITLES[group], means['severities'], means['area']


def _metric_table(report: dict, metric: str) -> Table:
    """A metric of every kind and severity, with means and areas."""
    severities = [str(s) for s in report['severities']]
    clean, rows = report['clean'][metric], []
    for _, name, conditions, area in _curves(report):
        values = [conditions[s].get(metric) for s in severities]
        mean = None if None in values else sum(values) / len(values)
        rows.append([name, clean, *values, mean] +
                    ([area[metric]] if metric in METRICS else []))
    head = ['', 'clean', *severities, 'mean']
    return Table(head + (['area'] if metric in METRICS else []), rows, 'right',
                 _shade(metric, clean, len(severities), rows))


def _shade(metric: str, clean: Optional[float], num: int,
           rows: List[list]) -> Callable:
    """How dark a number is, in [0, 1]: by how much worse than clean it is."""
    sign = -1 if metric == 'ece' else 1
    worst = max([
        sign * (clean - v) for row in rows
        for v in row[1:num + 2] if v is not None
    ] + [1.])
    return lambda v, i, j: (0 if v is None or not 0 < j <= num + 1 else sign *
                            (clean - v) / worst)


def _summary_table(report: dict) -> Table:
    """Clean, the means by severity and over all, with what is lost."""
    clean = report['clean']
    head = [
        '', *(TITLES[m] for m in METRICS), 'UAR lost', '% of it', 'ECE',
        'agreement', 'occluded'
    ]
    rows = [[
        'clean', *(clean[m] for m in METRICS), None, None, clean['ece'], None,
        None
    ]]

    def add(name: str, mean: dict) -> None:
        lost = mean['drop']['uar']
        rows.append([
            name, *(mean[m] for m in METRICS), lost['absolute'],
            lost['relative'],
            mean.get('ece'), mean['agreement'], 100 * mean['measured_share']
        ])

    for group, means in report['means'].items():
        for severity, mean in means['severities'].items():
            add(f'{group}, severity {severity}', mean)
        add(GROUP_TITLES[group], means['overall'])
        rows.append([
            f'area, {group}', *(means['area'][m] for m in METRICS), *[None] * 5
        ])
    return Table(head, rows, 'right')


def _list_table(report: dict, name: str) -> Table:
    """Really occluded faces, all and by type, beside the others."""
    found = report['lists'][name]
    rows = []
    for title, part in _list_rows(found, 'all of the list', 'the other faces'):
        interval = part['accuracy_interval']
        rows.append([
            title, part['num_samples'], part['accuracy'], interval
            and '{:.1f} to {:.1f}'.format(*interval), part['uar'],
            part['macro_f1'], part['ece'],
            sum(c['num_samples'] > 0 for c in part['per_class'].values())
        ])
    return Table([
        name, 'faces', 'Accuracy', '95% interval', 'UAR', 'Macro-F1', 'ECE',
        'classes'
    ], rows, 'right')


def _list_rows(found: dict, everything: str, rest: str) -> List[tuple]:
    return [(everything, found),
            *((f'type {k}', v) for k, v in found['types'].items()),
            (rest, found['rest'])]


def _frequent_table(report: dict) -> Table:
    """By kind and group the most frequently changed predictions."""
    rows = [[
        GROUP_TITLES.get(name, name).replace('mean, ', 'all, '),
        '; '.join(f"{t['before']} → {t['after']} {t['count']} "
                  f"({t['share']:.0f}%)"
                  for t in changes['frequent'][:3]) or None
    ] for name, changes in report['turns'].items()]
    return Table(['', 'changed predictions, all severities'], rows)


def _change_table(report: dict, group: str) -> Table:
    """Of each clean prediction how often it becomes which one, in percent."""
    classes = report['classes']
    rows = [[name, *(100 * n / sum(row) for n in row),
             sum(row)]
            for name, row in zip(classes, report['turns'][group]['matrix'])
            if sum(row)]
    return Table(['clean ↓  occluded →', *classes, 'faces'], rows, 'right',
                 lambda v, i, j: v / 100 if 0 < j <= len(classes) else 0)


def _csv_table(report: dict) -> Table:
    """All numbers, a row for each condition."""
    rows = []

    def add(group: str, kind: str, severity, metrics: dict) -> None:
        drops = metrics.get('drop')
        rows.append([group, kind, severity] + [
            metrics.get(k, '')
            for k in ('share', 'measured_share', 'num_samples', *COLUMNS)
        ] + [
            drops[m][k] if drops else '' for m in METRICS
            for k in ('absolute', 'relative')
        ])

    add('clean', '', 0, report['clean'])
    for group, name, conditions, _ in _curves(report):
        kind = 'mean' if name == GROUP_TITLES[group] else name
        for severity, metrics in conditions.items():
            add(group, kind, severity, metrics)
    for name, found in report['lists'].items():
        for title, metrics in _list_rows(found, '', 'rest'):
            add('list', name, title, metrics)
    lost = [f'{m}_{k}' for m in METRICS for k in ('lost', 'lost_relative')]
    return Table([
        'group', 'kind', 'severity', 'share', 'measured_share', 'num_samples',
        *COLUMNS, *lost
    ], rows)


def _draw_curves(report: dict, out: str) -> None:
    panels, mean, clean = {}, None, report['clean']
    for group, name, conditions, _ in _curves(report):
        found = conditions.values()
        curve = ([0.] + [100 * c['measured_share'] for c in found],
                 [clean['uar']] + [c['uar'] for c in found])
        if name != GROUP_TITLES[group]:
            panels.setdefault(_PANELS[group], {})[name] = curve
        elif group == COMMON and len(report['means'][group]['kinds']) > 1:
            mean = curve
    present = sum(c['num_samples'] > 0 for c in clean['per_class'].values())
    plot_occlusion_curves(
        panels,
        out,
        mean,
        f'{_model_name(report)}, {_describe(report)}',
        chance=100 / present)


def _draw_heatmap(report: dict, out: str) -> None:
    rows = [(name, [
        dict(value=c['uar'], lost=c['drop']['uar']['absolute'])
        for c in conditions.values()
    ]) for _, name, conditions, _ in _curves(report)]
    plot_occlusion_heatmap(rows, report['severities'], out,
                           report['clean']['uar'], _model_name(report))


def _headline(report: dict) -> List[tuple]:
    """Name and value of the results that stand first."""
    found = [('accuracy, clean', report['clean']['accuracy']),
             ('UAR, clean', report['clean']['uar'])]
    found += [(f'UAR, {GROUP_TITLES[group]}', means['overall']['uar'])
              for group, means in report['means'].items()]
    if COMMON in report['means']:
        found.append(('area under the UAR curve',
                      report['means'][COMMON]['area']['uar']))
    found += [(f'UAR, really occluded ({v["num_samples"]})', v['uar'])
              for v in report['lists'].values()]
    return [(name, number(value)) for name, value in found]


def _sections(report: dict, images: dict) -> List[Section]:
    """The report."""
    found = [_first_section(report)]
    if 'curves' in images:
        found.append(
            Section(
                'UAR by occluded fraction',
                'Every kind on the left occludes the same fractions of the '
                'face. What is worn has its own place and its own fractions: '
                'it is plotted, and averaged, apart.', images['curves']))
    found.append(_summary_section(report))
    if 'heatmap' in images:
        found.append(Section('UAR lost', '', images['heatmap']))
    found += _list_sections(report)
    if report['cells']:
        found += [
            Section(TITLES[m], '', _metric_table(report, m)) for m in COLUMNS
            if m != 'confidence' and report['clean'][m] is not None
        ]
        found += [
            Section(
                f'Changed predictions: {group}',
                'Of the faces with the clean prediction on the left, the '
                'percentage that has each prediction when occluded; all kinds '
                'and severities.', _change_table(report, group))
            for group in report['means']
        ]
        found.append(
            Section('The most frequent changes', '', _frequent_table(report)))
    if 'sheet' in images:
        found.append(
            Section(
                'The occluders', 'Two of the faces at severities '
                f'{", ".join(map(str, report["severities"]))} each; below '
                'each face the measured fraction.', images['sheet']))
    return [*found, Section('How it was made', _origin(report))]


def summary(report: dict) -> List[Section]:
    """What a command prints of a report: the means, and UAR by kind."""
    found = [_first_section(report), _summary_section(report)]
    found += _list_sections(report)
    if report['cells']:
        found.append(Section(TITLES['uar'], '', _metric_table(report, 'uar')))
    return found


def _first_section(report: dict) -> Section:
    return Section('', _describe(report) + '. All in percent.')


def _summary_section(report: dict) -> Section:
    text = (
        'Occluded: the measured fraction of the face, the hull of its 68 '
        'landmarks. Area: under the curve over severity from clean, divided '
        'by its length, so that a model that loses nothing has its clean '
        'value.' if report['cells'] else '')
    return Section('Summary', text, _summary_table(report))


def _list_sections(report: dict) -> List[Section]:
    return [
        Section(
            f'Really occluded faces: {name}',
            'UAR and macro-F1 are over the classes present, whose number is '
            'in the last column: rows of few faces are not to be compared by '
            'them.', _list_table(report, name)) for name in report['lists']
    ]


def _origin(report: dict) -> str:
    if 'config' in report:
        made = (f'Config {report["config"]}, checkpoint '
                f'{report["checkpoint"]} (SHA-256 '
                f'{report["checkpoint_sha256"][:16]})')
    else:
        made = (f'Predictions {report["predictions"]} for the images of '
                f'{report["manifest"]}')
    return (f'{made}. The protocol is docs/occlusion_benchmark.md; two runs '
            'are compared by tools/analysis_tools/compare_results.py.')
