# Copyright (c) orsa contributors. All rights reserved.
"""Tables, pictures and a page of a test under occlusion."""
import base64
import html
import os.path as osp
from typing import Callable, List, Optional, Sequence, Tuple

from orsa.utils.fileio import write_csv, write_text
from orsa.utils.markdown import markdown_table
from orsa.visualization.grids import draw_occluder_grid
from orsa.visualization.occlusion import (plot_occlusion_curves,
                                          plot_occlusion_heatmap)
from .occlusion_metrics import COLUMNS, COMMON, FIGURES, WORN

NAME = 'occlusion_suite'
TITLES = dict(
    accuracy='Accuracy',
    uar='UAR',
    macro_f1='Macro-F1',
    ece='Calibration error (ECE)',
    confidence='Mean confidence',
    agreement='Agreement with the clean prediction')
_MEANS = {COMMON: 'mean, common scale', WORN: 'mean, worn'}
_PANELS = {COMMON: 'one scale of shares', WORN: 'worn: shares of their own'}
Table = Tuple[List[str], List[List]]


def write_report(report: dict, folder: str, rows: Sequence = ()) -> List[str]:
    """Write CSV, Markdown, the pictures and the page.

    Args:
        report (dict): As :meth:`orsa.OcclusionSuite.run` returns it.
        folder (str): Where to.
        rows (Sequence): Of the sheet of occluders, as
            :func:`draw_occluder_grid` takes them; without any there is no
            sheet. Defaults to none.

    Returns:
        list[str]: The files, the page last.
    """

    def path(suffix: str) -> str:
        return osp.join(folder, NAME + suffix)

    files = [path('.csv'), path('.md')]
    _write_csv(report, files[0])
    pictures = {}
    if report['cells']:
        pictures['curves'] = path('_curves.png')
        _draw_curves(report, pictures['curves'])
        pictures['heatmap'] = path('_heatmap.png')
        _draw_heatmap(report, pictures['heatmap'])
    if rows:
        pictures['sheet'] = path('_sheet.png')
        draw_occluder_grid(rows, pictures['sheet'], size=96)
    write_text(files[1], markdown(report, pictures))
    write_text(path('.html'), page(report, pictures))
    return [*files, *pictures.values(), path('.html')]


def _number(value: Optional[float], form: str = '.1f') -> str:
    return '–' if value is None else format(value, form)


def _describe(report: dict) -> str:
    data = report['dataset']
    where = f"{data['type']}"
    where += f", split '{data['split']}'" if data['split'] else ''
    return (f"{data['num_faces']} faces of {where}; "
            f"{len(report['classes'])} classes; seed {report['seed']}")


def _model_name(report: dict) -> str:
    return osp.splitext(osp.basename(report['config']))[0]


# ------------------------------------------------------------------ tables


def cell_table(report: dict, figure: str) -> Table:
    """A figure of every kind and severity, with means and areas.

    Args:
        report (dict): The report.
        figure (str): One of ``COLUMNS``.

    Returns:
        tuple: The names of the columns; rows of a name and numbers.
    """
    severities = [str(s) for s in report['severities']]
    head = ['', 'clean', *severities, 'mean']
    if figure in FIGURES:
        head.append('area')
    rows = []

    def add(name: str, cells: dict, area: Optional[dict]) -> None:
        values = [cells[s].get(figure) for s in severities]
        mean = None if None in values else sum(values) / len(values)
        row = [name, report['clean'][figure], *values, mean]
        rows.append(row + [area[figure]] if figure in FIGURES else row)

    for group, means in report['means'].items():
        for kind in means['kinds']:
            add(kind, report['cells'][kind], report['areas'][kind])
        add(_MEANS[group], means['severities'], means['area'])
    return head, rows


def summary_table(report: dict) -> Table:
    """Clean, the means by severity and over all, with what is lost."""
    head = [
        '', *(TITLES[f] for f in FIGURES), 'UAR lost', '% of it', 'ECE',
        'agreement', 'covered'
    ]
    rows = [[
        'clean', *(report['clean'][f] for f in FIGURES), None, None,
        report['clean']['ece'], None, None
    ]]

    def add(name: str, mean: dict) -> None:
        lost = mean['drop']['uar']
        rows.append([
            name, *(mean[f] for f in FIGURES), lost['absolute'],
            lost['relative'],
            mean.get('ece'), mean['agreement'], 100 * mean['measured_share']
        ])

    for group, means in report['means'].items():
        for severity, mean in means['severities'].items():
            add(f'{group}, severity {severity}', mean)
        add(_MEANS[group], means['overall'])
        rows.append([
            f'area, {group}', *(means['area'][f] for f in FIGURES), *[None] * 5
        ])
    return head, rows


