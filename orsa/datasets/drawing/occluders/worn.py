# Copyright (c) orsa contributors. All rights reserved.
"""What is worn: designed on the usual face and warped to the one at hand."""
import numpy as np

from ..canvas import BOX, curve
from .base import Occluder
from .face_warp import FaceWarp
from .layer import Layer, scene_light
from .patterns import pattern, two_tones


def _mirror(half: np.ndarray) -> np.ndarray:
    """Points from the midline out to the image's left, and back."""
    half = np.float32(half)
    other = half[::-1] * (-1, 1) + (128, 0)
    return np.concatenate([half, other[:-1] if half[0, 0] == 64 else other])


def _between(small, large, amount: float) -> np.ndarray:
    small, large = np.float32(small), np.float32(large)
    return small + (large - small) * np.float32(amount)


class Worn(Occluder):
    """Worn by the person, so that it turns and tilts with the face."""

    SHADOW = .3

    def draw(self, rng):
        self.warp = FaceWarp(self.points)
        self.noise_at = rng.integers(128, size=2)
        self.design(rng)

    def design(self, rng: np.random.Generator) -> None:
        """Draw what is random; sets at least ``colour``."""
        raise NotImplementedError

    def wear(self, layer: Layer, amount: float) -> None:
        """Put it on a layer."""
        raise NotImplementedError

    def mask(self, amount):
        layer = Layer(self.size)
        self.wear(layer, amount)
        return layer.mask()

    def paint(self, image, amount):
        layer = Layer(self.size, self.colour)
        self.wear(layer, amount)
        light, grey = scene_light(image, self.hull)
        return layer.lay_over(image, light, grey, self.SHADOW)


class Sunglasses(Worn):
    """From small lenses to goggles. Amount: how far it grows, 0 to 1."""

    STYLES = ('round', 'square', 'pilot')
    SHADOW = .4

    def design(self, rng):
        self.style = self.STYLES[rng.integers(len(self.STYLES))]
        self.lens = np.float32(rng.uniform(14, 48)) + np.float32(
            rng.uniform(-6, 8, 3))
        self.fade = rng.uniform(.1, .8)
        self.streak, self.lean = rng.uniform(.15, .5), rng.uniform(-.5, .5)
        self.width = rng.uniform(1.2, 2.4)
        frames = np.float32([(22, 22, 24), (20, 36, 66), (70, 120, 150),
                             (120, 122, 126), (25, 20, 60)])
        self.colour = frames[rng.integers(len(frames))]

    def _lens(self, amount: float) -> np.ndarray:
        """The outline of the left lens of the usual face, (N, 2)."""
        wide = 5. + 18. * amount
        tall = dict(round=.93, square=.74, pilot=.84)[self.style] * wide
        power = dict(round=1., square=.5, pilot=.75)[self.style]
        angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        c, s = np.cos(angle), np.sin(angle)
        x = wide * np.sign(c) * abs(c)**power
        y = tall * np.sign(s) * abs(s)**power
        if self.style == 'pilot':
            x = np.where(y > 0, x * (1 - .16 * (y / tall)**2), x)
            y = np.where(y > 0, y * 1.15, y * .85)
        x, y = 42.4 - 1.5 * amount + x, 53.2 + 3. * amount + y
        # it rests on the nose, which widens downwards
        nose = 61.5 - .22 * np.clip(y - 50, 0, None)
        return np.stack([np.minimum(x, nose), y], 1)

    def wear(self, layer, amount):
        left = self._lens(amount)
        right = left * (-1, 1) + (128, 0)
        width = self.width * self.warp.scale * (.55 + .8 * amount)
        high = left[left[:, 1] < 53.2]
        inner, outer = high[high[:, 0].argmax()], high[high[:, 0].argmin()]
        y = min(inner[1], 51)
        bridge = curve([(inner[0] - 1, y), (64, y - 1.4), (129 - inner[0], y)],
                       4)
        arm = np.float32([(outer[0] + 1, outer[1]), (19., 48.5)])
        if outer[0] < 20:  # the lenses reach the temples
            arm[:] = outer
        left, right, bridge, *arms = self.warp.each(
            [left, right, bridge, arm, arm * (-1, 1) + (128, 0)])
        layer.fill(left, self.lens)
        layer.fill(right, self.lens)
        if layer.painted:
            self._glare(layer, left, right)
        rims = [np.concatenate([lens, lens[:1]]) for lens in (left, right)]
        layer.lines(arms + rims, width, self.colour)
        layer.lines([bridge], width * 1.25, self.colour)

    def _glare(self, layer, left, right):
        axis = (np.arange(layer.fine, dtype=np.float32) + .5)
        axis *= BOX / layer.fine
        x, y = axis[None], axis[:, None]
        for lens in (left, right):
            (x0, y0), tall = lens.min(0), np.ptp(lens[:, 1])
            down = np.clip((y - y0) / max(tall, 1), 0, 1)
            along = (x - x0) / max(tall, 1) - .3 + self.lean * (down - .5)
            shine = self.streak * np.exp(-(along / .16)**2) * (1 - down)
            light = 75 * self.fade * down * down + 200 * shine
            layer.tint(self.lens + light[..., None], lens)


