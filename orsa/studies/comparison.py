# Copyright (c) orsa contributors. All rights reserved.
"""Runs side by side, face by face: what ``compare_results.py`` does."""
import argparse
import math
import os.path as osp
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from orsa.evaluation import FERMetric
from orsa.evaluation.predictions import read_predictions
from orsa.utils.fileio import (dump_json, load_json, load_npz, write_csv,
                               write_text)
from orsa.utils.markdown import markdown_table
from .ablation_report import paired_difference
from .occlusion_metrics import CLEAN, COMMON, FIGURES, WORN, group_of

# what is a difference of means of faces, and has a paired interval
PAIRED = ('accuracy', 'uar')
# what tools/test.py may have left beside a metrics.json
_PREDICTIONS = 'predictions.json'
_HOW = ("give what 'tools/test.py CONFIG CHECKPOINT --out FILE.json' wrote, "
        'or the file of predictions_file of orsa.FERMetric (--cfg-options '
        'test_evaluator.predictions_file=FILE.json), or the '
        'occlusion_suite.json of --occlusion-suite')


class Answers(NamedTuple):
    """What a run said of every face.

    Attributes:
        path (str): The file.
        names (list[str]): Of the N faces.
        labels (list[str]): Their expressions.
        classes (list[str]): The C expressions that are scored.
        scores (dict[str, np.ndarray]): By condition (N, C); 'clean', or a kind
            and a severity.
        lists (dict[str, np.ndarray]): By name whether a face is listed (N, ).
        seed (int, optional): Of the occluders.
    """
    path: str
    names: List[str]
    labels: List[str]
    classes: List[str]
    scores: Dict[str, np.ndarray]
    lists: Dict[str, np.ndarray]
    seed: Optional[int] = None


