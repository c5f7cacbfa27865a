# Copyright (c) orsa contributors. All rights reserved.
"""Data for training priors: what mmseg and mmpose are given."""
import argparse
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from PIL import Image

from orsa.apis.model import load_config
from orsa.apis.training import (add_train_arguments, build_runner, cut_short,
                                merge_train_arguments)
from orsa.datasets import (AsPoseSample, AsSegSample, Face300WDataset,
                           FaceLandmarkDataset, FaceParsingDataset,
                           LaPaDataset, MaskFolderDataset, PasteOccluder,
                           RandomFaceAffine)
from orsa.datasets.face_landmarks import read_pts
from orsa.datasets.face_parsing import read_labels
from orsa.datasets.seeding import seeded
from orsa.datasets.transforms.random_face_affine import mirror_labels
from orsa.registry import DATASETS
from orsa.utils.face_regions import FACE_CLASSES, FLIP_68, LAPA_CLASSES


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
    for name in ('a.jpg', 'Thumbs.db', '.DS_Store'):
        (tmp_path / 'val/images' / name).write_bytes(b'')
    with pytest.raises(FileNotFoundError, match='a.jpg.*no mask'):
        LaPaDataset(str(tmp_path), 'val')
    (tmp_path / 'val/labels/a.png').write_bytes(b'')
    assert LaPaDataset(str(tmp_path),
                       'val')[0]['seg_map_path'].endswith('a.png')
    with pytest.raises(FileNotFoundError, match='no folder'):
        LaPaDataset(str(tmp_path), 'test')


POINTS = '\n'.join(f'{i}.5 {2 * i + 1}' for i in range(1, 69))


@pytest.mark.parametrize('text', [
    f'version: 1\nn_points: 68\n{{\n{POINTS}\n}}',
    f'version: 1\r\nn_points:  68\r\n{{\r\n{POINTS}\r\n}}\r\n',
    f'{{ {POINTS} }}', POINTS, f'n_points: 68\n{POINTS}\n'
])
def test_pts_with_and_without_header_and_braces(tmp_path, text):
    (tmp_path / '1.pts').write_bytes(text.encode())
    points = read_pts(str(tmp_path / '1.pts'))
    # the centre of the first pixel is (1, 1) in the file and (0, 0) here
    assert points[0].tolist() == [.5, 2] and points[67].tolist() == [67.5, 136]


@pytest.mark.parametrize('text, message', [
    ('{\n1 2\n}', '1.pts.*68 points.*found 2 numbers'),
    (POINTS.replace('68.5 137', '68.5'), 'found 135 numbers'),
    (POINTS.replace('68.5', 'x'), '1.pts.*expected 68 points'),
])
def test_pts_of_something_else(tmp_path, text, message):
    (tmp_path / '1.pts').write_text(text)
    with pytest.raises(ValueError, match=message):
        read_pts(str(tmp_path / '1.pts'))


def test_300w_on_disk(tmp_path):
    (tmp_path / 'afw').mkdir()
    for name in ('1.pts', '2.PTS', 'lost.pts'):
        (tmp_path / 'afw' / name).write_text(POINTS)
    for name in ('1.jpg', '2.JPEG', 'bare.png', 'readme.txt'):
        (tmp_path / 'afw' / name).write_bytes(b'')
    dataset = Face300WDataset(str(tmp_path), folders=['afw'], bbox_margin=0.)
    assert [Path(r['img_path']).name for r in dataset] == ['1.jpg', '2.JPEG']
    assert dataset[0]['bbox'].tolist() == [[.5, 2, 67.5, 136]]
    with pytest.raises(FileNotFoundError, match='helen/trainset.*folders='):
        Face300WDataset(str(tmp_path))
    for k in range(10, 18):
        (tmp_path / f'afw/{k}.pts').write_text(POINTS)
        (tmp_path / f'afw/{k}.jpg').write_bytes(b'')
    every, train, val = ([
        r['name'] for r in Face300WDataset(str(tmp_path), ['afw'], **how)
    ] for how in ({}, dict(val_every=4), dict(val_every=4, split='val')))
    assert val == every[::4] and len(val) == 3
    assert sorted(train + val) == every
    with pytest.raises(ValueError, match="split='val'"):
        Face300WDataset(str(tmp_path), ['afw'], split='val')


