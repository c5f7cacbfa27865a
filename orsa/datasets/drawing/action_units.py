# Copyright (c) orsa contributors. All rights reserved.
"""Facial action units: what each moves, and which ones an expression uses.

Action units are those of FACS (P. Ekman, W. V. Friesen, Facial Action Coding
System, Consulting Psychologists Press, 1978). The combinations follow EMFACS
(W. V. Friesen, P. Ekman, EMFACS-7, 1983) and the prototypes and variants
listed by S. Du, Y. Tao, A. M. Martinez, Compound facial expressions of
emotion, PNAS 2014. Intensity 1 stands for FACS level E, the maximum.
"""
from typing import Dict, Tuple

import numpy as np

from orsa.utils.face_regions import FLIP_68, NUM_LANDMARKS

# {unit: {landmark: (dx, dy)}} in units of the 128 box, y down, for the half
# of the face on the image's left; the other half is mirrored.
MOTIONS = {
    # inner and outer brow raiser, brow lowerer
    1: {21: (-.4, -6.2), 20: (-.2, -4.6), 19: (0, -1.6), 27: (0, -.6)},
    2: {17: (-.4, -4.0), 18: (-.2, -5.6), 19: (0, -5.2), 20: (0, -2.4),
        21: (0, -.6)},
    4: {21: (2.8, 5.6), 20: (2.3, 4.9), 19: (1.3, 3.4), 18: (.6, 2.0),
        17: (0, .6), 37: (0, .4), 38: (0, .7)},
    # upper lid raiser, cheek raiser, lid tightener
    5: {37: (0, -3.2), 38: (0, -3.1), 40: (0, .5), 41: (0, .5)},
    6: {40: (0, -1.3), 41: (0, -1.5), 37: (0, .5), 38: (0, .2),
        36: (.4, .2)},
    7: {40: (0, -1.4), 41: (0, -1.4), 37: (0, 1.0), 38: (0, 1.0)},
    # nose wrinkler, upper lip raiser
    9: {30: (0, -2.0), 31: (-.7, -3.0), 32: (0, -2.0), 33: (0, -1.5),
        50: (0, -2.0), 51: (0, -1.4), 49: (0, -1.4), 61: (0, -1.6),
        62: (0, -1.2), 21: (1.6, 3.2), 20: (1.0, 2.8), 19: (.4, 1.6),
        38: (0, .8), 39: (0, -.3)},
    10: {49: (-.6, -3.4), 50: (-.3, -4.4), 51: (0, -3.2), 61: (0, -4.4),
         62: (0, -3.4), 48: (-.4, -.6), 60: (-.3, -.6), 31: (-.7, -1.2)},
    # lip corner puller and depressor
    12: {48: (-6.4, -6.2), 60: (-6.2, -5.9), 49: (-3.6, -2.2), 50: (-1, .4),
         51: (0, .8), 61: (-1.8, 0), 62: (0, .7), 67: (-1.8, .4),
         66: (0, 1.4), 57: (0, .8), 58: (-1.2, .4), 59: (-3.6, -1.4),
         31: (-.9, -.3)},
    15: {48: (-.9, 5.0), 60: (-.8, 4.7), 49: (-.5, 1.4), 59: (-.8, 2.6),
         58: (0, .4), 50: (0, .2)},
    # lower lip depressor, chin raiser
    16: {57: (0, 3.2), 58: (0, 3.2), 59: (-.8, 2.0), 66: (0, 3.2),
         67: (0, 3.2)},
    17: {57: (0, -2.4), 58: (0, -2.2), 59: (0, -1.2), 66: (0, -2.0),
         67: (0, -2.0), 62: (0, -1.6), 61: (0, -1.5), 51: (0, -1.4),
         50: (0, -1.2), 8: (0, -1.4), 7: (0, -1.2)},
    # lip stretcher, tightener, pressor
    20: {48: (-6.0, 1.6), 60: (-5.8, 1.6), 49: (-3.4, 1.0), 59: (-3.2, 1.0),
         50: (-1.0, .4), 58: (-1.2, 0), 61: (-1.8, .4), 67: (-1.8, .2)},
    23: {49: (.8, 1.4), 50: (.2, 1.8), 51: (0, 1.6), 57: (0, -2.2),
         58: (.2, -2.2), 59: (.8, -1.6), 48: (1.8, 0), 60: (1.8, 0)},
    24: {49: (.2, 1.2), 50: (0, 1.5), 51: (0, 1.4), 57: (0, -1.9),
         58: (0, -1.9), 59: (0, -1.2), 48: (.5, .4), 60: (.5, .4)},
    # lips part, jaw drop, mouth stretch
    25: {61: (0, -.9), 62: (0, -.9), 50: (0, -.5), 51: (0, -.5),
         66: (0, 1.8), 67: (0, 1.8), 57: (0, 1.4), 58: (0, 1.4),
         59: (0, .8)},
    26: {66: (0, 8.6), 67: (0, 8.2), 57: (0, 8.6), 58: (0, 8.4),
         59: (.8, 5.6), 48: (1.6, 2.6), 60: (1.6, 2.6), 8: (0, 5.6),
         7: (0, 5.6), 6: (.4, 4.8), 5: (.6, 3.0), 4: (.4, 1.4)},
    27: {66: (0, 14.5), 67: (.2, 13.4), 57: (0, 14.5), 58: (.2, 14.0),
         59: (2.2, 9.6), 48: (3.6, 4.4), 60: (3.6, 4.4), 49: (1.2, .4),
         62: (0, -.8), 61: (.2, -.8), 51: (0, -.8), 50: (.2, -.8),
         8: (0, 11.0), 7: (.2, 11.0), 6: (.9, 9.6), 5: (1.4, 6.4),
         4: (.9, 3.0)},
    # eyes closing
    43: {37: (0, 4.4), 38: (0, 4.6), 40: (0, .2), 41: (0, .2)},
}  # yapf: disable
UNITS = tuple(MOTIONS)

