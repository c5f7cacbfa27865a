# Copyright (c) orsa contributors. All rights reserved.
"""Skin, ears, neck and clothes: everything the features are painted on."""
from functools import lru_cache
from typing import Tuple

import cv2
import numpy as np

from .action_units import ActionUnits
from .canvas import PAD, Canvas, curve
from .identity import Identity
from .relief import CELLS, gaussians


@lru_cache(maxsize=1)
def noise_bank() -> np.ndarray:
    """Tileable noise of growing grain, deviation 1, (4, 256, 256) float32."""
    rng = np.random.Generator(np.random.PCG64(20240))
    bank = []
    for sigma in (.8, 2., 5., 14.):
        noise = rng.standard_normal((256, 256)).astype(np.float32)
        noise = cv2.GaussianBlur(np.tile(noise, (3, 3)), (0, 0),
                                 sigma)[256:512, 256:512]
        bank.append(noise / noise.std())
    return np.stack(bank)


def noise_patch(rng: np.random.Generator, grain: int, side: int) -> np.ndarray:
    """A random (side, side) piece of the bank's noise 0 (fine) to 3."""
    y, x = rng.integers(0, 257 - side, 2)
    return noise_bank()[grain, y:y + side, x:x + side]


def face_outline(points: np.ndarray) -> np.ndarray:
    """Closed outline (N, 2) of the face from ear to ear over the skull."""
    left, right = points[0], points[16]
    wide = (right[0] - left[0]) / 92
    top = [(64 + dx * wide, y)
           for dx, y in ((46.5, 28), (41, 8), (28, -8), (0, -15), (-28, -8),
                         (-41, 8), (-46.5, 28))]
    return curve(np.concatenate([points[:17], np.float32(top)]), 4, True)


def skin_colours(points: np.ndarray, units: ActionUnits, who: Identity,
                 rng: np.random.Generator) -> np.ndarray:
    """Albedo of bare skin, (168, 168, 3) BGR uint8, one cell per unit."""
    pale = 1 - who.darkness
    red = [(64 - 27, 78, 11, 9, .8), (64 + 27, 78, 11, 9, .8),
           (points[30, 0], points[30, 1], 5, 5, .7), (64, 116, 10, 6, .35)]
    lids = .3 + .9 * who.socket + .3 * who.makeup
    dark = [(points[36:42, 0].mean(), 47, 11, 5.5, lids),
            (points[42:48, 0].mean(), 47, 11, 5.5, lids)]
    inner = .25 + .6 * who.socket
    dark += [(points[39, 0] + 1, 50, 3.5, 5, inner),
             (points[42, 0] - 1, 50, 3.5, 5, inner)]
    bags = .15 + .35 * who.age
    for eye in (points[36:42], points[42:48]):
        dark.append((eye[:, 0].mean(), eye[:, 1].mean() + 7, 8, 2.4, bags))
    flush = gaussians(red) * (.45 + .5 * units[12] + .6 * units[4])
    mottle = noise_patch(rng, 2, CELLS) * .25
    mottle = mottle + noise_patch(rng, 1, CELLS) * .22
    shadow = gaussians(dark) * .22 + mottle * .06
    if who.freckles:
        spots = np.maximum(noise_patch(rng, 0, CELLS) - 1.2, 0)
        zone = gaussians([(64, 72, 30, 10, 1.)])
        shadow += spots * zone * .35 * who.freckles
    if who.beard != 'none' or (who.female < .3 and who.age > .3):
        jaw = gaussians([(64, 112, 26, 12, .9), (38, 100, 8, 12, .6),
                         (90, 100, 8, 12, .6), (64, 88, 12, 4, .6)])
        grain = noise_patch(rng, 0, CELLS) * .1 + 1
        strength = .5 if who.beard == 'stubble' else .18
        shadow += jaw * grain * strength * (.4 + .6 * pale)
    keep = 1 - np.clip(shadow, -.2, .75)
    blue, green, tone = who.skin
    return cv2.merge([
        np.clip(blue * keep - 13 * flush * pale, 0, 255).astype(np.uint8),
        np.clip(green * keep - 12 * flush * pale, 0, 255).astype(np.uint8),
        np.clip(tone * keep + 3 * flush, 0, 255).astype(np.uint8)
    ])


