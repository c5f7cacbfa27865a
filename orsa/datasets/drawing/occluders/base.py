# Copyright (c) orsa contributors. All rights reserved.
"""What the face is, and how a stated fraction of it is occluded.

U is an image's unit, 1/128 of its side.
"""
import math
from typing import Callable, Sequence

import cv2
import numpy as np

from ..canvas import BOX


def landmark_hull(points: np.ndarray, size: int) -> np.ndarray:
    """The landmarks' convex hull, taken as the face, bool (size, size)."""
    hull = np.zeros((size, size), np.uint8)
    outline = cv2.convexHull(np.rint(points).astype(np.int32))
    cv2.fillConvexPoly(hull, outline, 1)
    return hull == 1


def occluded_fraction(mask: np.ndarray, hull: np.ndarray) -> float:
    """The fraction of a face (bool) that a mask in [0, 255] occludes."""
    return float((hull & (mask > 127)).sum() / max(hull.sum(), 1))


def reach_fraction(fraction_at: Callable[[float], float],
                   goal: float,
                   start: float,
                   low: float,
                   high: float,
                   tolerance: float = .01,
                   max_tries: int = 12) -> float:
    """Find the amount that occludes a fraction of the face.

    Bisection, at the place where a straight line would reach the goal.

    ``low`` is taken to occlude nothing and ``high`` all; ``start`` is tried
    first. Returns the best amount that was tried.
    """
    below, above = (low, 0.), (high, 1.)
    amount, best = start, (math.inf, start)
    for _ in range(max_tries):
        fraction = fraction_at(amount)
        best = min(best, (abs(fraction - goal), amount))
        if best[0] <= tolerance:
            break
        if fraction < goal:
            below = amount, fraction
        else:
            above = amount, fraction
        step = (goal - below[1]) / max(above[1] - below[1], 1e-6)
        # neither end for ever, though the line may be far from straight
        step = min(max(step, .15), .85)
        amount = below[0] + step * (above[0] - below[0])
    return best[1]


class Occluder:
    """Something laid over one face, that can occlude less or more of it.

    A subclass draws all that is random in :meth:`draw`, so that what is tried
    and what is painted are the same, and more of it is the same thing larger.

    Args:
        size (int): Side of the image in pixels.
        points (np.ndarray): (68, 2) landmarks in pixels.
        seed (int): Of all that is random.
        fill (Sequence[float]): BGR in [0, 255] of what is one flat colour.
            Defaults to black.
    """

    # amounts: what occludes nothing or the least, what to try first, the most
    LEAST, FIRST, MOST = 0., .5, 1.
    TOLERANCE, MAX_TRIES = .004, 16

    def __init__(self,
                 size: int,
                 points: np.ndarray,
                 seed: int,
                 fill: Sequence[float] = (0, 0, 0)) -> None:
        self.size = size
        self.points = (np.asarray(points) + .5) * (BOX / size)
        self.hull = landmark_hull(points, size)
        self.seed = seed
        self.fill = fill
        self.draw(np.random.Generator(np.random.PCG64(seed)))

    def draw(self, rng: np.random.Generator) -> None:
        """Draw what is random."""

    def mask(self, amount: float) -> np.ndarray:
        """The occlusion mask of an amount, (size, size) uint8."""
        raise NotImplementedError

    def paint(self, image: np.ndarray, amount: float) -> np.ndarray:
        """Lay an amount of it over a BGR image, in place; return its mask."""
        raise NotImplementedError

    def reach(self, fraction: float) -> float:
        """The amount that occludes a fraction of the landmarks' hull."""
        return reach_fraction(
            lambda amount: occluded_fraction(self.mask(amount), self.hull),
            fraction, self.FIRST, self.LEAST, self.MOST, self.TOLERANCE,
            self.MAX_TRIES)

    def place_on_face(self, rng: np.random.Generator) -> np.ndarray:
        """A random place (x, y) in U, all of the face equally likely."""
        rows, cols = np.nonzero(self.hull)
        where, shift = rng.random(), rng.random(2)
        if not len(rows):  # the landmarks are outside the image
            return self.points[27:36].mean(0)
        pick = int(where * len(rows))
        return (np.array([cols[pick], rows[pick]]) + shift) * (BOX / self.size)
