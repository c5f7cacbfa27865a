# Copyright (c) orsa contributors. All rights reserved.
"""Defaults, borders and limits of the transforms."""
import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmcv.transforms.utils import cache_random_params
from mmengine.config import Config
from PIL import Image

from orsa.datasets.drawing.canvas import BOX
from orsa.datasets.drawing.landmarks import BASE
from orsa.datasets.drawing.occluders import paint_held
from orsa.datasets.transforms import (AsPoseSample, AsSegSample,
                                      DrawSyntheticFace, LoadFace, OccludeFace,
                                      PasteOccluder, RandomFaceAffine,
                                      RandomOccluder)
from orsa.registry import TRANSFORMS


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('min_size', [16, 64])
def test_pictures_lie_as_their_camera_says(tmp_path, orientation, min_size):
    path = str(tmp_path / 'turned.jpg')
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = cv2.resize(noise(4, 8, 3), (128, 64))
    Image.fromarray(image).save(path, exif=exif, quality=95)
    load = TRANSFORMS.build(dict(type='orsa.LoadFace', min_size=min_size))
    whole = LoadImageFromFile()(dict(img_path=path))
    loaded = load(dict(img_path=path))
    assert loaded['ori_shape'] == whole['ori_shape']
    factor = 64 // min_size
    assert loaded['img_shape'] == tuple(side // factor
                                        for side in whole['ori_shape'])
    small = cv2.resize(
        whole['img'], loaded['img_shape'][::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - loaded['img']).mean() < 3


def test_other_formats_than_jpeg_are_loaded_at_full_size(tmp_path):
    path = str(tmp_path / 'face.bmp')
    cv2.imwrite(path, noise(32, 32, 3))
    loaded = LoadFace(4)(dict(img_path=path))
    assert np.array_equal(loaded['img'], cv2.imread(path))
    assert loaded['ori_shape'] == (32, 32)


def test_smallest_and_refused_sizes(tmp_path):
    assert LoadFace(1).min_size == 1
    for min_size in (0, -1):
        with pytest.raises(ValueError, match=f'got {min_size}'):
            LoadFace(min_size)
    for how in (dict(color_type='grayscale'), dict(imdecode_backend='pillow')):
        with pytest.raises(ValueError, match='Take LoadImageFromFile'):
            LoadFace(4, **how)


def test_fill_is_the_mean_that_the_network_takes_off(repo_root):
    cfg = Config.fromfile(repo_root / 'configs/_base_/models/orsanet_lite.py')
    mean = tuple(round(m) for m in cfg.model.data_preprocessor.mean[::-1])
    assert RandomFaceAffine(8).fill == RandomOccluder().fill == mean


@pytest.mark.parametrize('transform', [
    RandomFaceAffine(16),
    RandomOccluder(1.),
    PasteOccluder(1.),
])
def test_mmcv_can_hold_the_draw_for_several_pictures(transform):
    image = np.full((32, 32, 3), 128, np.uint8)
    results = [transform(dict(img=image.copy()))['img'] for _ in range(4)]
    assert any((r != results[0]).any() for r in results)
    with cache_random_params(transform):
        results = [transform(dict(img=image.copy()))['img'] for _ in range(4)]
    assert all((r == results[0]).all() for r in results)


@pytest.mark.parametrize('kwargs', [
    dict(stretch=-.01),
    dict(shift=-.5),
    dict(rotate=-.5),
    dict(flip_prob=-.01),
    dict(prob=1.01),
    dict(scale_range=(-.5, 1)),
])
def test_affine_refuses(kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        RandomFaceAffine(64, **kwargs)


def test_affine_takes_the_limits():
    still = RandomFaceAffine(
        8,
        flip_prob=1,
        rotate=0,
        scale_range=(.5, .5),
        stretch=0,
        shift=0,
        prob=1)
    matrix = still.matrix((8, 8), False, np.ones(5))
    # half as large, about the centre (3.5, 3.5)
    assert np.allclose(matrix, [[.5, 0, 1.75], [0, .5, 1.75]])


@pytest.mark.parametrize('number', [5, 98])
def test_affine_refuses_to_flip_other_landmarks(number):
    sample = dict(img=noise(8, 8, 3), gt_keypoints=np.zeros((1, number, 2)))
    with pytest.raises(ValueError, match=f'68 landmarks, but got {number}'):
        RandomFaceAffine(8, flip_prob=1)(dict(sample))
    out = RandomFaceAffine(8, flip_prob=0)(dict(sample))
    assert out['gt_keypoints'].shape == (1, number, 2)


@pytest.mark.parametrize('axis', [0, 1])
def test_no_aliasing_where_the_sides_differ(axis):
    # stripes of four pixels, a sixteenth in one direction: grey
    stripes = np.zeros(512, np.uint8)
    stripes[(np.arange(512) + 2) % 8 < 4] = 200
    shape, size = ((512, 2048), (32, 128)) if axis else ((2048, 512), (128,
                                                                       32))
    image = np.zeros((*shape, 3), np.uint8)
    if axis:
        image[:] = stripes[:, None, None]
    else:
        image[:] = stripes[:, None]
    out = RandomFaceAffine(size, flip_prob=0, prob=0)(dict(img=image))['img']
    assert out.shape == (*size, 3)
    assert np.abs(out.astype(int) - 100).max() <= 2


def test_pose_samples_have_mmposes_shapes():
    for points in (BASE, BASE[None]):
        out = AsPoseSample()(dict(img=noise(20, 30, 3), gt_keypoints=points))
        assert out['keypoints'].shape == (1, 68, 2)
        assert out['keypoints'].dtype == np.float32
        assert out['keypoints_visible'].tolist() == [[1.] * 68]
        assert out['bbox'].tolist() == [[0, 0, 30, 20]]
        assert out['bbox_score'].tolist() == [1]
    out = AsPoseSample()(dict(out, bbox=np.ones((1, 4))))
    assert out['bbox'].tolist() == [[1] * 4]


def test_every_class_of_the_face_can_be_covered_and_hair_cannot():
    classes = np.array([[*range(11), 255]], np.uint8)
    out = AsSegSample()(
        dict(gt_seg_map=classes, visible_mask=np.zeros((1, 12), np.uint8)))
    assert out['gt_seg_map'].tolist() == [[0] * 10 + [10, 255]]
    assert out['gt_seg_map'].dtype == np.uint8
    out = AsSegSample()(
        dict(gt_seg_map=classes, visible_mask=np.ones((1, 12), np.uint8)))
    assert np.array_equal(out['gt_seg_map'], classes)


@pytest.mark.parametrize('at, inside', [
    ((0, 0), True),
    ((31, 31), True),
    ((0, 31.4), True),
    ((-.4, 3), True),
    ((-.6, 3), False),
    ((31.6, 3), False),
    ((3, -1), False),
    ((3, 32), False),
])
def test_points_on_the_border_are_inside(at, inside):
    points = BASE / 4 - .5
    points[10] = at
    sample = dict(img=noise(32, 32, 3), name='a', keypoints=points[None])
    out = OccludeFace(0)(sample)
    seen = out['keypoints_visible'][0]
    assert seen[10] == inside and seen.sum() == 67 + inside


def test_severity_of_occlude_face_is_checked():
    for severity in (6, -1, 1.5):
        with pytest.raises(ValueError, match='severity should be 0'):
            OccludeFace(severity)


@pytest.mark.parametrize('size', [64, 128])
@pytest.mark.parametrize('with_points', [True, False])
def test_pasting_is_drawing_in_the_faces_own_units(size, with_points):
    """At any size what is painted is where the drawn face would have it."""
    sample = dict(img=np.full((size, size, 3), 90, np.uint8))
    if with_points:
        sample['gt_keypoints'] = BASE[None] * (size / BOX) - .5
    paste = PasteOccluder(1., kinds=('block', ))
    with cache_random_params(paste):
        _, seed = paste._draw()
        out = paste(dict(sample, img=sample['img'].copy()))
    image = sample['img'].copy()
    cover = paint_held(image, BASE, 'block',
                       np.random.Generator(np.random.PCG64(seed)))
    # the points travel in float32
    assert (out['img'] != image).any(2).mean() < .002
    assert ((out['visible_mask'] == 0) != (cover > 127)).mean() < .002
    assert (out['visible_mask'] == 0).any()


@pytest.mark.parametrize('kind', [PasteOccluder, RandomOccluder])
def test_probabilities_at_their_limits(kind):
    sample = dict(img=np.full((32, 32, 3), 90, np.uint8))
    for _ in range(20):
        assert 'visible_mask' not in kind(0)(dict(sample))
        assert 'visible_mask' in kind(1)(dict(sample))
    for prob in (-.01, 1.01):
        with pytest.raises(ValueError, match=r'prob should be in \[0, 1\]'):
            kind(prob)


def test_random_occluders_default_to_all_severities():
    assert RandomOccluder().severities == (1, 2, 3, 4, 5)
    assert RandomOccluder().prob == PasteOccluder().prob == .5


def test_drawn_faces_are_kept_only_when_asked():
    record = dict(face_seed=(1, 2), face=dict(size=32, expression='fear'))
    plain, keeping = DrawSyntheticFace(), DrawSyntheticFace(
        cache=True, max_cached=1)
    for transform, number in ((plain, 0), (keeping, 1)):
        first = transform(dict(record))
        again = transform(dict(record))
        other = transform(dict(record, face_seed=(1, 3)))
        assert np.array_equal(first['img'], again['img'])
        assert first['img'] is not again['img']
        assert not np.array_equal(first['img'], other['img'])
        assert len(transform._faces) == number
    # what is in sight is of the face, and neither background nor hair
    face = (first['gt_seg_map'] > 0) & (first['gt_seg_map'] < 10)
    assert (first['gt_seg_map'] == 10).any()
    assert not first['visible_mask'][~face].any()
    assert first['visible_mask'].any()


@pytest.mark.parametrize('number, known', [(10, True), (255, True),
                                           (11, False), (12, False),
                                           (254, False)])
def test_classes_that_are_none_of_lapas_are_refused(number, known):
    parsing = np.array([[0, 1, number]], np.uint8)
    sample = dict(gt_seg_map=parsing, seg_map_path='a.png')
    if known:
        assert AsSegSample()(sample)['gt_seg_map'].tolist() == [[0, 1, number]]
    else:
        with pytest.raises(ValueError, match=f'a.png has class {number}'):
            AsSegSample()(sample)


@pytest.mark.parametrize('key', ['gt_seg_map', 'visible_mask'])
def test_affine_refuses_masks_of_another_picture(key):
    sample = dict(img=noise(8, 8, 3))
    sample[key] = np.zeros((8, 8), np.uint8)
    assert RandomFaceAffine(4)(dict(sample))[key].shape == (4, 4)
    for wide in (7, 9):
        sample[key] = np.zeros((8, wide), np.uint8)
        with pytest.raises(ValueError, match=rf'\(8, {wide}\).*different'):
            RandomFaceAffine(4)(dict(sample))
