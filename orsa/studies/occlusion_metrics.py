# Copyright (c) orsa contributors. All rights reserved.
"""The metrics of a test under occlusion, from predictions for each face."""
from itertools import product
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
from scipy.integrate import trapezoid
from sklearn.metrics import confusion_matrix

from orsa.datasets.drawing.occluders import COMMON_FRACTIONS, FRACTIONS
from orsa.evaluation import FERMetric
from orsa.evaluation.predictions import CLEAN
from orsa.evaluation.statistics import accuracy_interval

FORMAT = 1  # of the report
METRICS = ('accuracy', 'uar', 'macro_f1')
# of a condition, in the order of tables
COLUMNS = (*METRICS, 'ece', 'confidence', 'agreement')
COMMON, WORN = 'common', 'worn'
GROUP_TITLES = {COMMON: 'mean, common scale', WORN: 'mean, worn'}


def group_of(kind: str) -> str:
    """'common' for kinds with the fractions of most kinds, or 'worn'."""
    return COMMON if FRACTIONS[kind] == COMMON_FRACTIONS else WORN


def protocol(seed: int, kinds: Sequence[str],
             severities: Sequence[int]) -> Dict[str, Any]:
    """What a report says of the occluders."""
    return dict(
        seed=seed,
        kinds={
            k: dict(group=group_of(k), shares=list(FRACTIONS[k]))
            for k in kinds
        },
        severities=list(severities))


def face_arrays(predictions: Dict[Tuple[str, int], dict], names: Sequence[str],
                labels: np.ndarray, classes: Sequence[str],
                lists: Dict[str, Sequence[str]]) -> Dict[str, np.ndarray]:
    """The predictions for single faces, as they are stored.

    Args:
        predictions (dict): As :func:`summarise` takes them.
        names (Sequence[str]): Of the N faces.
        labels (np.ndarray): (N, ).
        classes (Sequence[str]): The C names.
        lists (dict[str, Sequence[str]]): By title the names in a list.

    Returns:
        dict: ``names`` (N, ), ``labels`` (N, ), ``classes`` (C, ), ``cells``
        (K, ), the names of the conditions, ``scores`` (K, N, C), ``ratio``
        (K, N) and, by list, ``list/TITLE`` (N, ), whether a face is in it.
    """
    found = predictions.values()
    return dict(
        names=np.array(names),
        labels=labels,
        classes=np.array(classes),
        cells=np.array([str(condition) for condition in predictions]),
        scores=np.stack([f['scores'] for f in found]),
        ratio=np.stack([f['ratio'] for f in found]),
        **{
            f'list/{k}': np.isin(names, v)
            for k, v in lists.items()
        })


def face_metrics(scores: np.ndarray, labels: np.ndarray,
                 classes: Sequence[str]) -> dict:
    """Accuracy, UAR, macro-F1 and calibration, in percent.

    As of :meth:`orsa.evaluation.FERMetric.calculate`, and ``confidence``, the
    mean of the highest score, which accuracy is to be compared with. Scores
    (N, C) that are bool are predictions alone: calibration and confidence are
    None.
    """
    report = FERMetric.calculate(scores, labels, classes)
    report.pop('classes')
    known = len(scores) and scores.dtype != bool
    top = np.asarray(scores, np.float64).max(1) if known else None
    report['confidence'] = float(100 * top.mean()) if known else None
    return report


def drop(clean: dict, occluded: dict) -> Dict[str, dict]:
    """What is lost with an occluder, by metric.

    The ``absolute`` loss, in points, and the ``relative`` one, in percent of
    the clean value (None of 0).
    """
    lost = {}
    for metric in METRICS:
        points = clean[metric] - occluded[metric]
        relative = 100 * points / clean[metric] if clean[metric] else None
        lost[metric] = dict(absolute=points, relative=relative)
    return lost


def area_under(severities: Sequence[float], values: Sequence[float]) -> float:
    """The area under a curve by the trapezoidal rule, as a mean height.

    Args:
        severities (Sequence[float]): Ascending; the first is 0, clean.
        values (Sequence[float]): The metric at each.

    Examples:
        >>> area_under([0, 1, 3], [80, 60, 40])  # (70 + 2 * 50) / 3
        56.666666666666664
    """
    return float(trapezoid(values, severities) / severities[-1])