def list_table(report: dict, name: str) -> Table:
    """Really occluded faces, all and by type, beside the others."""
    found = report['lists'][name]
    head = [
        name, 'faces', 'Accuracy', '95% interval', 'UAR', 'Macro-F1', 'ECE',
        'classes'
    ]
    parts = [('all of the list', found)]
    parts += [(f'type {k}', v) for k, v in found['types'].items()]
    parts += [('the other faces', found['rest'])]
    rows = []
    for title, part in parts:
        interval = part['accuracy_interval']
        present = sum(c['num_samples'] > 0 for c in part['per_class'].values())
        rows.append([
            title,
            str(part['num_samples']), part['accuracy'],
            '–' if interval is None else f'{interval[0]:.1f} to '
            f'{interval[1]:.1f}', part['uar'], part['macro_f1'], part['ece'],
            str(present)
        ])
    return head, rows


def turns_table(report: dict) -> Table:
    """By kind and group the most frequent turns of the prediction."""
    rows = []
    for name, turned in report['turns'].items():
        rows.append([
            _MEANS.get(name, name).replace('mean, ', 'all, '),
            '; '.join(f"{t['before']} → {t['after']} {t['count']} "
                      f"({t['share']:.0f}%)"
                      for t in turned['frequent'][:3]) or '–'
        ])
    return ['', 'faces whose prediction turns, all severities'], rows


def _plain_cells(row: Sequence) -> List[str]:
    return [v if isinstance(v, str) else _number(v) for v in row]


def _markdown_table(table: Table, align: str = '---:') -> List[str]:
    head, rows = table
    return [*markdown_table(head, map(_plain_cells, rows), align), '']


def markdown(report: dict, pictures: dict) -> str:
    """The report as Markdown.

    Args:
        report (dict): The report.
        pictures (dict[str, str]): PNG files by name, linked as neighbours.
    """
    lines = [
        f'# {_model_name(report)} under occlusion', '',
        _describe(report) + '. All in percent.', ''
    ]
    lines += _markdown_table(summary_table(report))
    if report['cells']:
        lines += ['Area: under the curve over severity, as a mean height.', '']
    for name in ('curves', 'heatmap'):
        if name in pictures:
            lines += [f'![{name}]({osp.basename(pictures[name])})', '']
    if report['cells']:
        for figure in COLUMNS:
            if figure != 'confidence':
                lines += [f'## {TITLES[figure]}', '']
                lines += _markdown_table(cell_table(report, figure))
        lines += ['## What turns into what', '']
        lines += _markdown_table(turns_table(report), '---')
    for name in report['lists']:
        lines += [f'## Really occluded: {name}', '']
        lines += _markdown_table(list_table(report, name))
    if 'sheet' in pictures:
        lines += ['## The occluders', '']
        lines += [f"![sheet]({osp.basename(pictures['sheet'])})", '']
    return '\n'.join(lines)


def _write_csv(report: dict, path: str) -> None:
    lost = [f'{f}_{k}' for f in FIGURES for k in ('lost', 'lost_relative')]
    head = [
        'group', 'kind', 'severity', 'share', 'measured_share', 'num_samples',
        *COLUMNS, *lost
    ]

    def row(group: str, kind: str, severity, cell: dict) -> list:
        drops = cell.get('drop', {})
        return [
            group, kind, severity,
            cell.get('share', ''),
            cell.get('measured_share', ''),
            cell.get('num_samples', ''), *(cell.get(f, '') for f in COLUMNS),
            *(drops[f][k] if drops else '' for f in FIGURES
              for k in ('absolute', 'relative'))
        ]

    rows = [row('clean', '', 0, report['clean'])]
    for group, means in report['means'].items():
        for kind in means['kinds']:
            rows += [
                row(group, kind, s, cell)
                for s, cell in report['cells'][kind].items()
            ]
        rows += [
            row(group, 'mean', s, m) for s, m in means['severities'].items()
        ]
    for name, found in report['lists'].items():
        rows.append(row('list', name, '', found))
        rows += [
            row('list', name, f'type {k}', v)
            for k, v in found['types'].items()
        ]
        rows.append(row('list', name, 'rest', found['rest']))
    write_csv(path, [head, *rows])


