# Copyright (c) orsa contributors. All rights reserved.

import cv2
import numpy as np
import pytest
from mmpretrain.registry import DATASETS

from orsa.datasets import FERPlus
from orsa.datasets.ferplus import filtered, majority

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
    assert f'Vote rule: \t{rule}' in repr(dataset)


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
    [dict(split='valid'), dict(vote_rule='most')])
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
