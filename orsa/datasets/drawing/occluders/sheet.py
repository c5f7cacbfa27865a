# Copyright (c) orsa contributors. All rights reserved.
"""What an occluder is painted on before it is laid over a finished picture."""
from functools import lru_cache
from typing import List, Optional, Sequence, Tuple

import cv2
import numpy as np

from ..canvas import BOX, soften
from ..landmarks import BASE
from ..skin import noise_bank

_SHIFT = 4
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
        """(N, 2) points of the usual face, in units, to the face at hand."""
        points = np.asarray(points, np.float64)
        ones = np.ones((len(points), 1))
        rows = np.concatenate([_kernel(points, self._base), ones, points], 1)
        return (rows @ self._weights).astype(np.float32)

    def each(self, curves: Sequence[np.ndarray]) -> List[np.ndarray]:
        """Several sequences of points, in one go."""
        ends = np.cumsum([len(c) for c in curves])[:-1]
        return np.split(self(np.concatenate(curves)), ends)

    def grid(self, side: int) -> Tuple[np.ndarray, np.ndarray]:
        """Where a picture's pixels lie on the usual face, by an affine map.

        Args:
            side (int): Of the picture, in pixels.

        Returns:
            tuple[np.ndarray, np.ndarray]: x and y in units, (side, side).
        """
        start, back = self._affine[0], np.linalg.pinv(self._affine[1:])
        axis = (np.arange(side, dtype=np.float32) + .5) * (BOX / side)
        x, y = axis[None] - start[0], axis[:, None] - start[1]
        return [(x * back[0, i] + y * back[1, i]).astype(np.float32)
                for i in (0, 1)]