# ---------------------------------------------------------------- pictures


def _draw_curves(report: dict, out: str) -> None:
    panels, mean = {}, None
    clean = report['clean']['uar']

    def curve(cells: dict) -> tuple:
        shares = [0.] + [100 * c['measured_share'] for c in cells.values()]
        return shares, [clean] + [c['uar'] for c in cells.values()]

    for group, means in report['means'].items():
        panels[_PANELS[group]] = {
            k: curve(report['cells'][k])
            for k in means['kinds']
        }
        if group == COMMON and len(means['kinds']) > 1:
            mean = curve(means['severities'])
    present = sum(c['num_samples'] > 0
                  for c in report['clean']['per_class'].values())
    plot_occlusion_curves(
        panels,
        out,
        mean,
        f'{_model_name(report)}, {_describe(report)}',
        chance=100 / present)


def _draw_heatmap(report: dict, out: str) -> None:
    rows = []
    for group, means in report['means'].items():
        members = [(k, report['cells'][k]) for k in means['kinds']]
        for name, cells in (*members, (_MEANS[group], means['severities'])):
            rows.append((name, [
                dict(value=c['uar'], lost=c['drop']['uar']['absolute'])
                for c in cells.values()
            ]))
    plot_occlusion_heatmap(rows, report['severities'], out,
                           report['clean']['uar'], _model_name(report))


