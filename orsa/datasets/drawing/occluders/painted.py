# Copyright (c) orsa contributors. All rights reserved.
"""Glasses, and what synthetic faces wear.

They are painted on the frontal canvas and turn with the head. What is laid
over finished images is in the other files.
"""
import numpy as np

from ..canvas import Canvas, curve
from ..identity import Identity
from .held import HELD
from .patterns import paint_cloth


def _lenses(points: np.ndarray, kind: str, grow: float) -> list:
    """Outlines of the two lenses."""
    lenses = []
    for start in (36, 42):
        eye = points[start:start + 6]
        x, y = eye.mean(0)
        half = np.ptp(eye[:, 0]) * .5 + 3.4 + grow
        tall = (8.2 if kind == 'round' else 7.) + grow
        t = np.linspace(0, 2 * np.pi, 28, endpoint=False)
        power = 1. if kind == 'round' else .62
        c, s = np.cos(t), np.sin(t)
        lens = np.stack([
            x + half * np.sign(c) * np.abs(c)**power,
            y + 2. + tall * np.sign(s) * np.abs(s)**power
        ], 1)
        lenses.append(lens)
    return lenses


def _frame(canvas: Canvas, points: np.ndarray, lenses: list, colour: tuple,
           width: float) -> None:
    closed = [np.concatenate([lens, lens[:1]]) for lens in lenses]
    left, right = lenses
    y = points[27, 1] + 2
    bridge = np.float32([(left[:, 0].max(), y + 1), (64, y - 1),
                         (right[:, 0].min(), y + 1)])
    arms = [
        np.float32([(left[:, 0].min(), y - 1), (points[0, 0] - 2, y - 2)]),
        np.float32([(right[:, 0].max(), y - 1), (points[16, 0] + 2, y - 2)])
    ]
    canvas.lines(closed + arms + [curve(bridge, 4)], colour, width)


def paint_glasses(canvas: Canvas, points: np.ndarray, who: Identity,
                  rng: np.random.Generator) -> None:
    """Paint clear glasses, which do not count as occluders."""
    lenses = _lenses(points, who.glasses, rng.uniform(-.5, 1.2))
    for lens in lenses:
        window = canvas.window(lens, 1)
        mask = canvas.mask(lens, window, .3)
        canvas.blend(window, mask * rng.uniform(.02, .16), 235)
    tone = rng.uniform(
        15, 150) * np.float32([1, 1, 1] if rng.random() < .6 else [.5, .75, 1])
    width = .7 if who.glasses == 'thin' else rng.uniform(1., 2.)
    _frame(canvas, points, lenses, tuple(tone), width)


def _sunglasses(canvas: Canvas, points: np.ndarray,
                rng: np.random.Generator) -> None:
    kind = 'round' if rng.random() < .4 else 'square'
    lenses = _lenses(points, kind, rng.uniform(1., 3.))
    tint = rng.uniform(10, 45, 3)
    for lens in lenses:
        canvas.occlude(lens, tuple(tint))
        window = canvas.window(lens, 0)
        glare = np.linspace(.35, 0, window[0].stop - window[0].start)
        mask = canvas.mask(lens, window, 0)
        canvas.blend(window, mask * glare[:, None, None] * rng.random(), 190)
    _frame(canvas, points, lenses, tuple(tint * .6), rng.uniform(1., 2.2))


def _mask(canvas: Canvas, points: np.ndarray,
          rng: np.random.Generator) -> None:
    top = rng.uniform(62, 74)
    upper = [
        points[1] + (1, 6), (38, top + 6), (64, top), (90, top + 6),
        points[15] + (-1, 6)
    ]
    lower = points[[13, 12, 11, 10, 8, 6, 5, 4, 3]] + (0, 2)
    shape = curve(np.concatenate([np.float32(upper), lower]), 3, True)
    colour = np.float32([(214, 196, 160), (236, 236, 236), (36, 34, 34),
                         (190, 205, 170)][rng.integers(4)])
    paint_cloth(canvas, shape, colour, rng, 0.)
    pleats = [
        np.float32([(30, y), (64, y + 2.5), (98, y)])
        for y in (top + 16, top + 24, top + 32)
    ]
    canvas.lines([curve(p, 4) for p in pleats], tuple(colour * .8), .6)
    straps = [
        np.stack([points[i] + (0, 6), points[j] + (0, -6)])
        for i, j in ((1, 0), (15, 16))
    ]
    canvas.lines(straps, tuple(colour * .9), .8)


def _scarf(canvas: Canvas, points: np.ndarray,
           rng: np.random.Generator) -> None:
    top = rng.uniform(74, 100)
    x = np.linspace(-20, 148, 9)
    edge = np.stack([x, top + 4 * np.cos(x / 18 + rng.uniform(0, 6))], 1)
    shape = np.concatenate(
        [curve(edge, 4), np.float32([(170, 170), (-40, 170)])])
    stripes = rng.uniform(.5, 1.2) if rng.random() < .5 else 0.
    colour = rng.uniform(20, 225, 3).astype(np.float32)
    paint_cloth(canvas, shape, colour, rng, stripes)
    canvas.fill(shape, 255, canvas.alpha)


# painters of what turns with the head
WORN = dict(sunglasses=_sunglasses, mask=_mask, scarf=_scarf)
OCCLUDERS = (*WORN, *HELD)
