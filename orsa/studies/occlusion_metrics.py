# Copyright (c) orsa contributors. All rights reserved.
"""The figures of a test under occlusion, from what was said of each face."""
import math
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from orsa.datasets.drawing.occluders import COMMON_SHARES, SHARES
from orsa.evaluation import FERMetric

FIGURES = ('accuracy', 'uar', 'macro_f1')
# of a cell, in the order of tables
COLUMNS = (*FIGURES, 'ece', 'confidence', 'agreement')
COMMON, WORN = 'common', 'worn'
# the condition that all others are compared with: the faces as they are
CLEAN = 'clean'


def group_of(kind: str) -> str:
    """'common' for what hides the shares that most kinds share, else 'worn'.

    Args:
        kind (str): One of ``orsa.datasets.OccludeFace.KINDS``.
    """
    return COMMON if SHARES[kind] == COMMON_SHARES else WORN


def face_figures(scores: np.ndarray, labels: np.ndarray,
                 classes: Sequence[str]) -> dict:
    """Accuracy, UAR, macro-F1 and calibration, in percent.

    Args:
        scores (np.ndarray): Probabilities (N, C).
        labels (np.ndarray): (N, ).
        classes (Sequence[str]): The C names.

    Returns:
        dict: What :meth:`orsa.evaluation.FERMetric.calculate` does, without
        ``classes``; and ``confidence``, the mean of the highest score, which
        accuracy is to be compared with.
    """
    report = FERMetric.calculate(scores, labels, classes)
    report.pop('classes')
    top = np.asarray(scores, np.float64).max(1)
    report['confidence'] = float(100 * top.mean()) if len(top) else None
    return report


def drop(clean: dict, hidden: dict) -> Dict[str, dict]:
    """What is lost, by figure.

    Args:
        clean (dict): Figures of the faces as they are.
        hidden (dict): Of the same faces with something in front of them.

    Returns:
        dict: Of every figure the ``absolute`` loss, in points, and the
        ``relative`` one, in percent of the clean figure (None of 0).
    """
    lost = {}
    for figure in FIGURES:
        points = clean[figure] - hidden[figure]
        relative = 100 * points / clean[figure] if clean[figure] else None
        lost[figure] = dict(absolute=points, relative=relative)
    return lost


def area_under(severities: Sequence[float], values: Sequence[float]) -> float:
    """The area under a curve by the trapezoidal rule, as a mean height.

    Args:
        severities (Sequence[float]): Ascending; the first is 0, clean.
        values (Sequence[float]): The figure at each.

    Returns:
        float: In the unit of the figure: a model that loses nothing has its
        clean figure.

    Examples:
        >>> area_under([0, 1, 3], [80, 60, 40])  # (70 + 2 * 50) / 3
        56.666666666666664
    """
    x = np.asarray(severities, np.float64)
    y = np.asarray(values, np.float64)
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() / (x[-1] - x[0]))


def turns(before: np.ndarray, after: np.ndarray, num: int) -> np.ndarray:
    """How often which prediction turns into which.

    Args:
        before (np.ndarray): (N, ), predictions for the faces as they are.
        after (np.ndarray): (N, ), for the same with something before them.
        num (int): Of classes.

    Returns:
        np.ndarray: (num, num) counts; rows are the clean prediction.
    """
    matrix = np.zeros((num, num), np.int64)
    np.add.at(matrix, (before, after), 1)
    return matrix


def frequent_turns(matrix: np.ndarray,
                   classes: Sequence[str],
                   count: int = 5) -> List[dict]:
    """The most frequent turns into another class.

    Args:
        matrix (np.ndarray): As :func:`turns` gives it.
        classes (Sequence[str]): The names.
        count (int): How many at most. Defaults to 5.

    Returns:
        list[dict]: ``before``, ``after``, ``count`` and ``share``, in percent
        of the faces that were said to be ``before``.
    """
    totals = matrix.sum(1)
    pairs = [(int(matrix[i, j]), i, j) for i, j in zip(*np.nonzero(matrix))
             if i != j]
    pairs.sort(key=lambda p: (-p[0], p[1], p[2]))
    return [
        dict(
            before=classes[i],
            after=classes[j],
            count=n,
            share=float(100 * n / totals[i])) for n, i, j in pairs[:count]
    ]


def accuracy_interval(right: int, total: int) -> Optional[Tuple[float, float]]:
    """Wilson's 95% interval of an accuracy, in percent; None of no faces."""
    if not total:
        return None
    z, share = 1.959963984540054, right / total
    centre = share + z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + (z / (2 * total))**2)
    scale = 100 / (1 + z * z / total)
    return max(0., (centre - half) * scale), min(100., (centre + half) * scale)


