# Copyright (c) orsa contributors. All rights reserved.
import numpy as np

from ..canvas import BOX, curve
from .base import Occluder
from .layer import Layer, scene_light
from .patterns import PATTERNS, pattern, two_tones


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

    def _layer(self, amount, ground=None):
        layer = Layer(self.size, ground)
        layer.fill(self.centre + amount * self.shape)
        return layer

    def mask(self, amount):
        return self._layer(amount).mask()

    def paint(self, image, amount):
        layer = self._layer(amount, self.tones[0])
        axis = np.arange(layer.fine, dtype=np.float32) + .5
        axis *= BOX / layer.fine
        x, y = axis[None] - self.centre[0], axis[:, None] - self.centre[1]
        c, s = np.float32([np.cos(self.turn), np.sin(self.turn)])
        layer.tint(
            pattern(self.name, c * x + s * y, c * y - s * x, self.period,
                    self.tones, self.noise_at))
        layer.grain(.05, 1, self.noise_at)
        light, grey = scene_light(image, self.hull)
        return layer.lay_over(image, light, grey, shadow=.25)
