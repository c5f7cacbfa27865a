# Copyright (c) orsa contributors. All rights reserved.
"""How much of a face is occluded, by a model's parser and landmarks."""
from typing import Dict, List, Optional, Tuple

import cv2
import numpy as np

from orsa.utils.face_regions import (FACE_CLASSES, HAIR, LAPA_CLASSES,
                                     NUM_LANDMARKS, OCCLUDER)

# The forehead, which the 68 points leave out: as high above the brows, of the
# distance from there to the chin.
_FOREHEAD = 0.3

# of the 68 points
PARTS = dict(
    brows=slice(17, 27),
    eyes=slice(36, 48),
    nose=slice(27, 36),
    mouth=slice(48, 68))


def visible_parts(points: np.ndarray) -> Optional[Dict[str, float]]:
    """How visible the parts of a face are, by its landmarks.

    Args:
        points (np.ndarray): (K, 3), landmarks and their visibility in [0, 1].

    Returns:
        dict[str, float], optional: The mean visibility of each of ``PARTS``;
        None for other than 68 landmarks.
    """
    if len(points) != 68:
        return None
    return {name: float(points[k, 2].mean()) for name, k in PARTS.items()}


def occluded_fractions(probs: Optional[np.ndarray],
                       points: Optional[np.ndarray],
                       count: int) -> List[Optional[float]]:
    """The fraction of each face that its parser does not take for face.

    The face is what the 68 landmarks enclose, as for
    :class:`orsa.OccludeFace`; each of its pixels counts by the probability
    that it is background, hair or an occluder. Where the parser knows
    occluders, the forehead belongs to it too, and hair above the brows is
    none. This is a measurement by a model: a face that is not occluded does
    not get exactly 0, see
    :class:`orsa.evaluation.calibration.Calibration`.

    Args:
        probs (np.ndarray, optional): (B, K, h, w), the parser's probabilities;
            class 0 is background; with LaPa's 11 the last is hair, with the 12
            of ``FACE_CLASSES`` the last two are hair and occluder.
        points (np.ndarray, optional): (B, 68, 2 or more), landmarks as
            fractions of the image's sides, 0 being the left or upper edge.
        count (int): B.

    Returns:
        list[float | None]: In [0, 1]; None for all without either.
    """
    if probs is None or points is None or points.shape[1] != NUM_LANDMARKS:
        return [None] * count
    points = points[..., :2]
    away = probs[:, 0]
    if probs.shape[1] == len(FACE_CLASSES):
        away = away + probs[:, OCCLUDER]
        return [
            _mean((a + hair, p), (a, _forehead(p)))
            for a, hair, p in zip(away, probs[:, HAIR], points)
        ]
    if probs.shape[1] == len(LAPA_CLASSES):
        away = away + probs[:, HAIR]
    return [_mean((a, p)) for a, p in zip(away, points)]


def _forehead(points: np.ndarray) -> np.ndarray:
    """The brows, and as many points above them (20, 2)."""
    brows = points[17:27]
    return np.vstack([brows, brows + _FOREHEAD * (brows.mean(0) - points[8])])


def _mean(*regions: Tuple[np.ndarray, np.ndarray]) -> float:
    """The mean of maps (h, w), each within the hull of points in [0, 1].

    A pixel in several regions counts in the first.
    """
    # finer than the map, so that the edge of a hull is smooth
    free = np.ones([4 * side for side in regions[0][0].shape], bool)
    inside = []
    for values, points in regions:
        fine = cv2.resize(
            values, free.shape[::-1], interpolation=cv2.INTER_LINEAR)
        hull = np.zeros(fine.shape, np.uint8)
        outline = np.rint(points * fine.shape[::-1] - .5).astype(np.int32)
        cv2.fillConvexPoly(hull, cv2.convexHull(outline), 1)
        inside.append(fine[(hull == 1) & free])
        free &= hull == 0
    values = np.concatenate(inside)
    # a hull outside of the image encloses nothing that is visible
    return float(values.mean().clip(0, 1)) if values.size else 1.
