# Copyright (c) orsa contributors. All rights reserved.
"""What the painters of a canvas share."""
import cv2
import numpy as np

from ..canvas import Canvas
from ..skin import noise_patch


def hide(canvas: Canvas, shape: np.ndarray, colour: tuple) -> None:
    canvas.fill(shape, colour)
    canvas.fill(shape, 255, canvas.cover)


def cloth(canvas: Canvas, shape: np.ndarray, colour: np.ndarray,
          rng: np.random.Generator, stripes: float) -> None:
    """Fill a shape with folded, perhaps striped cloth."""
    hide(canvas, shape, tuple(colour))
    window = canvas.window(shape, 1)
    mask = canvas.mask(shape, window, 0)
    rows, cols = (s.stop - s.start for s in window)
    folds = noise_patch(rng, 3, 128)[:, :, None] * .13
    folds = cv2.resize(folds, (cols, rows))
    if stripes:
        y = np.arange(rows)[:, None] / canvas.scale
        folds = folds + .3 * np.sign(np.sin(y * stripes))
    patch = np.clip(colour * (1 - folds[..., None]), 0, 255)
    canvas.blend(window, mask, patch)
