# Copyright (c) orsa contributors. All rights reserved.
"""Masks made of landmarks, and the label sets that losses learn from."""
import cv2
import numpy as np
import pytest

from orsa.datasets import (AsSegSample, EncodeLabelSets, FaceParsingDataset,
                           ParseLandmarks, RandomFaceAffine)
from orsa.datasets.drawing.landmarks import BASE
from orsa.utils.face_regions import FACE_CLASSES, FLIP_68


def classes_at(results, x, y):
    """The names of the classes that a pixel may have."""
    label = results['gt_seg_map'][int(round(y)), int(round(x))]
    return {FACE_CLASSES[c] for c in results['mask_labels']['sets'][label]}


def parsed(**kwargs):
    return ParseLandmarks()(
        dict(
            img=np.zeros((128, 128, 3), np.uint8),
            gt_keypoints=BASE[None],
            **kwargs))


def test_the_parts_of_a_face_lie_where_its_points_are():
    face = parsed()
    for name, points in (('right eye', BASE[36:42]), ('left eye', BASE[42:48]),
                         ('nose', BASE[[30, 33]])):
        assert classes_at(face, *points.mean(0)) == {name}
    assert classes_at(face, *BASE[19]) == {'right brow', 'skin', 'hair'}
    assert classes_at(face, *BASE[24]) == {'left brow', 'skin', 'hair'}
    for pair, name in (((51, 62), 'upper lip'), ((57, 66), 'lower lip')):
        assert classes_at(face, *BASE[list(pair)].mean(0)) == {name}
    assert classes_at(face, 40, 85) == {'skin'}  # a cheek
    assert classes_at(face, 64, 25) == {'skin', 'hair', 'occluder'}
    around = {'background', 'skin', 'hair', 'occluder'}
    assert classes_at(face, 3, 3) == classes_at(face, 64, 126) == around
    # uncertain at an edge: the jaw, and beside an eye
    assert 'background' in classes_at(face, *BASE[5])
    assert classes_at(face, BASE[36, 0] - 3, BASE[36,
                                                  1]) == {'right eye', 'skin'}


OUTLINES = {
    'lower lip': (54, 55, 56, 57, 58, 59, 48, 60, 67, 66, 65, 64),
    'upper lip': (48, 49, 50, 51, 52, 53, 54, 64, 63, 62, 61, 60),
    'inner mouth': (60, 61, 62, 63, 64, 65, 66, 67),
    'right eye': (36, 37, 38, 39, 40, 41),
    'left eye': (42, 43, 44, 45, 46, 47),
}


@pytest.mark.parametrize('name', OUTLINES)
def test_a_part_fills_its_outline(name):
    size = 512
    points = BASE * 4
    points[[61, 62, 63], 1] -= 10  # an open mouth
    points[[65, 66, 67], 1] += 10
    face = ParseLandmarks()(
        dict(
            img=np.zeros((size, size, 3), np.uint8),
            gt_keypoints=points[None]))
    label = face['mask_labels']['sets'].index((FACE_CLASSES.index(name), ))
    outline = points[list(OUTLINES[name])].astype(np.float32)
    inside = np.zeros((size, size), bool)
    for y, x in np.ndindex(size, size):
        if 120 < x < 400 and 180 < y < 440:
            distance = cv2.pointPolygonTest(outline, (x, y), True)
            inside[y, x] = distance > 0
    found = face['gt_seg_map'] == label
    assert (found & inside).sum() / (found | inside).sum() > .85


def test_the_band_at_the_jaw_has_its_width():
    points = BASE * 4
    face = ParseLandmarks(band=.05)(
        dict(img=np.zeros((512, 512, 3), np.uint8), gt_keypoints=points[None]))
    unit = np.linalg.norm(points[36] - points[45])
    x, y = points[8]
    column = face['gt_seg_map'][int(y) - 60:int(y) + 60, int(x)]
    skin = face['mask_labels']['sets'].index((1, ))
    names = {1, 0, 10}
    jaw = [i for i, s in enumerate(face['mask_labels']['sets'])
           if set(s) == names][0]  # yapf: disable
    assert (column == jaw).sum() == pytest.approx(.1 * unit, rel=.2)
    assert (column[:40] == skin).any()