def read_answers(path: str) -> Answers:
    """Read what a run said of every face.

    Args:
        path (str): ``occlusion_suite.json``; or the JSON of
            ``predictions_file`` of :class:`orsa.FERMetric`; or that of
            ``tools/test.py --out FILE.json``; or a ``metrics.json`` with one
            of these beside it as ``predictions.json``. Pickles, which can run
            code where they are read, are refused.

    Returns:
        Answers: By face.

    Raises:
        FileNotFoundError: If there is no such file, or it has no predictions
            of single faces beside it.
        ValueError: If it is of another kind.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f"there is no file '{path}'")
    if path.endswith(('.pkl', '.pickle')):
        return _read_dump(path)  # says what to do
    content = load_json(path)
    try:
        return _read_content(path, content)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"'{path}' is damaged "
                         f'({type(error).__name__}: {error})') from error


def _read_content(path: str, content: dict) -> Answers:
    """What a JSON file holds, by its kind."""
    if isinstance(content, dict) and 'faces_file' in content:
        return _read_suite(path, content)
    if isinstance(content, dict) and 'predictions' in content:
        return _read_dump(path)
    if isinstance(content, dict) and 'samples' in content:
        return _read_samples(path, content)
    if isinstance(content, dict) and {'accuracy', 'checkpoint'} & set(content):
        return _read_beside(path, content)
    raise ValueError(f"'{path}' holds no results: {_HOW}")


def _read_suite(path: str, content: dict) -> Answers:
    faces = osp.join(osp.dirname(path), content['faces_file'])
    if not osp.isfile(faces):
        raise FileNotFoundError(
            f"'{path}' has figures, what was said of every face is in "
            f"'{content['faces_file']}' beside it, which is missing: copy it "
            'too')
    found = load_npz(faces)
    classes = found['classes'].tolist()
    cells = found['cells'].tolist()
    found_accuracy = FERMetric.calculate(found['scores'][0],
                                         found['labels'])['accuracy']
    if abs(found_accuracy - content['clean']['accuracy']) > 1e-6:
        raise ValueError(f"'{path}' and '{faces}' are of two runs: their "
                         f"clean accuracies are {content['clean']['accuracy']}"
                         f' and {found_accuracy}')
    return Answers(
        path, found['names'].tolist(), [classes[i] for i in found['labels']],
        classes, dict(zip(cells, found['scores'])), {
            k.removeprefix('list/'): v
            for k, v in found.items() if k.startswith('list/')
        }, content['seed'])


def _read_samples(path: str, content: dict) -> Answers:
    samples, classes = content['samples'], content['classes']
    if any(s.get('scores') is None for s in samples):
        raise ValueError(f"'{path}' has no scores: {_HOW}")
    return Answers(path, [s['name'] for s in samples],
                   [classes[s['label']] for s in samples], classes,
                   {CLEAN: np.array([s['scores'] for s in samples])}, {})


def _read_dump(path: str) -> Answers:
    records = read_predictions(path)
    names = [
        r.get('name') or osp.splitext(osp.basename(r.get('img_path') or ''))[0]
        or None for r in records
    ]
    if None in names:
        raise ValueError(f"'{path}' does not say which face is which: add "
                         "'name' to the meta_keys of PackInputs")
    scores = np.array([r['pred_score'] for r in records], np.float32)
    # the indices are the data's: names are in the report beside it
    classes = list(map(str, range(scores.shape[1])))
    metrics = osp.join(osp.dirname(path), 'metrics.json')
    if osp.isfile(metrics):
        content = load_json(metrics)
        if 'model_classes' in content:
            raise ValueError(
                f"'{path}' is of a model and data with other classes, which "
                '--out does not match: give the file of predictions_file of '
                'orsa.FERMetric')
        if len(content.get('classes') or ()) == len(classes):
            classes = content['classes']
    return Answers(path, names, [classes[r['gt_label'][0]] for r in records],
                   classes, {CLEAN: scores}, {})


def _read_beside(path: str, content: dict) -> Answers:
    beside = osp.join(osp.dirname(path), _PREDICTIONS)
    if not osp.isfile(beside):
        raise FileNotFoundError(
            f"'{path}' has figures, but not what was said of every face, and "
            f'{_PREDICTIONS} is not beside it: {_HOW}')
    found = read_answers(beside)
    accuracy = _figures(found, CLEAN)['accuracy']
    # FERMetric's, in percent; mmpretrain's Accuracy counts in float32
    said = content.get('accuracy', content.get('accuracy/top1', accuracy))
    if abs(accuracy - said) > 1e-3:
        raise ValueError(
            f"'{beside}' is not of the run of '{path}': their accuracies "
            f'are {accuracy} and {said}')
    return found._replace(path=path)


def match(first: Answers, other: Answers) -> Answers:
    """Bring a run into the order of another one's faces and classes.

    Raises:
        ValueError: If they are not of the same faces, with the same labels,
            the same classes and the same occluders.
    """
    for run in (first, other):
        if len(set(run.names)) < len(run.names):
            raise ValueError(
                f"'{run.path}': {len(run.names) - len(set(run.names))} of "
                f'{len(run.names)} faces have the name of another one, and '
                'cannot be paired')
    both = set(first.names) & set(other.names)
    if len(both) < len(first.names) or len(both) < len(other.names):
        raise ValueError(
            f"'{first.path}' has {len(first.names)} faces and '{other.path}' "
            f'{len(other.names)}, of which {len(both)} are the same: runs are '
            'compared face by face, test both on the same faces')
    if set(first.classes) != set(other.classes):
        raise ValueError(f"'{first.path}' knows {first.classes}, "
                         f"'{other.path}' {other.classes}")
    hidden = len(first.scores) > 1 and len(other.scores) > 1
    if hidden and first.seed != other.seed:
        raise ValueError(
            f"'{first.path}' has the occluders of seed {first.seed} and "
            f"'{other.path}' those of seed {other.seed}: the faces are hidden "
            'by other things')
    place = {name: i for i, name in enumerate(other.names)}
    rows = [place[name] for name in first.names]
    columns = [other.classes.index(name) for name in first.classes]
    labels = [other.labels[i] for i in rows]
    differ = [
        name for name, a, b in zip(first.names, first.labels, labels) if a != b
    ]
    if differ:
        raise ValueError(
            f"'{first.path}' and '{other.path}' have other labels for "
            f"{len(differ)} of {len(labels)} faces, the first is "
            f"'{differ[0]}'")
    return other._replace(
        names=first.names,
        labels=labels,
        classes=first.classes,
        scores={
            k: v[rows][:, columns]
            for k, v in other.scores.items()
        },
        lists={
            k: v[rows]
            for k, v in other.lists.items()
        })


def mcnemar(first: np.ndarray, second: np.ndarray) -> dict:
    """McNemar's test, exact: whether one of two is right more often.

    Of the faces that one alone is right about, each is as likely as not to be
    of either if the two are equally good.

    Args:
        first (np.ndarray): (N, ), bool, where the first is right.
        second (np.ndarray): (N, ), of the second.

    Returns:
        dict: ``first_only`` and ``second_only``, numbers of faces, and the
        two-sided ``p``.

    Examples:
        >>> import numpy as np
        >>> right = np.array([True] * 6 + [False] * 4)
        >>> mcnemar(right, ~right)
        {'first_only': 6, 'second_only': 4, 'p': 0.75390625}
    """
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    one, two = int((first & ~second).sum()), int((second & ~first).sum())
    total, less = one + two, min(one, two)
    # whole numbers: 2**3068 is no float
    tail = 2 * sum(math.comb(total, k) for k in range(less + 1))
    return dict(first_only=one, second_only=two, p=min(1., tail / 2**total))


def holm(values: Sequence[float]) -> List[float]:
    """Adjust the p of several tests by Holm's method, in their order."""
    order, adjusted, least = np.argsort(values, kind='stable'), {}, 0.
    for rank, i in enumerate(order):
        least = max(least, min(1., (len(values) - rank) * values[i]))
        adjusted[int(i)] = least
    return [adjusted[i] for i in range(len(values))]


