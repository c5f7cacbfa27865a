# Copyright (c) orsa contributors. All rights reserved.
import numpy as np

from ..canvas import BOX, curve
from .base import Occluder
from .patterns import PATTERNS, pattern, two_tones
from .sheet import Sheet, scene_light


class Texture(Occluder):
    """A random round shape with a texture. Amount: its mean radius in U."""

    FIRST, MOST = 22., 2 * BOX

    def draw(self, rng):
        self.centre = self.place_on_face(rng)
        angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        radius = np.ones(16)
        for k in (2, 3, 4, 5):
            size, phase = rng.normal(0, .45 / k), rng.uniform(0, 2 * np.pi)
            radius += np.clip(size, -.6 / k,
                              .6 / k) * np.cos(k * angle + phase)
        shape = np.stack([np.cos(angle), np.sin(angle)], 1)
        shape *= np.clip(radius, .35, None)[:, None]
        self.shape = curve(shape, 5, True)
        self.name = PATTERNS[rng.integers(1, len(PATTERNS))]
        self.turn = rng.uniform(0, np.pi)
        self.period = rng.uniform(5, 14)
        self.tones = two_tones(rng)
        self.noise_at = rng.integers(128, size=2)

    def _sheet(self, amount, ground=None):
        sheet = Sheet(self.size, ground)
        sheet.fill(self.centre + amount * self.shape)
        return sheet

    def cover(self, amount):
        return self._sheet(amount).cover()

    def paint(self, image, amount):
        sheet = self._sheet(amount, self.tones[0])
        axis = np.arange(sheet.fine, dtype=np.float32) + .5
        axis *= BOX / sheet.fine
        x, y = axis[None] - self.centre[0], axis[:, None] - self.centre[1]
        c, s = np.float32([np.cos(self.turn), np.sin(self.turn)])
        sheet.tint(
            pattern(self.name, c * x + s * y, c * y - s * x, self.period,
                    self.tones, self.noise_at))
        sheet.grain(.05, 1, self.noise_at)
        light, grey = scene_light(image, self.hull)
        return sheet.lay_over(image, light, grey, shadow=.25)
