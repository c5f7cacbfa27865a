# Copyright (c) orsa contributors. All rights reserved.
"""Boxes and labels are at their faces, and no label hides another."""
from types import SimpleNamespace

import numpy as np
import pytest

from orsa.visualization import draw_faces, face_boxes
from orsa.visualization.face_boxes import label_of

BLUE, ORANGE = (178, 114, 0), (0, 159, 230)  # BGR


def face(box, expression='happiness', confidence=.87, reasons=(), **kwargs):
    values = dict(
        box=box,
        expression=expression,
        confidence=confidence,
        reasons=reasons,
        abstain=bool(reasons),
        part=None,
        covered=.62,
        landmarks=None,
        parsing=None,
        matrix=None,
        track=None)
    values.update(kwargs)
    return SimpleNamespace(**values)


def pixels(image, bgr):
    return np.argwhere((image == bgr).all(-1))


def test_labels_say_what_is_unsure():
    assert label_of(face((0, 0, 9, 9))) == 'happiness 87%'
    assert label_of(face((0, 0, 9, 9), track=3)) == '#3 happiness 87%'
    part = face((0, 0, 9, 9), part='eyes only')
    assert label_of(part) == 'eyes only: happiness 87%'
    unsure = face((0, 0, 9, 9), confidence=.31, reasons=('low confidence', ))
    assert label_of(unsure) == 'unsure: happiness 31%'
    hidden = face((0, 0, 9, 9), reasons=('too little of it is visible', ))
    assert label_of(hidden) == '62% occluded: happiness 87%'


def test_frames_are_where_faces_are():
    image = np.full((400, 700, 3), 128, np.uint8)
    before = image.copy()
    sure = face((50, 100, 150, 200))
    unsure = face((500, 250, 600, 350), reasons=('low confidence', ))
    drawn = draw_faces(image, [sure, unsure])
    np.testing.assert_array_equal(image, before)
    for colour, box in ((BLUE, sure.box), (ORANGE, unsure.box)):
        side = drawn[box[1] + 30:box[3] - 30, box[0] - 2:box[0] + 3]
        assert len(pixels(side, colour))
        inside = drawn[box[1] + 30:box[3] - 30, box[0] + 8:box[2] - 8]
        assert (inside == 128).all()
    # dashed: half of the side is not drawn
    column = drawn[260:340, 500]
    assert .2 < (column == ORANGE).all(-1).mean() < .8
    assert (drawn[110:190, 50] == BLUE).all()


@pytest.mark.parametrize('count', [2, 12, 60])
def test_labels_never_cover_each_other(monkeypatch, count):
    rng = np.random.default_rng(count)
    corners = rng.uniform(0, 550, (count, 2))
    faces = [face((x, y, x + 70, y + 70)) for x, y in corners]
    placed = []
    real = face_boxes._choose

    def choose(*args):
        found = real(*args)
        if found is not None:
            placed.append(found[0])
        return found

    monkeypatch.setattr(face_boxes, '_choose', choose)
    drawn = draw_faces(np.full((640, 640, 3), 128, np.uint8), faces)
    assert len(placed) >= min(count, 8)
    seen = np.zeros(drawn.shape[:2], int)
    for x0, y0, x1, y1 in placed:
        assert x0 >= 0 and y0 >= 0 and x1 <= 640 and y1 <= 640
        seen[y0:y1, x0:x1] += 1
    assert seen.max() == 1
    if count == 2:
        # the letters themselves: white on blue
        x0, y0, x1, y1 = placed[0]
        patch = drawn[y0:y1, x0:x1]
        assert (patch.min(-1) > 180).sum() > 20
        assert (patch == BLUE).all(-1).mean() > .5


def test_small_images_are_enlarged_and_large_ones_reduced():
    small = draw_faces(np.zeros((64, 48, 3), np.uint8), [face((0, 0, 48, 64))])
    assert small.shape == (640, 480, 3)
    large = draw_faces(np.zeros((3000, 6000, 3), np.uint8), [])
    assert large.shape == (1024, 2048, 3)
    odd = draw_faces(np.zeros((1, 3000, 3), np.uint8), [face((0, 0, 9, 1))])
    assert odd.shape == (1, 2048, 3)


def test_parts_are_in_place_in_a_drawing_of_another_size():
    parsing = np.zeros((128, 128), np.uint8)
    parsing[32:96, 32:96] = 1
    for side, drawn_side in ((320, 640), (4096, 2048)):
        crop = side // 2  # of a face in the middle, of half the image
        matrix = np.array([[128 / crop, 0, -64.], [0, 128 / crop, -64.]])
        one = face((side / 4, side / 4, 3 * side / 4, 3 * side / 4),
                   parsing=parsing,
                   matrix=matrix,
                   landmarks=None)
        image = np.full((side, side, 3), 128, np.uint8)
        plain, drawn = (
            draw_faces(image, [one], parsing=p) for p in (False, True))
        changed = (plain != drawn).any(2)
        rows, columns = (np.flatnonzero(changed.any(a)) for a in (1, 0))
        expected = np.array([3 * drawn_side / 8, 5 * drawn_side / 8])
        for found in (rows, columns):
            np.testing.assert_allclose(found[[0, -1]], expected, atol=12)


def test_landmarks_and_parts_are_in_place():
    points = np.array([[300., 200, 1], [340, 220, 1]])
    parsing = np.full((32, 32), 6, np.uint8)  # the nose
    matrix = np.array([[.5, 0, -150], [0, .5, -100]])  # its (300, 200) is 0
    image = np.full((480, 640, 3), 100, np.uint8)
    one = face((290, 190, 370, 270),
               landmarks=points,
               parsing=parsing,
               matrix=matrix)
    drawn = draw_faces(image, [one], parsing=True)
    assert (drawn[200, 300] == 255).all() and (drawn[220, 340] == 255).all()
    nose = drawn[250, 350].astype(int)
    assert abs(nose - (np.array((0, 94, 213)) + 100) / 2).max() <= 1
    assert (drawn[280, 380] == 100).all()  # behind the crop's end
    without = draw_faces(image, [one], landmarks=False)
    assert (without[220, 340] == 100).all()