def test_300w_as_released(face300w_dir):
    for folder, number in (('helen/trainset', 870), ('helen/testset', 330),
                           ('afw', 337)):
        dataset = Face300WDataset(str(face300w_dir), folders=[folder])
        assert len(dataset) == number
        for record in (dataset[0], dataset[number - 1]):
            path = Path(record['img_path'])
            expected = np.loadtxt(path.with_suffix('.pts')) - 1
            np.testing.assert_allclose(
                record['gt_keypoints'][0], expected, atol=1e-4)
            width, height = Image.open(path).size
            assert (expected > -1).all() and (expected < [width, height]).all()
            # the subject's right eye, which is on the left, is point 37
            assert expected[36, 0] < expected[45, 0]


LANDMARKS = """
_base_ = ['{root}/configs/priors/lite_landmark_faces.py',
          '{root}/configs/_base_/datasets/300w.py']
box = [dict(type='LoadImageFromFile'), dict(type='orsa.AsPoseSample'),
       dict(type='GetBBoxCenterScale', padding=1.1)]
pack = [dict(type='TopdownAffine', input_size=(64, 64)),
        dict(type='GenerateTarget', encoder={{{{_base_.codec}}}}),
        dict(type='PackPoseInputs')]
train_dataloader = dict(
    num_workers=0, batch_size=4, persistent_workers=False,
    dataset=dict(
        _delete_=True, type='orsa.FaceLandmarkDataset', indices=8,
        faces={{{{_base_.face300w_train}}}},
        pipeline=box + [
            dict(type='RandomFlip', prob=1.),
            dict(type='RandomBBoxTransform')] + pack))
test_dataloader = dict(
    num_workers=0, batch_size=4, persistent_workers=False,
    dataset=dict(
        _delete_=True, type='orsa.FaceLandmarkDataset', indices=8,
        faces={{{{_base_.face300w_test}}}}, test_mode=True,
        pipeline=box + [pack[0], pack[2]]))
load_from = '{root}/orsa/zoo/lite_landmark.pth'
"""


def test_300w_trains_and_tests_a_model_of_mmpose(face300w_dir, repo_root,
                                                 tmp_path, monkeypatch):
    monkeypatch.setenv('ORSA_300W', str(face300w_dir))
    monkeypatch.setattr(Config, 'pretty_text', property(repr))
    config = tmp_path / 'config.py'
    config.write_text(LANDMARKS.format(root=repo_root))
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    args = parser.parse_args(
        ['CONFIG', '--work-dir',
         str(tmp_path / 'out'), '--no-validate'])
    runner = build_runner(
        merge_train_arguments(load_config(str(config)), args))
    # the shipped model knows where the points are: were they of another
    # order, or not moved along with the picture, it would be far off
    assert runner.test()['NME'] < .2
    cut_short(runner, 2)
    runner.train()
    assert runner.iter == 2


def mask_set(folder, name, part, monkeypatch):
    monkeypatch.setenv(f'ORSA_{name.upper()}', str(folder / name))
    file = Path(__file__).parents[2] / f'configs/_base_/datasets/{name}.py'
    return Config.fromfile(file)[f'{name}_{part}']


READ = [dict(type='LoadImageFromFile'), dict(type='mmseg.LoadAnnotations')]


