# Copyright (c) orsa contributors. All rights reserved.
"""What the face is, how much of it is hidden, and hiding a stated share."""
import math
from typing import Callable

import cv2
import numpy as np


def landmark_hull(points: np.ndarray, size: int) -> np.ndarray:
    """What the landmarks enclose in a picture.

    Args:
        points (np.ndarray): (68, 2) landmarks in pixels.
        size (int): Side of the picture.

    Returns:
        np.ndarray: (size, size), bool.
    """
    hull = np.zeros((size, size), np.uint8)
    outline = cv2.convexHull(np.rint(points).astype(np.int32))
    cv2.fillConvexPoly(hull, outline, 1)
    return hull == 1


def covered_share(cover: np.ndarray, hull: np.ndarray) -> float:
    """The share of a hull (size, size) that a cover in [0, 255] hides."""
    return float((hull & (cover > 127)).sum() / max(hull.sum(), 1))


def reach_share(share_at: Callable[[float], float],
                goal: float,
                start: float,
                low: float,
                high: float,
                tolerance: float = .01,
                max_tries: int = 12) -> float:
    """Find the amount that hides a share of the face.

    Bisection, at the place where a straight line would reach the goal.

    Args:
        share_at (Callable): The share that an amount hides, on the whole more
            for more.
        goal (float): The share wanted.
        start (float): The first amount to try.
        low (float): The least amount, taken to hide nothing.
        high (float): The largest one, taken to hide all.
        tolerance (float): Good enough. Defaults to 0.01.
        max_tries (int): Defaults to 12.

    Returns:
        float: The best amount that was tried.
    """
    below, above = (low, 0.), (high, 1.)
    amount, best = start, (math.inf, start)
    for _ in range(max_tries):
        share = share_at(amount)
        best = min(best, (abs(share - goal), amount))
        if best[0] <= tolerance:
            break
        if share < goal:
            below = amount, share
        else:
            above = amount, share
        part = (goal - below[1]) / max(above[1] - below[1], 1e-6)
        # neither end for ever, though the line may be far from straight
        part = min(max(part, .15), .85)
        amount = below[0] + part * (above[0] - below[0])
    return best[1]