class Sheet:
    """An oversampled layer over a picture: what it hides, and its colour.

    Args:
        size (int): Side of the picture in pixels.
        ground (Sequence[float], optional): BGR that the soft edges of what is
            painted mix with, so that they have no dark rims. Without it
            nothing is painted, only the cover is found.
    """

    def __init__(self,
                 size: int,
                 ground: Optional[Sequence[float]] = None) -> None:
        self.size = size
        self.over = max(1, round(256 / size))
        self.side = size * self.over
        self.scale = self.side / BOX
        self.fine = max(128, size)  # fine enough for a texture
        self.alpha = np.zeros((self.side, self.side), np.uint8)
        self.colour = None
        if ground is not None:
            self.colour = np.empty((self.side, self.side, 3), np.uint8)
            self.colour[:] = np.clip(ground, 0, 255)

    @property
    def painted(self) -> bool:
        return self.colour is not None

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        points = np.asarray(points, np.float64) * self.scale - .5
        points = np.clip(points, -4 * self.side, 5 * self.side)
        return np.rint(points * (1 << _SHIFT)).astype(np.int32)

    def _layers(self, colour: Optional[Sequence[float]], covers: bool) -> list:
        layers = [(self.alpha, 255)] if covers else []
        if self.painted and colour is not None:
            layers.append((self.colour, np.clip(colour, 0, 255).tolist()))
        return layers

    def fill(self,
             shape: np.ndarray,
             colour: Optional[Sequence[float]] = None,
             covers: bool = True) -> None:
        """Fill a polygon (N, 2) in units."""
        for layer, value in self._layers(colour, covers):
            cv2.fillPoly(layer, [self._fixed(shape)], value, cv2.LINE_AA,
                         _SHIFT)

    def lines(self,
              curves: Sequence[np.ndarray],
              width: float,
              colour: Optional[Sequence[float]] = None,
              covers: bool = True) -> None:
        """Draw open polylines (N, 2), and their width, in units."""
        wide = max(1, int(round(width * self.scale)))
        for layer, value in self._layers(colour, covers):
            cv2.polylines(layer, [self._fixed(c) for c in curves], False,
                          value, wide, cv2.LINE_AA, _SHIFT)

    def tint(self,
             patch: np.ndarray,
             shape: Optional[np.ndarray] = None) -> None:
        """Replace the colour by a picture (S, S, 3), S as one likes.

        With a polygon (N, 2) in units only inside.
        """
        patch = np.clip(patch, 0, 255).astype(np.uint8)
        if len(patch) != self.side:
            patch = cv2.resize(patch, (self.side, self.side))
        if shape is None:
            self.colour = patch
            return
        mask = np.zeros_like(self.alpha)
        cv2.fillPoly(mask, [self._fixed(shape)], 255, cv2.LINE_8, _SHIFT)
        cv2.copyTo(patch, mask, self.colour)

    def relief(self, warp: FaceWarp, strokes: Sequence[tuple],
               blur: float) -> None:
        """Lighten and darken the colour by blurred strokes.

        Args:
            warp (FaceWarp): Carries the strokes to the face.
            strokes (Sequence[tuple]): Of a curve (N, 2) and a width, in
                units, and how much lighter (above 0) or darker, as a share.
            blur (float): In units.
        """
        lines, widths, amounts = zip(*strokes)
        small = max(16, min(self.side // 2, 128))
        light = np.full((small, small), 128, np.uint8)
        scale = small / BOX
        for line, width, amount in zip(warp.each(lines), widths, amounts):
            fixed = (line * scale - .5) * (1 << _SHIFT)
            fixed = np.clip(fixed, -2e4, 2e4)
            cv2.polylines(light, [np.rint(fixed).astype(np.int32)], False,
                          float(np.clip(128 * (1 + amount), 0, 255)),
                          max(1, int(round(width * scale))), cv2.LINE_AA,
                          _SHIFT)
        light = soften(light, blur * scale)
        light = cv2.resize(light, (self.side, self.side))
        light = cv2.merge([light] * 3)
        cv2.multiply(self.colour, light, dst=self.colour, scale=1 / 128)

    def grain(self, strength: float, grain: int, start: Sequence[int]) -> None:
        """Multiply the colour by noise of a deviation ``strength``."""
        y, x = start
        noise = noise_bank()[grain, y:y + 128, x:x + 128]
        noise = np.clip(128 * (1 + strength * noise), 0, 255).astype(np.uint8)
        noise = cv2.resize(noise, (self.side, self.side))
        cv2.multiply(
            self.colour,
            cv2.merge([noise] * 3),
            dst=self.colour,
            scale=1 / 128)

    def cover(self) -> np.ndarray:
        """(size, size) uint8 in [0, 255], what the picture loses."""
        return self._shrink(self.alpha)

    def _shrink(self, layer: np.ndarray) -> np.ndarray:
        if self.over == 1:
            return layer
        return cv2.resize(
            layer, (self.size, self.size), interpolation=cv2.INTER_AREA)

    def lay_over(self,
                 image: np.ndarray,
                 light: Optional[np.ndarray] = None,
                 grey: bool = False,
                 shadow: float = 0.) -> np.ndarray:
        """Lay the sheet over a picture.

        Args:
            image (np.ndarray): (size, size, 3) BGR, changed in place.
            light (np.ndarray, optional): (size, size), multiplies the colour.
            grey (bool): Whether to paint in grey. Defaults to False.
            shadow (float): How much darker the picture becomes close to what
                covers it. Defaults to 0.

        Returns:
            np.ndarray: (size, size) uint8 cover in [0, 255].
        """
        cover, colour = self.cover(), self._shrink(self.colour)
        if grey:
            colour = cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)
            colour = cv2.cvtColor(colour, cv2.COLOR_GRAY2BGR)
        paint = colour.astype(np.float32)
        if light is not None:
            paint *= light[..., None]
            # bends before it burns out, that folds can be seen
            over = np.maximum(paint - 200, 0)
            paint = np.minimum(paint, 200) + 55 * (1 - np.exp(-over / 55))
        base = image.astype(np.float32)
        unit = self.size / BOX
        if shadow:
            fall = soften(cover, 1.1 * unit).astype(np.float32)
            down = max(1, int(round(.9 * unit)))
            fall[down:] = fall[:-down].copy()
            base *= (1 - shadow / 255 * fall)[..., None]
        weight = soften(cover, .35 * unit)[..., None].astype(np.float32) / 255
        image[:] = base + (paint - base) * weight + .5
        return cover


def scene_light(image: np.ndarray,
                hull: np.ndarray) -> Tuple[np.ndarray, bool]:
    """How bright a face is, from side to side, and whether it is grey.

    Args:
        image (np.ndarray): (size, size, 3) BGR.
        hull (np.ndarray): (size, size), bool, the face.

    Returns:
        tuple[np.ndarray, bool]: (size, size) float32, what a colour is to be
        multiplied by to be lit like the face, and whether the picture has no
        colour.
    """
    num, size = 16, len(image)
    small = cv2.resize(image, (num, num), interpolation=cv2.INTER_AREA)
    small = small.astype(np.float32)
    grey = float(np.ptp(small, axis=2).mean()) < 4
    weight = cv2.resize(
        hull.astype(np.float32), (num, num), interpolation=cv2.INTER_AREA)
    axis = (np.arange(num, dtype=np.float32) + .5) / num - .5
    x, y = np.meshgrid(axis, axis)
    rows = np.stack([np.ones(num * num), x.ravel(), y.ravel()], 1)
    weight, level = weight.ravel(), small.mean(2).ravel()
    weighted = rows * weight[:, None]
    # a little stiffness: a tiny face has few cells
    normal = weighted.T @ rows + np.diag([1e-3, .5, .5])
    plane = np.linalg.solve(normal, weighted.T @ level)
    plane[1:] *= .7
    level = (rows @ plane).reshape(num, num) / 135
    light = np.clip(level, .3, 1.8)**.75
    light = cv2.resize(
        light.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    return light, grey
