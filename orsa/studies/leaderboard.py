# Copyright (c) orsa contributors. All rights reserved.
"""The leaderboard: what ``tools/analysis_tools/leaderboard.py`` does."""
import os.path as osp
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import numpy as np

from orsa.datasets.drawing.occluders import KINDS
from orsa.evaluation.predictions import CLEAN
from orsa.evaluation.statistics import accuracy_interval, paired_difference
from orsa.utils.fileio import write_text
from orsa.utils.tables import Table
from . import report
from .comparison import match, shared_conditions
from .occlusion_metrics import COMMON, FORMAT, GROUP_TITLES
from .occlusion_suite import SEVERITIES
from .report import Section
from .result_check import validate
from .result_file import read_result, read_run

# the protocol whose means are comparable
PROTOCOL = dict(
    name='occlusion suite',
    version=FORMAT,
    seed=0,
    kinds=list(KINDS),
    severities=list(SEVERITIES))
MARKS = '<!-- results -->\n', '<!-- /results -->'


def leaderboard(paths: Sequence[str], page: str) -> str:
    """The tables of results, a table a dataset.

    Args:
        paths (Sequence[str]): Files of results.
        page (str): The file that links to them.

    Returns:
        str: Markdown.

    Raises:
        ValueError: If one of them is wrong, see
            :func:`.result_check.validate`.
    """
    data: Dict[tuple, List[Tuple[str, dict]]] = {}
    for path in sorted(paths):
        wrong = validate(path).wrong
        if wrong:
            raise ValueError(f"'{path}' is wrong: {wrong[0]}. orsa validate "
                             'lists all that is')
        found = read_result(path)
        faces = found['dataset']
        key = tuple(faces[k]
                    for k in ('title', 'list_sha256', 'pixels_sha256'))
        data.setdefault(key, []).append((path, found))
    return report.markdown('', [
        _section(results, osp.dirname(page)) for _, results in sorted(
            data.items(), key=lambda item: (item[0][0].lower(), item[0]))
    ])


def write_page(folder: str, page: str) -> None:
    """Put the tables of a folder of results between the marks of a page.

    Args:
        folder (str): Of the results, .json.
        page (str): The Markdown file.

    Raises:
        FileNotFoundError: If the folder has no results.
        ValueError: If a result is wrong, or the page has no marks.
    """
    text = Path(page).read_text(encoding='utf-8')
    if not all(mark in text for mark in MARKS):
        raise ValueError(f"'{page}' should have lines {MARKS[0].strip()} and "
                         f'{MARKS[1]}, which the tables stand between')
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    files = [str(p) for p in Path(folder).glob('*.json')]
    if not files:
        raise FileNotFoundError(f"there is no result (*.json) in '{folder}'")
    tables = leaderboard(files, page)
    write_text(page, f'{before}{MARKS[0]}\n{tables}\n{MARKS[1]}{after}')


def _section(results: List[Tuple[str, dict]], folder: str) -> Section:
    """The table of a dataset."""
    faces = results[0][1]['dataset']
    rows = [_row(path, result, folder) for path, result in results]
    names = list(dict.fromkeys(name for row in rows for name in row['uar']))
    # best-epoch results, and what was chosen on the test faces, are no
    # competitors of the others
    rows.sort(key=lambda row: (row['apart'], *(-v for v in row['order'])))
    place: Dict[str, int] = {}
    cells = []
    for row in rows:
        place[row['apart']] = place.get(row['apart'], 0) + 1
        cells.append([
            f"{row['apart']} {place[row['apart']]}".strip(), *row['method'],
            row['accuracy'], *(row['uar'].get(name) for name in names)
        ])
    head = [
        'rank', 'method', 'starts from', 'M parameters', 'epoch, selected on',
        'seeds', 'accuracy', *(f'UAR, {name}' for name in names)
    ]
    hashes = [faces[k][:12] for k in ('list_sha256', 'pixels_sha256')]
    return Section(
        f"{faces['title']}, {faces['num_faces']:,} faces",
        f"`{faces['type']}`, split {faces['split']}; SHA-256 of the list "
        f'`{hashes[0]}`, of the pixels `{hashes[1]}`.', Table(head, cells))


def _row(path: str, result: dict, folder: str) -> dict:
    """The cells of a result, and what it is sorted by."""
    method, runs = result['method'], result['runs']
    # in the order of the first one's faces
    found = [read_run(path, run) for run in runs]
    found = [match(found[0], run) for run in found]
    labels = found[0].label_indices()
    uar = {}
    for name, (cells, chosen) in shared_conditions(found).items():
        is_mean = name in GROUP_TITLES.values()
        if name in found[0].scores and name != CLEAN or (
                is_mean and result['protocol'] != PROTOCOL):
            continue  # single occluders, and means over other ones
        correct = np.stack([(run.scores[cell].argmax(1) == labels)[chosen]
                            for run in found for cell in cells])
        _, *limits = paired_difference(correct, np.zeros_like(correct),
                                       labels[chosen])
        uar[name] = _mean(runs, name, 'uar'), limits
    accuracy = _mean(runs, CLEAN, 'accuracy')
    limits = accuracy_interval(
        round(accuracy * len(labels) / 100), len(labels))
    common = uar.get(GROUP_TITLES[COMMON])
    links = ''.join(f', [{k}]({method[k]})' for k in ('paper', 'code')
                    if method[k])
    title = f'[{method["title"]}]({osp.relpath(path, folder)})'
    apart = [
        word for word, says in (('best', result['epoch'] == 'best'),
                                ('test', result['selected_on'] == 'test'))
        if says
    ]
    return dict(
        apart=' '.join(apart),
        # with a mean of the common scale first
        order=(1, common[0]) if common else (0, accuracy, uar[CLEAN][0]),
        method=[
            title + links, method['starts_from'],
            f"{method['parameters']:.2f}",
            f"{result['epoch']}, {result['selected_on']}",
            len(runs)
        ],
        accuracy=_text(accuracy, limits),
        uar={
            name: _text(*figure)
            for name, figure in uar.items()
        })


def _mean(runs: List[dict], condition: str, metric: str) -> float:
    return float(np.mean([run['metrics'][condition][metric] for run in runs]))


def _text(value: float, limits: Sequence[float]) -> str:
    return '{:.1f} ({:.1f}, {:.1f})'.format(value, *limits)