# (weight, {unit: (lowest, highest intensity)}) per way of showing it
_RECIPES = {
    'surprise': (
        (.45, {1: (.7, 1.), 2: (.7, 1.), 5: (.6, 1.), 25: (.6, 1.),
               26: (.8, 1.)}),
        (.40, {1: (.7, 1.), 2: (.7, 1.), 5: (.6, 1.), 25: (.5, 1.),
               27: (.4, 1.)}),
        (.15, {1: (.8, 1.), 2: (.8, 1.), 5: (.8, 1.), 25: (.5, .9),
               26: (.15, .6)})),
    'fear': (
        (.45, {1: (.8, 1.), 2: (.2, .5), 4: (.4, .65), 5: (.8, 1.),
               20: (.7, 1.), 25: (.6, 1.), 26: (.1, .4)}),
        (.40, {1: (.8, 1.), 2: (.2, .5), 4: (.4, .65), 5: (.8, 1.),
               16: (.5, .9), 20: (.7, 1.), 25: (.5, .9), 26: (.1, .4)}),
        (.15, {1: (.8, 1.), 2: (.2, .5), 4: (.4, .65), 5: (.9, 1.),
               20: (.8, 1.), 25: (.2, .5)})),
    'disgust': (
        (.35, {4: (.3, .6), 7: (.4, .8), 9: (.8, 1.), 10: (.5, .9),
               15: (.3, .6), 17: (.4, .8)}),
        (.40, {4: (.3, .6), 6: (.3, .7), 7: (.4, .8), 9: (.8, 1.),
               10: (.8, 1.), 25: (.5, .9), 16: (0., .4)}),
        (.25, {4: (.3, .6), 7: (.6, .9), 9: (.8, 1.), 10: (.7, 1.),
               16: (.3, .7), 25: (.5, .9), 26: (.2, .5), 15: (.3, .5)})),
    'happiness': (
        (.50, {6: (.4, 1.), 12: (.8, 1.), 25: (.7, 1.), 26: (0., .25)}),
        (.20, {6: (.4, 1.), 12: (.75, 1.)}),
        (.30, {6: (.6, 1.), 12: (.9, 1.), 25: (.7, 1.), 26: (.4, .9)})),
    'sadness': (
        (.50, {1: (.8, 1.), 4: (.3, .55), 15: (.7, 1.), 17: (.2, .6),
               43: (.1, .4)}),
        (.30, {1: (.8, 1.), 4: (.35, .6), 7: (.2, .5), 15: (.8, 1.),
               17: (.6, 1.)}),
        (.20, {1: (.8, 1.), 4: (.35, .6), 6: (.2, .5), 7: (.2, .6),
               15: (.8, 1.), 25: (.4, 1.), 43: (.1, .3), 26: (0., .25)})),
    'anger': (
        (.45, {4: (.9, 1.), 5: (.2, .5), 7: (.5, .8), 17: (.2, .5),
               23: (.5, 1.), 24: (.5, 1.)}),
        (.30, {4: (.9, 1.), 5: (.3, .6), 7: (.5, .8), 10: (.3, .6),
               16: (.5, .9), 25: (.6, 1.), 26: (.1, .3), 23: (0., .3)}),
        (.25, {4: (.9, 1.), 5: (.3, .7), 7: (.4, .7), 10: (.3, .6),
               25: (.5, 1.), 26: (.7, 1.), 27: (0., .3)})),
    'neutral': (
        (.50, {}),
        (.30, {25: (.2, .8)}),
        (.20, {25: (.3, .8), 26: (.05, .4)})),
}  # yapf: disable
EXPRESSIONS = tuple(_RECIPES)


