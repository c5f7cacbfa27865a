# Copyright (c) orsa contributors. All rights reserved.
"""Runs side by side, face by face: what ``compare_results.py`` does."""
import argparse
import os.path as osp
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from orsa.evaluation.predictions import CLEAN, Predictions, read_predictions
from orsa.evaluation.statistics import holm, mcnemar, paired_difference
from orsa.utils.tables import Table, with_interval
from . import report
from .occlusion_metrics import GROUP_TITLES, METRICS, group_of
from .report import Section

# metrics that are a difference of means of faces: they have a paired interval
PAIRED = ('accuracy', 'uar')
_REAL = 'really occluded: '


def match(first: Predictions, other: Predictions) -> Predictions:
    """Bring ``other`` into the order of the first one's faces and classes.

    Raises:
        ValueError: If they are not of the same faces, with the same labels,
            the same classes and the same occluders.
    """
    for run in (first, other):
        if len(set(run.names)) < len(run.names):
            raise ValueError(
                f"'{run.path}': {len(run.names) - len(set(run.names))} of "
                f'{len(run.names)} faces have the name of another one')
    both = set(first.names) & set(other.names)
    if len(both) < len(first.names) or len(both) < len(other.names):
        raise ValueError(
            f"'{first.path}' has {len(first.names)} faces and '{other.path}' "
            f'{len(other.names)}, of which {len(both)} are the same: test '
            'both on the same faces')
    if set(first.classes) != set(other.classes):
        raise ValueError(f"'{first.path}' has the classes {first.classes}, "
                         f"'{other.path}' {other.classes}")
    occluded = len(first.scores) > 1 and len(other.scores) > 1
    if occluded and first.seed != other.seed:
        raise ValueError(
            f"'{first.path}' has the occluders of seed {first.seed} and "
            f"'{other.path}' those of seed {other.seed}")
    index = {name: i for i, name in enumerate(other.names)}
    rows = [index[name] for name in first.names]
    columns = [other.classes.index(name) for name in first.classes]
    labels = [other.labels[i] for i in rows]
    for name in first.ratio.keys() & other.ratio.keys():
        apart = np.abs(first.ratio[name] - other.ratio[name][rows])
        if apart.max() > .01:
            raise ValueError(
                f"'{first.path}' and '{other.path}' have other occluders for "
                f"{(apart > .01).sum()} faces of '{name}': placed by "
                'other landmarks, or drawn by another version')
    differ = np.flatnonzero(np.array(first.labels) != np.array(labels))
    if len(differ):
        raise ValueError(
            f"'{first.path}' and '{other.path}' have other labels for "
            f'{len(differ)} of {len(labels)} faces, the first is '
            f"'{first.names[differ[0]]}'")
    scores = {k: v[rows][:, columns] for k, v in other.scores.items()}
    lists = {k: v[rows] for k, v in other.lists.items()}
    ratio = {k: v[rows] for k, v in other.ratio.items()}
    return first._replace(
        path=other.path,
        scores=scores,
        lists=lists,
        seed=other.seed,
        ratio=ratio)


def shared_conditions(
        runs: Sequence[Predictions]) -> Dict[str, Tuple[list, np.ndarray]]:
    """The conditions that all runs were tested under, and their means.

    By name the conditions that are averaged, and whether a face counts (N, ).
    """
    all_faces = np.ones(len(runs[0].names), bool)
    occluded = [
        c for c in runs[0].scores
        if c != CLEAN and all(c in run.scores for run in runs)
    ]
    found = {CLEAN: ([CLEAN], all_faces)}
    for group, title in GROUP_TITLES.items():
        names = [c for c in occluded if group_of(c.split()[0]) == group]
        if names:
            found[title] = (names, all_faces)
    for name, listed in runs[0].lists.items():
        if listed.any() and all(
                np.array_equal(r.lists.get(name), listed) for r in runs):
            found[_REAL + name] = ([CLEAN], listed)
    found.update((c, ([c], all_faces)) for c in occluded)
    return found