def paint_body(canvas: Canvas, points: np.ndarray, outline: np.ndarray,
               albedo: np.ndarray, who: Identity,
               rng: np.random.Generator) -> None:
    """Paint neck, clothes, ears and the bare face, and label the face."""
    skin = who.skin
    chin = points[8, 1]
    coloured = rng.random() < .5
    cloth = tuple(np.broadcast_to(rng.uniform(15, 235, 3 if coloured else 1),
                                  3))  # yapf: disable
    width = 37 - 7 * who.female
    neck = np.float32([(64 - width, 95), (64 - width - 1, 150), (64 - 48, 170),
                       (64 + 48, 170), (64 + width + 1, 150),
                       (64 + width, 95)])
    slope = rng.uniform(8, 16)
    body = np.float32([(-40, 150), (20, 136), (64 - width - 2, 136 - slope),
                       (64, 146), (64 + width + 2, 136 - slope), (108, 136),
                       (170, 150), (170, 190), (-40, 190)])
    for layer, value in ((canvas.colour, tuple(skin * .76)), (canvas.alpha,
                                                              255)):
        canvas.fill(neck, value, layer)
        canvas.fill(body, cloth if layer.ndim == 3 else 255, layer)
    shadow = points[3:14] + (0, 5)
    canvas.fill(shadow, tuple(skin * .6))
    if chin < 128:
        canvas.fill(body + (0, 4), cloth)
    _paint_ears(canvas, points, skin)
    mask = np.zeros_like(canvas.alpha)
    canvas.fill(outline, 255, mask)
    side = canvas.side
    texture = cv2.resize(albedo, (side, side), interpolation=cv2.INTER_LINEAR)
    cv2.copyTo(texture, mask, canvas.colour)
    cv2.bitwise_or(canvas.alpha, mask, dst=canvas.alpha)
    canvas.label(outline, 1)


def _paint_ears(canvas: Canvas, points: np.ndarray, skin: np.ndarray) -> None:
    for x, side in ((points[1, 0], -1), (points[15, 0], 1)):
        for axes, tone, shift in (((6.2, 12.5), .9, 0), ((3.6, 8.5), .66, 0),
                                  ((2.6, 6.0), .84, -1)):
            centre = x + side * 2.6 - side * shift, 61
            canvas.disc(centre, axes, tuple(skin * tone), angle=side * 9)
        canvas.disc((x + side * 2.6, 61), (6.2, 12.5), 255, side * 9,
                    canvas.alpha)


def expose(bright: np.ndarray, albedo: np.ndarray) -> np.ndarray:
    """Meter the light on the middle of the face, as a camera does.

    It goes most of the way to a medium tone only: fair skin stays lighter
    than dark skin.
    """
    pad = int(PAD)
    face = slice(pad + 30, pad + 110, 2), slice(pad + 38, pad + 90, 2)
    level = (albedo[face].mean(2) * bright[face]).mean()
    return bright * (128 / level)**.75


def apply_light(canvas: Canvas, bright: np.ndarray, gloss: np.ndarray,
                tint: np.ndarray) -> None:
    """Multiply the canvas by brightness and tint, and add highlights."""
    shape: Tuple[int, int] = (canvas.side, canvas.side)
    level = np.clip(bright * 128, 0, 255).astype(np.uint8)
    level = cv2.cvtColor(cv2.resize(level, shape), cv2.COLOR_GRAY2BGR)
    # light bleeds through skin, so shadows are redder than lit parts
    tone = np.arange(256, dtype=np.float32)[:, None] / 128
    over = np.maximum(tone - .95, 0)  # film bends before it burns out
    tone = np.minimum(tone, .95) + .45 * (1 - np.exp(-over / .45))
    table = tone**np.float32([1.12, 1.04, .9]) * tint * 128
    level = cv2.LUT(level, np.clip(table, 0, 255).astype(np.uint8)[:, None])
    lit = cv2.multiply(canvas.colour, level, scale=1 / 128)
    shine = np.clip(gloss * 255, 0, 255).astype(np.uint8)
    shine = cv2.cvtColor(cv2.resize(shine, shape), cv2.COLOR_GRAY2BGR)
    cv2.add(lit, shine, dst=canvas.colour)
