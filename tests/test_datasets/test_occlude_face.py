# Copyright (c) orsa contributors. All rights reserved.
"""OccludeFace occludes what its severity states, in every run."""
import copy

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from orsa.datasets import RAFDB, OccludeFace, SyntheticFaces
from orsa.datasets.drawing.landmarks import BASE
from orsa.datasets.drawing.occluders import (HELD, build_occluder,
                                             landmark_hull, occluded_fraction,
                                             paint_held, reach_fraction)
from orsa.registry import TRANSFORMS


def face(name='a', size=128, **kwargs) -> dict:
    image = np.random.RandomState(0).randint(0, 256, (size, size, 3), np.uint8)
    return dict(img=image, name=name, **kwargs)


def real_faces(root, num=12):
    dataset = RAFDB(str(root), split='test', with_annotations=True)
    for i in range(0, len(dataset), len(dataset) // num):
        info = dataset.get_data_info(i)
        yield dict(info, img=cv2.imread(info['img_path']))


@pytest.mark.parametrize('kind', HELD)
def test_the_share_is_that_of_the_severity(kind, faces_dir):
    for sample in real_faces(faces_dir):
        before = copy.deepcopy(sample)
        for severity, share in enumerate(OccludeFace.FRACTIONS[kind], 1):
            out = OccludeFace(severity, kind)(dict(sample))
            assert abs(out['occlusion_ratio'] - share) <= .02
            # it is the share of the hull, and what is said to be covered is
            hull = landmark_hull(sample['gt_keypoints'][0], 128)
            hidden = out['visible_mask'] == 0
            assert out['occlusion_ratio'] == pytest.approx(
                (hull & hidden).sum() / hull.sum())
            changed = np.abs(out['img'].astype(int) - sample['img']).sum(2)
            far = cv2.erode(out['visible_mask'], np.ones((7, 7), np.uint8))
            assert not (changed[far == 1] > 12).any()
            assert (changed[hidden] > 12).mean() > .5
        # neither the sample's picture nor what is known of it has changed
        assert (sample['img'] == before['img']).all()
        assert (out['gt_keypoints'] == before['gt_keypoints']).all()
        assert out['gt_label'] == before['gt_label']


@pytest.mark.parametrize('size', [96, 224])
def test_drawn_faces_of_other_sizes(size):
    faces = SyntheticFaces(
        6,
        size=size,
        pipeline=[
            dict(type='orsa.DrawSyntheticFace'),
            dict(type='orsa.OccludeFace', severity=4)
        ])
    for sample in faces:
        assert abs(sample['occlusion_ratio'] - .4) <= .02


def test_shares_are_met_without_landmarks_too():
    out = OccludeFace(3)(face())
    hull = landmark_hull(BASE - .5, 128)
    assert (hull & (out['visible_mask'] == 0)).sum() / hull.sum() == (
        pytest.approx(out['occlusion_ratio']))
    assert abs(out['occlusion_ratio'] - .3) <= .02
    # of a larger picture it is the same face
    large = OccludeFace(3)(face(size=256))
    small = cv2.resize(large['visible_mask'], (128, 128))
    assert (small != out['visible_mask']).mean() < .03


def test_an_aligned_face_is_where_it_is_assumed_to_be(faces_dir):
    dataset = RAFDB(str(faces_dir), split='test', with_annotations=True)
    mean = np.mean([
        dataset.get_data_info(i)['gt_keypoints'][0]
        for i in range(len(dataset))
    ], 0)
    assert np.linalg.norm(mean - (BASE - .5), axis=1).mean() < 2


def test_depends_on_name_kind_severity_and_seed_alone():
    occlude = OccludeFace(2)
    names = [f'test_{i}' for i in range(12)]

    def pictures(order, transform=occlude):
        return {n: transform(face(n))['img'] for n in order}

    first = pictures(names)
    np.random.seed(5)
    state = np.random.get_state()[1].copy()
    again = pictures(reversed(names), OccludeFace(2, HELD[::-1]))
    assert (np.random.get_state()[1] == state).all()
    assert all((first[n] == again[n]).all() for n in names)
    # of several kinds each name has its own, for every severity
    kinds = {n: [k for k in HELD
                 if (OccludeFace(2, k)(face(n))['img'] == first[n]).all()]
             for n in names}  # yapf: disable
    assert all(len(k) == 1 for k in kinds.values())
    assert {k[0] for k in kinds.values()} == set(HELD)
    for n in names[:3]:
        assert (OccludeFace(4, kinds[n])(face(n))['img'] == OccludeFace(4)(
            face(n))['img']).all()
    for other in (OccludeFace(2, seed=1), OccludeFace(3)):
        changed = pictures(names[:3], other)
        assert all((changed[n] != first[n]).any() for n in changed)
    path = dict(face(), img_path='here/test_0.jpg')
    path.pop('name')
    moved = dict(path, img_path='there/test_0.jpg')
    assert (occlude(path)['img'] == occlude(moved)['img']).all()


def test_workers_and_epochs_make_no_difference(faces_dir, tmp_path):
    subset = tmp_path / 'some.txt'
    subset.write_text('\n'.join(map(str, range(6))))
    dataset = RAFDB(
        str(faces_dir),
        split='test',
        with_annotations=True,
        subset_file=str(subset),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='orsa.OccludeFace', severity=3),
            dict(type='PackInputs')
        ])

    def load(workers):
        loader = DataLoader(
            dataset, batch_size=None, num_workers=workers, collate_fn=None)
        return torch.stack([sample['inputs'] for sample in loader])

    first = load(0)
    dataset.set_epoch(3)
    assert torch.equal(load(2), first)


