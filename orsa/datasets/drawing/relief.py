# Copyright (c) orsa contributors. All rights reserved.
"""The relief of a face and the light on it.

The face is a height map of one cell per unit: a head, plus features as sums
of axis-aligned Gaussians, which one matrix product evaluates. Folds and
bulges follow the action units that make them, so an expression changes the
shading and not only the outlines.
"""
from dataclasses import dataclass
from functools import lru_cache
from typing import List, Tuple

import cv2
import numpy as np

from .action_units import ActionUnits
from .canvas import PAD, SPAN, curve, soften
from .identity import Identity

CELLS = int(SPAN)
AXIS = np.arange(CELLS, dtype=np.float32) + .5 - PAD

Bump = Tuple[float, float, float, float, float]


def gaussians(bumps: List[Bump]) -> np.ndarray:
    """Sum of Gaussians (x, y, sigma x, sigma y, height) at each unit."""
    x, y, sx, sy, height = np.float32(bumps).T[..., None]
    across = np.exp(-.5 * ((AXIS - x) / sx)**2)
    down = np.exp(-.5 * ((AXIS - y) / sy)**2) * height
    return down.T @ across


@lru_cache(maxsize=16)
def _taper(num: int) -> np.ndarray:
    return np.sin(np.linspace(.3, np.pi - .3, num)).astype(np.float32)


def _groove(points, sigma: float, height: float) -> List[Bump]:
    """Bumps along a curve (N, 2): a fold (height < 0) or a ridge."""
    line = curve(points, 4)
    chain = np.empty((len(line), 5), np.float32)
    chain[:, :2] = line
    chain[:, 2:4] = sigma
    chain[:, 4] = _taper(len(line)) * height
    return chain.tolist()


@lru_cache(maxsize=1)
def _skull() -> np.ndarray:
    """Height of a bare egg-shaped head."""
    x = (AXIS - 64) / 62
    y = (AXIS - 56) / 92
    inside = 1 - x[None]**2 - y[:, None]**2
    return 36 * np.sqrt(np.maximum(inside, .02))


def _bone_bumps(p: np.ndarray, who: Identity) -> List[Bump]:
    """What a face at rest consists of."""
    nose = who.nose_height
    manly = 1 - who.female
    tip_x, tip_y = p[30]
    bumps = [
        (64, 20, 26, 14, 2.5),
        (tip_x, 47, 5.0, 7, 1.2 * nose),
        (tip_x, 57, 5.0, 7, 3.0 * nose),
        (tip_x, 67, 5.4, 6, 4.2 * nose),
        (tip_x, tip_y, 5.4, 4.2, 5.6 * nose),
        (p[31, 0] + 1, p[31, 1] - 2, 3.4, 3.0, 3.6 * nose),
        (p[35, 0] - 1, p[35, 1] - 2, 3.4, 3.0, 3.6 * nose),
        (64, p[51, 1] - 4.5, 1.6, 3, -.6),
        (64, p[57, 1] + 4.5, 8, 2.4, -1.8),
        (64, p[8, 1] - 7, 9, 6, 3.2 + manly),
    ]
    halves = (-1, p[36:42], p[17:22]), (1, p[42:48], p[22:27])
    for out, eye, brow in halves:
        ex, ey = eye.mean(0)
        bumps += [(ex, ey - 1, 10, 6, -3 - 2.2 * who.socket),
                  (ex, ey, 7, 4, 2.6), (ex - out * 12, ey, 3.4, 5, -2.2),
                  (64 + out * 29, 75, 10, 8, 3.4),
                  (64 + out * 34, 92, 9, 10, -1.4)]
        bumps += [(x, y + 1.5, 6, 3, .35 + .35 * manly) for x, y in brow]
    mouth = 64, p[51, 1] / 2 + p[57, 1] / 2
    bumps.append((*mouth, 15, 11, 3.2))
    upper = (p[[49, 50, 51, 52, 53]] + p[[61, 61, 62, 63, 63]]) / 2
    lower = (p[[59, 58, 57, 56, 55]] + p[[67, 67, 66, 65, 65]]) / 2
    bumps += _groove(upper, 1.5, .55)
    bumps += _groove(lower, 1.9, .8)
    bumps += [(x, y, 2, 2, -1.0) for x, y in p[[48, 54]]]
    return bumps


