# Copyright (c) orsa contributors. All rights reserved.
from typing import Sequence

import numpy as np

from ..canvas import BOX
from .measure import covered_share, landmark_hull, reach_share


class Occluder:
    """Something laid over one face, that can hide less or more of it.

    A subclass draws all that is random in :meth:`draw`, so that what is tried
    and what is painted are the same, and more of it is the same thing larger.
    U is a picture's unit, 1/128 of its side.

    Args:
        size (int): Side of the picture in pixels.
        points (np.ndarray): (68, 2) landmarks in pixels.
        seed (int): Of all that is random.
        fill (Sequence[float]): BGR of what is one flat colour.
            Defaults to black.
    """

    # amounts: what hides nothing or the least, what to try first, the most
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

    def cover(self, amount: float) -> np.ndarray:
        """(size, size) in [0, 255], what an amount hides."""
        raise NotImplementedError

    def paint(self, image: np.ndarray, amount: float) -> np.ndarray:
        """Lay it over a picture (size, size, 3), in place.

        Returns:
            np.ndarray: (size, size) in [0, 255], what is hidden.
        """
        raise NotImplementedError

    def reach(self, share: float) -> float:
        """The amount that hides a share of the face."""
        return reach_share(
            lambda amount: covered_share(self.cover(amount), self.hull),
            share,
            start=self.FIRST,
            low=self.LEAST,
            high=self.MOST,
            tolerance=self.TOLERANCE,
            max_tries=self.MAX_TRIES)

    def place_on_face(self, rng: np.random.Generator) -> np.ndarray:
        """A place (x, y) in units, all of the face equally likely."""
        rows, cols = np.nonzero(self.hull)
        where, shift = rng.random(), rng.random(2)
        if not len(rows):  # the landmarks are outside the picture
            return self.points[27:36].mean(0)
        pick = int(where * len(rows))
        return (np.array([cols[pick], rows[pick]]) + shift) * (BOX / self.size)
