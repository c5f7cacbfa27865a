# Copyright (c) orsa contributors. All rights reserved.
"""Every kind of occluder, held to what it says of itself."""
import cv2
import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull
from torch.utils.data import DataLoader

from orsa.datasets import (RAFDB, AsPoseSample, AsSegSample, OccludeFace,
                           PasteOccluder, RandomOccluder)
from orsa.datasets.drawing.landmarks import BASE
from orsa.datasets.drawing.occluders import (FRACTIONS, HELD, KINDS,
                                             build_occluder)
from orsa.datasets.seeding import seeded
from orsa.registry import TRANSFORMS

PLAIN = ('square', 'grid', 'patches', 'crop')
WORN = ('sunglasses', 'mask', 'scarf', 'hat')
OTHERS = tuple(k for k in KINDS if k not in HELD)


def hull_of(points: np.ndarray, size: int) -> np.ndarray:
    """The pixels in the convex hull of points, without OpenCV."""
    planes = ConvexHull(np.rint(points)).equations
    y, x = np.mgrid[:size, :size]
    far = planes[:, 0, None, None] * x + planes[:, 1, None, None] * y
    return (far + planes[:, 2, None, None] <= .5).all(0)


def noisy_face(size=128, name='a', **kwargs) -> dict:
    image = np.random.RandomState(1).randint(0, 256, (size, size, 3), np.uint8)
    return dict(img=image, name=name, **kwargs)


@pytest.fixture(scope='module')
def faces(faces_dir):
    """40 real faces, with landmarks and masks."""
    dataset = RAFDB(str(faces_dir), split='test', with_annotations=True)
    samples = []
    for i in np.linspace(0, len(dataset) - 1, 40).astype(int):
        info = dataset.get_data_info(i)
        parsing = cv2.imread(info['seg_map_path'], cv2.IMREAD_UNCHANGED)
        samples.append(
            dict(info, img=cv2.imread(info['img_path']), gt_seg_map=parsing))
    return samples


def ratios(samples, kind, **kwargs) -> np.ndarray:
    """(N, 5), the share that is recorded for each severity."""
    return np.array([[
        OccludeFace(s, kind, **kwargs)(dict(sample))['occlusion_ratio']
        for s in range(1, 6)
    ] for sample in samples])


@pytest.mark.parametrize('kind', KINDS)
def test_shares_of_real_faces(kind, faces):
    goals = np.array(FRACTIONS[kind])
    found = ratios(faces, kind)
    assert (abs(found - goals) <= (.02 if kind in HELD else .01)).all()
    assert (np.diff(found) > 0).all() and (np.diff(goals) > 0).all()


@pytest.mark.parametrize('kind', KINDS)
def test_the_record_is_true_of_the_picture(kind, faces):
    """Measured where noise, that nothing is like, has become something."""
    for sample in faces[::20]:
        points = sample['gt_keypoints'][0]
        hull = hull_of(points, 128)
        before = noisy_face(gt_keypoints=points[None])
        for severity in (2, 5):
            out = OccludeFace(severity, kind, fill=(255, 0, 255))(dict(before))
            hidden = out['visible_mask'] == 0
            assert abs((hull & hidden).sum() / hull.sum() -
                       out['occlusion_ratio']) < .01
            changed = np.abs(out['img'].astype(int) - before['img']).sum(2)
            assert (changed[hidden] > 30).mean() > .97
            far = cv2.erode(out['visible_mask'], np.ones((9, 9), np.uint8))
            assert (changed[far == 1] <= 12).all()


@pytest.mark.parametrize('kind', OTHERS)
def test_a_higher_severity_is_the_same_thing_larger(kind, faces):
    # of what is worn, parts that are no area (arms, loops) may move
    least = .9 if kind in WORN else .98 if kind == 'texture' else 1.
    for sample in faces[::20]:
        masks = [
            OccludeFace(s, kind)(dict(sample))['visible_mask'] == 0
            for s in range(1, 6)
        ]
        for small, large in zip(masks, masks[1:]):
            assert (small & large).sum() >= least * small.sum()


