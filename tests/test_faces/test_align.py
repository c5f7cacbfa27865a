# Copyright (c) orsa contributors. All rights reserved.
"""Faces are found, and aligned to where the training data have them."""
import json

import cv2
import numpy as np
import pytest

from orsa.apis import align_face, crop_face, find_faces
from orsa.faces.align import ALIGNED_FIVE, align_faces
from orsa.faces.points import fit_similarity, map_points
from orsa.utils.face_regions import five_points

NAMES = ('train_00002', 'test_00060', 'test_00130')


def similarity(angle, scale, centre):
    """From an aligned picture to the place of its middle in a photograph."""
    matrix = cv2.getRotationMatrix2D((63.5, 63.5), angle, scale)
    matrix[:, 2] += np.array(centre) - 63.5
    return matrix


def photograph(face, matrix, fill=110):
    canvas = np.full((480, 640, 3), fill, np.uint8)
    cv2.warpAffine(
        face, matrix, (640, 480), canvas, borderMode=cv2.BORDER_TRANSPARENT)
    return canvas


@pytest.fixture(scope='module')
def faces(faces_dir):
    points = json.loads((faces_dir / 'landmarks68.json').read_text())
    folder = faces_dir / 'basic/Image/aligned'
    return {
        name: (cv2.imread(str(folder / f'{name}_aligned.jpg')),
               np.array(points[name]))
        for name in NAMES
    }