class Mask(Worn):
    """A surgical mask, always over the nose.

    Amount: its size, from 0, a child's, to 1, from the eyes to the chin.
    """

    _SMALL = ((64, 69), (58, 71), (51, 76), (44, 80), (38, 84), (35, 92),
              (39, 102), (48, 109), (56, 112), (64, 113))
    _LARGE = ((64, 55), (56, 58.5), (46, 63), (34, 63), (20, 60), (20.5, 76),
              (25.5, 94), (39, 113), (52, 121.5), (64, 123.5))
    SHADOW, LEAST, MOST = .25, -.3, 1.4

    def design(self, rng):
        colours = np.float32([(222, 200, 158), (232, 230, 226),
                              (200, 214, 170), (44, 40, 40), (206, 196, 226)])
        self.colour = colours[rng.choice(5, p=(.4, .25, .1, .15, .1))]
        self.colour = self.colour * rng.uniform(.92, 1.04)
        self.lift = rng.uniform(-.04, .04, 3)

    def wear(self, layer, amount):
        half = _between(self._SMALL, self._LARGE, amount)
        outline = _mirror(half)
        loops = [
            np.float32([half[4], (19.6, 57)]),
            np.float32([half[6], (19.8, 67)])
        ]
        loops += [loop * (-1, 1) + (128, 0) for loop in loops]
        *loops, shape = self.warp.each([*loops, curve(outline, 4, True)])
        layer.lines(loops, .9 * self.warp.scale, self.colour * .93)
        layer.fill(shape, self.colour)
        if layer.painted:
            self._fold(layer, half)

    def _fold(self, layer, half):
        top, bottom = half[0, 1], half[-1, 1]
        left = half[4:7, 0].mean()
        strokes = []
        # rounded over the face: darker towards the sides and below
        for side in (0, 1):
            edge = np.float32(half[3:8]) + (-1, 0)
            edge = edge if side == 0 else edge * (-1, 1) + (128, 0)
            strokes.append((edge, 15, -.2 + self.lift[side]))
        low = _mirror(half[7:])
        strokes.append((low[low[:, 0].argsort()], 10, -.2))
        ridge = np.float32([(64, top + 4), (64, top + .45 * (bottom - top))])
        strokes.append((ridge, 11, .08))
        layer.relief(self.warp, strokes, 5 * self.warp.scale)
        strokes = []
        for i, part in enumerate((.36, .56, .76)):
            y = top + part * (bottom - top)
            wide = 64 - left - 2 - 3 * i
            bow = 3 - 2 * part
            pleat = curve([(64 - wide, y - bow), (64 - .5 * wide, y - .2),
                           (64, y + .6), (64 + .5 * wide, y - .2),
                           (64 + wide, y - bow)], 4)
            strokes += [(pleat + (0, 1.4), 1.8, .1), (pleat, 1.3, -.3)]
        rim = _mirror(half[:5])
        rim = rim[rim[:, 0].argsort()]
        strokes += [(rim + (0, 3.2), 1., -.14), (rim + (0, 1.2), 1.6, .06)]
        layer.relief(self.warp, strokes, .6)
        layer.grain(.025, 1, self.noise_at)