def _mean(figures: Sequence[dict], clean: dict) -> dict:
    mean = {
        name: float(np.mean([f[name] for f in figures]))
        for name in (*COLUMNS, 'measured_share')
        if all(f[name] is not None for f in figures)
    }
    return dict(mean, drop=drop(clean, mean))


def _areas(severities: Sequence[int], clean: dict,
           by_severity: Dict[str, dict]) -> Dict[str, float]:
    cells = [clean] + [by_severity[str(s)] for s in severities]
    return {
        figure: area_under([0, *severities], [c[figure] for c in cells])
        for figure in FIGURES
    }


def summarise(cells: Dict[Tuple[str, int], dict], kinds: Sequence[str],
              severities: Sequence[int], labels: np.ndarray,
              classes: Sequence[str]) -> dict:
    """All that a suite reports of kinds and severities.

    Args:
        cells (dict): By kind and severity, ('clean', 0) among them: ``scores``
            (N, C), ``ratio`` (N, ), the covered share of each face, and what
            else is to be reported of it.
        kinds (Sequence[str]): In the order of the report.
        severities (Sequence[int]): Ascending.
        labels (np.ndarray): (N, ).
        classes (Sequence[str]): The C names.

    Returns:
        dict: ``clean``; ``cells``, kind -> severity -> figures; ``means``,
        by group; ``areas``, by kind; ``turns``, by kind and group.
    """
    said = cells['clean', 0]['scores'].argmax(1)
    clean = _cell(cells['clean', 0], labels, classes, said)
    report: Dict[str, dict] = {}
    for kind in kinds:
        report[kind] = {}
        for severity in severities:
            cell = cells[kind, severity]
            figures = _cell(cell, labels, classes, said)
            figures['share'] = SHARES[kind][severity - 1]
            figures['drop'] = drop(clean, figures)
            report[kind][str(severity)] = figures
    groups = {
        group: [k for k in kinds if group_of(k) == group]
        for group in (COMMON, WORN)
    }
    groups = {group: members for group, members in groups.items() if members}
    means = {}
    for group, members in groups.items():
        levels = {
            str(s): _mean([report[k][str(s)] for k in members], clean)
            for s in severities
        }
        means[group] = dict(
            kinds=members,
            severities=levels,
            overall=_mean(list(levels.values()), clean),
            area=_areas(severities, clean, levels))
    turned = {
        name:
        _turned([report[k][str(s)] for k in members
                 for s in severities], classes)
        for name, members in (*groups.items(), *((k, [k]) for k in kinds))
    }
    return dict(
        clean=clean,
        cells=report,
        means=means,
        areas={k: _areas(severities, clean, report[k])
               for k in kinds},
        turns=turned)


def _cell(cell: dict, labels: np.ndarray, classes: Sequence[str],
          said: np.ndarray) -> dict:
    figures = face_figures(cell['scores'], labels, classes)
    now = cell['scores'].argmax(1)
    figures['agreement'] = float(100 * (now == said).mean())
    figures['measured_share'] = float(cell['ratio'].mean())
    figures['turned'] = turns(said, now, len(cell['scores'][0])).tolist()
    figures['pictures_sha256'] = cell['pictures']
    return figures


def _turned(cells: Sequence[dict], classes: Sequence[str]) -> dict:
    matrix = np.sum([c['turned'] for c in cells], 0)
    return dict(
        matrix=matrix.tolist(), frequent=frequent_turns(matrix, classes))


def list_figures(names: Sequence[str], types: Dict[str, str],
                 listed: Sequence[str], scores: np.ndarray, labels: np.ndarray,
                 classes: Sequence[str]) -> dict:
    """Figures of the faces that something real is in front of.

    Args:
        names (Sequence[str]): Of the N faces that were tested, as they are.
        types (dict[str, str]): Of some, what is in front of them.
        listed (Sequence[str]): The names in the list.
        scores (np.ndarray): Probabilities (N, C).
        labels (np.ndarray): (N, ).
        classes (Sequence[str]): The C names.

    Returns:
        dict: ``num_listed``, ``num_samples``, the figures, ``types`` with the
        figures of each, and ``rest``, those of the faces not in the list.
    """
    wanted = set(listed)
    inside = np.array([name in wanted for name in names], bool)
    kinds = np.array([types.get(name, '') for name in names])

    def figures(chosen: np.ndarray) -> dict:
        found = face_figures(scores[chosen], labels[chosen], classes)
        right = int((scores[chosen].argmax(1) == labels[chosen]).sum())
        found['accuracy_interval'] = accuracy_interval(right,
                                                       int(chosen.sum()))
        return found

    by_type = sorted({k for k in kinds[inside] if k})
    return dict(
        num_listed=len(wanted),
        **figures(inside),
        types={k: figures(inside & (kinds == k))
               for k in by_type},
        rest=figures(~inside))
