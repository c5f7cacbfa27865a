# Copyright (c) orsa contributors. All rights reserved.
"""Faces keep their numbers, and scores are smoothed by time."""
import math

import numpy as np
import pytest
import torch

from orsa.evaluation.calibration import OCCLUDED
from orsa.faces import tracking
from orsa.faces.results import FaceResult
from orsa.faces.tracking import FaceTracker


def face(x, y=0., happy=1., size=100., **kwargs):
    return FaceResult((x, y, x + size, y + size),
                      dict(happiness=happy, neutral=1 - happy), **kwargs)


def test_boxes_match_from_the_least_iou_on():
    """Of 100 pixels, moved by d: (100 - d) / (100 + d)."""
    for shift, number in ((66, 1), (67, 2)):  # 0.2048 and 0.1976
        tracker = FaceTracker(min_iou=.2)
        tracker.update([face(0)], 0.)
        moved = [face(shift), face(500, size=0.)]
        tracker.update(moved, .1)
        assert moved[0].track == number and moved[1].track == number + 1


def test_numbers_stay_whatever_the_order():
    tracker = FaceTracker()
    for step in range(10):
        # two move towards each other, one comes later
        faces = [face(10 * step), face(300 - 10 * step, 200)]
        if step >= 4:
            faces.insert(0, face(600))
        if step % 2:
            faces = faces[::-1]
        tracker.update(faces, step / 10)
        by_place = {f.box[:2]: f.track for f in faces}
        assert by_place[(10 * step, 0)] == 1
        assert by_place[(300 - 10 * step, 200)] == 2
        if step >= 4:
            assert by_place[(600, 0)] == 3
    assert tracker.num_tracks == 3


def test_the_largest_overlap_decides_not_the_first():
    tracker = FaceTracker()
    tracker.update([face(0), face(60)], 0.)
    faces = [face(70), face(20)]
    tracker.update(faces, .1)
    assert [f.track for f in faces] == [2, 1]
    # the one that is nearer keeps its track, the other gets a new one
    faces = [face(52), face(66)]
    tracker.update(faces, .2)
    assert [f.track for f in faces] == [1, 2]
    faces = [face(60), face(67)]
    tracker.update(faces, .3)
    assert faces[1].track == 2


@pytest.mark.parametrize('seed', range(5))
def test_pairs_are_the_largest_overlaps_of_torchvision(seed):
    from torchvision.ops import box_iou
    corners = np.random.default_rng(seed).uniform(0, 50, (2, 6, 2, 2))
    boxes = np.concatenate([corners.min(2), corners.max(2)], axis=2)
    overlaps = box_iou(*torch.tensor(boxes)).numpy()
    expected = []
    while overlaps.max() >= .1:
        i, j = np.unravel_index(overlaps.argmax(), overlaps.shape)
        expected.append((i, j))
        overlaps[i], overlaps[:, j] = 0, 0
    faces = [[FaceResult(tuple(box), {}) for box in some] for some in boxes]
    assert len(expected) > 1
    assert tracking.match_boxes(*faces, min_iou=.1) == expected
    assert tracking.match_boxes([], faces[0]) == []


@pytest.mark.parametrize('step', [.02, .1, .5])
def test_smoothing_goes_by_time(step):
    tracker = FaceTracker(smoothing=.5)
    tracker.update([face(0, happy=0.)], 0.)
    for k in range(1, round(1 / step) + 1):
        now = face(0, happy=1.)
        tracker.update([now], k * step)
    # after a second, whatever the frame rate
    assert now.scores['happiness'] == pytest.approx(1 - math.exp(-2), abs=1e-9)
    assert sum(now.scores.values()) == pytest.approx(1)
    assert now.frame_scores['happiness'] == 1


def test_an_occluded_frame_does_not_count():
    tracker = FaceTracker(smoothing=.5)
    tracker.update([face(0, happy=1.)], 0.)
    hidden = face(0, happy=0., reasons=(OCCLUDED, ))
    tracker.update([hidden], .3)
    assert hidden.scores['happiness'] == 1 and hidden.track == 1
    after = face(0, happy=0.)
    tracker.update([after], .5)
    # half a second since the last scores
    assert after.scores['happiness'] == pytest.approx(math.exp(-1))

    # nor does it decide as the first one
    tracker = FaceTracker(smoothing=.5)
    hidden = face(0, happy=1., reasons=(OCCLUDED, ))
    tracker.update([hidden], 0.)
    assert hidden.scores['happiness'] == 1
    seen = face(0, happy=0.)
    tracker.update([seen], .04)
    assert seen.scores['happiness'] == 0 and seen.track == 1


def test_forgotten_after_a_gap():
    for gap, number in ((.9, 1), (1.1, 2)):
        tracker = FaceTracker(max_gap=1.)
        tracker.update([face(0)], 0.)
        tracker.update([], .2)
        late = face(5)
        tracker.update([late], gap)
        assert late.track == number


def test_no_smoothing_and_what_is_refused():
    tracker = FaceTracker(smoothing=0)
    tracker.update([face(0, happy=0.)], 0.)
    now = face(0, happy=.8)
    tracker.update([now], .01)
    assert now.scores['happiness'] == .8
    with pytest.raises(ValueError, match='smoothing'):
        FaceTracker(smoothing=-1)
