# Copyright (c) orsa contributors. All rights reserved.
"""What an occluder is painted on before it is laid over a finished image."""
from typing import Optional, Sequence, Tuple

import cv2
import numpy as np

from ..canvas import BOX, soften
from ..skin import noise_bank
from .face_warp import FaceWarp

_SHIFT = 4


class Layer:
    """An oversampled layer over an image: an occlusion mask, and its colour.

    Args:
        size (int): Side of the image in pixels.
        ground (Sequence[float], optional): BGR that the soft edges of what is
            painted mix with, so that they have no dark rims. Without it
            nothing is painted, only the occlusion mask is found.
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
        self.painted = ground is not None  # whether it has a colour
        if self.painted:
            self.colour = np.empty((self.side, self.side, 3), np.uint8)
            self.colour[:] = np.clip(ground, 0, 255)

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        points = np.asarray(points, np.float64) * self.scale - .5
        points = np.clip(points, -4 * self.side, 5 * self.side)
        return np.rint(points * (1 << _SHIFT)).astype(np.int32)

    def _layers(self, colour: Optional[Sequence[float]]) -> list:
        layers = [(self.alpha, 255)]
        if self.painted and colour is not None:
            layers.append((self.colour, np.clip(colour, 0, 255).tolist()))
        return layers

    def fill(self,
             shape: np.ndarray,
             colour: Optional[Sequence[float]] = None) -> None:
        """Fill a polygon, by default with the ground's colour."""
        for layer, value in self._layers(colour):
            cv2.fillPoly(layer, [self._fixed(shape)], value, cv2.LINE_AA,
                         _SHIFT)

    def lines(self,
              curves: Sequence[np.ndarray],
              width: float,
              colour: Optional[Sequence[float]] = None) -> None:
        """Draw open polylines, ``width`` units wide."""
        wide = max(1, int(round(width * self.scale)))
        for layer, value in self._layers(colour):
            cv2.polylines(layer, [self._fixed(c) for c in curves], False,
                          value, wide, cv2.LINE_AA, _SHIFT)

    def tint(self,
             patch: np.ndarray,
             shape: Optional[np.ndarray] = None) -> None:
        """Replace the colour by (S, S, 3), inside a polygon if given."""
        patch = np.clip(patch, 0, 255).astype(np.uint8)
        if len(patch) != self.side:
            patch = cv2.resize(patch, (self.side, self.side))
        if shape is None:
            self.colour = patch
            return
        mask = np.zeros_like(self.alpha)
        cv2.fillPoly(mask, [self._fixed(shape)], 255, cv2.LINE_8, _SHIFT)
        cv2.copyTo(patch, mask, self.colour)

    def _multiply(self, factor: np.ndarray) -> None:
        """By (S, S) uint8, 128 as it is."""
        factor = cv2.resize(factor, (self.side, self.side))
        cv2.multiply(
            self.colour,
            cv2.merge([factor] * 3),
            dst=self.colour,
            scale=1 / 128)

    def relief(self, warp: FaceWarp, strokes: Sequence[tuple],
               blur: float) -> None:
        """Lighten and darken the colour by strokes, blurred by units.

        A stroke is a curve (N, 2) and a width in units, and by which fraction
        it is lighter (above 0) or darker; ``warp`` carries it to the face.
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
        self._multiply(soften(light, blur * scale))

    def grain(self, strength: float, grain: int, start: Sequence[int]) -> None:
        """Multiply the colour by the bank's noise, from (y, x) in it."""
        y, x = start
        noise = noise_bank()[grain, y:y + 128, x:x + 128]
        self._multiply(
            np.clip(128 * (1 + strength * noise), 0, 255).astype(np.uint8))

    def mask(self) -> np.ndarray:
        """The occlusion mask, (size, size) uint8 in [0, 255]."""
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
        """Lay the layer over an image, in place; return the occlusion mask.

        ``light`` (size, size) multiplies the colour; ``shadow`` is how much
        darker the image becomes close to the occluder.
        """
        mask, colour = self.mask(), self._shrink(self.colour)
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
            fall = soften(mask, 1.1 * unit).astype(np.float32)
            down = max(1, int(round(.9 * unit)))
            fall[down:] = fall[:-down].copy()
            base *= (1 - shadow / 255 * fall)[..., None]
        weight = soften(mask, .35 * unit)[..., None].astype(np.float32) / 255
        image[:] = base + (paint - base) * weight + .5
        return mask


def scene_light(image: np.ndarray,
                hull: np.ndarray) -> Tuple[np.ndarray, bool]:
    """Estimate how bright a face is, and whether the image is grey.

    Returns (size, size) float32, by which a colour is multiplied to be lit
    like the face, and whether the image has no colour.
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