def _cheek_bumps(p: np.ndarray, units: ActionUnits,
                 who: Identity) -> List[Bump]:
    """Folds and bulges from the lower lids to the corners of the mouth."""
    age, bumps = who.age, []
    smile, sneer = units[12], max(units[9], units[10])
    fold = .25 + .55 * age + 1.0 * smile + .9 * sneer + .2 * units[20]
    bag = .15 + .5 * age**2 + .45 * max(units[6], units[7], units[9])
    for out, ala, corner, eye in ((-1, p[31], p[48], p[[36, 41, 40, 39]]),
                                  (1, p[35], p[54], p[[45, 46, 47, 42]])):
        top = ala + (out * 1.0, -3.5)
        end = corner + (out * (4.5 + smile), 1.5 + 2.5 * age)
        middle = (top + end) / 2 + (out * (2.2 + 1.2 * smile), -1.6)
        path = np.stack([top, middle, end])
        bumps += _groove(path, 1.5, -.62 * fold)
        bumps += _groove(path + (out * 4.2, -1.4), 3.0, .42 * fold)
        cheek = max(units[6], .8 * smile)
        bumps.append((64 + out * 29, 73 - 3 * cheek, 9, 5.5, 3.2 * cheek))
        bumps += _groove(eye + (0, 3.2), 1.1, -.42 * bag)
        bumps += _groove(eye + (0, 5.6), 1.5, .25 * bag)
        crow = (.75 * units[6] + .35 * age) * .6
        for turn in (-.35, .05, .5):
            start = eye[0] + (out * 2.5, turn * 4)
            ray = start + np.outer(
                np.linspace(0, 7, 3), (out * np.cos(turn), np.sin(turn)))
            bumps += _groove(ray, .9, -.45 * crow)
        frown = .9 * units[15] + .35 * age
        line = corner + np.float32([(out, 1.5), (out * 2.5, 6), (out * 2, 11)])
        bumps += _groove(line, 1.3, -.5 * frown)
        if units[20]:
            line = corner + np.float32([(out * 3, -5), (out * 4.5, 0),
                                        (out * 3.5, 6)])
            bumps += _groove(line, 1.3, -.7 * units[20])
    if units[17]:
        bumps += [(64 + dx, p[57, 1] + 9 + dy, 1.6, 1.4, -.7 * units[17])
                  for dx, dy in ((-5, 0), (-2, 3), (2, -1), (5, 2), (0, 5))]
        bumps.append((64, p[57, 1] + 5, 9, 1.4, -1.4 * units[17]))
    return bumps


def _brow_bumps(p: np.ndarray, units: ActionUnits,
                who: Identity) -> List[Bump]:
    """Lines of the forehead, between the brows and on the nose."""
    bumps, age = [], who.age
    inner = units[1] * (1 - .3 * units[2])
    for y in (13., 19.5, 26.):
        lift = -3.5 * units[1]
        deep = .12 * age * (1 - units[4]) + .75 * units[1] * units[2]
        bumps += [(64, y + lift, 24, 1.0, -deep),
                  (64, y + lift + 2.6, 24, 1.6, .5 * deep)]
        short = .7 * inner * (units[4] > .15)
        bumps += [(64, y + lift + 5, 10, .9, -short),
                  (64, y + lift + 7.5, 10, 1.5, .5 * short)]
    knit = max(units[4], .7 * units[9]) + .4 * who.frown_line
    top = (p[21, 1] + p[22, 1]) / 2 - 1
    for x in (60.2, 67.4):
        bumps.append((x, top, .9, 5.5, -1.1 * knit))
    bumps.append((64, top, 1.8, 5, .9 * knit))
    bumps += [(x, top + 2, 4, 3.5, 1.1 * knit) for x in (55, 73)]
    wrinkle = units[9]
    if wrinkle:
        bumps += [(64, y, 6.5, .9, -.9 * wrinkle) for y in (48.5, 52.5, 57.)]
        for out in (-1, 1):
            for y in (0, 4.5):
                line = np.float32([(64 + out * 4, 58 + y),
                                   (64 + out * 7, 60 + y),
                                   (64 + out * 10, 64 + y)])
                bumps += _groove(line, .9, -.6 * wrinkle)
    return bumps