def most_frequent_changes(matrix: np.ndarray,
                          classes: Sequence[str],
                          count: int = 5) -> List[dict]:
    """The ``count`` most frequent changes into another class.

    Of each ``before``, ``after``, ``count`` and ``share``, in percent of the
    faces with the clean prediction ``before``.
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


def _mean(conditions: Sequence[dict], clean: dict) -> dict:
    mean = {
        name: float(np.mean([c[name] for c in conditions]))
        for name in (*COLUMNS, 'measured_share') if all(
            c.get(name) is not None for c in conditions)
    }
    return dict(mean, drop=drop(clean, mean))


def _areas(severities: Sequence[int], clean: dict,
           by_severity: Dict[str, dict]) -> Dict[str, float]:
    conditions = [clean] + [by_severity[str(s)] for s in severities]
    return {
        metric: area_under([0, *severities], [c[metric] for c in conditions])
        for metric in METRICS
    }


def summarise(predictions: Dict[Tuple[str, int], dict], kinds: Sequence[str],
              severities: Sequence[int], labels: np.ndarray,
              classes: Sequence[str]) -> dict:
    """All that a suite reports of kinds and severities.

    Args:
        predictions (dict): By kind and severity, ('clean', 0) among them:
            ``scores`` (N, C), as :func:`face_metrics` takes them, ``ratio``
            (N, ), the occluded fraction of each face, and ``pictures``, the
            hash of the images, or None.
        kinds (Sequence[str]): In the order of the report.
        severities (Sequence[int]): Ascending.
        labels (np.ndarray): (N, ).
        classes (Sequence[str]): The C names.

    Returns:
        dict: ``clean``; ``cells``, kind -> severity -> metrics; ``means``,
        by group; ``areas``, by kind; ``turns``, the changed predictions.
    """
    kinds = kinds if severities else []  # clean faces alone
    before = predictions[CLEAN, 0]['scores'].argmax(1)
    clean = _condition(predictions[CLEAN, 0], labels, classes, before)
    report: Dict[str, dict] = {kind: {} for kind in kinds}
    for kind, severity in product(kinds, severities):
        metrics = _condition(predictions[kind, severity], labels, classes,
                             before)
        metrics['share'] = FRACTIONS[kind][severity - 1]
        metrics['drop'] = drop(clean, metrics)
        report[kind][str(severity)] = metrics
    groups, means = {}, {}
    for group in GROUP_TITLES:
        members = [k for k in kinds if group_of(k) == group]
        if not members:
            continue
        groups[group] = members
        levels = {
            str(s): _mean([report[k][str(s)] for k in members], clean)
            for s in severities
        }
        means[group] = dict(
            kinds=members,
            severities=levels,
            overall=_mean(list(levels.values()), clean),
            area=_areas(severities, clean, levels))
    changes = {}
    for name, members in (*groups.items(), *((k, [k]) for k in kinds)):
        matrix = np.sum(
            [report[k][str(s)]['turned'] for k in members for s in severities],
            0)
        changes[name] = dict(
            matrix=matrix.tolist(),
            frequent=most_frequent_changes(matrix, classes))
    return dict(
        clean=clean,
        cells=report,
        means=means,
        areas={k: _areas(severities, clean, report[k])
               for k in kinds},
        turns=changes)


def _condition(predictions: dict, labels: np.ndarray, classes: Sequence[str],
               before: np.ndarray) -> dict:
    scores = predictions['scores']
    after = scores.argmax(1)
    metrics = face_metrics(scores, labels, classes)
    metrics['agreement'] = float(100 * (after == before).mean())
    metrics['measured_share'] = float(predictions['ratio'].mean())
    # how often each clean prediction (row) becomes which one
    metrics['turned'] = confusion_matrix(
        before, after, labels=range(scores.shape[1])).tolist()
    metrics['pictures_sha256'] = predictions['pictures']
    return metrics


def list_metrics(names: Sequence[str], types: Dict[str, str],
                 listed: Sequence[str], scores: np.ndarray, labels: np.ndarray,
                 classes: Sequence[str]) -> dict:
    """Metrics of the faces in a list of really occluded ones.

    Args:
        names (Sequence[str]): Of the N faces that were tested, as they are.
        types (dict[str, str]): Of some, the type of their occluder.
        listed (Sequence[str]): The names in the list.
        scores (np.ndarray): Probabilities (N, C).
        labels (np.ndarray): (N, ).
        classes (Sequence[str]): The C names.
    """
    wanted = set(listed)
    inside = np.array([name in wanted for name in names], bool)
    kinds = np.array([types.get(name, '') for name in names])
    correct = scores.argmax(1) == labels

    def metrics(chosen: np.ndarray) -> dict:
        found = face_metrics(scores[chosen], labels[chosen], classes)
        found['accuracy_interval'] = accuracy_interval(correct[chosen].sum(),
                                                       chosen.sum())
        return found

    by_type = sorted({k for k in kinds[inside] if k})
    return dict(
        num_listed=len(wanted),
        **metrics(inside),
        types={k: metrics(inside & (kinds == k))
               for k in by_type},
        rest=metrics(~inside))
