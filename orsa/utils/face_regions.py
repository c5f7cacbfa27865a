# Copyright (c) orsa contributors. All rights reserved.
"""Parts of the face: LaPa's 11 classes and 300-W's 68 points.

Left and right are the subject's, as LaPa and 300-W have them.
"""
import numpy as np

LAPA_CLASSES = ('background', 'skin', 'left brow', 'right brow', 'left eye',
                'right eye', 'nose', 'upper lip', 'inner mouth', 'lower lip',
                'hair')
# RGB
LAPA_PALETTE = ((0, 0, 0), (230, 190, 160), (0, 158, 115), (0, 114, 178),
                (240, 228, 66), (86, 180, 233), (213, 94, 0), (204, 60, 90),
                (90, 20, 40), (204, 121, 167), (100, 70, 40))
# and what lies before the face, for parsers that tell it from background
FACE_CLASSES = (*LAPA_CLASSES, 'occluder')
HAIR, OCCLUDER = map(FACE_CLASSES.index, ('hair', 'occluder'))
FACE_PALETTE = (*LAPA_PALETTE, (255, 255, 255))
# classes that a horizontal flip exchanges
LAPA_FLIP_PAIRS = ((2, 3), (4, 5))
IGNORED = 255  # mmseg's label of what is left out of loss and metric
# a pixel that may be of several classes has this plus `1 << class` for each
SET_OFFSET = 256
NUM_LANDMARKS = 68
RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)
# lines that join the 68 points: jaw, brows, bridge and base of the nose, eyes,
# outer and inner lips; the first point, the one behind the last, and whether
# the line is closed
LINES_68 = ((0, 17, False), (17, 22, False), (22, 27, False), (27, 31, False),
            (31, 36, False), (36, 42, True), (42, 48, True), (48, 60, True),
            (60, 68, True))


def _flip_indices() -> np.ndarray:
    """Where each of the 68 points comes from under a horizontal flip."""
    index = np.arange(68)
    pairs = [(i, 16 - i) for i in range(8)]  # jaw
    pairs += [(17 + i, 26 - i) for i in range(5)]  # brows
    pairs += [(31, 35), (32, 34)]  # nostrils
    pairs += [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    pairs += [(48, 54), (49, 53), (50, 52), (55, 59), (56, 58)]  # outer lips
    pairs += [(60, 64), (61, 63), (65, 67)]  # inner lips
    for a, b in pairs:
        index[a], index[b] = b, a
    return index


FLIP_68 = _flip_indices()


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """Eyes, nose tip and mouth corners (5, 2) of 68 landmarks (68, 2)."""
    return np.stack([
        landmarks[RIGHT_EYE].mean(0), landmarks[LEFT_EYE].mean(0),
        landmarks[30], landmarks[48], landmarks[54]
    ])