def mean_metrics(run: Predictions, names: Sequence[str],
                 chosen: np.ndarray) -> dict:
    """The metrics of some faces, averaged over conditions.

    Args:
        run (Predictions): Of N faces.
        names (Sequence[str]): The conditions.
        chosen (np.ndarray): Whether a face counts (N, ).

    Returns:
        dict: ``accuracy``, ``uar``, ``macro_f1`` and ``ece``, in percent; None
        for what one of the conditions does not have.
    """
    found = [run.metrics(name, chosen) for name in names]
    values = {k: [f[k] for f in found] for k in (*METRICS, 'ece')}
    return {
        k: None if None in v else float(np.mean(v))
        for k, v in values.items()
    }


def _difference(run: Predictions, reference: Predictions, names: Sequence[str],
                chosen: np.ndarray, repeats: int) -> dict:
    labels = reference.label_indices()[chosen]
    correct = [
        np.stack([each.scores[n][chosen].argmax(1) == labels for n in names])
        for each in (run, reference)
    ]
    found = {}
    for metric in PAIRED:
        value, low, high = paired_difference(*correct, labels, metric, repeats)
        found[metric] = dict(difference=value, low=low, high=high)
    if len(names) == 1:
        found['mcnemar'] = mcnemar(correct[0][0], correct[1][0])
    return found


def compare(paths: Sequence[str],
            titles: Optional[Sequence[str]] = None,
            repeats: int = 1000) -> dict:
    """Compare runs on the same faces with the first of them.

    Args:
        paths (Sequence[str]): Two or more files, see
            :func:`orsa.evaluation.predictions.read_predictions`.
        titles (Sequence[str], optional): What to call the runs. Defaults to
            None, by their folders.
        repeats (int): Bootstrap samples. Defaults to 1000.

    Returns:
        dict: ``runs``; the ``reference``, the first of them; ``num_faces``;
        and ``conditions``, by name ``cells`` (conditions that are averaged),
        ``num_faces``, ``figures`` (metrics) by run and ``differences`` by
        every run but the first.

    Raises:
        ValueError: If there are fewer than two, or they cannot be paired.
    """
    if len(paths) < 2:
        raise ValueError(f'two runs or more are compared, got {len(paths)}')
    titles = _titles(paths) if titles is None else list(titles)
    if len(titles) != len(paths) or len(set(titles)) < len(titles):
        raise ValueError(f'{len(paths)} different names are needed, got '
                         f'{titles}')
    first = read_predictions(paths[0])
    runs = [first] + [match(first, read_predictions(p)) for p in paths[1:]]
    found = {
        name:
        dict(
            cells=len(names),
            num_faces=int(chosen.sum()),
            figures={
                t: mean_metrics(r, names, chosen)
                for t, r in zip(titles, runs)
            },
            differences={
                t: _difference(r, first, names, chosen, repeats)
                for t, r in zip(titles[1:], runs[1:])
            })
        for name, (names, chosen) in shared_conditions(runs).items()
    }
    for title in titles[1:]:
        # one test for each condition with an occluder
        tests = [
            c['differences'][title]['mcnemar'] for name, c in found.items()
            if is_single(name)
        ]
        for test, p in zip(tests, holm([t['p'] for t in tests])):
            test['p_holm'] = p
    return dict(
        reference=titles[0],
        runs=dict(zip(titles, map(str, paths))),
        num_faces=len(first.names),
        repeats=repeats,
        conditions=found)


def is_single(name: str) -> bool:
    """Whether it is one kind of occluder at one severity."""
    return name.rpartition(' ')[2].isdigit() and not name.startswith(_REAL)


def _titles(paths: Sequence[str]) -> List[str]:
    """The folders' names, or as much of the paths as makes them different."""
    parts = [osp.abspath(p).split(osp.sep) for p in paths]
    for deep in range(2, max(map(len, parts)) + 1):
        titles = [osp.join(*p[-deep:-1]) for p in parts]
        if len(set(titles)) == len(titles):
            return titles
    return [osp.splitext(p)[0] for p in map(str, paths)]


