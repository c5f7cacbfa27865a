# Copyright (c) orsa contributors. All rights reserved.
"""Colours and textures of cloth and other materials."""
import colorsys

import cv2
import numpy as np

from ..canvas import Canvas
from ..skin import noise_bank, noise_patch

PATTERNS = ('plain', 'stripes', 'plaid', 'checks', 'dots', 'marble', 'wood',
            'weave', 'blotches')


def two_tones(rng: np.random.Generator) -> np.ndarray:
    """Draw two colours (2, 3) in [8, 245] that can be told apart.

    They are colours of things: few are bright and none is pure.
    """
    first = rng.random()
    colours = []
    for i in range(2):
        hue = first + i * rng.choice((0., .08, .5)) + rng.uniform(-.03, .03)
        rgb = colorsys.hsv_to_rgb(hue % 1, .65 * rng.beta(1.3, 1.8),
                                  rng.uniform(.22, .9))
        colours.append(rgb[::-1])
    colours = np.float32(colours) * 255
    light = colours.mean(1)
    if abs(light[0] - light[1]) < 45:
        goal = light[0] + (90 if light[0] < 120 else -70)
        colours[1] *= goal / max(light[1], 1)
    return np.clip(colours, 8, 245)


def paint_cloth(canvas: Canvas, shape: np.ndarray, colour: np.ndarray,
                rng: np.random.Generator, stripes: float) -> None:
    """Occlude a polygon by folded cloth.

    ``stripes`` is their frequency in radians per unit, 0 for none.
    """
    canvas.occlude(shape, tuple(colour))
    if canvas.colour is None:
        return
    window = canvas.window(shape, 1)
    mask = canvas.mask(shape, window, 0)
    rows, cols = (s.stop - s.start for s in window)
    if min(rows, cols) <= 0:  # beyond the canvas
        return
    folds = noise_patch(rng, 3, 128)[:, :, None] * .13
    folds = cv2.resize(folds, (cols, rows))
    if stripes:
        y = np.arange(rows)[:, None] / canvas.scale
        folds = folds + .3 * np.sign(np.sin(y * stripes))
    patch = np.clip(colour * (1 - folds[..., None]), 0, 255)
    canvas.blend(window, mask, patch)


def pattern(name: str, x: np.ndarray, y: np.ndarray, period: float,
            tones: np.ndarray, noise_at: np.ndarray) -> np.ndarray:
    """A texture of ``PATTERNS`` at x and y (H, W), as (H, W, 3) float32.

    ``period`` is in units; ``noise_at`` (2, ) is where in the bank of noise.
    """
    at = ((y + noise_at[0]).astype(np.int32) & 255,
          (x + noise_at[1]).astype(np.int32) & 255)
    mix = _MIXES[name](x * (2 * np.pi / period), y * (2 * np.pi / period),
                       lambda grain: noise_bank()[grain][at])
    mix = np.broadcast_to(mix, x.shape)[..., None]
    return tones[0] + (tones[1] - tones[0]) * np.clip(mix, 0, 1)


def _step(wave: np.ndarray) -> np.ndarray:
    return 2.5 * wave + .5


# the mix of the two tones at (x, y) in radians; noise by its grain, in units
_MIXES = dict(
    plain=lambda x, y, noise: .12 + .08 * noise(2),
    stripes=lambda x, y, noise: _step(np.sin(y)),
    plaid=lambda x, y, noise: (.5 * np.clip(_step(np.sin(x)), 0, 1) +
                               .5 * np.clip(_step(np.sin(y)), 0, 1)),
    checks=lambda x, y, noise: _step(2 * np.sin(x) * np.sin(y)),
    dots=lambda x, y, noise: _step(np.cos(x) + np.cos(y) - .9),
    marble=lambda x, y, noise: (
        .5 + .5 * np.sin(x + 2.2 * noise(3) + .8 * noise(2))),
    wood=lambda x, y, noise: (
        .45 + .4 * np.sin(1.6 * x + 1.4 * noise(3) + .3 * np.sin(.2 * y)) +
        .06 * noise(1)),
    weave=lambda x, y, noise: (
        .5 + .5 * np.sign(np.sin(x) * np.sin(y)) * abs(np.sin(x))),
    blotches=lambda x, y, noise: _step(noise(2) - .3),
)  # yapf: disable