def test_a_parsed_face_agrees_with_the_mask_of_a_mesh(faces_dir):
    """Where landmarks are certain, the masks of press_faces say the same."""
    dataset = FaceParsingDataset(
        dict(
            type='orsa.RAFDB', data_root=str(faces_dir),
            with_annotations=True))
    right = total = 0
    for i in range(0, 60):
        record = dataset.get_data_info(i)
        mask = cv2.imread(record['seg_map_path'], cv2.IMREAD_UNCHANGED)
        face = ParseLandmarks()(dict(record, img=mask))
        sets = face['mask_labels']['sets']
        sure = np.array([len(s) == 1 for s in sets])[face['gt_seg_map']]
        allowed = np.array([[c in s for c in range(12)] for s in sets])
        fits = allowed[face['gt_seg_map'], mask]
        right, total = right + fits[sure].sum(), total + sure.sum()
    assert right / total > 0.93


def test_a_hat_is_an_occluder_of_the_forehead():
    assert classes_at(parsed(occlusion=4), 64, 18) == {'occluder'}
    assert classes_at(parsed(occlusion=2), 64,
                      18) == {'skin', 'hair', 'occluder'}
    # brows may be under its brim
    assert 'occluder' in classes_at(parsed(occlusion=4), *BASE[19])


def test_sunglasses_are_an_occluder():
    face, eyes = parsed(occlusion=2), (BASE[36:42], BASE[42:48])
    for eye in eyes:
        assert classes_at(face, *eye.mean(0)) == {'occluder'}
    assert classes_at(face, *BASE[57:58].mean(0)) != {'occluder'}
    other = parsed(occlusion=3)
    assert 'occluder' not in classes_at(other, *eyes[0].mean(0))


def test_each_lens_is_whole_where_the_eyes_stand_close():
    points = BASE.copy()
    points[36:42, 0] += 9
    points[42:48, 0] -= 9
    face = ParseLandmarks()(
        dict(
            img=np.zeros((128, 128, 3), np.uint8),
            gt_keypoints=points[None],
            occlusion=2))
    mirrored = (points * (-1, 1) + (127, 0))[list(FLIP_68)]
    other = ParseLandmarks()(
        dict(
            img=np.zeros((128, 128, 3), np.uint8),
            gt_keypoints=mirrored[None],
            occlusion=2))
    core = [
        result['gt_seg_map'] == result['mask_labels']['sets'].index(
            (FACE_CLASSES.index('occluder'), )) for result in (face, other)
    ]
    assert core[0].sum() > 300
    # as large seen from either side, but for the rounding of ellipses
    assert abs(int(core[0].sum()) - int(core[1].sum())) < .04 * core[0].sum()
    left = core[0][:, 64:].sum() / core[0][:, :64].sum()
    assert .9 < left < 1.1


def test_a_face_with_nothing_in_front_has_no_occluder():
    face = parsed(occlusion=0)
    assert classes_at(face, 64, 18) == {'skin', 'hair'}
    occluder = FACE_CLASSES.index('occluder')
    assert not any(occluder in s for s in face['mask_labels']['sets'])


def test_what_is_occluded_is_an_occluder_and_sets_are_encoded():
    face = parsed()
    visible = np.ones((128, 128), np.uint8)
    visible[80:, 64:] = 0
    labels = AsSegSample()(dict(face, visible_mask=visible))
    encoded = EncodeLabelSets()(dict(labels))['gt_seg_map']
    occluder = FACE_CLASSES.index('occluder')
    assert encoded[90, 88] == occluder and encoded[90, 40] == 1
    eye = np.rint(BASE[36:42].mean(0)).astype(int)
    assert encoded[eye[1], eye[0]] == FACE_CLASSES.index('right eye')
    # background, skin, hair or an occluder, occluded or not
    assert encoded[3, 3] == encoded[126, 126] == 256 + sum(
        1 << FACE_CLASSES.index(name)
        for name in ('background', 'skin', 'hair', 'occluder'))
    plain = np.full((4, 4), 3, np.uint8)
    assert EncodeLabelSets()(dict(gt_seg_map=plain))['gt_seg_map'] is plain


