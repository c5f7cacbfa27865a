# Copyright (c) orsa contributors. All rights reserved.
"""FER+: votes to labels, both layouts, released counts, duplicates."""
import csv
from collections import Counter

import cv2
import numpy as np
import pytest
from mmpretrain.registry import DATASETS

from orsa.datasets import FERPlus
from orsa.datasets.ferplus import distribution, filtered, majority
from orsa.utils.classes import FERPLUS_CLASSES

VOTES = ('Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,'
         'fear,contempt,unknown,NF')
# Rows of the release's kind: the expression by each rule, 'majority' and
# 'filtered', worked out by hand.
ROWS = [
    ('Training', '4,0,0,1,3,2,0,0,0,0', 'neutral', 'unknown'),  # 4 of 9
    ('Training', '6,0,1,1,0,0,0,0,2,0', 'neutral', 'neutral'),
    ('Training', '4,0,0,4,1,0,0,0,1,0', 'neutral', 'unknown'),  # a tie
    ('Training', '0,10,0,0,0,0,0,0,0,0', 'happiness', 'happiness'),
    ('Training', '0,0,0,0,0,0,0,0,0,10', 'NF', 'NF'),  # without a name
    ('Training', '1,1,0,1,1,0,0,2,1,1', 'contempt', 'contempt'),  # 2 of 2
    ('PublicTest', '0,0,6,0,0,0,4,0,0,0', 'surprise', 'surprise'),
    ('PublicTest', '1,0,0,0,1,0,0,0,8,0', 'unknown', 'unknown'),
    ('PrivateTest', '0,0,0,1,1,6,1,0,1,0', 'disgust', 'disgust'),
    ('PrivateTest', '0,0,0,0,2,0,7,0,1,0', 'fear', 'fear'),
]  # yapf: disable
FOLDERS = dict(
    Training='FER2013Train',
    PublicTest='FER2013Valid',
    PrivateTest='FER2013Test')


def file_name(row):
    return '' if ROWS[row][2] == 'NF' else f'fer{row:07d}.png'


def face(row):
    return np.random.default_rng(row).integers(
        0, 256, (48, 48), dtype=np.uint8)


def write_votes(root):
    lines = [VOTES] + [
        f'{usage},{file_name(i)},{votes}'
        for i, (usage, votes, *_) in enumerate(ROWS)
    ]
    (root / 'fer2013new.csv').write_text('\n'.join(lines))


@pytest.fixture
def pixel_tree(tmp_path):
    write_votes(tmp_path)
    lines = ['emotion,pixels,Usage']
    lines += [
        f"0,{' '.join(map(str, face(i).ravel()))},{row[0]}"
        for i, row in enumerate(ROWS)
    ]
    (tmp_path / 'fer2013.csv').write_text('\n'.join(lines))
    return tmp_path


@pytest.fixture
def image_tree(tmp_path):
    write_votes(tmp_path)
    for folder in FOLDERS.values():
        (tmp_path / folder).mkdir()
    for i, (usage, *_) in enumerate(ROWS):
        if file_name(i):
            cv2.imwrite(str(tmp_path / FOLDERS[usage] / file_name(i)), face(i))
    return tmp_path


def names(dataset):
    return [dataset.get_data_info(i)['name'] for i in range(len(dataset))]


def expressions(dataset):
    return [dataset.CLASSES[i] for i in dataset.get_gt_labels()]


@pytest.mark.parametrize('usage, votes, by_majority, by_filter', ROWS)
def test_rules(usage, votes, by_majority, by_filter):
    votes = [int(v) for v in votes.split(',')]
    assert majority(votes) == by_majority
    assert filtered(votes) == by_filter
    assert majority([0] * 10) == filtered([0] * 10) == 'unknown'
    # exactly half is not more than half
    assert filtered([5, 5] + [0] * 8) == 'unknown'


@pytest.mark.parametrize('tree', ['pixel_tree', 'image_tree'])
@pytest.mark.parametrize('split', ['train', 'val', 'test'])
@pytest.mark.parametrize('rule', ['majority', 'filtered'])
def test_both_layouts(tree, split, rule, request, logged):
    root = request.getfixturevalue(tree)
    usage = dict(train='Training', val='PublicTest', test='PrivateTest')[split]
    column = 2 if rule == 'majority' else 3
    expected = {
        f'fer{i:07d}': row[column]
        for i, row in enumerate(ROWS)
        if row[0] == usage and row[column] not in ('NF', 'unknown')
    }
    dataset = FERPlus(str(root), split=split, vote_rule=rule)
    assert dict(zip(names(dataset), expressions(dataset))) == expected
    assert f"rule '{rule}': {len(expected)} of" in ' '.join(logged)
    assert dataset.test_mode == (split != 'train')


