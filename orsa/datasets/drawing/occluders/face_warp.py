# Copyright (c) orsa contributors. All rights reserved.
"""Carrying a design from the usual face to the one at hand."""
from functools import lru_cache
from typing import List, Sequence, Tuple

import numpy as np

from ..canvas import BOX
from ..landmarks import BASE

# the points that hold what is worn: those that an expression moves little
_ANCHORS = np.r_[0:17:2, 17, 19, 21, 22, 24, 26, 27, 30, 31, 33, 35, 36, 39,
                 42, 45, 48, 54, 57]
_STIFFNESS = 800.


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    square = ((a[:, :1] - b[:, 0])**2 + (a[:, 1:] - b[:, 1])**2)
    return .5 * square * np.log(square + 1e-9)


@lru_cache(maxsize=1)
def _solver() -> np.ndarray:
    """Maps where the anchors go to a thin plate spline's coefficients."""
    base = BASE[_ANCHORS].astype(np.float64)
    num = len(base)
    system = np.zeros((num + 3, num + 3))
    system[:num, :num] = _kernel(base, base) + _STIFFNESS * np.eye(num)
    system[:num, num] = system[num, :num] = 1
    system[:num, num + 1:] = base
    system[num + 1:, :num] = base.T
    return np.linalg.inv(system)[:, :num]


class FaceWarp:
    """Carries what is designed for the usual face to the face at hand.

    A thin plate spline, stiff enough to smooth single landmarks' errors. The
    usual face is ``orsa.datasets.drawing.landmarks.BASE``, in units.

    Args:
        points (np.ndarray): (68, 2) landmarks of the face, in units.
    """

    def __init__(self, points: np.ndarray) -> None:
        self._base = BASE[_ANCHORS].astype(np.float64)
        anchors = np.asarray(points, np.float64)[_ANCHORS]
        self._weights = _solver() @ anchors
        # the nearest affine map
        rows = np.concatenate([np.ones((len(anchors), 1)), self._base], 1)
        self._affine = np.linalg.lstsq(rows, anchors, rcond=None)[0]
        self.scale = float(np.sqrt(abs(np.linalg.det(self._affine[1:]))))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Carry points (N, 2) of the usual face to the face at hand."""
        points = np.asarray(points, np.float64)
        ones = np.ones((len(points), 1))
        rows = np.concatenate([_kernel(points, self._base), ones, points], 1)
        return (rows @ self._weights).astype(np.float32)

    def each(self, curves: Sequence[np.ndarray]) -> List[np.ndarray]:
        """Carry several sequences of points, in one go."""
        ends = np.cumsum([len(c) for c in curves])[:-1]
        return np.split(self(np.concatenate(curves)), ends)

    def grid(self, side: int) -> Tuple[np.ndarray, np.ndarray]:
        """Where an image's pixels lie on the usual face: x and y."""
        start, back = self._affine[0], np.linalg.pinv(self._affine[1:])
        axis = (np.arange(side, dtype=np.float32) + .5) * (BOX / side)
        x, y = axis[None] - start[0], axis[:, None] - start[1]
        return [(x * back[0, i] + y * back[1, i]).astype(np.float32)
                for i in (0, 1)]
