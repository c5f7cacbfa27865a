# Copyright (c) orsa contributors. All rights reserved.
"""How much of a face is occluded, by a model's parser and landmarks."""
from typing import List, Optional

import cv2
import numpy as np
import torch

from orsa.utils.face_regions import LAPA_CLASSES

# Classes of a parser that are no face: the background, and of LaPa's hair.
_NOT_FACE = {len(LAPA_CLASSES): (0, LAPA_CLASSES.index('hair'))}


def occluded_fractions(probs: Optional[torch.Tensor],
                       points: Optional[np.ndarray],
                       count: int) -> List[Optional[float]]:
    """The fraction of each face that its parser does not take for face.

    The face is what the 68 landmarks enclose, as for
    :class:`orsa.OccludeFace`; each of its pixels counts by the probability
    that it is background (or hair). This is a measurement by a model: a face
    that is not occluded does not get exactly 0, see
    :class:`orsa.evaluation.calibration.Calibration`.

    Args:
        probs (Tensor, optional): (B, K, h, w), the parser's probabilities;
            class 0 is background, and with LaPa's 11 the last is hair.
        points (np.ndarray, optional): (B, 68, 2 or more), landmarks as
            fractions of the image's sides, 0 being the left or upper edge.
        count (int): B.

    Returns:
        list[float | None]: In [0, 1]; None for all without either.
    """
    # not above: it imports all data sets, and mmpretrain
    from orsa.datasets.drawing.landmarks import NUM_LANDMARKS
    if probs is None or points is None or points.shape[1] != NUM_LANDMARKS:
        return [None] * count
    away = probs[:, list(_NOT_FACE.get(probs.shape[1], (0, )))].sum(1).numpy()
    return [_mean_in_hull(a, p[:, :2]) for a, p in zip(away, points)]


def _mean_in_hull(values: np.ndarray, points: np.ndarray) -> float:
    """The mean of a map (h, w) over the hull of points (K, 2) in [0, 1]."""
    # finer than the map, so that the edge of the hull is smooth
    fine = cv2.resize(values, None, fx=4, fy=4, interpolation=cv2.INTER_LINEAR)
    hull = np.zeros(fine.shape, np.uint8)
    outline = np.rint(points * fine.shape[::-1] - .5).astype(np.int32)
    cv2.fillConvexPoly(hull, cv2.convexHull(outline), 1)
    inside = fine[hull == 1]
    # a hull outside of the image encloses nothing that is visible
    return float(inside.mean().clip(0, 1)) if inside.size else 1.