class Scarf(Worn):
    """Drawn up from the neck. Amount: from 0, the chin, to 1, the eyes."""

    def design(self, rng):
        self.tones = two_tones(rng)
        self.tones[1] += .35 * (self.tones[0] - self.tones[1])
        self.colour = self.tones[0]
        names = ('plain', 'plain', 'stripes', 'plaid', 'weave')
        self.name = names[rng.integers(len(names))]
        self.period = rng.uniform(5, 12)
        if self.name == 'weave':
            self.period = rng.uniform(6, 9)
        self.slope = rng.uniform(-4, 4)
        self.folds = rng.normal(0, 1, (6, 4))

    def _edge(self, amount: float, drop: float = 0.) -> np.ndarray:
        """The upper edge, or a line below, from ear to ear, (N, 2)."""
        high = 122 - 66 * amount + drop
        # around the neck it hangs, over the nose it is held up
        sag = 5 * (1 - 2.4 * amount)
        half = [(64, high + sag), (46, high + .55 * sag), (29, high),
                (18, high + 2), (10, high + 7), (3, high + 16),
                (-4, high + 28), (-16, high + 50)]
        line = _mirror(half)
        line = line[line[:, 0].argsort()]
        line[:, 1] += self.slope * (line[:, 0] - 64) / 64
        return curve(line, 4)

    def wear(self, layer, amount):
        edge = self._edge(amount)
        below = np.float32([(144, 200), (-16, 200)])
        layer.fill(self.warp(np.concatenate([edge, below])), self.colour)
        if layer.painted:
            self._cloth(layer, amount)

    def _cloth(self, layer, amount):
        x, y = self.warp.grid(layer.fine)
        bend = 3 * np.cos(x / 17 + self.folds[0, 0]) - .0015 * (x - 64)**2
        layer.tint(
            pattern(self.name, x + .25 * y, y + bend, self.period, self.tones,
                    self.noise_at))
        strokes = []
        for i, (a, b, c, d) in enumerate(self.folds):
            line = self._edge(amount, 7 + 10.5 * i + 1.5 * a)
            t = (line[:, 0] - 64) / 64
            line[:, 1] += 3 * b * t + 3.5 * np.cos(2.2 * t + c)
            strokes += [(line, 3.6, -.44 - .1 * np.tanh(d)),
                        (line + (0, 4), 3.4, .2)]
        layer.relief(self.warp, strokes, 2.2)
        rim = self._edge(amount, 1.2)
        layer.relief(self.warp, [(rim, 1.4, .14), (rim + (0, 3), 1.6, -.2)],
                     .8)
        layer.grain(.05, 1, self.noise_at)


