# Copyright (c) orsa contributors. All rights reserved.
"""Properties that hold for every face, on faces that hypothesis generates."""
import csv
import os
import os.path as osp

import cv2
import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orsa.datasets import FERDataset
from orsa.datasets.drawing.landmarks import BASE
from orsa.datasets.drawing.occluders import FRACTIONS, HELD
from orsa.datasets.image_folder import CONVENTIONS, expression_of
from orsa.datasets.images import check_inside
from orsa.datasets.splits import assign_folds, hold_out
from orsa.datasets.text_files import read_rows, whole_number
from orsa.datasets.transforms import (AsPoseSample, AsSegSample,
                                      DrawSyntheticFace, LoadFace, OccludeFace,
                                      PasteOccluder, RandomFaceAffine,
                                      RandomOccluder)
from orsa.utils.classes import (AFFECTNET_CLASSES, FERPLUS_CLASSES,
                                OCCLUFER_CLASSES, RAFDB_CLASSES)
from orsa.utils.face_regions import FLIP_68, LAPA_FLIP_PAIRS
from orsa.utils.image_files import image_fault

LONG = 'ORSA_STRESS' in os.environ


def examples(short, long=400):
    return settings(
        max_examples=long if LONG else short,
        deadline=None,
        derandomize=True,
        database=None)


EXAMPLES = examples(15)
SEEDS = st.integers(0, 2**31)


def face(seed, size):
    """An image with a mask and landmarks somewhere near a face's."""
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
    # and once is a flip: the image mirrored, left is right
    np.testing.assert_array_equal(once['img'], sample['img'][:, ::-1])
    assert (once['gt_seg_map'] == 4).sum() == (sample['gt_seg_map'] == 5).sum()


def dotted(sample, chosen, shape, radius=5):
    """A sample whose image and masks have a dot at a landmark, no more."""
    at = sample['gt_keypoints'][0, chosen]
    ys, xs = np.mgrid[:shape[0], :shape[1]]
    square = (xs - at[0])**2 + (ys - at[1])**2
    light = 255 * np.exp(-square / (2 * (radius * .6)**2))
    dot = (square < radius**2).astype(np.uint8)
    sample.update(
        img=cv2.merge([light.round().astype(np.uint8)] * 3),
        gt_seg_map=dot,
        visible_mask=dot)
    return sample


def centre(image):
    weight = image.astype(float)
    ys, xs = np.mgrid[:image.shape[0], :image.shape[1]]
    return np.array([(xs * weight).sum(), (ys * weight).sum()]) / weight.sum()


AFFINES = st.fixed_dictionaries(
    dict(
        flip_prob=st.sampled_from([0., 1.]),
        prob=st.sampled_from([0., 1.]),
        rotate=st.floats(0, 40),
        scale_range=st.sampled_from([(.7, .8), (.9, 1.15), (1., 1.),
                                     (1.3, 1.6)]),
        stretch=st.floats(0, .2),
        shift=st.floats(0, .1),
        size=st.sampled_from([64, 96, (96, 112), (112, 80)])))


@EXAMPLES
@given(SEEDS, st.integers(0, 67), AFFINES,
       st.sampled_from([(128, 128), (128, 160), (150, 120), (640, 640)]))