# -------------------------------------------------------------------- page

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff;
  max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { max-width: 44rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .55rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid #e4e4e4; }
th:first-child, td:first-child, .text th, .text td { text-align: left; }
.text td { white-space: normal; }
thead th { border-bottom: 2px solid #999; }
tr.mean td { font-weight: 600; border-bottom: 2px solid #999; }
img { max-width: 100%; height: auto; }
.wide img { max-width: none; }
.big { display: flex; flex-wrap: wrap; gap: 1rem 2rem; margin: 1rem 0; }
.big b { display: block; font-size: 1.6rem; }
small, .note { color: #666; }
code { overflow-wrap: anywhere; }
"""


def page(report: dict, pictures: dict) -> str:
    """The report as one HTML page that needs nothing else.

    Args:
        report (dict): The report.
        pictures (dict[str, str]): PNG files by name, embedded.
    """
    title = f'{html.escape(_model_name(report))} under occlusion'
    parts = [
        '<!DOCTYPE html>', '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, '
        'initial-scale=1">', f'<title>{title}</title>',
        f'<style>{_STYLE}</style></head><body>', f'<h1>{title}</h1>',
        f'<p>{html.escape(_describe(report))}. All figures are in percent.'
        '</p>',
        _headline(report)
    ]
    parts += _overview(report, pictures)
    parts += [
        _section(f'Really occluded faces: {name}',
                 _html_table(list_table(report, name)), _LIST_NOTE)
        for name in report['lists']
    ]
    if report['cells']:
        parts += _by_kind(report)
    if 'sheet' in pictures:
        parts.append(
            _section(
                'The occluders',
                f'<div class="wide">{_image(pictures["sheet"], "sheet")}'
                '</div>', f'Two of the faces at severities '
                f'{", ".join(map(str, report["severities"]))} each; below '
                'each face the measured share.'))
    parts += [
        '<h2>How it was made</h2>',
        f'<p>Config <code>{html.escape(report["config"])}</code>, checkpoint '
        f'<code>{html.escape(report["checkpoint"])}</code> (SHA-256 <code>'
        f'{report["checkpoint_sha256"][:16]}</code>). The protocol is '
        '<code>docs/occlusion_benchmark.md</code>; two runs are compared by '
        '<code>tools/analysis_tools/compare_results.py</code>.</p>',
        '</body></html>', ''
    ]
    return '\n'.join(parts)


_LIST_NOTE = ('UAR and macro-F1 are over the classes present, whose number is '
              'in the last column: rows of few faces are not to be compared '
              'by them.')


def _headline(report: dict) -> str:
    figures = [('accuracy, clean', report['clean']['accuracy']),
               ('UAR, clean', report['clean']['uar'])]
    for group, means in report['means'].items():
        figures += [(f'UAR, {_MEANS[group]}', means['overall']['uar'])]
    if COMMON in report['means']:
        figures += [('area under the UAR curve',
                     report['means'][COMMON]['area']['uar'])]
    for name, found in report['lists'].items():
        figures += [(f'UAR, really occluded ({found["num_samples"]})',
                     found['uar'])]
    cells = ''.join(f'<div><b>{_number(value)}</b>{html.escape(name)}</div>'
                    for name, value in figures)
    return f'<div class="big">{cells}</div>'


def _overview(report: dict, pictures: dict) -> List[str]:
    parts = []
    if 'curves' in pictures:
        parts.append(
            _section(
                'How it falls', _image(pictures['curves'], 'curves'),
                'Every kind on the left hides the same shares of the face. '
                'What is worn sits where it is worn, and hides shares of its '
                'own: it is drawn, and averaged, apart.'))
    parts.append(
        _section(
            'Summary', _html_table(summary_table(report)),
            'Covered: the measured share of the face, the hull of its 68 '
            'landmarks. Area: under the curve over severity from clean, '
            'divided by its length, so that a model that loses nothing has '
            'its clean figure.' if report['cells'] else ''))
    if 'heatmap' in pictures:
        parts.append(
            _section('What is lost',
                     _image(pictures['heatmap'], 'heatmap of UAR')))
    return parts


def _by_kind(report: dict) -> List[str]:
    parts = []
    for figure in COLUMNS:
        if figure == 'confidence':
            continue
        table = cell_table(report, figure)
        shade = _shade_of(report, figure, table)
        parts.append(_section(TITLES[figure], _html_table(table, '', shade)))
    classes = report['classes']
    for group in report['means']:
        matrix = report['turns'][group]['matrix']
        totals = [max(sum(row), 1) for row in matrix]
        rows = [[name] + [100 * n / total for n in row] + [str(sum(row))]
                for name, row, total in zip(classes, matrix, totals)
                if sum(row)]
        parts.append(
            _section(
                f'What turns into what: {group}',
                _html_table((['clean ↓  hidden →', *classes, 'faces'], rows),
                            '', lambda v, i, j: v / 100
                            if 0 < j <= len(classes) else 0),
                'Of the faces that are said to show the expression on the '
                'left when clean, the share that is said to show each '
                'expression when hidden; all kinds and severities.'))
    parts.append(
        _section('The most frequent turns',
                 _html_table(turns_table(report), 'text')))
    return parts


def _shade_of(report: dict, figure: str, table: Table) -> Callable:
    """How dark a number is, in [0, 1]: by how much worse than clean it is."""
    sign = -1 if figure == 'ece' else 1
    clean = report['clean'][figure]
    last = 1 + len(report['severities'])
    worst = max([
        sign * (clean - v) for row in table[1]
        for v in row[1:last + 1] if v is not None
    ] + [1.])
    return lambda v, i, j: (0 if v is None or not 0 < j <= last else max(
        0.,
        sign * (clean - v) / worst))


def _section(title: str, body: str, note: str = '') -> str:
    note = f'<p class="note">{html.escape(note)}</p>' if note else ''
    return f'<section><h2>{html.escape(title)}</h2>\n{note}\n{body}</section>'


def _html_table(table: Table,
                kind: str = '',
                shade: Optional[Callable] = None) -> str:
    head, rows = table
    lines = [
        '<div class="wide">', f'<table class="{kind}"><thead><tr>' +
        ''.join(f'<th>{html.escape(h)}</th>'
                for h in head) + '</tr></thead><tbody>'
    ]
    for i, row in enumerate(rows):
        mean = ' class="mean"' if row[0].startswith('mean') else ''
        cells = []
        for j, value in enumerate(row):
            strength = 0.
            if shade and not isinstance(value, str):
                strength = shade(value, i, j)
            style = f' style="background:{_colour(strength)}"' * bool(strength)
            text = value if isinstance(value, str) else _number(value)
            cells.append(f'<td{style}>{html.escape(text)}</td>')
        lines.append(f'<tr{mean}>{"".join(cells)}</tr>')
    return '\n'.join([*lines, '</tbody></table></div>'])


def _colour(strength: float) -> str:
    """From white to an orange that black letters can be read on."""
    strength = min(max(strength, 0.), 1.)
    rgb = [round(255 + (end - 255) * strength) for end in (240, 150, 70)]
    return '#' + ''.join(f'{c:02x}' for c in rgb)


def _image(path: str, text: str) -> str:
    with open(path, 'rb') as file:
        data = base64.b64encode(file.read()).decode()
    return f'<img alt="{text}" src="data:image/png;base64,{data}">'