def face_relief(outline: np.ndarray, points: np.ndarray, units: ActionUnits,
                who: Identity) -> np.ndarray:
    """Height of the face in units, (168, 168) float32, a cell per unit."""
    mask = np.zeros((CELLS, CELLS), np.uint8)
    cv2.fillPoly(mask, [np.rint((outline + PAD) * 16 - 8).astype(np.int32)],
                 255, cv2.LINE_8, 4)
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    rim = 1 - np.minimum(inside, 24) / 24
    pillow = soften(14 * np.sqrt(np.maximum(1 - rim * rim, 0)), 2.)
    bumps = (
        _bone_bumps(points, who) + _cheek_bumps(points, units, who) +
        _brow_bumps(points, units, who))
    return _skull() + pillow + gaussians(bumps)


@dataclass
class Light:
    """A key light over ambient light.

    Args:
        direction (np.ndarray): Unit vector to the light: x right, y down, z
            towards the viewer.
        ambient (float): Fraction of the light that has no direction.
        tint (np.ndarray): BGR colour of the key light, around 1.
        exposure (float): Brightness of the face, around 1.
        gloss (float): Strength of the highlights on skin.
    """
    direction: np.ndarray
    ambient: float
    tint: np.ndarray
    exposure: float
    gloss: float


def sample_light(rng: np.random.Generator) -> Light:
    """Draw a key light from the front and above, sometimes from one side."""
    across = rng.normal(0, .5)
    above = rng.normal(.5, .3)
    direction = np.float32([np.sin(across), -np.sin(above), 0])
    direction[2] = np.sqrt(max(.2, 1 - (direction**2).sum()))
    warm = rng.normal(0, .06)
    return Light(
        direction=direction / np.linalg.norm(direction),
        ambient=rng.uniform(.15, .6),
        tint=np.float32([1 - warm, 1, 1 + warm]),
        exposure=float(np.exp(rng.normal(0, .17))),
        gloss=rng.uniform(.02, .2))


def shade(height: np.ndarray, light: Light) -> Tuple[np.ndarray, np.ndarray]:
    """Light a relief (`Blinn 1977 <https://doi.org/10.1145/965141.563893>`_).

    Returns brightness around 1 and highlights in [0, 1], (168, 168) float32.
    """
    gx = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=1 / 8)
    gy = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=1 / 8)
    inverse = 1 / np.sqrt(1 + gx * gx + gy * gy)
    lx, ly, lz = light.direction
    key = (lz - gx * lx - gy * ly) * inverse
    wrap = .4
    diffuse = np.maximum((key + wrap) / (lz + wrap), 0)
    # hollows see less of the sky
    hollow = soften(height, 3.) - height
    open_sky = np.clip(1 - .34 * hollow, .45, 1.12)
    bright = (light.ambient + (1 - light.ambient) * diffuse) * open_sky
    # Blinn-Phong: half way between the light and the viewer
    hx, hy, hz = light.direction + np.float32([0, 0, 1])
    norm = np.sqrt(hx * hx + hy * hy + hz * hz)
    half = np.maximum((hz - gx * hx - gy * hy) * inverse / norm, 0)
    half *= half
    half *= half
    half *= half
    return bright, half * half
