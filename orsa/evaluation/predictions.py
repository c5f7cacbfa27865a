# Copyright (c) orsa contributors. All rights reserved.
"""Files of a model's predictions for single faces."""
import os.path as osp
from types import MappingProxyType
from typing import Dict, List, NamedTuple, Optional

import numpy as np

from orsa.utils.fileio import load_json, load_npz
from .metrics import FERMetric

# the condition that others are compared with: faces without an occluder
CLEAN = 'clean'
# what a test writes beside metrics.json
PREDICTIONS = 'predictions.json'
_HOW = ("give what 'tools/test.py CONFIG CHECKPOINT' wrote, "
        f'{PREDICTIONS} or the occlusion_suite.json of --occlusion-suite')


def _load(path: str):
    if not osp.isfile(path):
        raise FileNotFoundError(f"there is no file '{path}': {_HOW}")
    if path.endswith(('.pkl', '.pickle')):
        raise ValueError(f"'{path}' is a pickle, which can run code where it "
                         f'is read, and is not read: {_HOW}')
    return load_json(path)


class Predictions(NamedTuple):
    """A model's predictions for the faces of a test.

    Attributes:
        path (str): The file.
        names (list[str]): Of the N faces.
        labels (list[str]): Their expressions.
        classes (list[str]): The C expressions that are scored.
        scores (dict[str, np.ndarray]): By condition (N, C); 'clean', or a kind
            of occluder and a severity. Probabilities, or bool, true for the
            predicted class, where no more is known.
        lists (dict[str, np.ndarray]): By name whether a face is listed (N, ).
        seed (int, optional): Of the occluders.
        ratio (dict[str, np.ndarray]): By condition the occluded fraction of
            each face (N, ), where it is known.
    """
    path: str
    names: List[str]
    labels: List[str]
    classes: List[str]
    scores: Dict[str, np.ndarray]
    lists: Dict[str, np.ndarray]
    seed: Optional[int] = None
    ratio: Dict[str, np.ndarray] = MappingProxyType({})

    def label_indices(self) -> np.ndarray:
        """The labels as indices of ``classes``, (N, )."""
        index = {name: i for i, name in enumerate(self.classes)}
        return np.array([index[name] for name in self.labels])

    def metrics(self, condition: str = CLEAN, chosen=slice(None)) -> dict:
        """What :meth:`orsa.FERMetric.calculate` reports of chosen faces."""
        return FERMetric.calculate(self.scores[condition][chosen],
                                   self.label_indices()[chosen], self.classes)


def read_predictions(path: str) -> Predictions:
    """Read the predictions for single faces that a test left.

    Args:
        path (str): ``predictions.json`` of ``tools/test.py`` or what its
            ``--out FILE.json`` wrote; or ``metrics.json`` beside it; or
            ``occlusion_suite.json``; or the .npz beside a result of
            ``--result``. Pickles are refused.

    Raises:
        FileNotFoundError: If there is no such file, or it has no predictions
            of single faces beside it.
        ValueError: If it is of another kind, or damaged.
    """
    content = load_npz(path) if path.endswith('.npz') else _load(path)
    keys = set(content) if isinstance(content, dict) else set()
    try:
        if 'faces_file' in keys:
            return _read_suite(path, content)
        if 'predicted' in keys:
            return _read_labels(path, content)
        if 'samples' in keys:
            return _read_samples(path, content)
        if {'accuracy', 'checkpoint'} & keys:
            return _read_beside(path, content)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"'{path}' is damaged "
                         f'({type(error).__name__}: {error})') from error
    raise ValueError(f"'{path}' holds no results: {_HOW}")


def _check_accuracy(found: Predictions, path: str, reported: float,
                    tolerance: float) -> None:
    accuracy = found.metrics()['accuracy']
    if abs(accuracy - reported) > tolerance:
        raise ValueError(f"'{found.path}' is not of the run of '{path}': "
                         f'their accuracies are {accuracy} and {reported}')


def _read_suite(path: str, content: dict) -> Predictions:
    faces = osp.join(osp.dirname(path), content['faces_file'])
    if not osp.isfile(faces):
        raise FileNotFoundError(
            f"'{path}' has no predictions of single faces: they are in "
            f"'{content['faces_file']}', which has to be beside it")
    found = load_npz(faces)
    predictions = _of_arrays(faces, found, found['cells'], found['scores'],
                             content['seed'])
    _check_accuracy(predictions, path, content['clean']['accuracy'], 1e-6)
    return predictions._replace(
        path=path, ratio=dict(zip(predictions.scores, found['ratio'])))


def _read_labels(path: str, content: dict) -> Predictions:
    one_hot = np.eye(len(content['classes']), dtype=bool)
    seed = content['seed'].tolist()
    return _of_arrays(path, content, content['conditions'],
                      one_hot[content['predicted']], seed[0] if seed else None)


def _of_arrays(path: str, found: dict, conditions: np.ndarray,
               scores: np.ndarray, seed: Optional[int]) -> Predictions:
    classes = found['classes'].tolist()
    return Predictions(
        path, found['names'].tolist(), [classes[i] for i in found['labels']],
        classes, dict(zip(conditions.tolist(), scores)), {
            k.removeprefix('list/'): v
            for k, v in found.items() if k.startswith('list/')
        }, seed)


def _read_samples(path: str, content: dict) -> Predictions:
    samples, classes = content['samples'], content['classes']
    if any(s.get('scores') is None for s in samples):
        raise ValueError(f"'{path}' has no scores: {_HOW}")
    if any(s['name'] is None for s in samples):
        raise ValueError(f"'{path}' has no names of its faces: add 'name' to "
                         'the meta_keys of PackInputs')
    labels = [s['label'] for s in samples]
    try:
        scores = np.array([s['scores'] for s in samples], np.float64)
        good = scores.shape == (len(samples),
                                len(classes)) and min(labels) >= 0
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"'{path}' is damaged: each of its samples should "
                         f'have a label and {len(classes)} scores')
    return Predictions(path, [s['name'] for s in samples],
                       [classes[label] for label in labels], classes,
                       {CLEAN: scores}, {})


def _read_beside(path: str, content: dict) -> Predictions:
    beside = osp.join(osp.dirname(path), PREDICTIONS)
    if not osp.isfile(beside):
        raise FileNotFoundError(
            f"'{path}' has no predictions of single faces, and there is no "
            f'{PREDICTIONS} beside it: {_HOW}')
    found = read_predictions(beside)
    # FERMetric's, in percent; mmpretrain's Accuracy counts in float32
    reported = content.get('accuracy', content.get('accuracy/top1'))
    if reported is not None:
        _check_accuracy(found, path, reported, 1e-3)
    return found._replace(path=path)