def test_what_is_worn_is_where_it_belongs(faces):
    """By the landmarks: the eyes, or nose and mouth, and not the others."""
    eyes = [*range(36, 48)]
    covers = dict(
        sunglasses=([37, 38, 40, 41, 43, 44, 46, 47], [8, 33, 51, 57]),
        mask=([30, 31, 33, 35, 51, 57, 62, 66], eyes),
        scarf=([7, 8, 9, 57], eyes),
        hat=([], [*range(30, 36), *range(48, 68), 8]))
    severities = dict(sunglasses=3, mask=2, scarf=3, hat=5)
    for kind, (hidden, seen) in covers.items():
        visible = np.stack([
            OccludeFace(severities[kind],
                        kind)(dict(f))['keypoints_visible'][0]
            for f in faces[::4]
        ])
        assert not hidden or visible[:, hidden].mean() < .06, kind
        assert visible[:, seen].mean() > .94, kind


@pytest.mark.parametrize('size', [64, 224])
@pytest.mark.parametrize('kind', KINDS)
def test_without_landmarks_and_of_other_sizes(kind, size):
    names = 'ab'
    found = ratios([noisy_face(size, name=n) for n in names], kind)
    assert (abs(found - FRACTIONS[kind])
            <= (.025 if size == 64 else .02)).all()
    out = OccludeFace(3, kind)(noisy_face(size))
    assert 'keypoints_visible' not in out and 'gt_seg_map' not in out
    # the face is the usual one
    points = BASE * (size / 128) - .5
    known = OccludeFace(3, kind)(noisy_face(size, gt_keypoints=points[None]))
    assert (known['img'] == out['img']).all()
    as_mmpose = OccludeFace(3, kind)(noisy_face(size, keypoints=points[None]))
    assert (as_mmpose['img'] == out['img']).all()


@pytest.mark.parametrize('kind', KINDS)
def test_masks_and_landmarks_follow_the_picture(kind, faces):
    for sample in faces[1::20]:
        arrays = ('img', 'gt_keypoints', 'gt_seg_map')
        before = {key: sample[key].copy() for key in arrays}
        out = OccludeFace(4, kind)(dict(sample))
        hidden = out['visible_mask'] == 0
        assert (out['gt_seg_map'][hidden] == 0).all()
        assert (out['gt_seg_map'] == sample['gt_seg_map'])[~hidden].all()
        assert out['gt_seg_map'].dtype == sample['gt_seg_map'].dtype
        seen = out['keypoints_visible']
        assert seen.shape == (1, 68) and seen.dtype == np.float32
        for (x, y), visible in zip(sample['gt_keypoints'][0], seen[0]):
            inside = -.5 <= x <= 127.5 and -.5 <= y <= 127.5
            expected = inside and not hidden[int(round(float(y))),
                                             int(round(float(x)))]
            assert bool(visible) == expected
        assert (out['gt_keypoints'] == sample['gt_keypoints']).all()
        # the caller's arrays are as they were
        assert all((sample[key] == before[key]).all() for key in arrays)


def test_visibility_that_is_there_is_kept():
    points = BASE[None] - .5
    before = np.ones((1, 68), np.float32)
    before[0, 60:] = 0
    sample = noisy_face(
        gt_keypoints=points,
        gt_keypoints_visible=before,
        keypoints_visible=np.stack([before, before], -1),
        gt_seg_map=np.full((128, 128), 255, np.uint8))
    out = OccludeFace(2, 'mask')(dict(sample))
    seen = out['gt_keypoints_visible']
    assert (seen[0, 60:] == 0).all() and (seen[0, 36:48] == 1).all()
    assert (seen[0, 48:60] == 0).all() and (before[0, :60] == 1).all()
    assert (out['keypoints_visible'] == seen[..., None]).all()
    assert (out['gt_seg_map'] == 255).all()  # what mmseg ignores
    resized = dict(noisy_face(), gt_seg_map=np.zeros((64, 64), np.uint8))
    with pytest.raises(ValueError, match=r'\(64, 64\).*before either'):
        OccludeFace(2, 'mask')(resized)


