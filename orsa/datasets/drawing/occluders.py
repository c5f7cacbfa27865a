# Copyright (c) orsa contributors. All rights reserved.
"""Glasses, and the things that hide parts of a face.

What is worn (sunglasses, mask, scarf) is painted on the frontal sheet and
turns with the head; what is held in front (hands, blocks) is painted on a
sheet that stays with the camera.
"""
from typing import Sequence

import cv2
import numpy as np

from .canvas import PAD, Canvas, curve, soften
from .identity import SKIN_TONES, Identity, along
from .skin import noise_patch

WORN = ('sunglasses', 'mask', 'scarf')
HELD = ('hand', 'block', 'object')
OCCLUDERS = WORN + HELD


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
    """Paint clear glasses; they hide next to nothing and stay visible."""
    lenses = _lenses(points, who.glasses, rng.uniform(-.5, 1.2))
    for lens in lenses:
        window = canvas.window(lens, 1)
        mask = canvas.mask(lens, window, .3)
        canvas.blend(window, mask * rng.uniform(.02, .16), 235)
    tone = rng.uniform(
        15, 150) * np.float32([1, 1, 1] if rng.random() < .6 else [.5, .75, 1])
    width = .7 if who.glasses == 'thin' else rng.uniform(1., 2.)
    _frame(canvas, points, lenses, tuple(tone), width)


def _cover(canvas: Canvas, shape: np.ndarray, colour: tuple) -> None:
    canvas.fill(shape, colour)
    canvas.fill(shape, 255, canvas.cover)


def _sunglasses(canvas: Canvas, points: np.ndarray,
                rng: np.random.Generator) -> None:
    kind = 'round' if rng.random() < .4 else 'square'
    lenses = _lenses(points, kind, rng.uniform(1., 3.))
    tint = rng.uniform(10, 45, 3)
    for lens in lenses:
        _cover(canvas, lens, tuple(tint))
        window = canvas.window(lens, 0)
        glare = np.linspace(.35, 0, window[0].stop - window[0].start)
        mask = canvas.mask(lens, window, 0)
        canvas.blend(window, mask * glare[:, None, None] * rng.random(), 190)
    _frame(canvas, points, lenses, tuple(tint * .6), rng.uniform(1., 2.2))


def _cloth(canvas: Canvas, shape: np.ndarray, colour: np.ndarray,
           rng: np.random.Generator, stripes: float) -> None:
    """Fill a shape with folded, perhaps striped cloth."""
    _cover(canvas, shape, tuple(colour))
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
    _cloth(canvas, shape, colour, rng, 0.)
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
    _cloth(canvas, shape,
           rng.uniform(20, 225, 3).astype(np.float32), rng, stripes)
    canvas.fill(shape, 255, canvas.alpha)


def _hand(canvas: Canvas, target: np.ndarray, rng: np.random.Generator,
          grow: float, back: float) -> None:
    """A palm with four fingers and a thumb, coming in from an edge."""
    skin = along(SKIN_TONES, rng.beta(1.1, 1.5))[::-1] * rng.uniform(.75, 1.05)
    angle = rng.uniform(-1.9, 1.9)  # 0: fingers up
    size = rng.uniform(.85, 1.2) * grow
    turn = np.float32([[np.cos(angle), -np.sin(angle)],
                       [np.sin(angle), np.cos(angle)]]) * size
    flip = np.float32([rng.choice((-1, 1)), 1])
    spread = rng.uniform(.02, .16)
    bones = []
    fingers = (-13, 30), (-4.5, 35), (4.5, 33), (13, 26)
    for i, (x, long) in enumerate(fingers):
        lean = (i - 1.5) * spread
        tip = x + long * np.sin(lean), -8 - long * np.cos(lean)
        bones.append((np.float32([(x, 0), tip]), 8.6))
    bones.append((np.float32([(-16, 16), (-29, -6)]), 9.5))
    arm = 110 / min(grow, 1.)  # a small hand's has to reach the edge too
    palm = curve(
        np.float32([(-18, 2), (0, -5), (18, 2), (17, 26), (11, 44), (11, arm),
                    (-11, arm), (-11, 44), (-17, 26)]), 4, True)
    target = target + back * np.float32([-np.sin(angle), np.cos(angle)])

    def place(points):
        return (points * flip) @ turn.T + target

    _cover(canvas, place(palm), tuple(skin * .92))
    for bone, width in bones:
        line = place(bone)
        canvas.lines([line], tuple(skin * .6), width * size + 1.)
        for share, tone in ((1., .84), (.66, .96), (.3, 1.04)):
            canvas.lines([line], tuple(skin * tone), width * size * share)
        canvas.lines([line], 255, width * size + 1., canvas.cover)
        if rng.random() < .7:
            nail = line[1] + (line[0] - line[1]) * .02
            canvas.disc(nail, (2.2 * size, 2.2 * size), tuple(skin * 1.1))


