# Copyright (c) orsa contributors. All rights reserved.
"""What is held in front of a face: hands, blocks and objects."""
import math
from typing import Optional, Tuple

import cv2
import numpy as np

from ..canvas import BOX, PAD, Canvas, curve, rotation, soften
from ..identity import SKIN_TONES, along
from .base import Occluder
from .patterns import paint_cloth


def _hand(canvas: Canvas, target: np.ndarray, rng: np.random.Generator,
          grow: float, back: float) -> None:
    """A palm with four fingers and a thumb, coming in from an edge."""
    skin = along(SKIN_TONES, rng.beta(1.1, 1.5))[::-1] * rng.uniform(.75, 1.05)
    angle = rng.uniform(-1.9, 1.9)  # 0: fingers up
    size = rng.uniform(.85, 1.2) * grow
    turn = rotation(angle) * size
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
    target = target + (0, 12)
    target = target + back * np.float32([-np.sin(angle), np.cos(angle)])

    def place(points):
        return (points * flip) @ turn.T + target

    canvas.occlude(place(palm), tuple(skin * .92))
    for bone, width in bones:
        line = place(bone)
        canvas.lines([line], tuple(skin * .6), width * size + 1.)
        for part, tone in ((1., .84), (.66, .96), (.3, 1.04)):
            canvas.lines([line], tuple(skin * tone), width * size * part)
        canvas.lines([line], 255, width * size + 1., canvas.occlusion)
        if rng.random() < .7:
            nail = line[1] + (line[0] - line[1]) * .02
            canvas.disc(nail, (2.2 * size, 2.2 * size), tuple(skin * 1.1))


def _block(canvas: Canvas, target: np.ndarray, rng: np.random.Generator,
           grow: float, back: float) -> None:
    half = rng.uniform(10, 30, 2) * grow
    angle = rng.uniform(-.4, .4) * (rng.random() < .5)
    shape = np.float32([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
    shape = shape @ rotation(angle).T + target
    kind = rng.integers(3)
    colour = np.float32(rng.uniform(0, 255, 3))
    if kind == 0:
        colour = np.full(3, rng.uniform(0, 255), np.float32)
    paint_cloth(canvas, shape, colour, rng, rng.uniform(.4, 1.5) * (kind == 2))


def _object(canvas: Canvas, target: np.ndarray, rng: np.random.Generator,
            grow: float, back: float) -> None:
    """A microphone, phone or cup: a dark round head on a handle."""
    colour = np.float32(rng.uniform(15, 130, 3))
    lean = rng.uniform(-30, 30)
    radius = rng.uniform(9, 19) * grow
    handle = np.float32([(-.4, 0), (.4, 0), (.3, 9), (-.3, 9)]) * radius
    canvas.occlude(handle + target + (lean * .05, 0), tuple(colour * .7))
    for part, tone in ((1., .8), (.8, 1.), (.45, 1.25), (.2, 1.6)):
        centre = target - radius * .3 * (1 - part)
        axes = radius * part, radius * part * rng.uniform(.9, 1.2)
        canvas.disc(centre, axes, tuple(np.minimum(colour * tone, 255)))
    canvas.disc(target, (radius, radius), 255, layer=canvas.occlusion)


_PAINTERS = dict(hand=_hand, block=_block, object=_object)
HELD = tuple(_PAINTERS)


def _draw_held(
        size: int,
        points: np.ndarray,
        kind: str,
        rng: np.random.Generator,
        grow: float = 1.,
        pull: float = 0.,
        back: float = 0.,
        painted: bool = True) -> Tuple[Optional[np.ndarray], np.ndarray]:
    """Draw an occluder of ``HELD`` in front of a face.

    ``grow`` multiplies its size; ``pull`` moves it towards the middle of the
    face, 1 all the way; ``back`` draws a hand back along its arm, in units.
    Returns its colours, (size, size, 3) uint8 or None if not ``painted``, and
    the occlusion mask, (size, size) uint8.
    """
    canvas = Canvas(size, painted=painted)
    anchors = np.stack([
        points[36:42].mean(0), points[42:48].mean(0), points[30],
        points[48:68].mean(0), points[48:68].mean(0), points[4], points[12]
    ])
    target = anchors[rng.integers(len(anchors))] + rng.normal(0, 6, 2)
    if pull:
        target = target + pull * (points[27:36].mean(0) - target)
    _PAINTERS[kind](canvas, target, rng, grow, back)
    start = int(round(PAD * canvas.scale))
    view = slice(start, start + int(round(BOX * canvas.scale)))

    def finish(layer):
        return cv2.resize(
            layer[view, view], (size, size), interpolation=cv2.INTER_AREA)

    colour = finish(canvas.colour) if painted else None
    return colour, finish(canvas.occlusion)


def paint_held(image: np.ndarray, points: np.ndarray, kind: str,
               rng: np.random.Generator, **place) -> np.ndarray:
    """Lay an occluder held in front of the face over an image, in place.

    Args:
        image (np.ndarray): (size, size, 3) BGR.
        points (np.ndarray): (68, 2) landmarks in the image, in units.
        kind (str): One of ``HELD``.
        rng (np.random.Generator): Source of the variation.
        **place: ``grow`` (a factor of its size), ``pull`` (towards the middle
            of the face, 0 to 1) and ``back`` (along the arm, in units).

    Returns:
        np.ndarray: (size, size) uint8 occlusion mask in [0, 255].
    """
    paint, mask = _draw_held(len(image), points, kind, rng, **place)
    weight = soften(mask, .5)[..., None].astype(np.float32) / 255
    image[:] = image + (paint - image.astype(np.float32)) * weight + .5
    return mask


class Held(Occluder):
    """Held in front of the face.

    A hand is drawn back along its arm rather than shrunk to a doll's, and
    what is large already moves to the middle of the face before it grows on.
    Amount: from -1 to 0 a hand approaches, from 0 to 1 the size goes from the
    smallest to the largest usual one, from 1 to 2 the place moves to the
    middle, and from 2 to 3 the size doubles.
    """

    KIND = ''
    # the smallest and the largest usual size, as multiples of the drawn one
    SIZES = (1., 2.)
    LEAST, MOST = 0., 3.
    TOLERANCE, MAX_TRIES = .01, 12

    def draw(self, rng):
        small, large = self.SIZES
        # that at which the size stays as it is drawn
        self.FIRST = math.log(1 / small) / math.log(large / small)

    def _arguments(self, amount: float) -> dict:
        small, large = self.SIZES
        grow = small * (large / small)**min(max(amount, 0.), 1.)
        return dict(
            points=self.points,
            kind=self.KIND,
            # every try draws the same
            rng=np.random.Generator(np.random.PCG64(self.seed)),
            grow=grow * 2**max(amount - 2, 0.),
            pull=min(max(amount - 1, 0.), 1.),
            back=140 * max(-amount, 0.))

    def mask(self, amount):
        return _draw_held(
            self.size, painted=False, **self._arguments(amount))[1]

    def paint(self, image, amount):
        return paint_held(image, **self._arguments(amount))


class Hand(Held):
    """A hand with its arm; it approaches along the arm and then grows."""

    KIND, SIZES, LEAST = 'hand', (.8, 1.5), -1.


class Block(Held):
    """A rotated rectangle of cloth or paper, with soft edges."""

    KIND, SIZES = 'block', (.3, 3.)


class Object(Held):
    """A dark round thing on a handle, as a microphone or a spoon."""

    KIND, SIZES = 'object', (.5, 3.)
