# Copyright (c) orsa contributors. All rights reserved.
"""The report of a test under occlusion for predictions made anywhere."""
import os.path as osp
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from orsa.datasets.text_files import read_columns, read_rows
from orsa.utils.fileio import dump_json, load_json, save_npz
from . import report as reports
from .occlusion_conditions import Condition, conditions_of
from .occlusion_images import COLUMNS
from .occlusion_metrics import (FORMAT, face_arrays, list_metrics, protocol,
                                summarise)
from .occlusion_report import summary

PREDICTION = ('file', 'prediction')


class Manifest(NamedTuple):
    """What ``orsa occlude`` has written.

    Attributes:
        path (str): ``manifest.csv``.
        parameters (dict): The content of ``manifest.json``.
        conditions (list[Condition]): The K conditions.
        files (list[str]): K * N, one condition after the other.
        names (list[str]): Of the N faces.
        labels (np.ndarray): (N, ), indices of the classes.
        ratio (np.ndarray): (K, N), the occluded fractions.
    """
    path: str
    parameters: dict
    conditions: List[Condition]
    files: List[str]
    names: List[str]
    labels: np.ndarray
    ratio: np.ndarray


def read_manifest(path: str) -> Manifest:
    """Read ``manifest.csv``, and ``manifest.json`` beside it.

    Raises:
        FileNotFoundError: If one of them is missing.
        ValueError: If they do not belong together.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f"there is no '{path}': orsa occlude writes "
                                'it when all images are written')
    parameters = load_json(osp.join(osp.dirname(path), 'manifest.json'))
    rows = [row for _, row in read_columns(path, COLUMNS)]
    conditions = conditions_of(parameters['kinds'], parameters['severities'])
    num = parameters['dataset']['num_faces']
    expected = [(c.kind, str(c.severity)) for c in conditions
                for _ in range(num)]
    if [tuple(row[3:5]) for row in rows] != expected:
        raise ValueError(
            f"'{path}' has other rows than the {len(conditions)} conditions "
            f'of {num} faces that manifest.json beside it names. Take both as '
            'orsa occlude wrote them')
    files, names, labels, _, _, ratio, _ = zip(*rows)
    return Manifest(
        path, parameters, conditions, list(files), list(names[:num]),
        np.array([parameters['classes'].index(v) for v in labels[:num]]),
        np.array(ratio, np.float64).reshape(-1, num))


def read_scores(path: str, manifest: Manifest) -> np.ndarray:
    """Read predictions: columns file, prediction and, if known, all classes.

    Args:
        path (str): A csv file with a row for each file of the manifest. The
            columns that are called like the classes are probabilities.
        manifest (Manifest): Of the images.

    Returns:
        np.ndarray: (K, N, C) float32, or bool, true for the predicted class,
        without columns of probabilities.

    Raises:
        ValueError: For other columns, missing, doubled or unknown files,
            unknown classes, rows that are no probabilities, and predictions
            other than the most probable class; with counts and examples.
    """
    classes = manifest.parameters['classes']
    _, header = next(read_rows(path), (1, []))
    wanted = sorted([*PREDICTION, *classes])
    if sorted(header) not in (sorted(PREDICTION), wanted):
        raise ValueError(f"'{path}' has the columns {str(header)[:500]}. "
                         f'Expected {list(PREDICTION)}, and no others or the '
                         f'probabilities of all of {classes}')
    known = len(header) > len(PREDICTION)
    place = {file: i for i, file in enumerate(manifest.files)}
    scores = np.zeros((len(place), len(classes)),
                      np.float32 if known else bool)
    seen, problems = np.zeros(len(place), bool), {}
    columns = [*PREDICTION, *classes * known]
    for _, (file, name, *row) in read_columns(path, columns):
        problem, values = _check_row(name, row, classes)
        at = place.get(file)
        if at is None:
            problem = 'rows of unknown files'
        elif seen[at]:
            problem = 'rows of files that had one before'
        else:
            seen[at] = True
            scores[at] = values
        if problem:
            problems.setdefault(problem, []).append(f'{file} ({name})')
    missing = [manifest.files[i] for i in np.flatnonzero(~seen)]
    if missing:
        problems['missing files'] = missing
    if problems:
        raise ValueError(_describe(path, manifest, problems))
    return scores.reshape(len(manifest.conditions), -1, len(classes))


def _check_row(name: str, row: List[str],
               classes: List[str]) -> Tuple[str, np.ndarray]:
    """What is wrong with a prediction, and its scores (C, )."""
    values = np.array([name == c for c in classes])
    if not values.any():
        return 'rows of unknown classes', values
    if not row:
        return '', values
    try:
        scores = np.array(row, np.float32)
    except ValueError:
        scores = np.full(len(classes), np.nan, np.float32)
    # as the calibration error asks for
    if not ((scores >= 0).all() and abs(scores.sum() - 1) < 1e-2):
        return 'rows of no probabilities', values
    highest = scores == scores.max()
    if highest.sum() > 1:  # the stated one of equal ones counts
        scores[values & highest] = np.nextafter(scores.max(), np.float32(1))
    if not values[scores.argmax()]:
        return 'rows whose prediction is not the most probable class', values
    return '', scores


def _describe(path: str, manifest: Manifest, problems: Dict[str, list]) -> str:
    found = '; '.join(f'{k}: {len(v)}, such as {", ".join(v[:3])}'
                      for k, v in problems.items())
    return (f"'{path}': {found}. Expected a row for each of the "
            f"{len(manifest.files)} files of '{manifest.path}', such as "
            f"{manifest.files[0]}, and a class of "
            f"{manifest.parameters['classes']}")


def score(predictions: str, manifest: str) -> Tuple[dict, dict]:
    """Score predictions as :class:`orsa.OcclusionSuite` scores a model.

    Args:
        predictions (str): As :func:`read_scores` reads them.
        manifest (str): ``manifest.csv`` of the images.

    Returns:
        tuple[dict, dict]: The suite's report without config and checkpoint,
        None standing for what cannot be known; and the arrays of
        :func:`face_arrays`.
    """
    read = read_manifest(manifest)
    scores = read_scores(predictions, read)
    parameters, names, labels = read.parameters, read.names, read.labels
    kinds, severities = list(parameters['kinds']), parameters['severities']
    classes = parameters['classes']
    found = {
        condition: dict(scores=s, ratio=r, pictures=None)
        for condition, s, r in zip(read.conditions, scores, read.ratio)
    }
    report = dict(
        format=FORMAT,
        predictions=predictions,
        manifest=manifest,
        dataset=parameters['dataset'],
        classes=classes,
        **protocol(parameters['seed'], kinds, severities),
        **summarise(found, kinds, severities, labels, classes),
        lists={
            title:
            dict(
                file=v['file'],
                **list_metrics(names, v['types'], v['names'], scores[0],
                               labels, classes))
            for title, v in parameters['lists'].items()
        })
    lists = {k: v['names'] for k, v in parameters['lists'].items()}
    return report, face_arrays(found, names, labels, classes, lists)


def score_file(predictions: str,
               manifest: str,
               out: Optional[str] = None) -> dict:
    """Print the tables of :func:`score`, and write its report.

    Args:
        predictions (str): See :func:`score`.
        manifest (str): See :func:`score`.
        out (str, optional): A JSON file for the report; the predictions for
            single faces go beside it. Defaults to None, nothing is written.

    Returns:
        dict: The report.
    """
    report, faces = score(predictions, manifest)
    print(reports.markdown('', summary(report)))
    if out:
        beside = osp.splitext(out)[0] + '_faces.npz'
        report['faces_file'] = osp.basename(beside)
        save_npz(beside, **faces)
        dump_json(report, out)
        print(f'wrote {out}, {beside}')
    return report