def test_default_rule_and_order_of_classes(pixel_tree):
    dataset = FERPlus(str(pixel_tree))
    assert names(dataset) == ['fer0000001', 'fer0000003', 'fer0000005']
    assert dataset.get_gt_labels().tolist() == [0, 1, 7]
    assert dataset.num_dropped == {'unknown': 2, 'NF': 1}
    seven = FERPlus(str(pixel_tree), classes=['happiness', 'neutral'])
    assert seven.get_gt_labels().tolist() == [1, 0]
    assert seven.num_dropped == {'unknown': 2, 'NF': 1, 'contempt': 1}


@pytest.mark.parametrize('tree', ['pixel_tree', 'image_tree'])
def test_the_usual_pipeline_gets_the_faces(tree, request):
    dataset = DATASETS.build(
        dict(
            type='orsa.FERPlus',
            data_root=str(request.getfixturevalue(tree)),
            split='test',
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='Resize', scale=(96, 96), interpolation='nearest'),
                dict(type='PackInputs', meta_keys=('name', 'ori_shape'))
            ]))
    for i, row in enumerate((8, 9)):
        sample = dataset[i]
        expected = np.repeat(np.repeat(face(row), 2, 0), 2, 1)
        assert (sample['inputs'].numpy() == expected[None]).all()
        assert sample['inputs'].shape == (3, 96, 96)
        assert sample['data_samples'].name == f'fer{row:07d}'
        assert sample['data_samples'].ori_shape == (48, 48)


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize('old, new, message', [
    ('Training,fer0000001', 'Test,fer0000001', r":3: expected .* got 'Test'"),
    ('0,10,0', '0,ten,0', r':5: expected .*ten'),
    ('0,10,0', '0,10', r':5: expected 12 columns, got 11'),
    ('anger', 'rage', r":1: expected the columns .*'anger'"),
])
def test_errors_in_the_votes(image_tree, old, new, message):
    replace(image_tree / 'fer2013new.csv', old, new)
    with pytest.raises(ValueError, match='fer2013new.csv' + message):
        FERPlus(str(image_tree))


def test_errors_in_the_pixels(pixel_tree):
    path = pixel_tree / 'fer2013.csv'
    good = path.read_text()
    lines = good.splitlines()

    def fails(text, message):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            FERPlus(str(pixel_tree))

    fails(
        good.replace(lines[2].split(',')[1], '1 2 3'),
        r'fer2013.csv:3: expected 2304 numbers of 0-255, got 3')
    fails(good.replace(f'{lines[2][:6]}', '0,-1 ', 1), 'fer2013.csv:[0-9]+')
    first = lines[2].split(',')[1]
    fails(
        good.replace(first, '256' + first[first.index(' '):]),
        r'csv:3: expected 2304 numbers of 0-255')
    # a row is gone: the votes would belong to other faces
    fails('\n'.join(lines[:3] + lines[4:]),
          'rows of the two files are not the same faces')
    fails('\n'.join(lines[:5]), "4 rows of 'Training', but 6 in")
    path.write_text(good.replace(lines[2].split(',')[1], '1 2 3'))
    dataset = FERPlus(str(pixel_tree), skip_unreadable=True)
    assert dataset.skipped == ['fer0000001']
    assert names(dataset) == ['fer0000003', 'fer0000005']


def test_missing_files(tmp_path, image_tree):
    with pytest.raises(FileNotFoundError, match='file of votes.*(.|\n)*FERPL'):
        FERPlus(str(tmp_path / 'nowhere'))
    (image_tree / 'FER2013Train/fer0000003.png').unlink()
    with pytest.raises(
            FileNotFoundError, match='csv:5: .*fer0000003.png.* 1 of the 3'):
        FERPlus(str(image_tree))
    for file in (image_tree / 'FER2013Train').iterdir():
        file.unlink()
    (image_tree / 'FER2013Train').rmdir()
    with pytest.raises(FileNotFoundError, match='fer2013.csv'):
        FERPlus(str(image_tree))