class ActionUnits(dict):
    """Intensities in [0, 1] by unit number; a unit not named is at rest."""

    def __missing__(self, unit: int) -> float:
        return 0.


def sample_action_units(
    expression: str,
    rng: np.random.Generator,
    intensity: Tuple[float, float] = (.55, 1.)
) -> ActionUnits:
    """Action units of one way to show an expression.

    Args:
        expression (str): One of ``EXPRESSIONS``.
        rng (np.random.Generator): Source of the variation.
        intensity (tuple[float, float]): Range of the common strength of all
            units of the expression. Defaults to (0.55, 1).

    Returns:
        ActionUnits: Intensities by unit number.
    """
    recipes = _RECIPES[expression]
    pick = rng.random() * sum(weight for weight, _ in recipes)
    for weight, recipe in recipes:
        pick -= weight
        if pick < 0:
            break
    strength = rng.uniform(*intensity)
    units = ActionUnits({
        unit: strength * rng.uniform(low, high)
        for unit, (low, high) in recipe.items()
    })
    # nobody's face is entirely still
    for unit in (1, 2, 4, 7, 12, 15, 43):
        units[unit] += abs(rng.normal(0, .07))
    return units


def _half_motions() -> np.ndarray:
    """(2 halves, units, 68, 2): motions of the image's left and right."""
    motions = np.zeros((2, len(UNITS), NUM_LANDMARKS, 2), np.float32)
    for i, unit in enumerate(UNITS):
        for point, (dx, dy) in MOTIONS[unit].items():
            half = .5 if FLIP_68[point] == point else 1.
            motions[0, i, point] = dx * half, dy * half
            motions[1, i, FLIP_68[point]] = -dx * half, dy * half
    return motions


_HALF_MOTIONS = _half_motions()


def apply_action_units(landmarks: np.ndarray,
                       units: Dict[int, float],
                       skew: float = 0.) -> np.ndarray:
    """Move the landmarks (68, 2) of a face at rest.

    With ``skew``, in [-1, 1], the image's left half moves more than the right.
    """
    strength = np.float32([units.get(unit, 0.) for unit in UNITS])
    halves = np.einsum('u,hupc->hpc', strength, _HALF_MOTIONS)
    moved = landmarks + (1 + skew) * halves[0] + (1 - skew) * halves[1]
    return _keep_order(moved)


def _keep_order(points: np.ndarray) -> np.ndarray:
    """Keep lids and lips from passing through each other."""
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        gap = points[lower, 1] - points[upper, 1]
        if gap < .5:
            points[upper, 1] = points[lower, 1] - .5
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        if points[lower, 1] < points[upper, 1]:
            points[[upper, lower], 1] = points[[upper, lower], 1].mean()
    for outer, inner in ((50, 61), (51, 62), (52, 63)):
        points[outer, 1] = min(points[outer, 1], points[inner, 1] - 1.2)
    for inner, outer in ((67, 58), (66, 57), (65, 56)):
        points[outer, 1] = max(points[outer, 1], points[inner, 1] + 1.4)
    return points