def test_the_landmark_model_sees_all_points_and_the_parser_what_is_there(
        faces):
    for transform in (PasteOccluder(1.), RandomOccluder(1.)):
        with seeded(3):
            out = transform(dict(faces[0]))
        assert not out['keypoints_visible'].all()
        assert (AsPoseSample()(dict(out))['keypoints_visible'] == 1).all()
        # as it was when AsSegSample alone knew of the cover
        late = dict(out, gt_seg_map=faces[0]['gt_seg_map'])
        assert (AsSegSample()(
            dict(out))['gt_seg_map'] == AsSegSample()(late)['gt_seg_map']
                ).all()


def test_the_same_for_any_order_number_of_workers_and_epoch(
        faces_dir, tmp_path):
    subset = tmp_path / 'some.txt'
    subset.write_text('\n'.join(map(str, range(18))))
    dataset = RAFDB(
        str(faces_dir),
        split='test',
        with_annotations=True,
        subset_file=str(subset),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='orsa.OccludeFace', severity=3, kinds=KINDS),
            dict(type='PackInputs', meta_keys=('occlusion_ratio', ))
        ])

    def load(workers):
        loader = DataLoader(dataset, batch_size=None, num_workers=workers)
        return torch.stack([sample['inputs'] for sample in loader])

    first = load(0)
    dataset.set_epoch(3)
    assert torch.equal(load(2), first)
    again = [dataset[i]['inputs'] for i in reversed(range(18))]
    assert torch.equal(torch.stack(again[::-1]), first)


def test_of_all_kinds_each_name_has_one():

    def picture(i, kinds, **kwargs):
        return OccludeFace(5, kinds, **kwargs)(noisy_face(name=f'{i}'))['img']

    chosen = set()
    for i in range(5):
        image = picture(i, KINDS)
        # the order of the kinds does not matter
        assert (picture(i, KINDS[::-1]) == image).all()
        own = [k for k in KINDS if (picture(i, k) == image).all()]
        assert len(own) == 1
        chosen.update(own)
    assert len(chosen) > 1
    assert (picture(0, KINDS, seed=1) != picture(0, KINDS)).any()


def test_things_are_lit_and_coloured_like_the_picture():
    dark, light = (np.full((128, 128, 3), v, np.uint8) for v in (50, 190))
    warm = light.copy()
    warm[..., 0] = 120
    for kind in (*WORN, 'texture'):
        outs = []
        for image in (dark, light, warm):
            out = OccludeFace(5, kind)(dict(img=image, name='b'))
            outs.append(out['img'][out['visible_mask'] == 0].astype(int))
        assert np.ptp(outs[0], axis=1).max() <= 1  # grey stays grey
        assert outs[0].mean() < .7 * outs[1].mean()
    assert np.ptp(outs[2], axis=1).max() > 10


def test_flat_colours_have_hard_edges_and_the_colour_asked_for():
    sample = noisy_face()
    for kind in PLAIN:
        out = OccludeFace(3, kind, fill=(1, 2, 3))(dict(sample))
        hidden = out['visible_mask'] == 0
        assert (out['img'][hidden] == (1, 2, 3)).all()
        assert (out['img'] == sample['img'])[~hidden].all()


def test_squares_grids_patches_and_crops_are_what_they_are_called():
    points = BASE - .5

    def occluded(kind, amount, seed=0):
        return build_occluder(kind, 128, points, seed).mask(amount) > 0

    rows, cols = np.nonzero(occluded('square', 11.3))
    assert abs(np.ptp(rows) + 1 - 22.6) < 1.5
    assert (np.ptp(rows) + 1) * (np.ptp(cols) + 1) == len(rows)
    for seed in range(5):
        share = occluded('grid', .6, seed).mean()
        assert abs(share - .36) < .08
    size = 14 * 9
    patches = build_occluder('patches', size, BASE * size / 128 - .5, 0)
    blocks = (patches.mask(50) > 0).reshape(14, 9, 14, 9).swapaxes(1, 2)
    blocks = blocks.reshape(196, 81)
    assert (blocks.min(1) == blocks.max(1)).all()
    assert (blocks.max(1) > 0).sum() == 50
    sides = set()
    for seed in range(20):
        shade = occluded('crop', -30, seed)
        edges = shade[0].all(), shade[-1].all(), shade[:, 0].all(
        ), shade[:, -1].all()
        assert sum(edges) == 1
        sides.add(edges)
    assert len(sides) == 4


