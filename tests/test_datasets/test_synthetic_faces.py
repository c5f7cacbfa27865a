# Copyright (c) orsa contributors. All rights reserved.
"""Synthetic faces: the same pixels everywhere, landmarks and masks fit."""
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orsa.datasets import SyntheticFaces, drawing
from orsa.datasets.drawing import (EXPRESSIONS, OCCLUDERS, ActionUnits, Pose,
                                   draw_face, sample_identity)
from orsa.registry import DATASETS
from orsa.utils.face_regions import FLIP_68

DRAWING = Path(drawing.__file__).parent
PIPELINE = [dict(type='orsa.DrawSyntheticFace')]


def generator(*seed):
    return np.random.Generator(np.random.PCG64(seed))


def draw(expression, seed=0, **kwargs):
    return draw_face(expression, generator(seed), **kwargs)


def frontal(expression, seed):
    """Landmarks in units, without what hides the effect of an expression."""
    return draw(expression, seed, pose=Pose(), intensity=(1, 1))['landmarks']


def dataset(num_samples=14, **kwargs):
    return SyntheticFaces(num_samples, pipeline=PIPELINE, **kwargs)


def checksums(faces, order):
    return {
        i:
        zlib.crc32(faces[i]['img'].tobytes() +
                   faces[i]['gt_seg_map'].tobytes() +
                   faces[i]['gt_keypoints'].tobytes())
        for i in order
    }


def test_faces_do_not_depend_on_order_or_global_state():
    faces = dataset(occlude_prob=.5)
    first = checksums(faces, range(6))
    np.random.seed(3)
    assert checksums(faces, reversed(range(6))) == first
    # a larger set begins with the faces of a smaller one
    assert checksums(dataset(28, occlude_prob=.5), range(6)) == first


def test_faces_are_the_same_in_another_process():
    # the drawing alone, as importing all of orsa.datasets takes seconds
    code = (f'import sys; sys.path.insert(0, {str(DRAWING.parent)!r})\n'
            'from drawing import draw_face\n'
            'import numpy as np, zlib\n'
            'rng = np.random.Generator(np.random.PCG64((7, )))\n'
            'face = draw_face("fear", rng, occlude_prob=1.)\n'
            'print(zlib.crc32(face["img"].tobytes()))')
    out = subprocess.run([sys.executable, '-c', code],
                         capture_output=True,
                         text=True,
                         check=True)
    here = zlib.crc32(draw('fear', 7, occlude_prob=1.)['img'].tobytes())
    assert int(out.stdout) == here


def test_splits_and_seeds_are_disjoint():
    sums = set()
    for kwargs in (dict(split='train'), dict(split='val'), dict(split='test'),
                   dict(face_seed=1), dict(seed=2)):
        sums.update(checksums(dataset(4, **kwargs), range(4)).values())
    assert len(sums) == 20
    assert dataset(split='val').test_mode and not dataset().test_mode


def test_cache_serves_the_same_faces():
    plain = dataset(3)
    cached = SyntheticFaces(
        3, pipeline=[dict(PIPELINE[0], cache=True, max_cached=2)])
    first = checksums(cached, range(3))
    cached[0]['img'][:] = 0  # what a pipeline does to its copy
    assert checksums(cached, range(3)) == first == checksums(plain, range(3))
    assert len(cached.pipeline.transforms[0]._faces) == 2


def test_sample_has_what_it_promises():
    faces = DATASETS.build(
        dict(
            type='orsa.SyntheticFaces',
            num_samples=2,
            size=96,
            occlude_prob=1.,
            pipeline=PIPELINE))
    sample = faces[1]
    assert sample['img'].shape == (96, 96, 3)
    assert sample['img_shape'] == sample['ori_shape'] == (96, 96)
    assert sample['gt_keypoints'].shape == (1, 68, 2)
    assert sample['gt_keypoints'].dtype == np.float32
    assert sample['gt_keypoints_visible'].shape == (1, 68)
    assert sample['gt_seg_map'].dtype == sample['visible_mask'].dtype
    assert set(np.unique(sample['gt_seg_map'])) <= set(range(11))
    assert 0 < sample['occlusion_ratio'] < 1


def test_classes_go_by_name():
    faces = dataset(8, classes=['neutral', 'happiness'])
    assert faces.metainfo['classes'] == ('neutral', 'happiness')
    labels = [faces.get_data_info(i)['gt_label'] for i in range(8)]
    assert labels.count(0) == labels.count(1) == 4
    for i in range(8):
        info = faces.get_data_info(i)
        name = ('neutral', 'happiness')[info['gt_label']]
        assert info['face']['expression'] == name
    assert SyntheticFaces.METAINFO['classes'] == EXPRESSIONS


def test_class_probs():
    faces = dataset(
        200, classes=['fear', 'anger', 'neutral'], class_probs=[0, .2, .8])
    counts = np.bincount(faces.get_gt_labels(), minlength=3)
    assert counts[0] == 0 and 20 <= counts[1] <= 60
    balanced = np.bincount(dataset(21).get_gt_labels())
    assert balanced.tolist() == [3] * 7


