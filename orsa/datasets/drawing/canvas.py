# Copyright (c) orsa contributors. All rights reserved.
"""The canvas a face is painted on, and the numbers all painters share.

Painters speak in *units*: a box of 128 by 128 in which an aligned, frontal
face has its eyes at about (43, 52) and (85, 52) and its mouth at (64, 97).
The canvas is wider than the box by ``PAD`` on each side, so that a turned head
still finds hair and cheeks beyond the frame.
"""
from functools import lru_cache
from typing import Optional, Sequence, Tuple, Union

import cv2
import numpy as np

BOX = 128.
PAD = 20.
SPAN = BOX + 2 * PAD
_SHIFT = 4

Colour = Union[float, Tuple[float, float, float]]


@lru_cache(maxsize=64)
def _spline_basis(num: int, per_span: int, closed: bool) -> np.ndarray:
    """Matrix that turns ``num`` points into a dense Catmull-Rom curve."""
    spans = num if closed else num - 1
    t = np.arange(per_span, dtype=np.float32) / per_span
    weights = .5 * np.stack([
        -t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3,
        -t**2 + t**3
    ], 1)
    basis = np.zeros((spans * per_span + (not closed), num), np.float32)
    for i in range(spans):
        rows = slice(i * per_span, (i + 1) * per_span)
        for j in range(4):
            at = i + j - 1
            at = at % num if closed else min(max(at, 0), num - 1)
            basis[rows, at] += weights[:, j]
    if not closed:
        basis[-1, -1] = 1
    return basis


def curve(points: np.ndarray,
          per_span: int = 5,
          closed: bool = False) -> np.ndarray:
    """A smooth curve (Catmull-Rom) through points (N, 2), as (M, 2) float32.

    ``per_span`` points lie from one to the next.
    """
    points = np.asarray(points, np.float32)
    return _spline_basis(len(points), per_span, closed) @ points


def rotation(angle: float, dtype: type = np.float32) -> np.ndarray:
    """The matrix (2, 2) of a clockwise (y points down) rotation in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]], dtype)


def _scalar(colour: Colour):
    """A colour (BGR, or one number) in the only types OpenCV takes."""
    return np.asarray(colour, np.float64).tolist()


class Canvas:
    """An oversampled frontal face: colour, LaPa labels and what occludes it.

    Its layers are square: ``colour`` (BGR), ``labels`` (LaPa classes),
    ``alpha`` (the person against the background) and ``occlusion``, all uint8.

    Args:
        size (int): Side of the final image in pixels.
        oversample (float): Pixels of the canvas per final pixel. Defaults to
            2.
        painted (bool): Whether it has a colour. Without one what is painted
            is left out, and the other layers are found in less time. Defaults
            to True.
    """

    def __init__(self,
                 size: int,
                 oversample: float = 2.,
                 painted: bool = True) -> None:
        self.scale = size / BOX * oversample
        self.side = int(round(SPAN * self.scale))
        self._unit = np.float32(self.scale * (1 << _SHIFT))
        self._origin = np.float32((PAD * self.scale - .5) * (1 << _SHIFT) + .5)
        shape = self.side, self.side, 3
        self.colour = np.zeros(shape, np.uint8) if painted else None
        self.labels, self.alpha, self.occlusion = np.zeros(
            (3, self.side, self.side), np.uint8)

    def to_fixed(self, points: np.ndarray) -> np.ndarray:
        """Convert units to OpenCV's fixed point, int32 in 1/16 pixels."""
        points = np.asarray(points, np.float32)
        # truncating after adding a half rounds, as the canvas starts at 0
        return (points * self._unit + self._origin).astype(np.int32)

    def width(self, units: float) -> int:
        """A line width in pixels of the canvas, at least one."""
        return max(1, int(round(units * self.scale)))

    def window(self, points: np.ndarray, margin: float) -> Tuple[slice, slice]:
        """Rows and columns around points, with a margin in units."""
        scale, side = self.scale, self.side
        low, high = points.min(0).tolist(), points.max(0).tolist()
        x0, y0 = (max(0, int((v - margin + PAD) * scale)) for v in low)
        x1, y1 = (min(side, int((v + margin + PAD) * scale) + 1) for v in high)
        return slice(y0, y1), slice(x0, x1)

    def fill(self,
             points: np.ndarray,
             colour: Colour,
             layer: Optional[np.ndarray] = None) -> None:
        """Fill a polygon of a layer (by default ``colour``), anti-aliased."""
        layer = self.colour if layer is None else layer
        if layer is not None:
            cv2.fillPoly(layer, [self.to_fixed(points)], _scalar(colour),
                         cv2.LINE_AA, _SHIFT)

    def occlude(self, points: np.ndarray, colour: Colour) -> None:
        """Fill a polygon with what occludes the face."""
        self.fill(points, colour)
        self.fill(points, 255, self.occlusion)

    def label(self, points: np.ndarray, value: int) -> None:
        """Fill a polygon of the labels with a class, without blending."""
        cv2.fillPoly(self.labels, [self.to_fixed(points)], value, cv2.LINE_8,
                     _SHIFT)

    def lines(self,
              curves: Sequence[np.ndarray],
              colour: Colour,
              width: float,
              layer: Optional[np.ndarray] = None) -> None:
        """Draw open polylines, ``width`` units wide."""
        layer = self.colour if layer is None else layer
        if layer is not None:
            cv2.polylines(layer, [self.to_fixed(c) for c in curves], False,
                          _scalar(colour), self.width(width), cv2.LINE_AA,
                          _SHIFT)

    def disc(self,
             centre: Sequence[float],
             axes: Sequence[float],
             colour: Colour,
             angle: float = 0.,
             layer: Optional[np.ndarray] = None) -> None:
        """Fill an ellipse of two radii in units, its first axis at degrees."""
        layer = self.colour if layer is None else layer
        if layer is None:
            return
        unit, origin = float(self._unit), float(self._origin)
        centre = [int(c * unit + origin) for c in centre]
        axes = [int(a * unit + .5) for a in axes]
        cv2.ellipse(layer, centre, axes, angle, 0, 360, _scalar(colour), -1,
                    cv2.LINE_AA, _SHIFT)

    def mask(self, points: np.ndarray, window: Tuple[slice, slice],
             soft: float) -> np.ndarray:
        """A mask of a polygon in a window, (h, w, 1) float32 in [0, 1].

        ``soft`` is the standard deviation of its blur, in units.
        """
        rows, cols = window
        mask = np.zeros((rows.stop - rows.start, cols.stop - cols.start),
                        np.uint8)
        fixed = self.to_fixed(points)
        fixed -= np.int32([cols.start, rows.start]) << _SHIFT
        cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, _SHIFT)
        if soft:
            mask = soften(mask, soft * self.scale)
        return mask[..., None].astype(np.float32) * (1 / 255)

    def blend(self, window: Tuple[slice, slice], mask: np.ndarray,
              colour: Union[Colour, np.ndarray]) -> None:
        """Blend a colour, or (h, w, 3) of them, into a window by a mask."""
        patch = self.colour[window].astype(np.float32)
        patch += (np.asarray(colour, np.float32) - patch) * mask
        self.colour[window] = patch + .5

    def soften(self, window: Tuple[slice, slice], sigma: float) -> np.ndarray:
        """Blur the colour in a window by ``sigma`` units, and return it."""
        self.colour[window] = soften(self.colour[window], sigma * self.scale)
        return self.colour[window]


def soften(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur an image by a Gaussian of ``sigma`` pixels; up to 0.2 by none."""
    return cv2.GaussianBlur(image, (0, 0), sigma) if sigma > .2 else image