def test_landmarks_masks_and_image_move_together(seed, chosen, how, shape):
    """A dot at a landmark is at the landmark afterwards, in each of them."""
    side = min(shape)
    sample = face(seed, side)
    # inside it all, whatever is done to it
    sample['gt_keypoints'] = sample['gt_keypoints'] * .5 + side / 4
    sample = dotted(sample, chosen, shape, 5 * side // 128)
    sample['keypoints_visible'] = (np.arange(68) == chosen)[None] * 1.
    np.random.seed(seed % 2**32)
    moved = RandomFaceAffine(fill=(0, 0, 0), **how)(sample)
    index = int(FLIP_68[chosen]) if moved['flip'] else chosen
    expected = moved['gt_keypoints'][0, index]
    high, wide = moved['img_shape']
    assume((12 < expected).all() and (expected < [wide - 12, high - 12]).all())
    assert np.flatnonzero(moved['keypoints_visible']).tolist() == [index]
    # of a mask each pixel is of the one or the other class
    for key, away in (('img', .08), ('gt_seg_map', .6), ('visible_mask', .6)):
        image = moved[key] if moved[key].ndim == 2 else moved[key][..., 0]
        assert image.shape == (high, wide)
        np.testing.assert_allclose(
            centre(image), expected, atol=away, err_msg=key)


def check_cover(before, after):
    """What an occluder claims is so. ``before`` has no visible_mask."""
    size = len(before['img'])
    visible = after['visible_mask'] == 1
    # what is visible is as it was, but for the soft edge, also of
    # what ends beside the image, and a shadow, which darkens
    inner = np.pad(after['visible_mask'], 1)
    far = cv2.erode(
        inner,
        np.ones((5, 5), np.uint8),
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0)[1:-1, 1:-1] == 1
    darker = before['img'][far].astype(int) - after['img'][far]
    assert darker.min(initial=0) >= -1 and darker.max(initial=0) <= 64
    assert not darker.size or darker.mean() < 3
    # and what is not, is not: the image is noise
    other = (before['img'] != after['img']).any(-1)[~visible]
    assert not other.size or other.mean() > .95
    # the ratio of the face is that of the mask, within the hull
    hull = np.zeros((size, size), np.uint8)
    points = np.rint(before['gt_keypoints'][0]).astype(np.int32)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    ratio = (~visible & (hull == 1)).sum() / hull.sum()
    assert abs(ratio - after['occlusion_ratio']) < 1e-6
    # a landmark is seen where the mask is, inside the image
    at = points.clip(0, size - 1)
    inside = (points == at).all(1)
    np.testing.assert_array_equal(after['keypoints_visible'][0] == 1,
                                  inside & visible[at[:, 1], at[:, 0]])
    # nothing of the covered face is left in the map of its parts, and of the
    # rest everything
    np.testing.assert_array_equal(after['gt_seg_map'],
                                  np.where(visible, before['gt_seg_map'], 0))
    np.testing.assert_array_equal(after['gt_keypoints'],
                                  before['gt_keypoints'])


def bare(seed, size, away=0):
    """A face without masks, which may be partly outside its image."""
    sample = face(seed, size)
    sample['gt_keypoints'] += np.random.default_rng(seed).uniform(
        -away, away, 2).astype(np.float32)
    del sample['visible_mask'], sample['keypoints_visible']
    return sample


@EXAMPLES
@given(SEEDS, st.sampled_from(sorted(OccludeFace.KINDS)), st.integers(0, 5))
def test_occluders_cover_what_they_claim(seed, kind, severity):
    before = bare(seed, 96)
    image = before['img'].copy()
    hidden = OccludeFace(severity, kind)(dict(before))
    np.testing.assert_array_equal(before['img'], image)  # not the caller's
    check_cover(before, hidden)
    again = OccludeFace(severity, kind)(dict(before))
    np.testing.assert_array_equal(again['img'], hidden['img'])
    if severity:
        assert abs(hidden['occlusion_ratio'] -
                   FRACTIONS[kind][severity - 1]) < .03
    else:
        np.testing.assert_array_equal(hidden['img'], image)
        assert hidden['occlusion_ratio'] == 0


@EXAMPLES
@given(SEEDS, st.sampled_from(sorted(set(OccludeFace.KINDS) - set(HELD))))
def test_a_higher_severity_is_the_same_thing_larger(seed, kind):
    before = bare(seed, 96)
    masks = [
        OccludeFace(severity, kind)(dict(before))['visible_mask'] == 0
        for severity in (1, 3, 5)
    ]
    for small, large in zip(masks, masks[1:]):
        # but for pixels at its edge
        edge = cv2.dilate(large.astype(np.uint8), np.ones((5, 5), np.uint8))
        assert (small & (edge == 0)).sum() <= .08 * small.sum()
        assert small.sum() < large.sum()


@EXAMPLES
@given(SEEDS, st.sampled_from([RandomOccluder, PasteOccluder]),
       st.sampled_from([48, 96, 112]))
def test_random_occluders_cover_what_they_claim(seed, kind, size):
    before = bare(seed, size, size / 3)
    image = before['img'].copy()
    np.random.seed(seed % 2**32)
    hidden = kind(prob=1.)(dict(before))
    np.testing.assert_array_equal(before['img'], image)  # not the caller's
    check_cover(before, hidden)


@examples(6, 150)
@given(SEEDS, st.sampled_from(RAFDB_CLASSES), st.sampled_from([64, 112]),
       st.sampled_from([0., 1.]))
def test_image_mask_and_landmarks_of_synthetic_faces_agree(
        seed, expression, size, occlude_prob):
    options = dict(expression=expression, size=size, occlude_prob=occlude_prob)
    record = dict(face_seed=(seed, 0, 1), face=options)
    draw = DrawSyntheticFace(cache=True)
    drawn, cached = draw(dict(record)), draw(dict(record))
    for key in ('img', 'gt_seg_map', 'gt_keypoints', 'visible_mask'):
        np.testing.assert_array_equal(drawn[key], cached[key], key)
    parsing, visible = drawn['gt_seg_map'], drawn['visible_mask'] == 1
    skin = (parsing > 0) & (parsing < 10)
    assert not (visible & ~skin).any()
    assert abs(drawn['occlusion_ratio'] -
               (1 - visible.sum() / skin.sum())) < 1e-6
    assert occlude_prob or drawn['occlusion_ratio'] < .02
    # the nose's points lie on the nose, an eye's points around the eye
    points = drawn['gt_keypoints'][0] - .5
    for part, rows in ((6, slice(27, 36)), (5, slice(36,
                                                     42)), (4, slice(42, 48))):
        if (parsing == part).sum() > 8:
            away = np.abs(centre(parsing == part) - points[rows].mean(0))
            assert away.max() < .08 * size, (part, away)


@EXAMPLES
@given(SEEDS, st.integers(8, 64), st.booleans())
def test_samples_for_mmseg_and_mmpose(seed, size, merge):
    sample = face(seed, size)
    before = {key: np.copy(value) for key, value in sample.items()}
    prepare = AsSegSample({10: 0} if merge else None)
    found = prepare(dict(sample))['gt_seg_map']
    hair, covered = before['gt_seg_map'] == 10, before['visible_mask'] == 0
    assert (found[hair] == (0 if merge else 10)).all()
    assert not found[covered & ~hair].any()
    kept = ~covered & ~hair
    np.testing.assert_array_equal(found[kept], before['gt_seg_map'][kept])
    twice = prepare(dict(sample, gt_seg_map=found))['gt_seg_map']
    np.testing.assert_array_equal(twice, found)
    wide = np.zeros((size, size + 3, 3), np.uint8)
    pose = AsPoseSample()(dict(sample, img=wide))
    np.testing.assert_array_equal(pose['keypoints'], before['gt_keypoints'])
    assert pose['bbox'].tolist() == [[0, 0, size + 3, size]]
    for key, value in before.items():
        np.testing.assert_array_equal(sample[key], value, key)


@EXAMPLES
@given(SEEDS, st.integers(16, 400), st.integers(16, 400), st.integers(8, 200),
       st.sampled_from(['.jpg', '.png']))
def test_a_face_loads_at_a_size_that_is_enough(tmp_path_factory, seed, height,
                                               width, min_size, suffix):
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    path = str(tmp_path_factory.getbasetemp() / f'face{suffix}')
    cv2.imwrite(path, cv2.resize(noise, (width, height)))
    found = LoadFace(min_size)(dict(img_path=path))
    assert found['ori_shape'] == (height, width)
    small, whole = min(found['img'].shape[:2]), min(height, width)
    assert small == whole or small >= min_size
    assert (small == whole) or suffix == '.jpg'
    # a landmark counts the pixels of the file
    points = np.zeros((1, 68, 2))
    found = LoadFace(min_size)(dict(img_path=path, gt_keypoints=points))
    assert found['img'].shape[:2] == (height, width)


@EXAMPLES
@given(st.permutations(RAFDB_CLASSES), st.integers(1, 7))
def test_label_maps_are_bijections(order, number):
    classes = order[:number]
    dataset = FERDataset(classes=classes, lazy_init=True, pipeline=[])
    to_number = dataset.class_to_idx
    assert sorted(to_number) == sorted(classes)
    assert [to_number[c] for c in classes] == list(range(number))
    assert list(dataset.metainfo['classes']) == list(classes)


def test_conventions_are_bijections():
    for name, numbers in CONVENTIONS.items():
        assert len(set(numbers.values())) == len(numbers), name
        for number, expression in numbers.items():
            assert expression_of(expression) == expression
            assert expression_of(f' {expression.title()} ') == expression
    for classes in (RAFDB_CLASSES, OCCLUFER_CLASSES):
        assert {*classes, 'contempt'} == set(AFFECTNET_CLASSES)
    assert set(FERPLUS_CLASSES) == set(AFFECTNET_CLASSES)
    assert (FLIP_68[FLIP_68] == np.arange(68)).all()
    # mirrored, a point of the mean face comes near its partner
    mirrored = BASE * [-1, 1] + [2 * BASE[:, 0].mean(), 0]
    assert np.abs(mirrored[FLIP_68] - BASE).max() < 3
    assert len({c for pair in LAPA_FLIP_PAIRS for c in pair}) == 4


PARTS = st.sampled_from(
    ['..', '.', '', 'a', '..a', 'a..', '...', ' ', '~', 'b.png', '\\'])


@examples(200, 4000)
@given(
    st.lists(PARTS, min_size=1, max_size=7), st.booleans(),
    st.sampled_from(['/data/set', 'data', '.', '/', '..', 'data/../x']))
def test_paths_stay_below_the_root(parts, absolute, root):
    path = '/' * absolute + '/'.join(parts)
    real = osp.abspath(osp.join(root, path))
    inside = osp.commonpath([real, osp.abspath(root)]) == osp.abspath(root)
    try:
        check_inside(path, root, 'list.txt:7')
    except ValueError as error:
        assert str(error).startswith('list.txt:7: ')
        # the way down again is refused too: it names what is above
        assert not inside or path.startswith('/') or '..' in parts
    else:
        assert inside


# what Python takes for digits, and for numbers
DIGITS = st.text(
    '0179\u00b2\u0663\uff11 +-_.ex', max_size=30) | st.text(
        '19\u0663', min_size=1, max_size=22)


@examples(100, 2000)
@given(DIGITS | st.integers(-10**20, 10**20).map(str))
def test_integers(text):
    number = whole_number(text)
    if number is None:
        assert not (text.isascii() and text.isdigit() and len(text) < 19)
    else:
        assert text.isascii() and number == int(text) >= 0


FIELDS = st.text('ab,;"\'\n\t \u00e9\u2028\U0001f642#\ufeff', max_size=12)


@examples(50, 1000)
@given(st.lists(st.lists(FIELDS, min_size=1, max_size=4), max_size=6))
def test_rows_of_csv_are_what_was_written(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / 'rows.csv'
    with open(path, 'w', newline='', encoding='utf-8-sig') as file:
        csv.writer(file).writerows(rows)
    found = [row for _, row in read_rows(str(path))]
    assert found == [[field.strip() for field in row] for row in rows]
    numbers = [number for number, _ in read_rows(str(path))]
    assert numbers == sorted(set(numbers))


@examples(200, 4000)
@given(
    st.sampled_from([b'', b'\x89PNG\r\n\x1a\n', b'\xff\xd8\xff']),
    st.binary(max_size=2000))
def test_any_bytes_have_a_fault_or_none(head, data):
    """A reason is a line, and a PNG's chunk is longer than the file."""
    fault = image_fault(head + data)
    assert fault is None or head.startswith(b'\x89PNG') and '\n' not in fault


NAMED = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 3), st.integers(0, 9)),
    min_size=6,
    max_size=60,
    unique_by=lambda x: x[0])


@examples(40, 1000)
@given(NAMED, st.integers(2, 4), SEEDS, st.randoms())
def test_parts_and_folds_divide(people, num_folds, seed, shuffle):
    """Every sample is in one part; the order of the list does not matter."""

    def parts(rows):
        names = [str(n) for n, _, _ in rows]
        labels, persons = ([r[i] for r in rows] for i in (1, 2))
        held = hold_out(names, labels, .3, seed, list(map(str, persons)))
        folds = assign_folds(names, labels, num_folds, seed,
                             list(map(str, persons)))
        return held, folds

    assume(len({person for _, _, person in people}) >= num_folds)
    held, folds = parts(people)
    assert set(folds) == {str(n) for n, _, _ in people}
    assert set(folds.values()) <= set(range(num_folds))
    for person in range(10):
        rows = [str(n) for n, _, p in people if p == person]
        assert len({folds[n] for n in rows}) <= 1
        assert len({n in held for n in rows}) <= 1
    shuffled = list(people)
    shuffle.shuffle(shuffled)
    assert parts(shuffled) == (held, folds)