@pytest.mark.parametrize('kwargs, message', [
    (dict(split='training'), 'split must be'),
    (dict(classes=['happiness', 'contempt']), 'cannot draw'),
    (dict(classes=['joy']), 'unknown classes'),
    (dict(class_probs=[.5, .5]), 'class_probs must be 7'),
    (dict(occluders=['hat']), 'unknown occluders'),
    (dict(num_samples=0), 'num_samples must be'),
])
def test_wrong_arguments_are_explained(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SyntheticFaces(**kwargs)


@pytest.mark.parametrize('expression', EXPRESSIONS)
def test_masks_and_landmarks_agree(expression):
    for seed in range(3):
        who = replace(sample_identity(generator(seed)), hair_style='bald')
        face = draw(expression, seed, identity=who)
        points, parsing = face['landmarks'], face['parsing']
        centres = {}
        for label in (2, 3, 4, 5, 6, 7, 9):
            at = np.argwhere(parsing == label)[:, ::-1]
            if len(at) > 6:
                centres[label] = at.mean(0)
        for label, part in ((4, slice(42, 48)), (5, slice(36, 42)),
                            (2, slice(22, 27)), (3, slice(17, 22))):
            off = points[part].mean(0) - centres.get(label, points[part])
            assert np.abs(off).max() < 5, (seed, label)
        # the subject's left is on the image's right
        assert centres[4][0] > centres[5][0] + 20
        assert centres[5][1] < centres[6][1] < centres[7][1] < centres[9][1]
        mouth = parsing[int(centres[7][1]):int(centres[9][1]) + 1]
        assert np.isin((7, 9), mouth).all()


def test_landmarks_are_framed_like_aligned_photographs():
    points = np.stack(
        [draw(EXPRESSIONS[i % 7], i)['landmarks'] for i in range(35)])
    # means over the real training faces, in pixels of 128
    for index, place in ((36, (33.5, 52.3)), (45, (94.5, 52.1)),
                         (30, (63.6, 75.4)), (48, (47.0, 96.0)),
                         (54, (81.4, 95.6)), (8, (64.5, 120.8))):
        assert np.abs(points[:, index].mean(0) - place).max() < 2.5
    # a mean face is its own mirror image
    mean = points.mean(0)
    assert np.abs(128 - mean[FLIP_68, 0] - mean[:, 0]).max() < 5


@pytest.mark.parametrize('occluder', OCCLUDERS)
def test_occluder_hides_what_it_covers(occluder):
    kwargs = dict(degrade=False, size=112)
    bare = draw('happiness', 5, **kwargs)
    face = draw(
        'happiness', 5, occlude_prob=1., occluders=(occluder, ), **kwargs)
    assert face['occluder'] == occluder and bare['occluder'] is None
    # what is hidden keeps its label and place
    assert (face['parsing'] == bare['parsing']).all()
    assert (face['landmarks'] == bare['landmarks']).all()
    assert bare['occlusion_ratio'] == 0
    assert bare['landmarks_visible'].sum() > 60
    skin = (bare['parsing'] > 0) & (bare['parsing'] < 10)
    hidden = skin & (face['visible'] == 0)
    assert (bare['visible'] == skin).all()
    assert np.isclose(face['occlusion_ratio'], hidden.sum() / skin.sum())
    assert .01 < face['occlusion_ratio'] < .95
    # the picture changed where it is hidden, and not where it is in sight
    change = np.abs(face['img'].astype(int) - bare['img']).sum(2)
    assert change[hidden].mean() > 10 * change[face['visible'] > 0].mean()
    at = np.floor(face['landmarks']).astype(int)
    for (x, y), seen in zip(at, face['landmarks_visible']):
        if 0 <= x < 112 and 0 <= y < 112 and skin[y, x]:
            assert seen == face['visible'][y, x]


def test_expression_moves_what_its_action_units_move():
    for seed in range(4):
        rest = draw_face(
            'neutral',
            generator(seed),
            pose=Pose(),
            action_units=ActionUnits())['landmarks']
        face = {e: frontal(e, seed) for e in EXPRESSIONS}

        def change(expression, point, frame=(36, 39, 42, 45)):
            moved = face[expression][point, 1] - rest[point, 1]
            still = [face[expression][i, 1] - rest[i, 1] for i in frame]
            return moved - np.mean(still)

        for corner in (48, 54):  # up and down against the upper lip
            assert change('happiness', corner) < change('happiness', 51) - 2
            assert change('sadness', corner) > change('sadness', 51) + 2
        assert change('anger', 21) > 1.5 and change('anger', 22) > 1.5
        for inner, outer in ((21, 17), (22, 26)):
            assert change('sadness', inner) < change('sadness', outer) - 1
        assert change('surprise', 19) < -2 and change('surprise', 24) < -2
        lids = [
            face[e][[40, 41], 1].sum() - face[e][[37, 38], 1].sum()
            for e in ('surprise', 'neutral', 'disgust')
        ]
        assert lids[0] > lids[1] + 2 > lids[2] + 4
        assert (face['surprise'][66] - face['surprise'][62])[1] > 5
        assert (face['surprise'][8] - rest[8])[1] > 1


def test_expression_leaves_the_person_alone():
    happy, angry = (draw(e, 3, degrade=False) for e in ('happiness', 'anger'))
    for field in ('skin', 'hair', 'iris'):
        assert (getattr(happy['identity'],
                        field) == getattr(angry['identity'], field)).all()
    corner = np.s_[:12, :12]
    assert np.abs(happy['img'][corner].astype(int) -
                  angry['img'][corner]).mean() < 4


def test_unknown_expression():
    with pytest.raises(ValueError, match='expected one of'):
        draw('joy')