@pytest.mark.parametrize('name, parts', [
    ('lfw_parts', dict(train=753, val=271, test=490)),
    ('fasseg', dict(train=118, test=97)),
    ('masked_faces', dict(train=450, test=50)),
])
def test_masks_of_others(mask_folders, monkeypatch, name, parts):
    seen = Counter()
    for part, number in parts.items():
        cfg = mask_set(mask_folders, name, part, monkeypatch)
        dataset = DATASETS.build(
            dict(cfg, pipeline=[*READ, dict(type='orsa.AsSegSample')]))
        assert len(dataset) == number
        seen.update(r['name']
                    for r in map(dataset.get_data_info, range(number)))
        for i in (0, number // 2, number - 1):
            sample = dataset[i]
            own = np.array(Image.open(sample['seg_map_path']))
            assert (sample['gt_seg_map'] == own).all()
            assert sample['img'].shape[:2] == own.shape
            assert Path(sample['img_path']).stem == Path(
                sample['seg_map_path']).stem
            assert len(sample['label_sets']) == len(cfg['labels'])
            for classes, said in zip(sample['label_sets'], cfg['labels']):
                said = [said] if isinstance(said, str) else said
                assert sorted(FACE_CLASSES[c] for c in classes) == sorted(said)
    # no face in two parts, and none of the folder forgotten
    assert max(seen.values()) == 1
    assert len(seen) == len(list((mask_folders / name / 'images').iterdir()))
    assert dataset.metainfo['classes'] == (*LAPA_CLASSES, 'occluder')
    assert dataset.metainfo['label_sets'] == sample['label_sets']


def test_a_batch_of_several_sets(mask_folders, faces_dir, monkeypatch):
    """Real faces, drawn ones and masks of others, as mmseg packs them."""
    from mmseg.models import SegDataPreProcessor
    pack = dict(
        type='mmseg.PackSegInputs',
        meta_keys=('img_path', 'flip', 'label_sets'))
    end = [
        dict(type='orsa.AsSegSample'),
        dict(type='orsa.RandomFaceAffine', size=64), pack
    ]
    labels = [['background', 'hair'], *LAPA_CLASSES[1:10]]
    sets = []
    for name in ('lfw_parts', 'fasseg', 'masked_faces'):
        sets.append(
            dict(
                type='orsa.FaceParsingDataset',
                faces=mask_set(mask_folders, name, 'train', monkeypatch),
                pipeline=READ + end))
    sets.append(
        dict(
            type='orsa.FaceParsingDataset',
            faces=real(faces_dir, with_annotations=True),
            labels=labels,
            pipeline=READ + end))
    sets.append(
        dict(
            type='orsa.FaceParsingDataset',
            faces=dict(
                type='orsa.SyntheticFaces', num_samples=2, occlude_prob=1.),
            labels=LAPA_CLASSES,
            pipeline=[dict(type='orsa.DrawSyntheticFace')] + end))
    sets = [DATASETS.build(cfg) for cfg in sets]
    assert {d.metainfo['classes'] for d in sets} == {FACE_CLASSES}
    batch = SegDataPreProcessor(size=(64, 64))(
        pseudo_collate([d[0] for d in sets]))
    assert batch['inputs'].shape == (5, 3, 64, 64)
    assert [len(s.label_sets)
            for s in batch['data_samples']] == [3, 6, 3, 10, 14]
    for sample in batch['data_samples']:
        labels = sample.gt_sem_seg.data
        assert labels[labels != 255].max() < len(sample.label_sets)


def test_a_flip_swaps_labels_whose_sets_mirror_each_other():
    c = FACE_CLASSES.index
    sets = [(c('background'), ), (c('left brow'), c('left eye')),
            (c('right brow'), c('right eye')),
            (c('skin'), c('left eye'), c('right eye')), (c('nose'), )]
    assert mirror_labels(sets) == [0, 2, 1, 3, 4]
    assert mirror_labels([[i] for i in range(12)
                          ]) == [0, 1, 3, 2, 5, 4, 6, 7, 8, 9, 10, 11]
    flip = RandomFaceAffine(4, flip_prob=1., prob=0.)
    mask = np.array([[0, 1, 2, 3]] * 4, np.uint8)
    sample = dict(
        img=np.zeros((4, 4, 3), np.uint8), gt_seg_map=mask, label_sets=sets)
    flipped = flip(dict(sample))
    assert (flipped['gt_seg_map'] == [3, 1, 2, 0]).all()
    assert (flip(flipped)['gt_seg_map'] == mask).all()
    with pytest.raises(ValueError, match='label 0.*left eye.*flip_prob=0'):
        flip(dict(sample, label_sets=[(4, ), (0, )]))
    with pytest.raises(ValueError, match='AsSegSample before'):
        flip(dict(sample, mask_labels=dict()))


def test_a_box_moves_with_its_face():
    flip = RandomFaceAffine(20, flip_prob=1., prob=0.)
    sample = flip(
        dict(
            img=np.zeros((10, 10, 3), np.uint8),
            bbox=np.array([[0, 2, 4, 6]], np.float32)))
    # pixel centres: x -> 2 (9 - x) + 0.5, y -> 2 y + 0.5
    assert sample['bbox'].tolist() == [[10.5, 4.5, 18.5, 12.5]]


def write_masks(root, masks):
    for folder in ('images', 'masks'):
        (root / folder / 'more').mkdir(parents=True)
    for name, mask in masks.items():
        mask = np.array([mask, mask], np.uint8)  # the same row twice
        Image.fromarray(mask).save(root / f'masks/{name}.png')
        image = np.zeros((*mask.shape[:2], 3), np.uint8)
        cv2.imwrite(str(root / f'images/{name}.jpg'), image)


def folder_of(root, labels, **kwargs):
    return MaskFolderDataset(
        labels,
        str(root),
        pipeline=[*READ, dict(type='orsa.AsSegSample')],
        **kwargs)


def test_values_become_labels(tmp_path):
    write_masks(
        tmp_path, {
            'a': [0, 255, 7],
            'more/b': [7, 7, 0],
            'grey': [[0, 0, 0], [7, 7, 7], [255, 255, 255]]
        })
    labels = {0: 'background', 255: ['skin', 'nose'], '7': None}
    dataset = folder_of(tmp_path, labels)
    assert [d['name'] for d in dataset] == ['a', 'grey', 'more/b']
    assert [d['gt_seg_map'][0].tolist() for d in dataset] == [[0, 1, 255],
                                                              [0, 255, 1],
                                                              [255, 255, 0]]
    assert dataset[0]['label_sets'] == ((0, ), (1, 6))
    with pytest.raises(
            ValueError,
            match=r'masks/a.png has the value 255.*'
            r'names \[0, 7\].*as None'):
        folder_of(tmp_path, {0: 'background', 7: 'hair'})[0]
    write_masks(tmp_path / 'c', {'a': [[0, 1, 2], [0, 1, 2]]})
    with pytest.raises(ValueError, match='colours instead of indices'):
        folder_of(tmp_path / 'c', ['hair'])[0]


def test_a_mask_of_another_size_is_refused(tmp_path):
    write_masks(tmp_path, {'a': [0, 1]})
    cv2.imwrite(str(tmp_path / 'images/a.jpg'), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match='a.png is of 2x2 pixels.*of 4x4'):
        folder_of(tmp_path, ['background', 'skin'])[0]


def test_covered_pixels_get_a_label_of_their_own(tmp_path):
    write_masks(tmp_path, {'a': [0, 1, 2, 0, 1, 2]})
    sample = folder_of(tmp_path, [['background', 'hair'], 'nose', None])[0]
    assert sample['gt_seg_map'][0].tolist() == [0, 1, 255, 0, 1, 255]
    visible = np.array([[1, 1, 1, 0, 0, 0]] * 2, np.uint8)
    sample = AsSegSample()(
        dict(
            gt_seg_map=np.array([[0, 1, 2, 0, 1, 2]] * 2, np.uint8),
            visible_mask=visible,
            mask_labels=read_labels([['background', 'hair'], 'nose', None])))
    assert sample['gt_seg_map'][0].tolist() == [0, 1, 255, 2, 3, 255]
    assert sample['label_sets'] == ((0, 10), (6, ), (0, 10, 11), (11, ))


def test_lists_pairs_and_exclusion(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr('orsa.datasets.face_parsing.print_log',
                        lambda message, **kwargs: lines.append(message))
    names = ('Ann_1', 'Ann_2', 'Bob_1', 'more/Cy_1')
    write_masks(tmp_path, {name: [0, 0] for name in names})
    (tmp_path / 'masks/lost.png').write_bytes(b'')
    (tmp_path / 'images/bare.jpg').write_bytes(b'')
    (tmp_path /
     'out.txt').write_text('# people\nAnn_*\nmore/Cy_1.jpg\nDee_1.png\n')
    dataset = folder_of(tmp_path, ['skin', None], exclude_file='out.txt')
    assert [d['name'] for d in dataset] == ['Bob_1']
    for text in ('4 faces', '1 images without a mask',
                 '1 masks without an image', '3 of them are left out by',
                 '(3 entries, of which 1 name none)',
                 '1 labels are ignored: [1]'):
        assert text in lines[0]
    (tmp_path / 'list.txt').write_text('more/Cy_1.jpg\nAnn_2\n')
    dataset = folder_of(tmp_path, ['skin'], ann_file='list.txt')
    assert [d['name'] for d in dataset] == ['more/Cy_1', 'Ann_2']
    (tmp_path / 'list.txt').write_text('Ann_2\n\nbare\n')
    with pytest.raises(FileNotFoundError, match="list.txt:3: 'bare'.*masks"):
        folder_of(tmp_path, ['skin'], ann_file='list.txt')
    (tmp_path / 'out.txt').write_text('*')
    with pytest.raises(ValueError, match='(?i)no face is left'):
        folder_of(tmp_path, ['skin'], exclude_file='out.txt')


@pytest.mark.parametrize('labels, message', [
    (['background', 'neck'], "1 stands for \\['neck'\\].*'occluder'"),
    ({
        256: 'skin'
    }, r'256 stands for .*\[0, 255\]'),
    ([None, []], 'names no class'),
])
def test_bad_labels(tmp_path, labels, message):
    with pytest.raises(ValueError, match=message):
        MaskFolderDataset(labels, str(tmp_path))


def test_folders_of_masks_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match='masks.*data_root'):
        MaskFolderDataset(['skin'], str(tmp_path))
    write_masks(tmp_path, {'a': [0, 0]})
    (tmp_path / 'images/a.png').write_bytes(b'')
    with pytest.raises(ValueError, match="several images of the name 'a'"):
        MaskFolderDataset(['skin'], str(tmp_path))


def test_faces_by_what_is_in_front_of_them(face300w_dir, faces_dir, tmp_path):
    names = sorted(p.stem for p in (face300w_dir / 'afw').glob('*.pts'))[:3]
    path = tmp_path / 'list.txt'
    path.write_text('\n'.join(f'afw/{name} {kind}'
                              for name, kind in zip(names, '235')))
    kwargs = dict(
        faces=dict(
            type='orsa.Face300WDataset',
            data_root=str(face300w_dir),
            folders=['afw']),
        from_landmarks=True,
        occlusion_file=str(path))
    dataset = FaceParsingDataset(**kwargs)
    assert [dataset[i]['occlusion'] for i in range(4)] == [2, 3, 5, 0]
    fewer = FaceParsingDataset(occlusions=[0, 2], **kwargs)
    assert len(fewer) == len(dataset) - 2
    assert fewer[0]['occlusion'] == 2
    # RAN's lines
    path.write_text('test_00002_aligned 3 1\ntest_00004_aligned 0 4\n')
    faces = real(faces_dir, with_annotations=True)
    dataset = FaceParsingDataset(
        faces, occlusion_file=str(path), occlusions=[0, 1])
    names = [dataset[i]['name'] for i in range(len(dataset))]
    assert names[:4] == [
        'test_00001', 'test_00002', 'test_00003', 'test_00005'
    ]
    assert len(names) == 421
    with pytest.raises(ValueError, match='No face is left'):
        FaceParsingDataset(faces, occlusion_file=str(path), occlusions=[5])
    path.write_text('test_00002 7')
    with pytest.raises(ValueError, match="list.txt:1.*'test_00002 7'"):
        FaceParsingDataset(faces, occlusion_file=str(path))


def test_visibility_for_mmpose():
    visible = np.ones((1, 68), np.float32)
    visible[0, :9] = 0
    points = np.full((1, 68, 2), 5.)
    points[0, -5:] = (-.6, 5), (9.6, 5), (5, -.6), (5, 9.6), (-3, 5)
    points[0, -9:-5] = (-.4, 5), (9.4, 5), (5, -.4), (5, 9.4)
    sample = dict(
        img=np.zeros((10, 10, 3), np.uint8),
        gt_keypoints=points,
        gt_keypoints_visible=visible)
    weights = AsPoseSample(occluded=.5)(dict(sample))['keypoints_visible']
    assert weights[0].tolist() == [.5] * 9 + [1.] * 54 + [.5] * 5
    assert (AsPoseSample()(sample)['keypoints_visible'] == 1).all()
    with pytest.raises(ValueError, match='0.2'):
        AsPoseSample(occluded=.2)