def test_real_faces_are_aligned_already(faces_dir):
    """The template is where the real data have their faces."""
    points = json.loads((faces_dir / 'landmarks68.json').read_text())
    middle, shifts, scales, angles = np.array([[63.5, 63.5]]), [], [], []
    for value in list(points.values())[::5]:
        matrix = fit_similarity(five_points(np.array(value)), ALIGNED_FIVE)
        shifts.append(map_points(middle, matrix)[0] - middle[0])
        scales.append(np.hypot(matrix[0, 0], matrix[1, 0]))
        angles.append(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
    assert np.abs(np.mean(shifts, 0)).max() < .3
    assert np.mean(scales) == pytest.approx(1, abs=.006)
    assert np.mean(angles) == pytest.approx(0, abs=.1)


@pytest.mark.parametrize('size', [128, 96])
@pytest.mark.parametrize('name, angle, scale', [(NAMES[0], 20, 1.6),
                                                (NAMES[1], -33, .8),
                                                (NAMES[2], 5, 2.5)])
def test_undoes_a_known_similarity(faces, name, angle, scale, size):
    face, points = faces[name]
    there = similarity(angle, scale, (330, 250))
    photo = photograph(face, there)
    moved = map_points(points, there)
    half = 60 * scale
    box = (330 - half, 250 - half, 330 + half, 250 + half)
    # it says the truth about whatever crop it is asked for
    asked = []

    def locate(crop):
        assert crop.shape == (size, size, 3)
        matrix = crop_face(photo, box, size)[1] if not asked else asked[-1]
        asked.append(
            fit_similarity(
                five_points(moved), (ALIGNED_FIVE + .5) * size / 128 - .5))
        return (map_points(moved, matrix) + .5) / size

    crop, matrix = align_face(photo, box, locate, size)
    assert len(asked) == 2
    # the landmarks are back where the aligned picture had them
    back = (map_points(moved, matrix) + .5) * 128 / size - .5
    assert np.linalg.norm(back - points, axis=1).mean() < 2.
    # and so are the pixels, but for the blur of two warps
    small = cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)
    inside = slice(size // 4, -size // 4)
    difference = np.abs(crop.astype(float) - small)[inside, inside]
    assert difference.mean() < 12
    # the way back to the photograph
    again = map_points(
        map_points(moved, matrix), cv2.invertAffineTransform(matrix))
    np.testing.assert_allclose(again, moved, atol=1e-6)


def test_crop_counts_pixels_by_their_centres():
    image = np.zeros((60, 90, 3), np.uint8)
    image[20:40, 30:50] = 200
    crop, matrix = crop_face(image, None, 45)
    # the long side, 90 pixels, becomes 45: two pixels average to one
    np.testing.assert_allclose(matrix[:, :2], np.eye(2) / 2)
    rows, columns = np.nonzero(crop[..., 0] == 200)
    # 15 rows of the 90 are above the picture
    assert (columns.min(), columns.max()) == (15, 24)
    assert (rows.min(), rows.max()) == (18, 26)
    assert tuple(crop[0, 0]) == (104, 116, 124)
    # a box gets a margin, and what it is squared to keeps its middle
    _, matrix = crop_face(image, (10, 20, 30, 50), 100)
    middle = map_points(np.array([19.5, 34.5]), matrix)
    np.testing.assert_allclose(middle, 49.5)
    assert 100 / 30 / 1.3 < matrix[0, 0] < 100 / 30


def test_a_large_photograph_does_not_alias():
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 255
    crop, _ = crop_face(stripes, (0, 0, 799, 799), 64)
    assert np.abs(crop[20:44, 20:44].astype(int) - 127).max() < 30


@pytest.mark.parametrize('angle', [0, 20, -35])
def test_finds_faces(faces, angle):
    for name in NAMES[1:]:
        there = similarity(angle, 1.5, (350, 230))
        boxes = find_faces(photograph(faces[name][0], there))
        assert len(boxes) == 1
        x0, y0, x1, y1 = boxes[0]
        assert all(isinstance(v, int) for v in boxes[0])
        assert abs(x1 - x0 - (y1 - y0)) <= 1
        assert np.hypot((x0 + x1) / 2 - 350, (y0 + y1) / 2 - 230) < 25
        assert 130 < x1 - x0 < 260


def test_the_largest_comes_first_and_size_does_not_matter(faces):
    small = similarity(0, 1., (120, 130))
    photo = photograph(faces[NAMES[1]][0], small)
    large = photograph(faces[NAMES[2]][0], similarity(0, 1.9, (450, 270)))
    photo[:, 240:] = large[:, 240:]
    boxes = find_faces(photo)
    assert [x0 > 240 for x0, *_ in boxes] == [True, False]
    twice = find_faces(cv2.resize(photo, None, fx=4, fy=4), max_side=640)
    assert len(twice) == 2
    np.testing.assert_allclose(np.array(twice) / 4, boxes, atol=16)


def test_nothing_to_find():
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    assert find_faces(noise) == []
    assert find_faces(np.zeros((5, 5, 3), np.uint8)) == []


def test_what_is_refused():
    image = np.zeros((50, 50, 3), np.uint8)
    for wrong in (image[..., 0], image.astype(float), None, image[:0]):
        with pytest.raises(TypeError, match=r'\(H, W, 3\) of uint8'):
            find_faces(wrong)
    with pytest.raises(ValueError, match='x0 < x1'):
        crop_face(image, (10, 10, 10, 20))
    with pytest.raises(ValueError, match='68 points'):
        align_face(image, None, lambda crop: np.zeros((5, 2)))
    with pytest.raises(ValueError, match='all at one place'):
        align_face(image, None, lambda crop: np.zeros((68, 2)))


def test_points_that_cannot_be_aligned_leave_the_box():
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    box, points = (20, 10, 50, 40), np.full((5, 2), 30.)
    with pytest.raises(ValueError):
        align_faces([image], [box], None, 64, [points])
    (face, matrix), = align_faces([image], [box],
                                  None,
                                  64, [points],
                                  strict=False)
    expected = crop_face(image, box, 64)
    assert np.array_equal(face, expected[0])
    assert np.array_equal(matrix, expected[1])


def test_similarity_agrees_with_opencv():
    rng = np.random.default_rng(0)
    source = rng.uniform(0, 100, (30, 2))
    matrix = similarity(30, .7, (40, 90))
    target = map_points(source, matrix)
    np.testing.assert_allclose(fit_similarity(source, target), matrix)
    # it never mirrors
    fitted = fit_similarity(source, target * [-1, 1])
    assert np.linalg.det(fitted[:, :2]) > 0
