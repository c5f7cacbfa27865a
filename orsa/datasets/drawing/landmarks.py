# Copyright (c) orsa contributors. All rights reserved.
"""The 68 landmarks (300-W order) of a face at rest, and how people differ."""
import numpy as np

from orsa.utils.face_regions import FLIP_68, LEFT_EYE, NUM_LANDMARKS, RIGHT_EYE

# the image's left half and the midline; proportions of aligned press photos
_HALF = {
    0: (18.4, 43.2), 1: (18.3, 56.5), 2: (19.2, 70.0), 3: (22.4, 85.5),
    4: (27.4, 97.6), 5: (34.2, 107.0), 6: (43.2, 114.6), 7: (53.4, 119.8),
    8: (64, 121.4), 17: (23.4, 41.2), 18: (29.4, 38.2), 19: (37.0, 37.0),
    20: (45.5, 37.9), 21: (53.6, 39.6), 27: (64, 50.0), 28: (64, 59.5),
    29: (64, 68.5), 30: (64, 75.4), 31: (55.4, 80.6), 32: (59.3, 82.3),
    33: (64, 83.2), 36: (33.2, 53.0), 37: (38.6, 49.7), 38: (46.0, 49.6),
    39: (52.2, 53.7), 40: (46.4, 55.4), 41: (39.4, 55.5), 48: (47.4, 96.8),
    49: (53.8, 93.0), 50: (60.0, 91.2), 51: (64, 92.0), 57: (64, 103.2),
    58: (59.2, 102.8), 59: (53.6, 100.9), 60: (49.4, 96.8), 61: (59.2, 96.3),
    62: (64, 96.7), 66: (64, 96.8), 67: (59.2, 96.5)
}  # yapf: disable

RIGHT_BROW, LEFT_BROW = slice(17, 22), slice(22, 27)


def _base() -> np.ndarray:
    points = np.zeros((NUM_LANDMARKS, 2), np.float32)
    for i, (x, y) in _HALF.items():
        points[FLIP_68[i]] = 128 - x, y
        points[i] = x, y
    return points


BASE = _base()


def neutral_landmarks(shape) -> np.ndarray:
    """Landmarks (68, 2) in units of a :class:`FaceShape` at rest."""
    points = BASE.copy()
    x, y = points[:, 0] - 64, points[:, 1]
    jaw = slice(0, 17)
    low = np.clip((y[jaw] - 60) / 60, 0, 1)
    x[jaw] *= shape.width * (1 + (shape.jaw - 1) * low**.7)
    y[jaw] = np.where(y[jaw] > 96, 96 + (y[jaw] - 96) * shape.chin, y[jaw])
    for eye, side in ((RIGHT_EYE, -1), (LEFT_EYE, 1)):
        centre = x[eye].mean(), y[eye].mean()
        dx = (x[eye] - centre[0]) * shape.eye_width
        dy = (y[eye] - centre[1]) * shape.eye_open
        x[eye] = centre[0] + dx + side * shape.eye_gap
        y[eye] = centre[1] + dy - side * dx * shape.eye_slant
    for brow, side in ((RIGHT_BROW, -1), (LEFT_BROW, 1)):
        dx = (x[brow] - x[brow].mean()) * side
        y[brow] = 39 + (y[brow] - 39) * shape.brow_arch + shape.brow_height
        y[brow] -= dx * shape.brow_slant
        x[brow] += side * shape.eye_gap
    y[27:36] = 50 + (y[27:36] - 50) * shape.nose_length
    x[31:36] *= shape.nose_width
    mouth = slice(48, 68)
    x[mouth] *= shape.mouth_width
    above = np.clip(96.6 - y[mouth], 0, None)
    below = np.clip(y[mouth] - 96.6, 0, None)
    y[mouth] = (96.6 + shape.mouth_drop - above * shape.upper_lip +
                below * shape.lower_lip - np.abs(x[mouth]) * shape.mouth_tilt)
    # turned heads look narrower: this makes up for it on average
    points[:, 0], points[:, 1] = 1.03 * x + 64, y
    return points
