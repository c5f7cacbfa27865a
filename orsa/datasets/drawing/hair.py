# Copyright (c) orsa contributors. All rights reserved.
"""Hair of head and beard.

Strands are a noise table looked up through an index map whose level lines
run the way hair does: the angle around the crown for hair combed back, the
distance from it for hair that hangs, wavy noise for curls.
"""
from functools import lru_cache

import cv2
import numpy as np

from .canvas import PAD, SPAN, Canvas, curve
from .features import HAIR
from .identity import Identity
from .skin import noise_bank

_HANGING = ('long', 'bob', 'fringe')


@lru_cache(maxsize=12)
def _index_map(flow: str, variant: int, side: int) -> np.ndarray:
    """Strand index of each pixel of the canvas, uint8 (wrapping)."""
    axis = (np.arange(side, dtype=np.float32) + .5) / side * SPAN - PAD
    x, y = np.meshgrid(axis, axis)
    bank = noise_bank()
    warp = cv2.resize(bank[3], (side, side)) * (1.2 + variant)
    warp += cv2.resize(bank[2], (side, side)) * .4
    if flow == 'angle':
        index = np.arctan2(x - 64, 90 - y) * 260 + warp * 2.5
    elif flow == 'radius':
        index = np.hypot(x - 64, (y + 10) * .35) * 6 + warp * 5
    elif flow == 'down':
        index = x * 6 + warp * 6
    else:
        index = cv2.resize(bank[1], (side, side)) * 40 + warp * 4
    return np.mod(index, 256).astype(np.uint8)


def _strands(flow: str, colour: np.ndarray, rng: np.random.Generator,
             side: int, contrast: float) -> np.ndarray:
    """Texture of hair, (side, side, 3) BGR uint8.

    It runs by 'angle' around the crown (combed back), 'radius' from it
    (hanging), 'down' or 'curl'; ``contrast`` is that between strands.
    """
    noise = rng.standard_normal(256).astype(np.float32)
    wide = np.tile(noise, 3)[None]
    smooth = (cv2.GaussianBlur(wide, (0, 0), 1.2) * 1.4 +
              cv2.GaussianBlur(wide, (0, 0), 5.) * 1.5)[0, 256:512]
    tone = np.exp(contrast * smooth)[:, None] * colour + 4 * contrast
    table = np.clip(tone, 0, 255).astype(np.uint8)[:, None]
    index = _index_map(flow, int(rng.integers(2)), side)
    return cv2.LUT(cv2.cvtColor(index, cv2.COLOR_GRAY2BGR), table)


def _mirror(half: list) -> np.ndarray:
    """A path over the head from its left half, bottom to the midline."""
    left = np.float32(half)
    right = left[::-1] * (-1, 1) + (128, 0)
    return np.concatenate([left, right[1:]])


def _outer(who: Identity, wide: float) -> np.ndarray:
    """Outline of the hair against the background."""
    style, v = who.hair_style, who.hair_volume
    if style == 'curly':
        grow = 8 + 12 * v
    else:
        grow = {
            'crop': 1.5,
            'receding': 2,
            'bald': 0,
            'tied': 2.5 + 3 * v
        }.get(style, 4 + 6 * v)
    e = 46 * wide
    top = [(64 - e - grow * .45, 24), (64 - e + 3 - grow * .7, 4),
           (64 - 30 - grow * .5, -11 - grow * .8), (64, -17 - grow)]
    if style == 'long':
        low = [(64 - e - 12 - 8 * v, 175), (64 - e - 10 - 8 * v, 120),
               (64 - e - 6 - 5 * v, 70)]
    elif style in ('bob', 'fringe'):
        end = 96 + 30 * v
        low = [(64 - 28, end + 4), (64 - e - 5 - 5 * v, end),
               (64 - e - 7 - 5 * v, 75)]
    elif style == 'curly':
        low = [(64 - e - 2, 66), (64 - e - grow * .55, 52)]
    else:
        low = [(64 - e - 1.2, 64), (64 - e - 1.5 - grow * .25, 46)]
    return curve(_mirror(low + top), 4)


def _opening(who: Identity, points: np.ndarray, wide: float,
             rng: np.random.Generator) -> np.ndarray:
    """The face between the hair, from bottom left over the hairline."""
    style, line = who.hair_style, who.hairline
    e = 45.5 * wide
    jaw = points[[5, 3, 2, 1], :] * 1.
    low = [(26, 190), (34, 118),
           tuple(jaw[0] + (-2, 0)),
           tuple(jaw[1] + (-.6, 0)),
           tuple(jaw[2]),
           tuple(jaw[3] + (1.5, 0))]
    if style not in _HANGING and style != 'curly':
        burn = 62 if who.female < .5 else 46
        low = [(0, 190), (0, burn), (64 - e + 2.5, burn - 2)]
    elif style == 'curly':
        low = [(0, 190), (0, 70), (64 - e + 2, 66)]
    temple = [(64 - e + 4.5, 40), (64 - e + 6, 26)]
    part = 64 + rng.uniform(-22, 22)
    if style == 'receding':
        top = [(64 - e + 8, 8), (64 - 30, -14), (64 - 14, -12 + line * .4),
               (64, -9 + line * .5)]
    elif style == 'fringe':
        low_edge = 22 + line * .4 + rng.uniform(0, 7)
        top = [(64 - e + 9, low_edge + 5), (44, low_edge), (64, low_edge - 2)]
        temple = temple[:1]
    elif style == 'side_part' or (style in _HANGING and rng.random() < .5):
        path = low + temple + [(64 - e + 9, 22 + line * .3),
                               (part - 14, 10 + line * .4), (part, line - 4)]
        right = [(part + 8, line + 2), (64 + e - 12, 10 + line * .6)]
        tail = [(128 - x, y) for x, y in (low + temple)[::-1]]
        path = np.float32(path + right + tail)
        if rng.random() < .5:
            path = path[::-1] * (-1, 1) + (128, 0)
        return curve(path, 3)
    else:
        top = [(64 - e + 10, 14 + line * .5), (64 - 22, line + 1), (64, line)]
    return curve(_mirror(low + temple + top), 3)


