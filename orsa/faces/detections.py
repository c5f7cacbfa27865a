# Copyright (c) orsa contributors. All rights reserved.
"""The form in which detectors return faces."""
import math
from typing import Any, Callable, NamedTuple, Optional, Union

import numpy as np


class Detections(NamedTuple):
    """The faces in a photograph.

    Attributes:
        boxes (np.ndarray): (N, 4) float32: x0, y0, x1, y1 in pixels of the
            photograph, about from the brows to the chin.
        scores (np.ndarray, optional): (N, ), the detector's confidence in
            [0, 1].
        points (np.ndarray, optional): (N, 5, 2) float32: the centres of the
            eyes, the tip of the nose and the corners of the mouth in pixels,
            left to right.
    """
    boxes: np.ndarray
    scores: Optional[np.ndarray] = None
    points: Optional[np.ndarray] = None


Detector = Callable[[np.ndarray], Union[Detections, np.ndarray]]


def check_detections(found: Any) -> Detections:
    """Bring what a detector returned into one form.

    Args:
        found (Detections | array): Or an array of boxes (N, 4), of boxes and
            scores (N, 5), or with five points behind them (N, 15).

    Returns:
        Detections: Without boxes that are empty or not finite.

    Raises:
        ValueError: If it is none of these.
    """
    if not isinstance(found, Detections):
        rows = np.asarray(found, np.float32)
        if not rows.size:
            return Detections(np.zeros((0, 4), np.float32))
        if rows.ndim != 2 or rows.shape[1] not in (4, 5, 15):
            raise ValueError(
                'a detector should return Detections, or an array (N, 4), '
                f'(N, 5) or (N, 15), but returned {rows.shape}')
        found = Detections(rows[:, :4], rows[:,
                                             4] if rows.shape[1] > 4 else None,
                           rows[:, 5:] if rows.shape[1] > 5 else None)
    boxes = np.asarray(found.boxes, np.float32).reshape(-1, 4)
    good = np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    others = []
    for name, value, shape in (('scores', found.scores, ()),
                               ('points', found.points, (5, 2))):
        if value is not None:
            value, shape = np.asarray(value, np.float32), (len(boxes), *shape)
            if value.size != math.prod(shape):
                raise ValueError(f'a detector returned {name} of shape '
                                 f'{value.shape}, expected {shape}')
            value = value.reshape(shape)
            if name == 'points':
                good &= np.isfinite(value).all((1, 2))
        others.append(value)
    return Detections(boxes[good],
                      *(None if v is None else v[good] for v in others))


def largest_first(found: Detections) -> Detections:
    """Detections in one form, see :func:`check_detections`, by area."""
    found = check_detections(found)
    areas = np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1)
    order = np.argsort(-areas, kind='stable')
    return Detections(*(None if v is None else v[order] for v in found))
