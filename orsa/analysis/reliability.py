# Copyright (c) orsa contributors. All rights reserved.
"""Pictures of what a model said: ``reliability.py``, ``worst_mistakes.py``."""
import os.path as osp
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
from mmengine.config import Config

from orsa.evaluation.calibration import (Calibration, apply_temperature,
                                         load_calibration)
from orsa.evaluation.metrics.calibration_error import (
    confidence_bins, expected_calibration_error)
from orsa.evaluation.predictions import CLEAN, Predictions, read_predictions
from orsa.evaluation.statistics import accuracy_interval
from orsa.studies.occlusion_conditions import name_of
from orsa.studies.occlusion_metrics import COMMON, WORN, group_of
from orsa.utils.fileio import load_json
from orsa.utils.pretrained import local_file
from orsa.visualization import draw_mistake_grid
from orsa.visualization.reliability import Reliability, plot_reliability
from .inputs import build_dataset, image_of

# ------------------------------------------------------------- reliability


def reliability(scores: np.ndarray,
                labels: Sequence[int],
                num_bins: int = 15) -> Reliability:
    """Bin faces by confidence, as the expected calibration error does.

    `On Calibration of Modern Neural Networks
    <https://arxiv.org/abs/1706.04599>`_. Bins have equal widths, are open
    below and closed above.

    Args:
        scores (np.ndarray): Probabilities (N, C).
        labels (Sequence[int]): (N, ).
        num_bins (int): K. Defaults to 15, that of :class:`orsa.FERMetric`.

    Returns:
        Reliability: Of each bin.

    Raises:
        ValueError: If the rows are no probabilities, or there are none.
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    error = expected_calibration_error(scores, labels, num_bins)
    if not np.isfinite(error):
        raise ValueError('a reliability diagram needs probabilities (N, C), '
                         f'each row with a sum of 1, got {scores.shape}')
    top, right = scores.max(1), scores.argmax(1) == labels
    bins = confidence_bins(top, num_bins)
    counts = np.bincount(bins, minlength=num_bins)
    hits = np.bincount(bins[right], minlength=num_bins)
    empty = np.where(counts > 0, counts, np.nan)
    interval = np.full((num_bins, 2), np.nan)
    for i in np.flatnonzero(counts):
        interval[i] = np.divide(accuracy_interval(hits[i], counts[i]), 100)
    return Reliability(counts,
                       np.bincount(bins, top, num_bins) / empty, hits / empty,
                       interval, error)


def draw_reliability(
        paths: Sequence[str],
        out: str,
        checkpoint: Optional[str] = None) -> Dict[str, Dict[str, Reliability]]:
    """Draw how often a model is right at each confidence.

    Args:
        paths (Sequence[str]): Files as
            :func:`orsa.evaluation.predictions.read_predictions` reads them.
            An ``occlusion_suite.json`` gives up to three panels: the faces
            as they are, and all of those behind
            common and behind worn occluders.
        out (str): The PNG to write.
        checkpoint (str, optional): The weights whose calibration, the file
            beside them, is drawn too. Defaults to None: the ones that the
            suite, or the ``metrics.json`` beside the predictions, names.

    Returns:
        dict: What was drawn, by panel and name, see
        :func:`orsa.visualization.reliability.plot_reliability`.

    Raises:
        FileNotFoundError: If there is no such file, or no calibration beside
            a ``checkpoint`` that was given.
        ValueError: If it is of another kind.
    """
    panels: Dict[str, Dict[str, Reliability]] = {}
    for path in paths:
        predictions = read_predictions(path)
        known = _calibration_of(path, checkpoint)
        labels = np.array(
            [predictions.classes.index(n) for n in predictions.labels])
        for name, conditions in _conditions(predictions).items():
            scores = np.concatenate(
                [predictions.scores[c] for c in conditions])
            target = np.tile(labels, len(conditions))
            title = name if len(paths) == 1 else f'{_short(path)}: {name}'
            if title in panels:
                title = f'{path}: {name}'
            panels[title] = {'as the model says': reliability(scores, target)}
            # what hides a face is not in the file, and a covered face has
            # another temperature: only that of free ones is known here
            if name == _FREE and known != Calibration():
                after = apply_temperature(scores, known.temperature)
                panels[title][f'at temperature {known.temperature:.2f}'] = (
                    reliability(after, target))
    plot_reliability(panels, out)
    return panels


_FREE = 'as they are'


def _conditions(predictions: Predictions) -> Dict[str, List[str]]:
    """By the title of a panel the conditions that are in it."""
    found: Dict[str, List[str]] = {_FREE: [CLEAN]}
    titles = {COMMON: 'common occluders', WORN: 'worn occluders'}
    for condition in predictions.scores:
        if condition != CLEAN:
            group = titles[group_of(condition.split()[0])]
            found.setdefault(group, []).append(condition)
    return found


def _short(path: str) -> str:
    return osp.basename(osp.dirname(osp.abspath(path)))


def _calibration_of(path: str, checkpoint: Optional[str]) -> Calibration:
    """The calibration of the weights that a file of answers is of."""
    if checkpoint is not None:
        known = load_calibration(checkpoint)
        if known == Calibration():
            raise FileNotFoundError(
                f"there is no calibration beside '{checkpoint}': fit one "
                'with tools/calibrate.py')
        return known
    for report in (path, osp.join(osp.dirname(path), 'metrics.json')):
        named = None
        if report.endswith('.json') and osp.isfile(report):
            content = load_json(report)
            if isinstance(content, dict):
                named = content.get('checkpoint')
        # weights that are elsewhere by now are no reason not to draw
        if named and local_file(named):
            return load_calibration(named)
    return Calibration()


# ---------------------------------------------------------- worst mistakes


def worst_mistakes(predictions: Predictions,
                   count: int) -> Dict[str, List[int]]:
    """The wrong answers that a model is surest of.

    Args:
        predictions (Predictions): The faces as they are are asked about.
        count (int): Of each true class at most.

    Returns:
        dict[str, list[int]]: By class, in the order of the classes, the
        numbers of its faces, the surest first; of equal ones the earlier.
    """
    scores, labels = predictions.scores[CLEAN], np.array(predictions.labels)
    said = np.array(predictions.classes)[scores.argmax(1)]
    sure = np.argsort(-scores.max(1), kind='stable')
    return {
        name: [int(i) for i in sure
               if labels[i] == name and said[i] != name][:count]
        for name in predictions.classes if (labels == name).any()
    }


def draw_worst_mistakes(cfg: Config,
                        path: str,
                        out: str,
                        count: int = 8) -> Dict[str, List[str]]:
    """Draw the wrong answers that a model is surest of, by true class.

    Args:
        cfg (Config): The experiment; its test data have the pictures.
        path (str): What it said, as
            :func:`orsa.evaluation.predictions.read_predictions` reads it; of a
            suite, the faces as they are.
        out (str): The PNG to write.
        count (int): Of each class. Defaults to 8.

    Returns:
        dict[str, list[str]]: By class the names of the faces drawn.

    Raises:
        ValueError: If a face is not among the test data, or none is wrong.
    """
    if count < 1:
        raise ValueError(f'count should be positive, but is {count}')
    dataset = build_dataset(cfg, 'test')
    predictions = _named(
        read_predictions(path), dataset.metainfo.get('classes'))
    index = {name_of(dataset.get_data_info(i)): i for i in range(len(dataset))}
    scores, rows, drawn = predictions.scores[CLEAN], {}, {}
    for name, chosen in worst_mistakes(predictions, count).items():
        faces = []
        for i in chosen:
            face = predictions.names[i]
            if face not in index:
                raise ValueError(
                    f"'{path}' has a face '{face}', which is not in the test "
                    f"data of '{cfg.filename}': give the config of these data")
            sample = dataset[index[face]]
            faces.append((image_of(sample), name,
                          predictions.classes[scores[i].argmax()],
                          float(scores[i].max()), _file_of(sample, face)))
        drawn[name] = [predictions.names[i] for i in chosen]
        rows[_heading(predictions, name)] = faces
    if not any(rows.values()):
        raise ValueError(f"'{path}' has no wrong answer to draw")
    draw_mistake_grid(rows, out, columns=count if count < 8 else 8)
    return drawn


def _named(predictions: Predictions,
           classes: Optional[Sequence[str]]) -> Predictions:
    """The names of classes that a dump of predictions has only numbers of."""
    numbers = list(map(str, range(len(predictions.classes))))
    if predictions.classes != numbers or classes is None or len(
            classes) != len(numbers):
        return predictions
    return predictions._replace(
        classes=list(classes),
        labels=[classes[int(label)] for label in predictions.labels])


def _file_of(sample: dict, name: str) -> str:
    path = sample['data_samples'].get('img_path')
    return osp.basename(path) if path else name


def _heading(predictions: Predictions, name: str) -> str:
    wrong, total = _wrong_of(predictions, name)
    return f'{name}: {wrong} of {total} wrong'


def _wrong_of(predictions: Predictions, name: str) -> Tuple[int, int]:
    chosen = np.array(predictions.labels) == name
    said = predictions.scores[CLEAN][chosen].argmax(1)
    return int((said
                != predictions.classes.index(name)).sum()), int(chosen.sum())
