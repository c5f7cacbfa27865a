# Copyright (c) orsa contributors. All rights reserved.
"""LoadFace reads the same pixels as predictions do."""
import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile, Resize
from PIL import Image

from orsa.datasets.transforms import LoadFace
from orsa.engine.prior_cache.identity import clean_pipeline


def smooth(height, width):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (height // 32, width // 32, 3), np.uint8)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def face(tmp_path):
    path = str(tmp_path / 'face.jpg')
    cv2.imwrite(path, smooth(512, 384), [cv2.IMWRITE_JPEG_QUALITY, 95])
    return path


def load(path, min_size, **keys):
    return LoadFace(min_size).transform(dict(img_path=path, **keys))


@pytest.mark.parametrize('min_size,factor', [(385, 1), (384, 1), (193, 1),
                                             (192, 2), (97, 2), (96, 4),
                                             (48, 8), (1, 8)])
def test_the_smallest_size_that_is_enough(face, min_size, factor):
    loaded = load(face, min_size)
    assert loaded['img_shape'] == (512 // factor, 384 // factor)
    assert loaded['img'].shape == (*loaded['img_shape'], 3)
    assert loaded['ori_shape'] == (512, 384)
    # another library's decoder at the same scale
    with Image.open(face) as image:
        image.draft('RGB', (384 // factor, 512 // factor))
        other = np.asarray(image.convert('RGB'))[..., ::-1]
    difference = np.abs(loaded['img'].astype(int) - other)
    assert difference.mean() < 1.5 and difference.max() < 16


def test_after_resizing_it_is_nearly_the_whole_picture(face):
    resize = Resize(scale=(96, 128), backend='pillow')
    whole = resize(LoadImageFromFile()(dict(img_path=face)))['img']
    reduced = resize(load(face, 96))['img']
    assert np.abs(whole.astype(int) - reduced).mean() < 1


def test_sides_that_are_no_multiple(tmp_path):
    path = str(tmp_path / 'odd.jpg')
    cv2.imwrite(path, smooth(512, 512)[:333, :217])
    loaded = load(path, 100)
    # the decoder rounds up
    assert loaded['img_shape'] == (167, 109)
    assert loaded['ori_shape'] == (333, 217)


def test_a_picture_that_lies_on_its_side(tmp_path):
    path = str(tmp_path / 'turned.jpg')
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    image = smooth(512, 256)
    Image.fromarray(image).save(path, exif=exif, quality=95)
    whole = LoadImageFromFile()(dict(img_path=path))
    loaded = load(path, 128)
    assert whole['ori_shape'] == loaded['ori_shape'] == (256, 512)
    assert loaded['img_shape'] == (128, 256)
    small = cv2.resize(whole['img'], (256, 128), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - loaded['img']).mean() < 2


@pytest.mark.parametrize('key', ['gt_keypoints', 'seg_map_path', 'bbox'])
def test_with_annotations_it_is_whole(face, key):
    loaded = load(face, 48, **{key: None})
    whole = LoadImageFromFile()(dict(img_path=face))
    assert np.array_equal(loaded['img'], whole['img'])
    assert loaded['img_shape'] == loaded['ori_shape'] == (512, 384)


@pytest.mark.parametrize('suffix', ['.png', '.webp', '.bmp'])
def test_other_formats_are_whole(tmp_path, suffix):
    path = str(tmp_path / f'face{suffix}')
    cv2.imwrite(path, smooth(128, 128))
    loaded = load(path, 16)
    assert np.array_equal(loaded['img'], cv2.imread(path))
    assert loaded['ori_shape'] == (128, 128)


def test_broken_files_and_arguments(tmp_path, face):
    content = open(face, 'rb').read()
    path = tmp_path / 'broken.jpg'
    for data in (b'', b'no picture', content[:40]):
        path.write_bytes(data)
        with pytest.raises((OSError, cv2.error)):
            load(str(path), 48)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        load(str(path), 48)
    assert LoadFace(48, ignore_empty=True)(dict(img_path=str(path))) is None
    with pytest.raises(ValueError, match='positive'):
        LoadFace(0)
    with pytest.raises(ValueError, match='pillow'):
        LoadFace(48, imdecode_backend='pillow')


def test_a_cache_of_priors_loads_the_same_picture():
    load = dict(type='orsa.LoadFace', min_size=64)
    kept, changed = clean_pipeline([load, dict(type='PackInputs')])
    assert (kept, changed) == ([load], [])