def test_severity_0_leaves_the_image():
    sample = face(gt_keypoints=BASE[None] - .5, gt_label=3)
    out = OccludeFace(0)(dict(sample))
    assert (out['img'] == sample['img']).all()
    assert out['occlusion_ratio'] == 0 and (out['visible_mask'] == 1).all()
    assert out['gt_label'] == 3


@pytest.mark.parametrize('kwargs, message', [
    (dict(severity=6), '1 to 5, but got 6'),
    (dict(severity=-1), 'but got -1'),
    (dict(severity=.5), 'but got 0.5'),
    (dict(severity='3'), "but got '3'"),
    (dict(severity=1, kinds=['cloud']), "unknown occluders \\['cloud'\\]"),
    (dict(severity=1, kinds='beard'), "unknown occluders \\['beard'\\]"),
    (dict(severity=1, kinds=[]), 'expected some of'),
])
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        TRANSFORMS.build(dict(type='orsa.OccludeFace', **kwargs))


def test_bad_samples():
    occlude = OccludeFace(1)
    with pytest.raises(ValueError, match=r'square.*\(128, 100\)'):
        occlude(dict(face(), img=np.zeros((128, 100, 3), np.uint8)))
    with pytest.raises(ValueError, match=r'68 points.*\(1, 5, 2\)'):
        occlude(face(gt_keypoints=np.zeros((1, 5, 2))))
    nameless = face()
    nameless.pop('name')
    with pytest.raises(KeyError, match="'name'"):
        occlude(nameless)


@pytest.mark.parametrize('kind', HELD)
def test_larger_amounts_occlude_more(kind):

    def fraction(amount, seed):
        occluder = build_occluder(kind, 128, BASE - .5, seed)
        return occluded_fraction(
            occluder.mask(occluder.FIRST if amount == 'usual' else amount),
            occluder.hull)

    means = [
        np.mean([fraction(a, i) for i in range(12)])
        for a in (-1, 0, 'usual', 1, 2, 3)
    ]
    assert all(a <= b + .02 for a, b in zip(means, means[1:])), means
    assert means[-1] > .6 and (kind != 'hand' or means[0] < .02)


@pytest.mark.parametrize('kind', HELD)
def test_what_is_tried_is_what_is_painted(kind):
    """At the usual amount it is what synthetic faces have before them."""
    image = np.zeros((128, 128, 3), np.uint8)
    rng = np.random.Generator(np.random.PCG64(4))
    painted = paint_held(image.copy(), BASE.astype(np.float64), kind, rng)
    occluder = build_occluder(kind, 128, BASE.astype(np.float64) - .5, 4)
    assert (occluder.mask(occluder.FIRST) == painted).mean() > .999
    for amount in (.3, 1.5, 2.5):
        assert (occluder.mask(amount) == occluder.paint(image, amount)).all()


@pytest.mark.parametrize('kind, small, large', [('hand', .8, 1.5),
                                                ('block', .3, 3.),
                                                ('object', .5, 3.)])
def test_held_occluders_do_not_change(kind, small, large):
    """Studies were run with them: not a pixel of them may change."""
    sample = face('test_7', gt_keypoints=BASE[None] * 1.02 - 3)
    points = sample['gt_keypoints'][0]
    occlude = OccludeFace(4, kind, seed=3)
    seed = occlude._hash('test_7', kind, 4)

    def paint(amount, image):
        rng = np.random.Generator(np.random.PCG64(seed))
        grow = small * (large / small)**min(max(amount, 0.), 1.)
        return paint_held(
            image,
            points + np.float32(.5),
            kind,
            rng,
            grow=grow * 2**max(amount - 2, 0.),
            pull=min(max(amount - 1, 0.), 1.),
            back=140 * max(-amount, 0.))

    hull = landmark_hull(points, 128)
    amount = reach_fraction(
        lambda a: occluded_fraction(paint(a, sample['img'].copy()), hull),
        .4,
        start=np.log(1 / small) / np.log(large / small),
        low=-1. if kind == 'hand' else 0.,
        high=3.)
    image = sample['img'].copy()
    mask = paint(amount, image)
    out = occlude(sample)
    assert (out['img'] == image).all()
    assert (out['visible_mask'] == (mask <= 127)).all()


def test_reaching_a_fraction():
    tried = []

    def fraction_at(amount):
        tried.append(amount)
        return (amount / 4)**3

    best = reach_fraction(fraction_at, .5, start=1., low=0., high=4.)
    assert abs(fraction_at(best) - .5) <= .01 and len(tried) <= 12
    # what cannot be reached is come as near to as can be
    assert reach_fraction(lambda a: .2 * a, .5, 0., 0., 1.) > .9
