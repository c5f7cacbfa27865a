# Copyright (c) orsa contributors. All rights reserved.
"""Painters of eyes, brows, nose and mouth."""
import cv2
import numpy as np

from .action_units import ActionUnits
from .canvas import Canvas, curve, soften
from .identity import Identity

# LaPa's classes; left and right are the subject's
SKIN, LEFT_BROW, RIGHT_BROW, LEFT_EYE, RIGHT_EYE = 1, 2, 3, 4, 5
NOSE, UPPER_LIP, INNER_MOUTH, LOWER_LIP, HAIR = 6, 7, 8, 9, 10


def _lids(eye: np.ndarray) -> tuple:
    """Dense upper and lower lid curves, image left to right."""
    return curve(eye[[0, 1, 2, 3]], 6), curve(eye[[0, 5, 4, 3]], 6)


def paint_eyes(canvas: Canvas, points: np.ndarray, units: ActionUnits,
               who: Identity, rng: np.random.Generator) -> list:
    """Paint both eyes; return (x, y, radius) of highlights, for later."""
    gaze = rng.normal(0, (1.5, .5))
    lights = []
    for start, label in ((36, RIGHT_EYE), (42, LEFT_EYE)):
        eye = points[start:start + 6]
        lights.append(_paint_eye(canvas, eye, units, who, gaze))
        upper, lower = _lids(eye)
        canvas.label(np.concatenate([upper, lower[::-1]]), label)
    return [light for light in lights if light is not None]


def _paint_eye(canvas: Canvas, eye: np.ndarray, units: ActionUnits,
               who: Identity, gaze: np.ndarray):
    upper, lower = _lids(eye)
    shape = np.concatenate([upper, lower[::-1]])
    window = canvas.window(shape, 6)
    mask = canvas.mask(shape, window, .25)
    centre = eye[[0, 3]].mean(0) + (gaze[0], -.6 + gaze[1])
    radius = 4.5
    before = canvas.colour[window].copy()
    white = np.float32((212, 216, 222)) - 22 * who.darkness
    canvas.colour[window] = white
    # the ball turns away from the light at its corners
    for corner in eye[[0, 3]]:
        canvas.disc(corner, (5, 4), tuple(white * .8))
    canvas.disc(centre, (radius, radius), tuple(who.iris * .45))
    canvas.disc(centre, (radius * .82, radius * .82), tuple(who.iris))
    canvas.disc(centre + (0, -.8), (radius * .6, radius * .5),
                tuple(who.iris * .7))
    canvas.disc(centre, (radius * .42, radius * .42), (12, 10, 10))
    inside = canvas.soften(window, .3)
    # the upper lid's shadow
    shade = np.zeros(inside.shape[:2], np.uint8)
    shifted = canvas.to_fixed(upper + (0, .6))
    shifted -= np.int32([window[1].start, window[0].start]) << 4
    cv2.polylines(shade, [shifted], False, 255, canvas.width(2.6), cv2.LINE_AA,
                  4)
    dark = soften(shade, .8 * canvas.scale).astype(np.float32) / 255 * .55
    canvas.blend(window, dark[..., None], 30)
    inside = canvas.colour[window].astype(np.float32)
    canvas.colour[window] = before
    canvas.blend(window, mask, inside)
    _paint_lids(canvas, upper, lower, units, who)
    open_eye = lower[9, 1] - upper[9, 1]
    if open_eye < 1.6:
        return None
    return centre[0] + 1.4, max(centre[1] - 1.6, upper[9, 1] + 1.), .9


def _paint_lids(canvas: Canvas, upper: np.ndarray, lower: np.ndarray,
                units: ActionUnits, who: Identity) -> None:
    """Lashes, the crease above the eye and the lower rim."""
    skin = who.skin
    lash = tuple(who.brow * .35)
    window = canvas.window(np.concatenate([upper, lower]), 9)
    crease = upper + (0, -2.6 - .6 * units[1] + 1.2 * units[4])
    crease = crease[2:-1]
    canvas.lines([crease], tuple(skin * .62), .8)
    if who.makeup > .2:
        canvas.lines([upper + (0, -1.4)], tuple(skin * .5), 2.2)
    canvas.lines([lower + (0, .8)], tuple(skin * np.float32((.84, .84, .94))),
                 .9)
    canvas.soften(window, .35)
    canvas.lines([upper], lash, .8 + .5 * who.female + .5 * who.makeup)
    canvas.lines([lower[3:-2]], tuple(skin * .5), .4 + .5 * who.makeup)


def paint_brows(canvas: Canvas, points: np.ndarray, who: Identity,
                rng: np.random.Generator) -> None:
    """Paint both brows: a soft base and strokes of hair over it."""
    for start, label, side in ((17, RIGHT_BROW, -1), (22, LEFT_BROW, 1)):
        brow = points[start:start + 5]
        if side > 0:
            brow = brow[::-1]  # now from the outer to the inner end
        middle = curve(brow, 6)
        t = np.linspace(0, 1, len(middle))
        thick = who.brow_thickness * (.25 + 1.1 * t**.7 - .35 * t**6)
        upper, lower = middle.copy(), middle.copy()
        # annotators, and face meshes even more, mark a brow's upper half
        middle[:, 1] += thick * .35
        upper[:, 1] -= thick * .15
        lower[:, 1] += thick * .85
        shape = np.concatenate([upper, lower[::-1]])
        window = canvas.window(shape, 4)
        mask = canvas.mask(shape, window, .55)
        canvas.blend(window, mask * .85, who.brow)
        _paint_brow_hair(canvas, middle, thick, side, who, rng)
        canvas.label(shape, label)


