# Copyright (c) orsa contributors. All rights reserved.
"""Data for training priors: what mmseg and mmpose are given."""
import cv2
import numpy as np
import pytest

from orsa.datasets import (AsPoseSample, AsSegSample, Face300WDataset,
                           FaceLandmarkDataset, FaceParsingDataset,
                           LaPaDataset, PasteOccluder)
from orsa.datasets.face_landmarks import read_pts
from orsa.utils.face_parts import FLIP_68
from orsa.utils.seeding import seeded


def test_flip_of_the_points_is_an_involution_of_mirrored_faces(faces_dir):
    assert (FLIP_68[FLIP_68] == np.arange(68)).all()
    assert sorted(FLIP_68) == list(range(68))
    # The mean real face, mirrored and renamed, is nearly itself; with any
    # pair left unswapped it is not.
    import json
    points = np.array(
        list(
            json.loads((faces_dir / 'landmarks68.json').read_text()).values()))
    mean = points.mean(0)
    mirrored = np.stack([mean[:, 0].mean() * 2 - mean[:, 0], mean[:, 1]], 1)
    assert np.abs(mirrored[FLIP_68] - mean).max() < 3
    assert np.abs(mirrored - mean).max() > 30


def real(faces_dir, **kwargs):
    return dict(
        type='orsa.RAFDB', data_root=str(faces_dir), split='test', **kwargs)


def test_real_faces_for_mmseg(faces_dir):
    dataset = FaceParsingDataset(real(faces_dir, with_annotations=True))
    record = dataset[3]
    mask = cv2.imread(record['seg_map_path'], cv2.IMREAD_UNCHANGED)
    assert mask.shape == (128, 128) and mask.max() <= 10
    assert record['seg_fields'] == [] and len(dataset) == 422
    assert len(dataset.metainfo['classes']) == 11
    with pytest.raises(ValueError, match='no mask.*with_annotations'):
        FaceParsingDataset(real(faces_dir))


def test_real_faces_for_mmpose(faces_dir):
    dataset = FaceLandmarkDataset(real(faces_dir, with_annotations=True))
    record = AsPoseSample()(
        dict(dataset[3], img=np.zeros((128, 128, 3), np.uint8)))
    assert record['keypoints'].shape == (1, 68, 2)
    assert record['bbox'].tolist() == [[0, 0, 128, 128]]
    assert record['flip_indices'] == FLIP_68.tolist()
    with pytest.raises(ValueError, match='no landmarks'):
        FaceLandmarkDataset(real(faces_dir))


def test_drawn_faces_for_both():
    faces = dict(type='orsa.SyntheticFaces', num_samples=3, occlude_prob=1.)
    draw = dict(type='orsa.DrawSyntheticFace')
    seg = FaceParsingDataset(
        faces, pipeline=[draw,
                         dict(type='orsa.AsSegSample', merge={10: 0})])
    pose = FaceLandmarkDataset(
        faces, pipeline=[draw, dict(type='orsa.AsPoseSample')])
    for a, b in zip(seg, pose):
        assert (a['img'] == b['img']).all()
        assert a['gt_seg_map'].max() < 10
        hidden = a['visible_mask'] == 0
        assert (a['gt_seg_map'][hidden] == 0).all()


def test_what_is_covered_is_not_there():
    parsing = np.array([[1, 6, 10], [1, 0, 10]], np.uint8)
    visible = np.array([[1, 0, 0], [0, 1, 1]], np.uint8)
    out = AsSegSample()(dict(gt_seg_map=parsing, visible_mask=visible))
    assert out['gt_seg_map'].tolist() == [[1, 0, 10], [0, 0, 10]]
    out = AsSegSample(merge={10: 0})(dict(gt_seg_map=parsing))
    assert out['gt_seg_map'].tolist() == [[1, 6, 0], [1, 0, 0]]


def test_pasting_is_drawn_from_the_seed_and_says_what_it_hides(faces_dir):
    dataset = FaceLandmarkDataset(real(faces_dir, with_annotations=True))
    record = dataset[0]
    image = cv2.imread(record['img_path'])
    pastes = []
    for _ in range(2):
        with seeded(1):
            pastes.append(PasteOccluder(1.)(dict(record, img=image.copy())))
    assert (pastes[0]['img'] == pastes[1]['img']).all()
    out = pastes[0]
    changed = np.abs(out['img'].astype(int) - image).sum(2) > 12
    assert 0 < out['occlusion_ratio'] < 1
    # outside the cover (and its soft edge) the picture is as it was
    far = cv2.erode(out['visible_mask'], np.ones((7, 7), np.uint8)) == 1
    assert not changed[far].any() and changed.any()
    same = PasteOccluder(0.)(dict(record, img=image.copy()))
    assert (same['img'] == image).all() and 'visible_mask' not in same


@pytest.mark.parametrize('kwargs, message', [
    (dict(prob=2.), 'prob should be in'),
    (dict(kinds=['cloud']), "unknown occluders \\['cloud'\\]"),
])
def test_bad_occluders(kwargs, message):
    with pytest.raises(ValueError, match=message):
        PasteOccluder(**kwargs)


def test_lapa_on_disk(tmp_path):
    for name in ('images', 'labels'):
        (tmp_path / 'val' / name).mkdir(parents=True)
    (tmp_path / 'val/images/a.jpg').write_bytes(b'')
    with pytest.raises(FileNotFoundError, match='a.jpg.*no mask'):
        LaPaDataset(str(tmp_path), 'val')
    (tmp_path / 'val/labels/a.png').write_bytes(b'')
    assert LaPaDataset(str(tmp_path),
                       'val')[0]['seg_map_path'].endswith('a.png')
    with pytest.raises(FileNotFoundError, match='no folder'):
        LaPaDataset(str(tmp_path), 'test')


def test_300w_on_disk(tmp_path):
    (tmp_path / 'afw').mkdir()
    points = np.arange(136, dtype=np.float32).reshape(68, 2) + 1
    text = '\n'.join(f'{x} {y}' for x, y in points)
    (tmp_path /
     'afw/1.pts').write_text(f'version: 1\nn_points: 68\n{{\n{text}\n}}')
    (tmp_path / 'afw/1.jpg').write_bytes(b'')
    record = Face300WDataset(str(tmp_path), folders=['afw'], bbox_margin=0.)[0]
    np.testing.assert_array_equal(record['gt_keypoints'][0], points - 1)
    assert record['bbox'].tolist() == [[0, 1, 134, 135]]
    (tmp_path / 'afw/1.pts').write_text('{\n1 2\n}')
    with pytest.raises(ValueError, match='68 points.*found 2'):
        read_pts(str(tmp_path / 'afw/1.pts'))