@pytest.mark.parametrize(
    'argument',
    [dict(split='valid'),
     dict(vote_rule='most'),
     dict(targets='labels')])
def test_bad_arguments(argument):
    with pytest.raises(ValueError, match=str(*argument.values())):
        FERPlus(**argument)


@pytest.mark.parametrize('text', [
    '6_fer0000009.png 8 0\n5_fer0000008.png 8 2\n6_fer0000009.png 8 0\n',
    '5/fer0000008.jpg\n6/fer0000009.jpg\n'
])
def test_lists_of_ran(pixel_tree, text, logged):
    (pixel_tree / 'list.txt').write_text(text)

    def build():
        return FERPlus(str(pixel_tree), split='test', subset_file='list.txt')

    assert names(build()) == ['fer0000008', 'fer0000009']
    assert 'another class' not in ' '.join(logged)
    replace(pixel_tree / 'list.txt', '6', '1')
    build()
    log = ' '.join(logged)
    assert 'name another class' in log and 'is fear here' in log


@pytest.mark.parametrize(
    'votes, by_majority, by_filter',
    [
        ([4, 0, 0, 1, 3, 2, 0, 0, 0, 0], [.4, 0, 0, .1, .3, .2, 0, 0],
         [4 / 9, 0, 0, 0, 3 / 9, 2 / 9, 0, 0]),
        # what goes to 'unknown' and 'NF' goes to none of the classes
        ([0, 6, 0, 0, 1, 0, 0, 0, 2, 1], [0, 6 / 7, 0, 0, 1 / 7, 0, 0, 0
                                          ], [0, 1, 0, 0, 0, 0, 0, 0]),
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 10], [0] * 8, [0] * 8),
    ])
def test_distribution_of_votes(votes, by_majority, by_filter):
    for rule, expected in (('majority', by_majority), ('filtered', by_filter)):
        found = distribution(votes, rule, FERPLUS_CLASSES)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize('tree', ['pixel_tree', 'image_tree'])
def test_votes_as_targets(tree, request):
    """In the order of the classes, beside the index, as far as the model."""
    dataset = FERPlus(
        str(request.getfixturevalue(tree)),
        split='val',
        vote_rule='majority',
        targets='votes',
        classes=['fear', 'happiness', 'surprise'],
        pipeline=[dict(type='LoadImageFromFile'),
                  dict(type='PackInputs')])
    sample, = (d['data_samples'] for d in dataset)
    assert sample.gt_label.tolist() == [2]
    np.testing.assert_allclose(sample.gt_score, [.4, 0, .6], rtol=1e-6)
    plain = FERPlus(str(request.getfixturevalue(tree)), split='val')
    assert 'gt_score' not in plain.get_data_info(0)


@pytest.mark.parametrize('tree', ['pixel_tree', 'image_tree'])
def test_a_name_on_two_rows(tree, request, logged):
    root = request.getfixturevalue(tree)
    replace(root / 'fer2013new.csv', 'fer0000003', 'fer0000001')
    dataset = FERPlus(str(root))
    assert names(dataset) == ['fer0000001', 'fer0000001_row_3', 'fer0000005']
    assert expressions(dataset)[:2] == ['neutral', 'happiness']
    line, = (s for s in logged if 'several rows' in s)
    assert 'fer0000001 [1, 3]' in line
    # a file holds one face, the csv has both
    first, second = (
        dataset.read_image(dataset.get_data_info(i))[0] for i in range(2))
    assert (first == second).all() == (tree == 'image_tree')


@pytest.mark.parametrize('tree', ['pixel_tree', 'image_tree'])
def test_test_faces_that_stand_in_training(tree, request):
    root = request.getfixturevalue(tree)
    if tree == 'image_tree':
        copied = root / 'FER2013Train/fer0000003.png'
        (root / 'FER2013Test/fer0000009.png').write_bytes(copied.read_bytes())
    else:
        lines = (root / 'fer2013.csv').read_text().splitlines()
        lines[10] = lines[4].replace('Training', 'PrivateTest')
        (root / 'fer2013.csv').write_text('\n'.join(lines))
    assert FERPlus(str(root), split='test').duplicates() == ['fer0000009']
    # asked of training that leaves that face out
    other = dict(split='train', classes=['neutral'])
    assert FERPlus(
        str(root), split='test', duplicates_of=other).duplicates() == []
    assert FERPlus(str(root)).duplicates_of is None


