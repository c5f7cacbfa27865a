# Copyright (c) orsa contributors. All rights reserved.
"""What holds of every face, for faces that hypothesis thinks of."""
import os

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from orsa.datasets import FERDataset
from orsa.datasets.drawing.landmarks import BASE
from orsa.datasets.transforms import OccludeFace, RandomFaceAffine
from orsa.utils.classes import RAFDB_CLASSES

EXAMPLES = settings(
    max_examples=400 if 'ORSA_STRESS' in os.environ else 15,
    deadline=None,
    derandomize=True)
SEEDS = st.integers(0, 2**31)


def face(seed, size):
    """A picture with a mask and landmarks somewhere near a face's."""
    rng = np.random.default_rng(seed)
    points = BASE * (size / 128) - .5 + rng.normal(0, size / 60, (68, 2))
    return dict(
        img=rng.integers(0, 256, (size, size, 3), dtype=np.uint8),
        gt_seg_map=rng.integers(0, 11, (size, size), dtype=np.uint8),
        visible_mask=rng.integers(0, 2, (size, size), dtype=np.uint8),
        keypoints_visible=rng.integers(0, 2, (1, 68)).astype(np.float32),
        gt_keypoints=points[None].astype(np.float32),
        name=str(seed))


@EXAMPLES
@given(SEEDS, st.integers(8, 96))
def test_flipping_twice_is_the_identity(seed, size):
    flip = RandomFaceAffine(size, flip_prob=1., prob=0.)
    sample = face(seed, size)
    once = flip(dict(sample))
    twice = flip(dict(once))
    for key in ('img', 'gt_seg_map', 'visible_mask', 'keypoints_visible'):
        np.testing.assert_array_equal(twice[key], sample[key], key)
    np.testing.assert_allclose(
        twice['gt_keypoints'], sample['gt_keypoints'], atol=1e-3)
    # and once is a flip: the picture mirrored, left is right
    np.testing.assert_array_equal(once['img'], sample['img'][:, ::-1])
    assert (once['gt_seg_map'] == 4).sum() == (sample['gt_seg_map'] == 5).sum()


@EXAMPLES
@given(SEEDS, st.integers(0, 67))
def test_landmarks_masks_and_picture_move_together(seed, chosen):
    """A dot at a landmark is at the landmark afterwards, in each of them."""
    size, out = 128, 96
    sample = face(seed, size)
    points = sample['gt_keypoints'][0] * .5 + size / 4  # inside it all
    sample['gt_keypoints'] = points[None]
    at = tuple(np.rint(points[chosen] * 8).astype(int).tolist())
    dot = cv2.circle(
        np.zeros((size, size), np.uint8), at, 5 * 8, 1, -1, cv2.LINE_8, 3)
    sample.update(
        img=cv2.merge([dot * 255] * 3), gt_seg_map=dot, visible_mask=dot)
    np.random.seed(seed)
    moved = RandomFaceAffine(
        out, flip_prob=0., prob=1., fill=(0, 0, 0))(
            sample)
    expected = moved['gt_keypoints'][0, chosen]
    if not (12 < expected).all() or not (expected < out - 12).all():
        return
    for key in ('img', 'gt_seg_map', 'visible_mask'):
        picture = moved[key] if moved[key].ndim == 2 else moved[key][..., 0]
        weight = picture.astype(float)
        ys, xs = np.mgrid[:out, :out]
        centre = np.array([(xs * weight).sum(), (ys * weight).sum()])
        np.testing.assert_allclose(
            centre / weight.sum(), expected, atol=.6, err_msg=key)


@EXAMPLES
@given(SEEDS, st.sampled_from(sorted(OccludeFace.KINDS)), st.integers(1, 5))
def test_occluders_cover_what_they_claim(seed, kind, severity):
    size = 96
    sample = face(seed, size)
    del sample['visible_mask'], sample['keypoints_visible']
    before = sample['img'].copy()
    hidden = OccludeFace(severity, kind)(sample)
    visible = hidden['visible_mask'] == 1
    # what is said to be visible is as it was, but for the soft edge and a
    # shadow, which darkens
    far = cv2.erode(hidden['visible_mask'], np.ones((5, 5), np.uint8)) == 1
    darker = before[far].astype(int) - hidden['img'][far]
    assert darker.min(initial=0) >= -1 and darker.max(initial=0) <= 64
    assert darker.mean() < 3
    # the share of the face is that of the mask, within the hull
    hull = np.zeros((size, size), np.uint8)
    points = np.rint(sample['gt_keypoints'][0]).astype(np.int32)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    share = (~visible & (hull == 1)).sum() / hull.sum()
    assert abs(share - hidden['occlusion_ratio']) < 1e-6
    # a landmark is seen where the mask is, inside the picture
    at = points.clip(0, size - 1)
    inside = (points == at).all(1)
    np.testing.assert_array_equal(hidden['keypoints_visible'][0] == 1,
                                  inside & visible[at[:, 1], at[:, 0]])
    # nothing of the masked face is left in the map of its parts
    assert not hidden['gt_seg_map'][~visible].any()


@EXAMPLES
@given(st.permutations(RAFDB_CLASSES), st.integers(1, 7))
def test_label_maps_are_bijections(order, number):
    classes = order[:number]
    dataset = FERDataset(classes=classes, lazy_init=True, pipeline=[])
    to_number = dataset.class_to_idx
    assert sorted(to_number) == sorted(classes)
    assert [to_number[c] for c in classes] == list(range(number))
    assert list(dataset.metainfo['classes']) == list(classes)
