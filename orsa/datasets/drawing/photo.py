# Copyright (c) orsa contributors. All rights reserved.
"""What is behind the head, and what a camera and a file do to an image."""
import cv2
import numpy as np

from .canvas import rotation, soften
from .skin import noise_patch


def background(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a blurred scene, (size, size, 3) float32 BGR."""
    near, far = rng.uniform(10, 225, (2, 1)) + rng.normal(0, 22, (2, 3))
    turn = rng.uniform(0, 2 * np.pi)
    axis = np.linspace(-.5, .5, 32, dtype=np.float32)
    ramp = axis[None] * np.cos(turn) + axis[:, None] * np.sin(turn) + .5
    scene = near + (far - near) * ramp[..., None]
    if rng.random() < .7:
        noise = noise_patch(rng, int(rng.integers(1, 4)), 32)
        scene = scene * (1 + rng.uniform(.05, .3) * noise[..., None])
    scene = np.clip(scene, 0, 255).astype(np.uint8)
    for _ in range(rng.integers(0, 7)):
        x, y, w, h = rng.integers((-8, -8, 2, 4), (34, 34, 20, 34))
        colour = tuple(rng.uniform(0, 240) + rng.normal(0, 22, 3))
        cv2.rectangle(scene, (int(x), int(y)), (int(x + w), int(y + h)),
                      colour, -1)
    scene = soften(scene, rng.uniform(.4, 2.5))
    return cv2.resize(scene, (size, size)).astype(np.float32)


def _black_frame(image: np.ndarray, rng: np.random.Generator) -> None:
    """Paint black corners, as alignment leaves where the photograph ends."""
    size = len(image)
    half = .5 * size * rng.uniform(.88, 1.12, 2)
    angle = rng.normal(0, .09)
    box = np.float64([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
    box = box @ rotation(angle, np.float64).T
    box += size / 2 + rng.normal(0, .03 * size, 2)
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.rint(box * 16).astype(np.int32)], 255, cv2.LINE_AA,
                 4)
    mask = cv2.cvtColor(mask, cv2.COLOR_GRAY2BGR)
    cv2.multiply(image, mask, dst=image, scale=1 / 255)


def _tone(image: np.ndarray, rng: np.random.Generator,
          grey_prob: float) -> np.ndarray:
    """Film: grey or colour, contrast, gamma."""
    if rng.random() < grey_prob:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    elif rng.random() < .5:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        grey = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
        keep = rng.uniform(.3, 1)
        image = cv2.addWeighted(image, keep, grey, 1 - keep, 0)
    level = np.arange(256, dtype=np.float32) / 255
    level = level**np.exp(rng.normal(0, .2))
    gain, lift = np.exp(rng.normal(0, .12)), rng.normal(0, .03)
    level = (level - .5) * gain + .5 + lift
    return cv2.LUT(image, np.clip(level * 255, 0, 255).astype(np.uint8))


def photograph(image: np.ndarray,
               rng: np.random.Generator,
               grey_prob: float = .6) -> np.ndarray:
    """Degrade an image (size, size, 3) uint8 as press photographs are."""
    size = len(image)
    image = _tone(image, rng, grey_prob)
    if rng.random() < .6:
        small = int(size * rng.uniform(.42, .95))
        image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    elif rng.random() < .5:
        image = soften(image, rng.uniform(.2, 1.2) * size / 128)
    if rng.random() < .35:
        _black_frame(image, rng)
    if rng.random() < .6:
        grain = noise_patch(rng, 0, min(size, 256)) * rng.uniform(.5, 4)
        if grain.shape[0] != size:
            grain = cv2.resize(grain, (size, size))
        grain = cv2.merge([grain] * 3)
        image = cv2.add(image, grain, dtype=cv2.CV_8U)
    if rng.random() < .5:
        quality = int(rng.integers(35, 95))
        code = cv2.imencode('.jpg', image, (cv2.IMWRITE_JPEG_QUALITY, quality))
        image = cv2.imdecode(code[1], cv2.IMREAD_COLOR)
    return image