class Hat(Worn):
    """A cap, knit cap or brimmed hat.

    Amount: how deep it is, from 0, above the brows, to 1, over the eyes.
    """

    STYLES = ('knit', 'cap', 'brim')
    SHADOW, LEAST, MOST = .45, -.3, 1.5

    def design(self, rng):
        self.style = self.STYLES[rng.integers(len(self.STYLES))]
        self.tones = two_tones(rng)
        self.colour = self.tones[0]
        self.tilt = rng.uniform(-3, 3)
        self.rib = rng.uniform(3.2, 5.5)
        self.striped = rng.random() < .3

    def _line(self, y: float, sag: float, wide: float) -> np.ndarray:
        """A line around the head at a height, lower by ``sag`` outside."""
        x = np.linspace(-1, 1, 17)
        bow = sag * x**2 - (4 * x**10 if sag > 0 else 0)  # rounded corners
        line = np.stack([64 + wide * x, y + bow + self.tilt * x], 1)
        return line.astype(np.float32)

    def wear(self, layer, amount):
        y = 30 + 32 * amount
        getattr(self, f'_{self.style}')(layer, y)

    def _crown(self, y: float, sag: float, wide: float) -> np.ndarray:
        """A dome over a line around the head."""
        line = self._line(y, sag, wide)
        dome = _mirror([(64, y - 82), (40, y - 78), (20, y - 62),
                        (64 - wide - 1, y - 30)])
        dome = dome[dome[:, 0].argsort()[::-1]]
        return np.concatenate([line, curve(dome, 4)])

    def _round(self, layer, y, wide):
        """Shade a crown: darker at its sides."""
        strokes = []
        for side in (-1, 1):
            edge = [(64 + side * wide, y + 10), (64 + side * wide, y - 40)]
            strokes.append((edge, 26, -.4))
        strokes.append(([(54, y - 8), (56, y - 40)], 22, .12))
        layer.relief(self.warp, strokes, 8)

    def _knit(self, layer, y):
        layer.fill(self.warp(self._crown(y, 6, 50)), self.colour)
        if not layer.painted:
            return
        u, v = self.warp.grid(layer.fine)
        # ribs run together at the top
        rib = (u - 64) / np.clip(1 - .0055 * (y - v), .3, 1.2)
        ribs = .22 * np.sin(rib * (2 * np.pi / self.rib))
        rows = .07 * np.sin(v * (2 * np.pi / 2.2) + rib)
        tone = np.broadcast_to(self.tones[0], (*u.shape, 3))
        if self.striped:
            band = np.sin((v - y - 6 * ((u - 64) / 50)**2) * .28) > .35
            tone = np.where((band & (v < y - 22))[..., None], self.tones[1],
                            tone)
        layer.tint(tone * (1 + ribs + rows)[..., None])
        self._round(layer, y, 50)
        cuff = self._line(y - 19, 6, 50)
        layer.relief(self.warp, [(cuff, 2.2, -.38), (cuff + (0, 3), 2.6, .14),
                                 (self._line(y - 1, 6, 50), 2.6, -.25)], 1.)
        layer.grain(.06, 1, self.noise_at)

    def _cap(self, layer, y):
        crown = self._crown(y - 11, 4, 49)
        layer.fill(self.warp(crown), self.colour)
        low = self._line(y, -12, 47)
        peak = np.concatenate([low, self._line(y - 14, 4, 48)[::-1]])
        peak = self.warp(peak)
        tone = self.tones[1] if self.striped else self.tones[0] * .8
        if layer.painted:
            self._round(layer, y - 11, 49)
            seams = [
                curve([(64 + dx, y - 14), (64 + .8 * dx, y - 50),
                       (64, y - 92)], 5) for dx in (-27, 0, 27)
            ]
            layer.relief(self.warp, [(s, 1., -.25) for s in seams], .5)
        layer.fill(peak, tone)
        if layer.painted:
            layer.relief(self.warp, [
                (self._line(y - 15, 4, 48), 3., -.5),
                (self._line(y - 7, -5, 36), 4., .22),
                (self._line(y - .6, -12, 47), 1.6, -.35),
            ], 1.2)
            layer.grain(.04, 1, self.noise_at)

    def _brim(self, layer, y):
        crown = self._crown(y - 8, 2, 49)
        layer.fill(self.warp(crown), self.colour)
        low, high = self._line(y, -13, 76), self._line(y - 13, -3, 76)
        band = np.concatenate(
            [self._line(y - 26, 2, 49),
             self._line(y - 8, 2, 49)[::-1]])
        if layer.painted:
            self._round(layer, y - 8, 49)
            layer.fill(self.warp(band), self.tones[0] * .45)
        tone = self.tones[0] * .92
        layer.fill(self.warp(np.concatenate([low, high[::-1]])), tone)
        if layer.painted:
            layer.relief(self.warp, [
                (self._line(y - 11, -3, 60), 3., -.35),
                (self._line(y - 5, -8, 60), 5., .14),
                (self._line(y - .8, -13, 74), 1.6, -.3),
            ], 1.3)
            layer.grain(.045, 2, self.noise_at)
