# Copyright (c) orsa contributors. All rights reserved.
"""Plots of a finished training or test, from the files that it left."""
import argparse
import os.path as osp
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from orsa.apis.model import load_config
from orsa.apis.testing import add_test_arguments, test, use_data_from
from orsa.evaluation.predictions import CLEAN, PREDICTIONS, read_predictions
from orsa.utils.fileio import load_json
from orsa.visualization import (draw_prediction_grid, plot_confusion_matrix,
                                plot_curves, spread)
from .inputs import build_dataset, image_of, predicted_samples


def tested(words: Sequence[str],
           work_dir: str,
           cfg_options: Optional[dict] = None) -> str:
    """Test a checkpoint.

    Args:
        words (Sequence[str]): Config and checkpoint, or other arguments of
            ``tools/test.py``.
        work_dir (str): Where its files go.
        cfg_options (dict, optional): Settings of the config.

    Returns:
        str: Its predictions.
    """
    parser = argparse.ArgumentParser()
    add_test_arguments(parser)
    predictions = osp.join(work_dir, PREDICTIONS)
    # by name, as a config may lack orsa.FERMetric
    args = parser.parse_args(
        [*words, '--work-dir', work_dir, '--out', predictions])
    args.cfg_options = cfg_options or {}
    test(args)
    return predictions


def read_confusion(path: str) -> Tuple[np.ndarray, dict]:
    """Read the confusion matrix of a test.

    Args:
        path (str): ``metrics.json``, or predictions as
            :func:`orsa.evaluation.predictions.read_predictions` reads them.

    Returns:
        tuple[np.ndarray, dict]: (C, C) counts, rows are the truth; and the
        report of :class:`orsa.FERMetric`.
    """
    report: Dict = {}
    if path.endswith('.json') and osp.isfile(path):
        report = load_json(path)
    if 'confusion_matrix' not in report:
        report = read_predictions(path).metrics()
    return np.array(report['confusion_matrix']), report


def draw_confusion(path: str,
                   out: str,
                   title: str = '',
                   cmap: str = 'cividis') -> np.ndarray:
    """Draw the confusion matrix of a test.

    Args:
        path (str): See :func:`read_confusion`.
        out (str): The PNG to write.
        title (str): Before accuracy and UAR. Defaults to ''.
        cmap (str): The colours, by matplotlib's name. Defaults to 'cividis'.

    Returns:
        np.ndarray: (C, C) counts, rows are the truth.
    """
    matrix, report = read_confusion(path)
    metrics = f"accuracy {report['accuracy']:.1f}, UAR {report['uar']:.1f}"
    plot_confusion_matrix(matrix, report['classes'], out,
                          f'{title}: {metrics}' if title else metrics, cmap)
    return matrix


def plot_results(config: str,
                 work_dir: str,
                 predictions: str,
                 faces: int = 56,
                 cfg_options: Optional[dict] = None) -> List[str]:
    """Draw curves, confusion matrix and a grid of test faces.

    Args:
        config (str): Config of the training.
        work_dir (str): Its work dir, with ``metrics.json`` of its test.
        predictions (str): See
            :func:`orsa.evaluation.predictions.read_predictions`.
        faces (int): Faces in the grid. Defaults to 56.
        cfg_options (dict, optional): Settings that the test was run with.

    Returns:
        list[str]: The PNG files; without curves of a test alone.
    """
    curves, matrix, grid = (
        osp.join(work_dir, f'{name}.png')
        for name in ('curves', 'confusion_matrix', 'test_faces'))
    written = [curves, matrix, grid]
    try:
        plot_curves(work_dir, curves)
    except FileNotFoundError:
        written.remove(curves)

    draw_confusion(predictions, matrix, osp.basename(osp.normpath(work_dir)))

    metrics = load_json(osp.join(work_dir, 'metrics.json'))
    cfg = load_config(config)
    if 'data_from' in metrics:
        use_data_from(cfg, load_config(metrics['data_from']))
    cfg.merge_from_dict(cfg_options or {})  # after it, as in the test
    found = read_predictions(predictions)
    scores = found.scores[CLEAN]
    chosen = spread(found.label_indices(), faces)
    samples = predicted_samples(build_dataset(cfg, 'test'), found, chosen)
    draw_prediction_grid(
        ((image_of(sample), found.labels[i], found.classes[scores[i].argmax()],
          float(scores[i].max())) for i, sample in zip(chosen, samples)), grid)
    return written