def paint_hair(canvas: Canvas, points: np.ndarray, who: Identity,
               rng: np.random.Generator) -> None:
    """Paint the hair of the head and label it."""
    if who.hair_style == 'bald':
        return
    wide = (points[16, 0] - points[0, 0]) / 92
    mask = np.zeros_like(canvas.alpha)
    outer = _outer(who, wide)
    if who.hair_style == 'curly':
        outer = outer + rng.normal(0, 1.3, outer.shape)
    canvas.fill(outer, 255, mask)
    opening = _opening(who, points, wide, rng)
    rough = {'crop': .35, 'fringe': 1., 'curly': 1.2}.get(who.hair_style, .6)
    opening = opening + rng.normal(0, rough, opening.shape)
    canvas.fill(opening, 0, mask)
    if who.hair_style in ('crop', 'receding', 'short'):
        mask = cv2.blur(mask, (canvas.width(2.2), ) * 2)
    flow = 'radius' if who.hair_style in ('long', 'bob', 'side_part') else (
        'down' if who.hair_style == 'fringe' else
        'curl' if who.hair_style == 'curly' else 'angle')
    contrast = .2 if who.hair_style == 'crop' else .34
    contrast *= 1 - .5 * float(who.hair.mean()) / 255
    texture = _strands(flow, who.hair, rng, canvas.side, contrast)
    _drop_shadow(canvas, mask)
    cv2.copyTo(texture, cv2.compare(mask, 110, cv2.CMP_GT), canvas.colour)
    cv2.bitwise_or(canvas.alpha, mask, dst=canvas.alpha)
    canvas.labels[mask > 127] = HAIR


def _drop_shadow(canvas: Canvas, mask: np.ndarray) -> None:
    """Hair darkens the skin below it a little."""
    small = cv2.resize(mask, (80, 80), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 1.6)
    small = cv2.warpAffine(small, np.float64([[1, 0, 0], [0, 1, 1.5]]),
                           (80, 80))
    shadow = 255 - (small * .35).astype(np.uint8)
    shadow = cv2.resize(shadow, (canvas.side, canvas.side))
    shadow = cv2.cvtColor(shadow, cv2.COLOR_GRAY2BGR)
    cv2.multiply(canvas.colour, shadow, dst=canvas.colour, scale=1 / 255)


def paint_beard(canvas: Canvas, points: np.ndarray, who: Identity,
                rng: np.random.Generator) -> None:
    """Paint moustache, goatee or full beard around the mouth."""
    if who.beard in ('none', 'stubble'):
        return
    shapes = []
    lip = points[[48, 49, 50, 51, 52, 53, 54]]
    if who.beard in ('moustache', 'full', 'goatee'):
        ends = np.float32([(-2.5, 2), (-1.5, -.5), (0, -.8), (0, -.4),
                           (0, -.8), (1.5, -.5), (2.5, 2)])
        top = lip[::-1] * (.96, 0) + (64 * .04, 0)
        top[:, 1] = points[33, 1] + np.float32([9, 5, 3, 2.6, 3, 5, 9])
        shapes.append(np.concatenate([curve(lip + ends, 3), curve(top, 3)]))
    chin = points[[59, 58, 57, 56, 55]] + (0, 2.5)
    if who.beard == 'goatee':
        low = points[8] + np.float32([(13, -7), (8, 2), (-8, 2), (-13, -7)])
        shapes.append(curve(np.concatenate([chin, low]), 3, True))
    if who.beard == 'full':
        rim = points[[16, 15, 14, 13, 12, 11, 10, 8, 6, 5, 4, 3, 2, 1, 0]]
        rim = rim + (0, 1.5)
        inner = [
            points[1] + (4, 4), points[3] + (9, -3), points[48] + (-7, -2),
            points[48] + (-2.5, 3)
        ]
        other = [
            points[54] + (2.5, 3), points[54] + (7, -2), points[13] + (-9, -3),
            points[15] + (-4, 4)
        ]
        shapes.append(
            np.concatenate(
                [curve(rim, 3),
                 np.stack(inner), chin,
                 np.stack(other)]))
    window = canvas.window(np.concatenate(shapes), 4)
    texture = _strands('down', who.brow * 1.05, rng, canvas.side, .3)[window]
    dense = rng.uniform(.6, .92)
    for shape in shapes:
        mask = canvas.mask(shape, window, 1.1)
        canvas.blend(window, mask * dense, texture)