def test_a_stride_keeps_pixels_of_all_places_evenly():
    mask = np.arange(36, dtype=np.uint8).reshape(6, 6) % 12
    where = np.stack(np.meshgrid(range(6), range(6)), 2)
    firsts = set()
    for seed in range(40):
        np.random.seed(seed)
        small = EncodeLabelSets(stride=2)(dict(gt_seg_map=mask))['gt_seg_map']
        np.random.seed(seed)
        places = EncodeLabelSets(stride=2)(dict(gt_seg_map=where))
        places = places['gt_seg_map'].reshape(9, 2)
        assert small.shape == (3, 3)
        assert (mask[tuple(places.T[::-1])] == small.ravel()).all()
        firsts.add(tuple(places[0]))
    assert firsts == {(0, 0), (0, 1), (1, 0), (1, 1)}


@pytest.mark.parametrize('scale, shift', [(1, 0), (2.5, 30), (.7, -10)])
def test_the_region_of_the_landmarks_is_what_is_cut_out(scale, shift):
    """Wherever a face is in a photograph, its points end in one place."""
    crop = RandomFaceAffine(112, 0, prob=0, region='landmarks')
    points = BASE[None] * scale + shift
    image = np.zeros((400, 300, 3), np.uint8)
    out = crop(
        dict(
            img=image,
            gt_keypoints=points.copy(),
            bbox=np.array([[1., 2, 3, 4]], np.float32)))
    assert out['img'].shape == (112, 112, 3)
    assert out['bbox'].tolist() == [[0, 0, 112, 112]]
    found = out['gt_keypoints'][0]
    low, high = BASE.min(0), BASE.max(0)
    width, height = high - low
    top, bottom = low[1] - .45 * height, high[1] + .1 * height
    side = max(1.2 * width, bottom - top)
    centre = np.array([(low + high)[0], top + bottom]) / 2
    want = (BASE - centre) * (112 / side) + 55.5
    assert np.abs(found - want).max() < .1
    with pytest.raises(KeyError, match='gt_keypoints'):
        crop(dict(img=image))
    wide = RandomFaceAffine((80, 112), 0, prob=0, region='landmarks')(
        dict(img=image, gt_keypoints=points.copy()))
    assert wide['bbox'].tolist() == [[0, 0, 112, 80]]
    with pytest.raises(ValueError, match="'image' or 'landmarks'"):
        RandomFaceAffine(112, region='box')


def test_a_large_photograph_does_not_alias():
    # stripes of one pixel are grey from far away
    image = np.zeros((900, 900, 3), np.uint8)
    image[:, ::2] = 200
    out = RandomFaceAffine(
        64, 0, prob=0,
        region='landmarks')(dict(img=image,
                                 gt_keypoints=BASE[None] * 6 + 60))['img']
    assert np.abs(out[8:-8, 8:-8].astype(int) - 100).max() <= 6


def test_what_comes_in_from_outside_is_not_visible_and_not_known():
    moved = RandomFaceAffine(
        64, 0, rotate=0, scale_range=(.5, .5), stretch=0, shift=0, prob=1)(
            dict(
                img=np.zeros((64, 64, 3), np.uint8),
                gt_seg_map=np.zeros((64, 64), np.uint8),
                visible_mask=np.ones((64, 64), np.uint8),
                label_sets=[(0, )]))
    assert moved['gt_seg_map'][0, 0] == 255
    assert moved['visible_mask'][0, 0] == 0
    assert moved['visible_mask'][32, 32] == 1
