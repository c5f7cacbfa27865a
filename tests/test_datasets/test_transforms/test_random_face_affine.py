# Copyright (c) orsa contributors. All rights reserved.
"""Landmarks and masks follow the image through RandomFaceAffine."""
import cv2
import numpy as np
import pytest

from orsa.datasets.transforms import RandomFaceAffine
from orsa.utils.face_regions import FLIP_68


def neutral(size, **kwargs):
    return RandomFaceAffine(size, flip_prob=0, prob=0, **kwargs)


def test_neutral_is_a_plain_resize():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (128, 128, 3), np.uint8)
    out = neutral(64).transform(dict(img=image.copy()))
    want = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(out['img'].astype(int) - want).max() <= 1
    same = neutral(128).transform(dict(img=image.copy()))
    assert np.array_equal(same['img'], image)


def test_large_pictures_do_not_alias():
    # stripes of one pixel are grey from far away
    image = np.zeros((512, 512, 3), np.uint8)
    image[:, ::2] = 200
    out = neutral(64).transform(dict(img=image))['img']
    assert np.abs(out.astype(int) - 100).max() <= 2


@pytest.mark.parametrize('side,size', [(128, 64), (100, 64), (300, 64),
                                       (64, 96), (200, (48, 80))])
@pytest.mark.parametrize('seed', range(4))
def test_landmarks_and_masks_move_with_the_picture(side, size, seed):
    """A disc in the picture is found where its landmark went."""
    np.random.seed(seed)
    centre = np.random.uniform(0.4, 0.6, 2) * side
    image = np.zeros((side, side, 3), np.uint8)
    cv2.circle(image, tuple((centre * 16).astype(int).tolist()),
               int(side * 0.12 * 16), (255, ) * 3, -1, cv2.LINE_AA, 4)
    points = np.repeat(centre[None, None], 68, 1).astype(np.float32)
    mask = (image[..., 0] > 127).astype(np.uint8)
    transform = RandomFaceAffine(size, flip_prob=0.5, fill=(0, 0, 0))
    out = transform.transform(
        dict(
            img=image,
            gt_keypoints=points,
            keypoints=points.copy(),
            gt_seg_map=mask,
            visible_mask=mask.copy()))
    assert np.array_equal(out['keypoints'], out['gt_keypoints'])
    x, y = out['gt_keypoints'][0, 0]
    for found in (out['img'][..., 0]
                  > 127, out['gt_seg_map'] == 1, out['visible_mask'] == 1):
        rows, cols = np.nonzero(found)
        assert abs(cols.mean() - x) < 0.6 and abs(rows.mean() - y) < 0.6


def test_what_is_covered_stays_covered_on_the_other_side():
    seen = np.ones((1, 68), np.float32)
    seen[:, 36:42] = 0  # the eye at the left of the picture
    out = RandomFaceAffine(
        64, flip_prob=1, prob=0).transform(
            dict(
                img=np.zeros((64, 64, 3), np.uint8),
                gt_keypoints=np.zeros((1, 68, 2), np.float32),
                keypoints_visible=seen))
    assert np.flatnonzero(out['keypoints_visible'][0] == 0).tolist() == list(
        range(42, 48))


def test_flip_exchanges_sides_and_twice_is_the_identity():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (64, 64, 3), np.uint8)
    points = rng.uniform(0, 64, (1, 68, 2)).astype(np.float32)
    mask = rng.integers(0, 11, (64, 64)).astype(np.uint8)
    flip = RandomFaceAffine(64, flip_prob=1, prob=0)
    once = flip.transform(
        dict(img=image, gt_keypoints=points, gt_seg_map=mask))
    assert np.array_equal(once['img'], image[:, ::-1])
    assert once['flip'] and once['flip_direction'] == 'horizontal'
    # the subject's right outer eye corner (36) is where the left one was
    assert np.allclose(
        once['gt_keypoints'][0, 36], (63 - points[0, 45, 0], points[0, 45, 1]),
        atol=1e-4)
    assert np.array_equal(once['gt_seg_map'] == 3, mask[:, ::-1] == 2)
    twice = flip.transform(dict(once))
    assert np.array_equal(twice['img'], image)
    assert np.allclose(twice['gt_keypoints'], points, atol=1e-4)
    assert np.array_equal(twice['gt_seg_map'], mask)
    assert np.array_equal(FLIP_68[FLIP_68], np.arange(68))


def test_ranges_are_kept():
    """Lengths, angles and shifts of many draws stay within what was said."""
    np.random.seed(0)
    transform = RandomFaceAffine(
        64, rotate=15, scale_range=(0.8, 1.25), stretch=0., shift=0.1, prob=1)
    scales, angles, shifts = [], [], []
    for _ in range(300):
        flip, numbers = transform._draw()
        matrix = transform.matrix((128, 128), False, numbers)
        scales.append(np.sqrt(np.linalg.det(matrix[:, :2])) * 2)
        angles.append(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
        shifts.append(matrix @ (63.5, 63.5, 1) - 31.5)
    assert 0.8 <= min(scales) < 0.85 and 1.15 < max(scales) <= 1.2501
    assert 12 < np.abs(angles).max() <= 15.001
    assert 5 < np.abs(shifts).max() <= 6.401


@pytest.mark.parametrize('kwargs', [
    dict(flip_prob=1.5),
    dict(prob=-1),
    dict(scale_range=(1.2, 0.8)),
    dict(scale_range=(0, 1)),
    dict(rotate=-3)
])
def test_bad_arguments(kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        RandomFaceAffine(64, **kwargs)


def test_unknown_sides_are_refused():
    image = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(ValueError, match='68 landmarks, but got 5'):
        RandomFaceAffine(
            64, flip_prob=1).transform(
                dict(img=image, gt_keypoints=np.zeros((1, 5, 2))))