def _paint_brow_hair(canvas: Canvas, middle: np.ndarray, thick: np.ndarray,
                     side: int, who: Identity,
                     rng: np.random.Generator) -> None:
    count = 34
    at = rng.uniform(0, len(middle) - 1.01, count)
    low = at.astype(int)
    root = middle[low]
    root = root + (middle[low + 1] - root) * (at - low)[:, None]
    size = thick[low]
    t = at / len(middle)
    root[:, 1] += size * rng.uniform(-.3, .5, count)
    # hairs rise at the inner end and lie flat at the outer end
    length = size * rng.uniform(.5, 1., count)
    lean = side * (1.15 - 1.1 * t**3) * length
    tip = root + np.stack([lean, -length * (.25 + .6 * t**3)], 1)
    hairs = np.stack([root, tip], 1)
    canvas.lines(hairs[::2], tuple(who.brow * .8), .35)
    canvas.lines(hairs[1::2], tuple(who.brow * .62), .35)


def paint_nose(canvas: Canvas, points: np.ndarray, units: ActionUnits,
               who: Identity) -> None:
    """Paint nostrils and edges of the wings; the relief shades the rest."""
    skin = who.skin
    window = canvas.window(points[31:36], 8)
    flare = 1 + .25 * max(units[9], units[10])
    for wing, side in ((points[31], -1), (points[35], 1)):
        line = wing + np.float32([(-side * .2, -6), (side * 1.4, -3.2),
                                  (side * 1.4, -.6), (-side * .6, 1.2)])
        canvas.lines([curve(line, 4)], tuple(skin * .66), .9)
        canvas.disc(wing + (-side * 3.2, .8), (2.2 * flare, 1.0 * flare),
                    tuple(skin * .34), -side * 14)
    under = points[31:36] + (0, .9)
    canvas.lines([curve(under[1:4], 4)], tuple(skin * .74), .9)
    canvas.soften(window, .55)
    bridge = points[27]
    shape = np.stack([
        bridge + (-2.5, -1), bridge + (2.5, -1), points[28] + (4.5, 1),
        points[35] + (1.5, -4), points[35] + (1.2, -.5), points[34],
        points[33], points[32], points[31] + (-1.2, -.5),
        points[31] + (-1.5, -4), points[28] + (-4.5, 1)
    ])
    canvas.label(shape, NOSE)


def paint_mouth(canvas: Canvas, points: np.ndarray, units: ActionUnits,
                who: Identity) -> None:
    """Paint lips, teeth, tongue and the dark between them."""
    outer_up = curve(points[48:55], 5)
    outer_low = curve(points[[48, 59, 58, 57, 56, 55, 54]], 5)
    inner_up = curve(points[[60, 61, 62, 63, 64]], 7)
    inner_low = curve(points[[60, 67, 66, 65, 64]], 7)
    lips = np.concatenate([outer_up, outer_low[::-1]])
    inner = np.concatenate([inner_up, inner_low[::-1]])
    window = canvas.window(lips, 4)
    tone = who.lips
    canvas.blend(window, canvas.mask(lips, window, .7), tone)
    upper = np.concatenate([outer_up, inner_up[::-1]])
    canvas.blend(window, canvas.mask(upper, window, .7) * .75, tone * .84)
    gap = (inner_low - inner_up)[:, 1].max()
    if gap > .9:
        _paint_inside(canvas, inner, inner_up, inner_low, units, window)
    rim = max(.5, .9 - .1 * gap)
    canvas.lines([inner_up], tuple(tone * .32), rim)
    if gap > .9:
        canvas.lines([inner_low], tuple(tone * .6), .5)
    canvas.soften(window, .28)
    canvas.label(lips, LOWER_LIP)
    canvas.label(upper, UPPER_LIP)
    if gap > .4:
        canvas.label(inner, INNER_MOUTH)


def _paint_inside(canvas: Canvas, inner: np.ndarray, inner_up: np.ndarray,
                  inner_low: np.ndarray, units: ActionUnits,
                  window: tuple) -> None:
    """Teeth and tongue, painted over a window and cut out by the lips."""
    before = canvas.colour[window].copy()
    canvas.colour[window] = (26, 20, 48)
    middle, gap = inner_low[14], (inner_low - inner_up)[:, 1].max()
    if gap > 7:
        canvas.disc(middle + (0, 1.5), (9, min(6, gap * .42)), (88, 82, 150))
        canvas.disc(middle + (0, 2.), (6, min(4, gap * .3)), (98, 92, 164))
    bare = max(units[12], units[10], units[9], .9 * units[20])
    up = 1.2 + 4.6 * bare
    down = 1.0 + 4.2 * max(units[16], .8 * units[20]) + .6 * units[9]
    down = down if units[16] or units[20] or units[9] else 0
    for edge, tall, tone in ((inner_up, up, 1.), (inner_low, -down, .86)):
        if abs(tall) < .5:
            continue
        ease = np.sin(np.linspace(.35, np.pi - .35, len(edge)))
        rim = edge + np.stack([0 * ease, tall * ease**.5], 1)
        far = edge - (0, 3 * np.sign(tall))
        white = np.float32((208, 220, 226)) * tone
        canvas.fill(np.concatenate([far, rim[::-1]]), tuple(white))
        near = np.abs(rim[:, 0] - 64) < 14
        at = rim[near][::3]
        gums = np.stack([at, at - (0, tall)], 1)
        canvas.lines(gums, tuple(white * .8), .35)
        canvas.lines([rim], tuple(white * .72), .35)
    canvas.soften(window, .35)
    # it gets darker towards the corners, where the cheeks close in
    for corner in (inner[0], inner_up[-1]):
        canvas.disc(corner, (4, 2.6), (30, 26, 52))
    inside = canvas.soften(window, .5).astype(np.float32)
    canvas.colour[window] = before
    canvas.blend(window, canvas.mask(inner, window, .25), inside)