def conditions(runs: Sequence[Answers]) -> Dict[str, Tuple[list, np.ndarray]]:
    """What all runs were tested under.

    Returns:
        dict: Name -> names of the cells that are averaged, and whether a face
        counts (N, ).
    """
    everyone = np.ones(len(runs[0].names), bool)
    shared = [
        c for c in runs[0].scores if all(c in run.scores for run in runs)
    ]
    found = {CLEAN: ([CLEAN], everyone)}
    hidden = [c for c in shared if c != CLEAN]
    for group, title in ((COMMON, 'mean, common scale'), (WORN, 'mean, worn')):
        cells = [c for c in hidden if group_of(c.split()[0]) == group]
        if cells:
            found[title] = (cells, everyone)
    for name, listed in runs[0].lists.items():
        if all(np.array_equal(r.lists.get(name), listed) for r in runs):
            if listed.any():
                found[f'really occluded: {name}'] = ([CLEAN], listed)
    found.update((c, ([c], everyone)) for c in hidden)
    return found


def _labels(run: Answers) -> np.ndarray:
    place = {name: i for i, name in enumerate(run.classes)}
    return np.array([place[name] for name in run.labels])


def _figures(run: Answers, cell: str, chosen=slice(None)) -> dict:
    report = FERMetric.calculate(run.scores[cell][chosen],
                                 _labels(run)[chosen], run.classes)
    return {k: report[k] for k in (*FIGURES, 'ece')}


def _mean_figures(run: Answers, cells: Sequence[str],
                  chosen: np.ndarray) -> dict:
    found = [_figures(run, cell, chosen) for cell in cells]
    return {
        k:
        None if any(f[k] is None
                    for f in found) else float(np.mean([f[k] for f in found]))
        for k in found[0]
    }


def _difference(run: Answers, reference: Answers, cells: Sequence[str],
                chosen: np.ndarray, repeats: int) -> dict:
    labels = _labels(reference)[chosen]
    # as the report of studies has them: one seed each
    seeds = [[
        dict(
            scores={c: each.scores[c][chosen]
                    for c in cells},
            labels={c: labels
                    for c in cells})
    ] for each in (run, reference)]
    found = {}
    for figure in PAIRED:
        value, low, high = paired_difference(*seeds, cells, figure, repeats)
        found[figure] = dict(difference=value, low=low, high=high)
    if len(cells) == 1:
        right = [
            each.scores[cells[0]][chosen].argmax(1) == labels
            for each in (run, reference)
        ]
        found['mcnemar'] = mcnemar(*right)
    return found


def compare(paths: Sequence[str],
            titles: Optional[Sequence[str]] = None,
            repeats: int = 1000) -> dict:
    """Compare runs on the same faces with the first of them.

    Args:
        paths (Sequence[str]): Two or more files, see :func:`read_answers`.
        titles (Sequence[str], optional): What to call the runs. Defaults to
            None, by their folders.
        repeats (int): Bootstrap samples. Defaults to 1000.

    Returns:
        dict: ``runs``, the titles, the first is the ``reference``;
        ``num_faces``; and ``conditions``, by name ``cells``, ``num_faces``,
        ``figures`` by run and ``differences`` by every run but the first.

    Raises:
        ValueError: If there are fewer than two, or they cannot be paired.
    """
    if len(paths) < 2:
        raise ValueError(f'two runs or more are compared, got {len(paths)}')
    titles = _titles(paths) if titles is None else list(titles)
    if len(titles) != len(paths) or len(set(titles)) < len(titles):
        raise ValueError(f'{len(paths)} different names are needed, got '
                         f'{titles}')
    first = read_answers(paths[0])
    runs = [first] + [match(first, read_answers(p)) for p in paths[1:]]
    found = {}
    for name, (cells, chosen) in conditions(runs).items():
        found[name] = dict(
            cells=len(cells),
            num_faces=int(chosen.sum()),
            figures={
                t: _mean_figures(r, cells, chosen)
                for t, r in zip(titles, runs)
            },
            differences={
                t: _difference(r, first, cells, chosen, repeats)
                for t, r in zip(titles[1:], runs[1:])
            })
    for title in titles[1:]:
        # one test for each cell that something was laid over
        tests = [
            c['differences'][title]['mcnemar'] for name, c in found.items()
            if _is_cell(name)
        ]
        for test, p in zip(tests, holm([t['p'] for t in tests])):
            test['p_holm'] = p
    return dict(
        reference=titles[0],
        runs=dict(zip(titles, map(str, paths))),
        num_faces=len(first.names),
        repeats=repeats,
        conditions=found)


