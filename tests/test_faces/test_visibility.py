# Copyright (c) orsa contributors. All rights reserved.
"""The occluded fraction of a face, from masks whose areas are known."""
import cv2
import numpy as np
import pytest

from orsa.datasets.drawing.landmarks import BASE
from orsa.datasets.drawing.occluders import landmark_hull
from orsa.faces.visibility import occluded_fractions
from orsa.utils.face_regions import FACE_CLASSES

POINTS = (BASE + .5) / 128
HULL = landmark_hull(BASE, 128) > 0


def forehead():
    """As high above the brows as 0.3 of what is below them."""
    brows = BASE[17:27]
    up = .3 * (brows.mean(0) - BASE[8])
    mask = np.zeros((128, 128), np.uint8)
    outline = cv2.convexHull(np.rint([*brows, *brows + up]).astype(np.int32))
    cv2.fillConvexPoly(mask, outline, 1)
    return (mask > 0) & ~HULL


def measure(classes, count=12):
    """What is measured of a mask of names, skin where it has none."""
    labels = np.ones((128, 128), int)
    for name, where in classes:
        labels[where] = FACE_CLASSES.index(name)
    probs = np.eye(count, dtype=np.float32)[labels]
    return occluded_fractions(probs.transpose(2, 0, 1)[None], POINTS[None],
                              1)[0]


@pytest.mark.parametrize('name', ['background', 'hair', 'occluder'])
def test_what_is_no_face_counts_by_its_area(name):
    total = HULL.sum() + forehead().sum()
    lower = HULL & (np.arange(128)[:, None] > 85)
    assert measure([(name, lower)]) == pytest.approx(
        lower.sum() / total, abs=.02)
    assert measure([]) == pytest.approx(0, abs=1e-6)


def test_a_hat_counts_and_hair_above_the_brows_does_not():
    share = forehead().sum() / (HULL.sum() + forehead().sum())
    assert .1 < share < .3
    for name in ('background', 'occluder'):
        assert measure([(name, forehead())]) == pytest.approx(share, abs=.03)
    assert measure([('hair', forehead())]) == pytest.approx(0, abs=.03)
    everything = np.ones((128, 128), bool)
    assert measure([('occluder', everything)]) == pytest.approx(1)


def test_a_parser_without_occluders_knows_the_hull_alone():
    for name in ('background', 'hair'):
        assert measure([(name, HULL)], count=11) > .97
        assert measure([(name, forehead())], count=11) < .03
    lower = HULL & (np.arange(128)[:, None] > 85)
    assert measure([('background', lower)], 11) == pytest.approx(
        lower.sum() / HULL.sum(), abs=.02)


def test_without_landmarks_or_mask_nothing_is_said():
    probs = np.full((2, 12, 8, 8), .1, np.float32)
    assert occluded_fractions(probs, None, 2) == [None, None]
    assert occluded_fractions(None, POINTS[None], 1) == [None]
    assert occluded_fractions(probs, np.zeros((2, 5, 3)), 2) == [None] * 2