def _block(canvas: Canvas, target: np.ndarray, rng: np.random.Generator,
           grow: float) -> None:
    half = rng.uniform(10, 30, 2) * grow
    angle = rng.uniform(-.4, .4) * (rng.random() < .5)
    turn = np.float32([[np.cos(angle), -np.sin(angle)],
                       [np.sin(angle), np.cos(angle)]])
    shape = np.float32([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
    shape = shape @ turn.T + target
    kind = rng.integers(3)
    colour = np.float32(rng.uniform(0, 255, 3))
    if kind == 0:
        colour = np.full(3, rng.uniform(0, 255), np.float32)
    _cloth(canvas, shape, colour, rng, rng.uniform(.4, 1.5) * (kind == 2))


def _object(canvas: Canvas, target: np.ndarray, rng: np.random.Generator,
            grow: float) -> None:
    """A microphone, phone or cup: a dark round head on a handle."""
    colour = np.float32(rng.uniform(15, 130, 3))
    lean = rng.uniform(-30, 30)
    radius = rng.uniform(9, 19) * grow
    handle = np.float32([(-.4, 0), (.4, 0), (.3, 9), (-.3, 9)]) * radius
    _cover(canvas, handle + target + (lean * .05, 0), tuple(colour * .7))
    for share, tone in ((1., .8), (.8, 1.), (.45, 1.25), (.2, 1.6)):
        centre = target - radius * .3 * (1 - share)
        axes = radius * share, radius * share * rng.uniform(.9, 1.2)
        canvas.disc(centre, axes, tuple(np.minimum(colour * tone, 255)))
    canvas.disc(target, (radius, radius), 255, layer=canvas.cover)


def paint_worn(canvas: Canvas, points: np.ndarray, kind: str,
               rng: np.random.Generator) -> None:
    """Paint an occluder that turns with the head."""
    {
        'sunglasses': _sunglasses,
        'mask': _mask,
        'scarf': _scarf
    }[kind](canvas, points, rng)


def paint_held(image: np.ndarray,
               points: np.ndarray,
               kind: str,
               rng: np.random.Generator,
               grow: float = 1.,
               pull: float = 0.,
               back: float = 0.) -> np.ndarray:
    """Lay an occluder held in front of the face over a finished image.

    Args:
        image (np.ndarray): (size, size, 3) BGR, changed in place.
        points (np.ndarray): (68, 2) landmarks in the image, in units.
        kind (str): One of ``HELD``.
        rng (np.random.Generator): Source of the variation.
        grow (float): Multiplies the drawn size. Defaults to 1.
        pull (float): Moves the drawn place towards the middle of the face, 1
            all the way. Defaults to 0.
        back (float): How far a hand is drawn back along its arm, in units;
            the other kinds stay. Defaults to 0.

    Returns:
        np.ndarray: (size, size) uint8 cover in [0, 255].
    """
    size = len(image)
    canvas = _draw_held(size, points, kind, rng, grow, pull, back)
    paint, cover = (
        _frame_of(canvas, layer, size)
        for layer in (canvas.colour, canvas.cover))
    weight = soften(cover, .5)[..., None].astype(np.float32) / 255
    image[:] = image + (paint - image.astype(np.float32)) * weight + .5
    return cover


def held_cover(size: int,
               points: np.ndarray,
               kind: str,
               rng: np.random.Generator,
               grow: float = 1.,
               pull: float = 0.,
               back: float = 0.) -> np.ndarray:
    """The cover that :func:`paint_held` would return, nothing is painted."""
    canvas = _draw_held(size, points, kind, rng, grow, pull, back)
    return _frame_of(canvas, canvas.cover, size)


def _draw_held(size: int, points: np.ndarray, kind: str,
               rng: np.random.Generator, grow: float, pull: float,
               back: float) -> Canvas:
    canvas = Canvas(size)
    anchors = np.stack([
        points[36:42].mean(0), points[42:48].mean(0), points[30],
        points[48:68].mean(0), points[48:68].mean(0), points[4], points[12]
    ])
    target = anchors[rng.integers(len(anchors))] + rng.normal(0, 6, 2)
    if pull:
        target = target + pull * (points[27:36].mean(0) - target)
    if kind == 'hand':
        _hand(canvas, target + (0, 12), rng, grow, back)
    else:
        {'block': _block, 'object': _object}[kind](canvas, target, rng, grow)
    return canvas


def _frame_of(canvas: Canvas, layer: np.ndarray, size: int) -> np.ndarray:
    """The part of a layer that the image shows, at the image's size."""
    start = int(round(PAD * canvas.scale))
    view = slice(start, start + int(round(128 * canvas.scale)))
    return cv2.resize(
        layer[view, view], (size, size), interpolation=cv2.INTER_AREA)


def landmark_hull(points: np.ndarray, size: int) -> np.ndarray:
    """What the landmarks enclose in a picture.

    Args:
        points (np.ndarray): (68, 2) landmarks in pixels.
        size (int): Side of the picture.

    Returns:
        np.ndarray: (size, size), bool.
    """
    hull = np.zeros((size, size), np.uint8)
    outline = cv2.convexHull(np.rint(points).astype(np.int32))
    cv2.fillConvexPoly(hull, outline, 1)
    return hull == 1


def covered_share(cover: np.ndarray, hull: np.ndarray) -> float:
    """The share of a hull (size, size) that a cover in [0, 255] hides."""
    return float((hull & (cover > 127)).sum() / max(hull.sum(), 1))


def pick_occluder(rng: np.random.Generator,
                  kinds: Sequence[str] = OCCLUDERS) -> str:
    """Name of a random occluder."""
    return kinds[rng.integers(len(kinds))]
