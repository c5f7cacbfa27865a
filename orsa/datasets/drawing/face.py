# Copyright (c) orsa contributors. All rights reserved.
"""One synthetic face with everything that is known about it."""
from typing import Any, Dict, Optional, Sequence, Tuple

import cv2
import numpy as np

from .action_units import (EXPRESSIONS, ActionUnits, apply_action_units,
                           sample_action_units)
from .canvas import BOX, Canvas
from .features import paint_brows, paint_eyes, paint_mouth, paint_nose
from .hair import paint_beard, paint_hair
from .identity import Identity, sample_identity
from .landmarks import neutral_landmarks
from .occluders import OCCLUDERS, WORN, paint_glasses, paint_held
from .photo import background, photograph
from .pose import Camera, Pose, sample_pose
from .relief import face_relief, sample_light, shade
from .skin import apply_light, expose, face_outline, paint_body, skin_colours

# each part has a stream of its own, so a face keeps its person, hair and
# light when only the expression changes
_STREAMS = ('identity', 'units', 'pose', 'light', 'paint', 'hair', 'scene',
            'occluder', 'film')


def _paint_person(canvas: Canvas, points: np.ndarray, units: ActionUnits,
                  who: Identity, light, streams: dict) -> None:
    """Paint the lit person on the frontal canvas."""
    outline = face_outline(points)
    height = face_relief(outline, points, units, who)
    bright, gloss = shade(height, light)
    albedo = skin_colours(points, units, who, streams['paint'])
    bright = expose(bright, albedo) * light.exposure
    paint_body(canvas, points, outline, albedo, who, streams['paint'])
    paint_nose(canvas, points, units, who)
    paint_mouth(canvas, points, units, who)
    paint_beard(canvas, points, who, streams['hair'])
    sparks = paint_eyes(canvas, points, units, who, streams['paint'])
    paint_brows(canvas, points, who, streams['paint'])
    paint_hair(canvas, points, who, streams['hair'])
    if who.glasses != 'none':
        paint_glasses(canvas, points, who, streams['paint'])
    apply_light(canvas, bright, gloss * light.gloss, light.tint)
    for x, y, radius in sparks:
        canvas.disc((x, y), (radius, radius), (240, 240, 240))


def draw_face(expression: str,
              rng: np.random.Generator,
              size: int = 128,
              occlude_prob: float = 0.,
              occluders: Sequence[str] = OCCLUDERS,
              intensity: Tuple[float, float] = (.55, 1.),
              identity: Optional[Identity] = None,
              action_units: Optional[ActionUnits] = None,
              pose: Optional[Pose] = None,
              glasses_prob: float = .12,
              grey_prob: float = .6,
              degrade: bool = True) -> Dict[str, Any]:
    """Draw a face that shows an expression.

    Two calls with generators in the same state give the same person, hair,
    pose and light whatever the expression.

    Args:
        expression (str): One of ``EXPRESSIONS``.
        rng (np.random.Generator): The only source of randomness.
        size (int): Side of the image in pixels. Defaults to 128.
        occlude_prob (float): Probability that a part is occluded. Defaults to
            0.
        occluders (Sequence[str]): Kinds of occluders to choose from. Defaults
            to all.
        intensity (tuple[float, float]): Range of the expression's strength,
            where 1 is the maximum. Defaults to (0.55, 1).
        identity (Identity, optional): The person. Random by default.
        action_units (ActionUnits, optional): Intensities by FACS number;
            chosen for the expression by default.
        pose (Pose, optional): Head pose. Random by default.
        glasses_prob (float): Probability of clear glasses. Defaults to 0.12.
        grey_prob (float): Probability of a grey photograph. Defaults to 0.6.
        degrade (bool): Whether to blur, add grain and compress. Defaults to
            True.

    Returns:
        dict: ``img`` (size, size, 3) uint8 BGR; ``landmarks`` (68, 2)
        float32 in pixels from the image's corner, as mmcv counts;
        ``landmarks_visible`` (68,) float32; ``parsing`` (size, size) uint8
        LaPa classes, as if nothing were occluded; ``visible`` (size, size)
        uint8, 1 where a pixel of the face is visible; ``occlusion_ratio``,
        the occluded fraction of the face; ``occluder``, ``action_units`` and
        ``identity``.
    """
    if expression not in EXPRESSIONS:
        raise ValueError(f"unknown expression '{expression}', expected one of "
                         f'{EXPRESSIONS}')
    seeds = rng.integers(2**63, size=len(_STREAMS))
    streams = {
        name: np.random.Generator(np.random.PCG64(int(seed)))
        for name, seed in zip(_STREAMS, seeds)
    }
    who = identity or sample_identity(streams['identity'], glasses_prob)
    units = action_units
    if units is None:
        units = sample_action_units(expression, streams['units'], intensity)
    pose = pose or sample_pose(streams['pose'])
    light = sample_light(streams['light'])
    skew = float(streams['pose'].normal(0, .07))
    points = apply_action_units(
        neutral_landmarks(who.shape), ActionUnits(units), skew)
    canvas = Canvas(size)
    _paint_person(canvas, points, ActionUnits(units), who, light, streams)
    occluder = None
    if streams['occluder'].random() < occlude_prob:
        occluder = occluders[streams['occluder'].integers(len(occluders))]
        if occluder in WORN:
            WORN[occluder](canvas, points, streams['occluder'])
    sample = _photograph(canvas, Camera(pose, points), points, size, occluder,
                         streams)
    if degrade:
        sample['img'] = photograph(sample['img'], streams['film'], grey_prob)
    sample.update(occluder=occluder, action_units=units, identity=who)
    return sample


def _photograph(canvas: Canvas, camera: Camera, points: np.ndarray, size: int,
                occluder: Optional[str], streams: dict) -> Dict[str, Any]:
    """Turn the canvas into an image, and its labels and points with it."""
    map_x, map_y = camera.canvas_maps(size, canvas.scale)

    def turn(layer, mode=cv2.INTER_LINEAR):
        return cv2.remap(
            layer, map_x, map_y, mode, borderMode=cv2.BORDER_REPLICATE)

    alpha = turn(canvas.alpha)[..., None].astype(np.float32) / 255
    scene = background(size, streams['scene'])
    scene += (turn(canvas.colour) - scene) * alpha
    img = (scene + .5).clip(0, 255).astype(np.uint8)
    parsing = turn(canvas.labels, cv2.INTER_NEAREST)
    mask = turn(canvas.occlusion)
    landmarks = camera.project(points)
    if occluder is not None and occluder not in WORN:
        mask = paint_held(img, landmarks, occluder, streams['occluder'])
    pixels = landmarks * np.float32(size / BOX)

    face = (parsing > 0) & (parsing < 10)
    visible = (face & (mask <= 127)).astype(np.uint8)
    at = np.floor(pixels).astype(int)
    inside = ((at >= 0) & (at < size)).all(1)
    at = at.clip(0, size - 1)
    seen = inside & (mask[at[:, 1], at[:, 0]] <= 127)
    return dict(
        img=img,
        landmarks=pixels,
        parsing=parsing,
        visible=visible,
        landmarks_visible=seen.astype(np.float32),
        occlusion_ratio=1 - float(visible.sum()) / max(int(face.sum()), 1))