def test_random_occluders_follow_their_mix():
    transform = RandomOccluder(.6, dict(crop=3, square=1), severities=(2, 4))
    counts = dict(none=0, crop=0, square=0)
    shares = []
    for i in range(400):
        with seeded(5, i):
            drawn = transform._draw()
        kind, severity, _ = drawn[0] if drawn else ('none', 0, 0)
        counts[kind] += 1
        shares.append(severity)
    assert abs(counts['none'] - 160) < 40 and abs(counts['crop'] - 180) < 40
    assert set(shares) == {0, 2, 4}
    sample = noisy_face(gt_keypoints=BASE[None] - .5)
    with seeded(1):
        outs = [RandomOccluder(1.)(dict(sample)) for _ in range(30)]
    with seeded(1):
        again = [RandomOccluder(1.)(dict(sample)) for _ in range(30)]
    assert all((a['img'] == b['img']).all() for a, b in zip(outs, again))
    levels = np.unique([s for shares in FRACTIONS.values() for s in shares])
    for out in outs:
        assert abs(levels - out['occlusion_ratio']).min() <= .02
    assert len({out['img'].tobytes() for out in outs}) == 30
    assert (sample['img'] == noisy_face()['img']).all()
    same = RandomOccluder(0.)(dict(sample))
    assert same['img'] is sample['img'] and 'visible_mask' not in same
    assert set(RandomOccluder.MIX) == set(KINDS)


@pytest.mark.parametrize('kind', HELD)
def test_the_mask_alone_is_that_of_what_is_painted(kind):
    for seed in range(8):
        occluder = build_occluder(kind, 112, BASE * (112 / 128) - .5, seed)
        amount = np.random.default_rng(seed).uniform(occluder.LEAST,
                                                     occluder.MOST)
        image = np.zeros((112, 112, 3), np.uint8)
        painted = occluder.paint(image, amount)
        assert (occluder.mask(amount) == painted).all()
        assert image.any() or painted.max() < 9  # far back


def test_an_own_hand_has_the_colour_of_the_face():
    colours = []
    for own in (0., 1.):
        for i in range(5):
            face = noisy_face(gt_keypoints=BASE[None] - .5)
            face['img'] = np.full_like(face['img'], (60, 90, 140))
            transform = RandomOccluder(
                1., dict(hand=1), severities=(3, ), own_hand=own)
            with seeded(7, i):
                out = transform(face)
            hand = out['visible_mask'] == 0
            colours.append(out['img'][hand].mean(0) - (60, 90, 140))
            assert (out['img'][~hand] == (60, 90, 140)).mean() > .9
    other, same = np.abs(colours).max(1).reshape(2, 5)
    assert same.max() < 4 < other.min()


@pytest.mark.parametrize('kwargs, message', [
    (dict(own_hand=-.1), r'own_hand should be in \[0, 1\]'),
    (dict(prob=1.5), r'prob should be in \[0, 1\]'),
    (dict(kinds=dict(cloud=1)), "unknown occluders \\['cloud'\\]"),
    (dict(kinds={}), 'expected some of'),
    (dict(kinds=dict(hand=-1)), '0 or more'),
    (dict(kinds=dict(hand=0)), 'one above'),
    (dict(severities=(0, 1)), 'severities should be some of'),
    (dict(severities=()), 'severities should be some of'),
])
def test_bad_arguments_of_random_occluders(kwargs, message):
    with pytest.raises(ValueError, match=message):
        TRANSFORMS.build(dict(type='orsa.RandomOccluder', **kwargs))