def verdict(difference: dict) -> str:
    """Whether a difference is more than chance, in words."""
    if difference['low'] > 0:
        return 'better'
    return 'worse' if difference['high'] < 0 else 'no difference shown'


def _sections(result: dict) -> List[Section]:
    """The report."""
    titles, reference = list(result['runs']), result['reference']
    metrics = [[name, c['num_faces'], title, *c['figures'][title].values()]
               for name, c in result['conditions'].items()
               if not is_single(name) for title in titles]
    single, several = [], []
    for name, c in result['conditions'].items():
        for title, d in c['differences'].items():
            alone = p = ''
            if 'mcnemar' in d:
                test = d['mcnemar']
                alone = f"{test['first_only']}, {test['second_only']}"
                p = test.get('p_holm', test['p'])
                p = '< 0.001' if p < .001 else f'{p:.3f}'
            (single if is_single(name) else several).append([
                name, title, *(with_interval(**d[k]) for k in PAIRED),
                verdict(d['uar']), alone, p
            ])
    head = [
        'condition', 'run', 'accuracy', 'UAR', 'by UAR',
        f'correct alone: run, {reference}', 'McNemar p'
    ]
    found = [
        Section(
            '', f"{result['num_faces']} faces, in percent. Differences to "
            f'{reference} in points, with the 95% interval of the paired '
            f"bootstrap over faces ({result['repeats']} samples); exact "
            'McNemar test of the faces that one alone recognises.',
            Table([
                'condition', 'faces', 'run', 'accuracy', 'UAR', 'macro-F1',
                'ECE'
            ], metrics)),
        Section('', '', Table(head, several))
    ]
    if single:
        found.append(
            Section(
                '', 'By kind and severity. The p are adjusted by Holm for '
                f'{len(single) // (len(titles) - 1)} tests; the intervals are '
                'not: one in twenty of them misses.', Table(head, single)))
    return found


def add_compare_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``compare_results.py`` to a parser."""
    parser.add_argument(
        'results',
        nargs='+',
        help='occlusion_suite.json, metrics.json with predictions beside it, '
        'or a file of predictions; the first is the reference')
    parser.add_argument(
        '--names', nargs='+', help='of the runs (default: their folders)')
    parser.add_argument(
        '--repeats',
        type=int,
        default=1000,
        help='bootstrap samples (default: %(default)s)')
    parser.add_argument(
        '--out', metavar='FOLDER', help='for comparison.json, .csv and .md')


def compare_results(args: argparse.Namespace) -> dict:
    """Compare by parsed arguments, print and write; see :func:`compare`."""
    if args.repeats < 1:
        raise ValueError(f'--repeats should be 1 or more, got {args.repeats}')
    result = compare(args.results, args.names, args.repeats)
    parts = _sections(result)
    print(report.markdown('', parts))
    if args.out:
        files = report.write_report(
            osp.join(args.out, 'comparison'), result, _table(result), '',
            parts)
        print(f'wrote {", ".join(files)}')
    return result


def _table(result: dict) -> Table:
    """All numbers, a row for each condition and run."""
    paired = [(f, k) for f in PAIRED for k in ('difference', 'low', 'high')]
    tests = ['first_only', 'second_only', 'p', 'p_holm']
    rows = []
    for name, c in result['conditions'].items():
        for title, metrics in c['figures'].items():
            d = c['differences'].get(title, {})
            rows.append([
                name, c['num_faces'], title, *metrics.values(),
                *(d[f][k] if d else '' for f, k in paired),
                *(d.get('mcnemar', {}).get(k, '') for k in tests)
            ])
    return Table([
        'condition', 'num_faces', 'run', *METRICS, 'ece',
        *('_'.join(p) for p in paired), *tests
    ], rows)