def _is_cell(name: str) -> bool:
    return name.rpartition(' ')[2].isdigit() and not name.startswith('really')


def _titles(paths: Sequence[str]) -> List[str]:
    """The folders' names, or as much of the paths as tells them apart."""
    parts = [osp.abspath(p).split(osp.sep) for p in paths]
    for deep in range(2, max(map(len, parts)) + 1):
        titles = [osp.join(*p[-deep:-1]) for p in parts]
        if len(set(titles)) == len(titles):
            return titles
    return [osp.splitext(p)[0] for p in map(str, paths)]


def verdict(difference: dict) -> str:
    """In words whether a difference is more than chance.

    Args:
        difference (dict): ``difference``, ``low`` and ``high``.
    """
    if difference['low'] > 0:
        return 'better'
    return 'worse' if difference['high'] < 0 else 'not told apart'


def markdown(result: dict) -> str:
    """A comparison as Markdown."""
    titles = list(result['runs'])
    lines = [
        f"{result['num_faces']} faces, in percent. Differences to "
        f"{result['reference']} in points, with the 95% interval of the "
        f"paired bootstrap over faces ({result['repeats']} samples); exact "
        'McNemar test of the faces that one alone is right about.', ''
    ]
    head = ['condition', 'faces', 'run', 'accuracy', 'UAR', 'macro-F1', 'ECE']
    rows = [[
        name,
        str(c['num_faces']), title, *(_plain(c['figures'][title][k])
                                      for k in (*FIGURES, 'ece'))
    ] for name, c in result['conditions'].items() if not _is_cell(name)
            for title in titles]
    lines += [*markdown_table(head, rows), '']
    head = [
        'condition', 'run', 'accuracy', 'UAR', 'by UAR',
        f"right alone, {result['reference']}", 'McNemar p'
    ]
    single, several = [], []
    for name, c in result['conditions'].items():
        for title, d in c['differences'].items():
            test = d.get('mcnemar')
            row = [
                name, title,
                _interval(d['accuracy']),
                _interval(d['uar']),
                verdict(d['uar']),
                f"{test['first_only']}, {test['second_only']}" if test else '',
                _p(test)
            ]
            (single if _is_cell(name) else several).append(row)
    lines += [*markdown_table(head, several), '']
    if single:
        lines += [
            'By kind and severity. The p are adjusted by Holm, for there are '
            f'{len(single) // max(len(titles) - 1, 1)} tests; the intervals '
            'are not: one in twenty of them misses.', ''
        ]
        lines += [*markdown_table(head, single), '']
    return '\n'.join(lines)


def _plain(value: Optional[float]) -> str:
    return '–' if value is None else f'{value:.1f}'


def _interval(d: dict) -> str:
    return f"{d['difference']:+.1f} ({d['low']:+.1f}, {d['high']:+.1f})"


def _p(test: Optional[dict]) -> str:
    if test is None:
        return ''
    p = test.get('p_holm', test['p'])
    return '< 0.001' if p < .001 else f'{p:.3f}'


def add_compare_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``tools/analysis_tools/compare_results.py``."""
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
    """Compare runs by parsed arguments, print and write the outcome.

    Returns:
        dict: As of :func:`compare`.
    """
    result = compare(args.results, args.names, args.repeats)
    text = markdown(result)
    print(text)
    if args.out:
        base = osp.join(args.out, 'comparison')
        dump_json(result, base + '.json')
        write_text(base + '.md', text)
        _write_csv(result, base + '.csv')
        print(f'wrote {base}.json, .csv and .md')
    return result


def _write_csv(result: dict, path: str) -> None:
    paired = [
        f'{f}_{k}' for f in PAIRED for k in ('difference', 'low', 'high')
    ]
    tests = ['first_only', 'second_only', 'p', 'p_holm']
    rows = [['condition', 'num_faces', 'run', *FIGURES, 'ece'] + paired + tests
            ]
    for name, c in result['conditions'].items():
        for title, figures in c['figures'].items():
            d = c['differences'].get(title, {})
            rows.append([name, c['num_faces'], title, *figures.values()] + [
                d[f][k] if d else '' for f in PAIRED
                for k in ('difference', 'low', 'high')
            ] + [d.get('mcnemar', {}).get(k, '') for k in tests])
    write_csv(path, rows)
