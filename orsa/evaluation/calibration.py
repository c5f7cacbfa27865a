# Copyright (c) orsa contributors. All rights reserved.
"""Calibrated scores, and when to abstain.

A temperature (https://arxiv.org/abs/1706.04599) makes a model's scores agree
with how often it is right. It is fitted on faces that the model has not been
trained on and is not tested on, and stored beside its weights.
"""
import dataclasses
import math
import os.path as osp
from typing import Dict, Optional, Tuple, Union

import numpy as np

from orsa.utils.fileio import dump_json, file_hash, load_json
from orsa.utils.shipped import zoo_path

# bound of a temperature, and of its inverse
_LARGEST = 20
# faces, for fitting
_FEWEST = 50

# Why a model abstains from a face.
LOW_CONFIDENCE = 'low confidence'
OCCLUDED = 'too little of the face is visible'


def apply_temperature(scores: np.ndarray,
                      temperature: Union[float, np.ndarray]) -> np.ndarray:
    """Scores as if the logits had been divided by a temperature.

    Args:
        scores (np.ndarray): (..., C), in [0, 1], together 1.
        temperature (float | np.ndarray): Above 1 makes them more equal; of
            all, or (..., ).

    Returns:
        np.ndarray: (..., C).
    """
    logits = np.log(np.clip(scores, 1e-12, None))
    logits /= np.asarray(temperature)[..., None]
    return softmax(logits)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, as scipy's, which predictions do without."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def mean_nll(scores: np.ndarray,
             labels: np.ndarray,
             temperature: Union[float, np.ndarray] = 1.) -> float:
    """The mean negative log-likelihood of labels, at a temperature.

    Args:
        scores (np.ndarray): (N, C), probabilities.
        labels (np.ndarray): (N, ).
        temperature (float | np.ndarray): Of all, or (N, ). Defaults to 1.
    """
    likely = apply_temperature(scores, temperature)[np.arange(len(labels)),
                                                    labels]
    return float(-np.log(np.clip(likely, 1e-12, None)).mean())


def fit_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """The temperature that makes labels likeliest, between 1/20 and 20.

    Args:
        scores (np.ndarray): (N, C), predictions for 50 or more faces that the
            model was not trained on.
        labels (np.ndarray): (N, ), their classes.
    """
    from scipy.optimize import minimize_scalar  # saves start-up
    scores, labels = _check(scores, labels)
    bound = math.log(_LARGEST)
    return math.exp(
        minimize_scalar(
            lambda t: mean_nll(scores, labels, math.exp(t)),
            bounds=(-bound, bound),
            method='bounded').x)


def fit_temperature_by_occlusion(scores: np.ndarray, labels: np.ndarray,
                                 occluded: np.ndarray) -> Tuple[float, float]:
    """A temperature t exp(k c) that grows with the occluded fraction c.

    Args:
        scores (np.ndarray): As for :func:`fit_temperature`.
        labels (np.ndarray): (N, ).
        occluded (np.ndarray): (N, ), in [0, 1].

    Returns:
        tuple[float, float]: t and k.
    """
    from scipy.optimize import minimize  # saves start-up
    scores, labels = _check(scores, labels)
    occluded = np.asarray(occluded, np.float64)
    if occluded.shape != labels.shape:
        raise ValueError(f'occluded should be {labels.shape}, but is '
                         f'{occluded.shape}')
    bound = math.log(_LARGEST)
    t, k = minimize(
        lambda w: mean_nll(scores, labels, np.exp(w[0] + w[1] * occluded)),
        (math.log(fit_temperature(scores, labels)), 0.),
        method='Nelder-Mead',
        bounds=((-bound, bound), (-bound, bound))).x
    return math.exp(t), float(k)


