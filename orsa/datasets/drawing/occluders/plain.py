# Copyright (c) orsa contributors. All rights reserved.
"""What occludes a face in one flat colour, with hard edges."""
import numpy as np

from ..canvas import BOX
from .base import Occluder


class _Plain(Occluder):
    """One flat colour wherever :meth:`occludes` is true."""

    def draw(self, rng):
        axis = (np.arange(self.size) + .5) * (BOX / self.size)
        self.x, self.y = axis[None], axis[:, None]

    def occludes(self, amount: float) -> np.ndarray:
        """(size, size), bool; a pixel is occluded if its centre is."""
        raise NotImplementedError

    def mask(self, amount):
        return self.occludes(amount) * np.uint8(255)

    def paint(self, image, amount):
        occluded = self.occludes(amount)
        image[occluded] = self.fill
        return occluded * np.uint8(255)


class Square(_Plain):
    """An upright square about a place on the face. Amount: half its side."""

    FIRST, MOST = 20., 2 * BOX

    def draw(self, rng):
        super().draw(rng)
        self.centre = self.place_on_face(rng)

    def occludes(self, amount):
        x, y = self.centre
        return (abs(self.x - x) < amount) & (abs(self.y - y) < amount)


class Grid(_Plain):
    """A lattice of squares over the image, as in GridMask.

    <https://arxiv.org/abs/2001.04086>. Amount: the squares' side as a fraction
    of the lattice's period, which is drawn from 16 to 28 U.
    """

    def draw(self, rng):
        super().draw(rng)
        self.period = rng.uniform(16, 28)
        self.start = rng.random(2)

    def occludes(self, amount):
        x, y = (abs((axis / self.period + start) % 1 - .5) < amount / 2
                for axis, start in zip((self.x, self.y), self.start))
        return x & y


class Patches(_Plain):
    """Random ones of 14 x 14 patches, those of a ViT/16 at 224 pixels.

    Amount: how many; of all numbers the one whose fraction is nearest.
    """

    NUM = 14

    def draw(self, rng):
        cells = np.arange(self.size) * self.NUM // self.size
        rank = rng.permutation(self.NUM**2).reshape(self.NUM, self.NUM)
        self.rank = rank[cells[:, None], cells[None]]

    def occludes(self, amount):
        return self.rank < amount

    def reach(self, fraction):
        counts = np.bincount(self.rank[self.hull], minlength=self.NUM**2)
        reached = np.concatenate([[0], counts.cumsum()]) / max(counts.sum(), 1)
        return int(abs(reached - fraction).argmin())


class Crop(_Plain):
    """The photograph ends before the face does, at one of its four sides.

    The edge is tilted by up to 10 degrees, as alignment leaves it. Amount:
    how far it has come, in U from the image's middle.
    """

    LEAST, FIRST, MOST = -BOX, -20., BOX

    def draw(self, rng):
        super().draw(rng)
        angle = rng.integers(4) * np.pi / 2 + rng.uniform(-1, 1) * np.pi / 18
        self.far = ((self.x - BOX / 2) * np.cos(angle) +
                    (self.y - BOX / 2) * np.sin(angle))

    def occludes(self, amount):
        return self.far < amount