SIZES = dict(
    filtered=dict(train=25060, val=3199, test=3153),
    majority=dict(train=28389, val=3553, test=3546))
LISTS = dict(
    jianfei_occlusion_list=(605, 600),
    pose_30_ferplus_list=(1170, 1167),
    pose_45_ferplus_list=(633, 630))


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_counts_of_the_release(ferplus_dir, split):
    dataset = FERPlus(
        str(ferplus_dir), split=split, targets='votes', serialize_data=False)
    assert len(dataset) == SIZES['filtered'][split]
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert len({info['name'] for info in infos}) == len(infos)
    scores = np.stack([info['gt_score'] for info in infos])
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-6)
    # more than half of the votes, so the largest fraction whatever the order
    assert (scores.argmax(1) == dataset.get_gt_labels()).all()
    records = FERPlus(
        str(ferplus_dir), split=split, vote_rule='majority',
        lazy_init=True).load_data_list()
    found = Counter(r['expression'] in FERPLUS_CLASSES for r in records)
    assert found[True] == SIZES['majority'][split]


def test_259_test_faces_of_the_release_stand_in_training(ferplus_dir):
    assert len(FERPlus(str(ferplus_dir), split='test').duplicates()) == 259


def part_of_the_release(ferplus_dir, root):
    """The names on several rows, rows without one, and others."""
    header, *lines = (ferplus_dir / 'fer2013new.csv').read_text().splitlines()
    rows = [line.split(',')[:2] for line in lines]
    counts = Counter(name for _, name in rows)
    kept = [
        i for i, (_, name) in enumerate(rows)
        if i % 300 == 0 or not name and i % 4 == 0 or name and counts[name] > 1
    ]
    (root / 'fer2013new.csv').write_text('\n'.join([header] +
                                                   [lines[i] for i in kept]))
    return [rows[i] for i in kept]


def test_both_layouts_of_the_release_are_the_same(ferplus_dir, tmp_path):
    for name in ('folders', 'csv'):
        (tmp_path / name).mkdir()
        rows = part_of_the_release(ferplus_dir, tmp_path / name)
    assert sum(not name for _, name in rows) > 20
    for folder in FOLDERS.values():
        (tmp_path / f'folders/{folder}').symlink_to(ferplus_dir / folder)
    with open(tmp_path / 'csv/fer2013.csv', 'w') as file:
        writer = csv.writer(file)
        writer.writerow(['emotion', 'pixels', 'Usage'])
        for usage, name in rows:
            path = ferplus_dir / FOLDERS[usage] / name
            face = cv2.imread(str(path),
                              cv2.IMREAD_GRAYSCALE) if name else (np.zeros(
                                  (48, 48), np.uint8))
            writer.writerow([0, ' '.join(map(str, face.ravel())), usage])
    repeated = []
    for split in ('train', 'val', 'test'):
        folders, pixels = (
            FERPlus(
                str(tmp_path / name),
                split=split,
                targets='votes',
                pipeline=[]) for name in ('folders', 'csv'))
        assert len(folders) == len(pixels) > 5
        for i in range(len(folders)):
            a, b = folders.get_data_info(i), pixels.get_data_info(i)
            assert (a['name'], a['gt_label']) == (b['name'], b['gt_label'])
            assert (a['gt_score'] == b['gt_score']).all()
            assert (cv2.imread(a['img_path']) == b['img']).all()
            repeated += [a['name']] * ('_row_' in a['name'])
    # the row of the fourth, in test, is no face
    assert [name[:10] for name in repeated
            ] == ['fer0006953', 'fer0011785', 'fer0008403']


@pytest.mark.parametrize('name', LISTS)
def test_lists_of_ran_on_the_release(ferplus_dir, name, logged):
    lines, faces = LISTS[name]
    dataset = FERPlus(
        str(ferplus_dir), split='test', subset_file=f'lists/{name}.txt')
    assert len(dataset) == faces
    said, = (s for s in logged if s.startswith(f'FERPlus: {lines} lines'))
    assert f'select {faces} samples; without one are {lines - faces} of ' \
        "'unknown'" in said
    text = (ferplus_dir / f'lists/{name}.txt').read_text()
    assert all(n in text for n in names(dataset))