def _check(scores: np.ndarray,
           labels: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError('scores should be (N, C) and labels (N, ), but are '
                         f'{scores.shape} and {labels.shape}')
    if len(scores) < _FEWEST:
        raise ValueError(f'a temperature needs at least {_FEWEST} held-out '
                         f'faces, got {len(scores)}')
    return scores, labels


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A model's temperature, and its thresholds for abstaining.

    Attributes:
        temperature (float): Of a face without occlusion, see
            :func:`apply_temperature`. 1 changes nothing.
        covered_slope (float): How its logarithm grows with the occluded
            fraction, see :func:`fit_temperature_by_occlusion`.
        covered_at_rest (float): The mean of what
            :func:`orsa.faces.visibility.occluded_fractions` measures of faces
            without occlusion; it becomes 0.
        min_confidence (float): Below this highest score the model abstains.
        max_covered (float): Above this occluded fraction of the face too.
        fitted_on (str, optional): The faces of all this, for people. None if
            nothing was fitted.

    Raises:
        ValueError: If a value is out of its range.
    """
    temperature: float = 1.
    covered_slope: float = 0.
    covered_at_rest: float = 0.
    min_confidence: float = 0.4
    max_covered: float = 0.5
    fitted_on: Optional[str] = None

    def __post_init__(self):
        valid = dict(
            temperature=0 < self.temperature < math.inf,
            covered_slope=math.isfinite(self.covered_slope),
            covered_at_rest=0 <= self.covered_at_rest < 1,
            min_confidence=0 <= self.min_confidence <= 1,
            max_covered=0 <= self.max_covered <= 1)
        for name in (k for k, v in valid.items() if not v):
            raise ValueError(
                f'{name} is out of its range: {getattr(self, name)}')

    def temperature_at(self, covered):
        """The temperature of faces, by ``covered`` as of :meth:`covered`."""
        if covered is None:
            return self.temperature
        return self.temperature * np.exp(self.covered_slope * covered)

    def scores(self,
               scores: Dict[str, float],
               covered: Optional[float] = None) -> Dict[str, float]:
        """Scores by name, at the temperature of a face."""
        values = apply_temperature(
            np.array(list(scores.values())), self.temperature_at(covered))
        return dict(zip(scores, values.tolist()))

    def covered(self, measured: Optional[float]) -> Optional[float]:
        """A measured occluded fraction, with that of free faces at 0."""
        if measured is None:
            return None
        rest = self.covered_at_rest
        return max(measured - rest, 0.) / (1 - rest)

    def reasons(self, confidence: float,
                covered: Optional[float]) -> Tuple[str, ...]:
        """Why to abstain: :data:`OCCLUDED`, :data:`LOW_CONFIDENCE` or neither.

        Args:
            confidence (float): The highest score, at the temperature.
            covered (float, optional): As of :meth:`covered`.
        """
        found = []
        if covered is not None and covered > self.max_covered:
            found.append(OCCLUDED)
        if confidence < self.min_confidence:
            found.append(LOW_CONFIDENCE)
        return tuple(found)


def calibration_file(weights: str) -> str:
    """The path of a calibration: beside its weights, as JSON."""
    return osp.splitext(osp.expanduser(zoo_path(str(weights))))[0] + '.json'


def read_calibration(path: str) -> Tuple[Calibration, Optional[str]]:
    """Read a file of ``tools/calibrate.py``.

    Returns:
        tuple[Calibration, str | None]: And the SHA-256 of the weights that it
        was fitted for.

    Raises:
        ValueError: If the file is none.
    """
    try:
        content = load_json(path)
        return (Calibration(**content['calibration']),
                content.get('weights_sha256'))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"'{path}' is no calibration, of "
                         f'tools/calibrate.py: {error!r}') from error


def load_calibration(weights: Optional[str]) -> Calibration:
    """Read the calibration beside weights.

    Args:
        weights (str, optional): A path or ``orsa://NAME``.

    Returns:
        Calibration: Without a file the default: scores stay as they are.

    Raises:
        ValueError: If the file is none, or is that of other weights.
    """
    if weights is None or not osp.isfile(calibration_file(weights)):
        return Calibration()
    path = calibration_file(weights)
    calibration, weights_hash = read_calibration(path)
    if weights_hash != file_hash(osp.expanduser(zoo_path(str(weights)))):
        raise ValueError(
            f"'{path}' was fitted for other weights than those beside it: "
            'remove it, or fit it anew with tools/calibrate.py')
    return calibration


def save_calibration(calibration: Calibration,
                     weights: str,
                     out: Optional[str] = None,
                     **figures) -> str:
    """Write a calibration beside its weights, and return the file.

    Args:
        calibration (Calibration): What was fitted.
        weights (str): The file that will be used with it.
        out (str, optional): Another place. Defaults to None.
        **figures: Metrics to store with it, for people.
    """
    out = out or calibration_file(weights)
    dump_json(
        dict(
            weights_sha256=file_hash(osp.expanduser(zoo_path(str(weights)))),
            calibration=dataclasses.asdict(calibration),
            figures=figures), out)
    return out
