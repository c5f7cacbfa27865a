# Copyright (c) orsa contributors. All rights reserved.
"""What ``reliability.py`` and ``worst_mistakes.py`` draw of predictions."""
import os.path as osp
from typing import Dict, List, Optional, Sequence

import numpy as np
from mmengine.config import Config

from orsa.evaluation.calibration import (Calibration, apply_temperature,
                                         load_calibration)
from orsa.evaluation.metrics.calibration_error import (
    confidence_bins, expected_calibration_error)
from orsa.evaluation.predictions import CLEAN, Predictions, read_predictions
from orsa.evaluation.statistics import accuracy_interval
from orsa.studies.occlusion_metrics import group_of
from orsa.utils.checkpoint import local_file
from orsa.utils.fileio import load_json
from orsa.visualization import draw_mistake_grid
from orsa.visualization.reliability import Reliability, plot_reliability
from .inputs import build_dataset, image_of, predicted_samples

_FREE = 'as they are'


def reliability(scores: np.ndarray,
                labels: Sequence[int],
                num_bins: int = 15) -> Reliability:
    """Bin faces by confidence, as the expected calibration error does.

    `On Calibration of Modern Neural Networks
    <https://arxiv.org/abs/1706.04599>`_.

    Args:
        scores (np.ndarray): Probabilities (N, C).
        labels (Sequence[int]): (N, ).
        num_bins (int): K. Defaults to 15, that of :class:`orsa.FERMetric`.

    Raises:
        ValueError: If the rows are no probabilities, or there are none.
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    error = expected_calibration_error(scores, labels, num_bins)
    if not np.isfinite(error):
        raise ValueError('a reliability diagram needs probabilities (N, C), '
                         f'each row with a sum of 1, got {scores.shape}')
    confidence, right = scores.max(1), scores.argmax(1) == labels
    bins = confidence_bins(confidence, num_bins)
    counts = np.bincount(bins, minlength=num_bins)
    hits = np.bincount(bins[right], minlength=num_bins)
    divisor = np.where(counts > 0, counts, np.nan)
    empty = (np.nan, np.nan)
    interval = np.divide(
        [accuracy_interval(h, n) or empty for h, n in zip(hits, counts)], 100)
    return Reliability(counts,
                       np.bincount(bins, confidence, num_bins) / divisor,
                       hits / divisor, interval, error)


def draw_reliability(
        paths: Sequence[str],
        out: str,
        checkpoint: Optional[str] = None) -> Dict[str, Dict[str, Reliability]]:
    """Draw how often a model is right at each confidence.

    Args:
        paths (Sequence[str]): Files as
            :func:`orsa.evaluation.predictions.read_predictions` reads them; an
            ``occlusion_suite.json`` gives a panel of clean faces and one of
            each group of occluders.
        out (str): The PNG to write.
        checkpoint (str, optional): The weights whose calibration, the file
            beside them, is drawn too. Defaults to None: those that the suite,
            or the ``metrics.json`` beside the predictions, names.

    Returns:
        dict: What was drawn, by panel and name.

    Raises:
        FileNotFoundError: If there is no such file, or no calibration beside
            ``checkpoint``.
    """
    panels: Dict[str, Dict[str, Reliability]] = {}
    for path in paths:
        predictions = read_predictions(path)
        if predictions.scores[CLEAN].dtype == bool:
            raise ValueError(f"'{path}' has no probabilities: give orsa score "
                             'predictions with a column for each class')
        calibration = _calibration_of(path, checkpoint)
        for name, conditions in _conditions(predictions).items():
            scores = np.concatenate(
                [predictions.scores[c] for c in conditions])
            labels = np.tile(predictions.label_indices(), len(conditions))
            folder = osp.basename(osp.dirname(osp.abspath(path)))
            title = name if len(paths) == 1 else f'{folder}: {name}'
            if title in panels:
                title = f'{path}: {name}'
            panels[title] = {'as the model says': reliability(scores, labels)}
            # an occluded face has a temperature of its own, by a measurement
            # that is not in the file
            if name == _FREE and calibration != Calibration():
                temperature = calibration.temperature
                panels[title][f'at temperature {temperature:.2f}'] = (
                    reliability(
                        apply_temperature(scores, temperature), labels))
    plot_reliability(panels, out)
    return panels


def _conditions(predictions: Predictions) -> Dict[str, List[str]]:
    """By the title of a panel the conditions that are in it."""
    found: Dict[str, List[str]] = {_FREE: [CLEAN]}
    for condition in predictions.scores:
        if condition != CLEAN:
            group = f'{group_of(condition.split()[0])} occluders'
            found.setdefault(group, []).append(condition)
    return found


def _calibration_of(path: str, checkpoint: Optional[str]) -> Calibration:
    """The calibration of the weights that made a file of predictions."""
    if checkpoint is not None:
        known = load_calibration(checkpoint)
        if known == Calibration():
            raise FileNotFoundError(
                f"there is no calibration beside '{checkpoint}': fit one "
                'with tools/calibrate.py')
        return known
    for report in (path, osp.join(osp.dirname(path), 'metrics.json')):
        content = load_json(report) if osp.isfile(report) else {}
        named = content.get('checkpoint')
        # weights that are elsewhere by now are no reason not to draw
        if named and local_file(named):
            return load_calibration(named)
    return Calibration()


def worst_mistakes(predictions: Predictions,
                   count: int) -> Dict[str, List[int]]:
    """By true class the most confident wrong predictions of clean faces.

    At most ``count`` numbers of faces each, the most confident first.
    """
    scores, labels = predictions.scores[CLEAN], predictions.label_indices()
    wrong = scores.argmax(1) != labels
    order = np.argsort(-scores.max(1), kind='stable')
    return {
        name: [int(k) for k in order if labels[k] == i and wrong[k]][:count]
        for i, name in enumerate(predictions.classes) if (labels == i).any()
    }


def draw_worst_mistakes(cfg: Config,
                        path: str,
                        out: str,
                        count: int = 8) -> Dict[str, List[str]]:
    """Draw the most confident wrong predictions, by true class.

    Args:
        cfg (Config): The experiment; its test data have the images.
        path (str): The predictions, see :func:`read_predictions`.
        out (str): The PNG to write.
        count (int): Of each class. Defaults to 8.

    Returns:
        dict[str, list[str]]: By class the names of the faces drawn.
    """
    if count < 1:
        raise ValueError(f'count should be positive, but is {count}')
    dataset = build_dataset(cfg, 'test')
    predictions = read_predictions(path)
    scores, labels = predictions.scores[CLEAN], np.array(predictions.labels)
    predicted = np.array(predictions.classes)[scores.argmax(1)]
    rows, drawn = {}, {}
    for label, chosen in worst_mistakes(predictions, count).items():
        drawn[label] = [predictions.names[i] for i in chosen]
        faces = []
        for i, sample in zip(chosen,
                             predicted_samples(dataset, predictions, chosen)):
            file = (
                sample['data_samples'].get('img_path') or predictions.names[i])
            faces.append((image_of(sample), label, predicted[i],
                          float(scores[i].max()), osp.basename(file)))
        wrong = (predicted != label)[labels == label]
        rows[f'{label}: {wrong.sum()} of {len(wrong)} wrong'] = faces
    if not any(rows.values()):
        raise ValueError(f"'{path}' has no wrong prediction to draw")
    draw_mistake_grid(rows, out, columns=min(count, 8))
    return drawn
