# Copyright (c) orsa contributors. All rights reserved.
"""AffectNet: names and labels of both releases, errors in their lists."""
import csv

import cv2
import numpy as np
import pytest

from orsa.datasets import AffectNet
from orsa.utils.classes import AFFECTNET_CLASSES

HEADER = ('subDirectory_filePath,face_x,face_y,face_width,face_height,'
          'facial_landmarks,expression,valence,arousal').split(',')
IMAGE = np.full((12, 10, 3), 90, np.uint8)
# name of the file -> label, as in the release: 8-10 are no expressions
TRAIN = {
    '1/aa11.jpg': 1, '1/bb22.png': 6, '27/cc33.jpg': 7, '27/dd44.jpg': 8,
    '27/ee55.jpg': 0, '3/ff66.jpg': 10, '3/ab77.jpg': 3
}  # yapf: disable
VAL = {'1/ac88.jpg': 2, '3/ad99.jpg': 7, '3/ae00.jpg': 9}


def write_csv(path, labels, header=True):
    with open(path, 'w', newline='') as f:
        writer = csv.writer(f)
        if header:
            writer.writerow(HEADER)
        for name, label in labels.items():
            points = ';'.join(['12.5'] * 136)
            writer.writerow([name, 0, 0, 10, 12, points, label, -.1, .2])


@pytest.fixture
def csv_tree(tmp_path):
    write_csv(tmp_path / 'training.csv', TRAIN)
    write_csv(tmp_path / 'validation.csv', VAL, header=False)
    for name, label in (TRAIN | VAL).items():
        path = tmp_path / 'Manually_Annotated_Images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if label < 8:  # what is never a class need not be there
            cv2.imwrite(str(path), IMAGE)
    return tmp_path


@pytest.fixture
def npy_tree(tmp_path):
    for part, labels in (('train_set', [1, 8, 7, 0]), ('val_set', [3])):
        for folder in ('images', 'annotations'):
            (tmp_path / part / folder).mkdir(parents=True)
        # 10 comes after 9: by number, not by alphabet
        for n, label in zip((2, 9, 10, 33), labels):
            cv2.imwrite(str(tmp_path / part / f'images/{n}.jpg'), IMAGE)
            annotation = str(tmp_path / part / f'annotations/{n}_')
            np.save(annotation + 'exp.npy', np.array(str(label)))
            np.save(annotation + 'val.npy', np.array('-0.25'))
    return tmp_path


def names(dataset):
    return [dataset.get_data_info(i)['name'] for i in range(len(dataset))]


def expressions(dataset):
    return [dataset.CLASSES[i] for i in dataset.get_gt_labels()]


def test_csv_release(csv_tree):
    train = AffectNet(str(csv_tree))
    assert names(train) == ['aa11', 'bb22', 'cc33', 'ee55', 'ab77']
    assert expressions(train) == [
        'happiness', 'anger', 'contempt', 'neutral', 'surprise'
    ]
    assert train.get_gt_labels().tolist() == [1, 6, 7, 0, 3]
    assert train.num_dropped == {'none': 1, 'no-face': 1}
    assert train.layout == 'csv release (training.csv)'
    assert not train.test_mode
    val = AffectNet(str(csv_tree), split='val')
    assert expressions(val) == ['sadness', 'contempt'] and val.test_mode
    # the lists of the release have a folder of their own
    lists = csv_tree / 'Manually_Annotated_file_lists'
    lists.mkdir()
    (csv_tree / 'validation.csv').rename(lists / 'validation.csv')
    assert names(AffectNet(str(csv_tree), split='val')) == names(val)


def test_npy_release(npy_tree):
    train = AffectNet(str(npy_tree))
    assert names(train) == ['2', '10', '33']
    assert expressions(train) == ['happiness', 'contempt', 'neutral']
    assert train.num_dropped == {'none': 1}
    assert train.layout == 'npy release (train_set)'
    assert expressions(AffectNet(str(npy_tree), split='val')) == ['surprise']


@pytest.mark.parametrize('tree', ['csv_tree', 'npy_tree'])
def test_seven_classes(tree, request):
    root = str(request.getfixturevalue(tree))
    eight = AffectNet(root)
    seven = AffectNet(root, classes=AFFECTNET_CLASSES[:7])
    assert 'contempt' not in seven.CLASSES
    assert seven.num_dropped['contempt'] == 1
    assert expressions(seven) == [
        e for e in expressions(eight) if e != 'contempt'
    ]
    # the order of another dataset, by name
    other = AffectNet(root, classes=['contempt', 'happiness'])
    assert expressions(other) == [
        e for e in expressions(eight) if e in ('happiness', 'contempt')
    ]


@pytest.mark.parametrize('old, new, message', [
    (',7,-0.1', ',11,-0.1', r"training.csv:4: the label must be 0-10.*'11'"),
    (',7,-0.1', ',happy,-0.1', r"training.csv:4: the label .* got 'happy'"),
    (',7,-0.1', ',7', r'training.csv:4: expected the columns subDirectory'),
    ('27/cc33.jpg', '1/aa11.jpg', r"csv:4: '1/aa11.jpg' is contempt, but "
     r'happiness in line 2'),
])  # yapf: disable
def test_csv_errors_name_the_line(csv_tree, old, new, message):
    path = csv_tree / 'training.csv'
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=message):
        AffectNet(str(csv_tree))


def test_repeated_line_counts_once(csv_tree):
    path = csv_tree / 'training.csv'
    lines = path.read_text().splitlines()
    path.write_text('\n'.join(lines + [lines[1]]))
    assert names(AffectNet(str(csv_tree))).count('aa11') == 1


def test_same_hash_in_two_folders(csv_tree):
    images = csv_tree / 'Manually_Annotated_Images'
    (images / '3/aa11.jpg').write_bytes((images / '1/aa11.jpg').read_bytes())
    write_csv(csv_tree / 'training.csv', TRAIN | {'3/aa11.jpg': 2})
    assert names(AffectNet(str(csv_tree)))[::5] == ['aa11', '3/aa11']


def test_npy_errors(npy_tree):
    path = npy_tree / 'train_set/annotations/10_exp.npy'
    np.save(path, np.array('12'))
    with pytest.raises(ValueError, match="10_exp.npy: the label .* '12'"):
        AffectNet(str(npy_tree))
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(ValueError, match='10_exp.npy.*damaged'):
        AffectNet(str(npy_tree))
    np.save(path, np.array(['1', '2']))
    with pytest.raises(ValueError, match='10_exp.npy'):
        AffectNet(str(npy_tree))


@pytest.mark.parametrize('tree, image, line', [
    ('csv_tree', 'Manually_Annotated_Images/1/bb22.png', 'training.csv:3'),
    ('npy_tree', 'train_set/images/33.jpg', '33_exp.npy'),
])
def test_missing_image(tree, image, line, request):
    root = request.getfixturevalue(tree)
    total = len(AffectNet(str(root)))
    (root / image).unlink()
    with pytest.raises(
            FileNotFoundError, match=f'{line}.*{image}.*one of 1 of'):
        AffectNet(str(root))
    dataset = AffectNet(str(root), skip_unreadable=True)
    assert len(dataset) == total - 1 and len(dataset.skipped) == 1


def test_neither_release_and_unknown_split(tmp_path):
    with pytest.raises(FileNotFoundError, match='ORSA_AFFECTNET'):
        AffectNet(str(tmp_path))
    with pytest.raises(ValueError, match="'test'"):
        AffectNet(str(tmp_path), split='test')


@pytest.mark.parametrize('text', [
    'val/2/ac88/\nval/7/ad99/\nval/2/ac88/\n',
    '7/ad99.jpg\n2/ac88.jpg\n',
    '2 8\n2/ac88.jpg\n7/ad99.jpg\n',
])
def test_lists_of_ran(csv_tree, text, logged):
    (csv_tree / 'list.txt').write_text(text)
    dataset = AffectNet(str(csv_tree), split='val', subset_file='list.txt')
    assert names(dataset) == ['ac88', 'ad99']
    assert 'another class' not in ' '.join(logged)
    # contempt may be left out of the selection
    seven = AffectNet(
        str(csv_tree),
        split='val',
        subset_file='list.txt',
        classes=AFFECTNET_CLASSES[:7])
    assert names(seven) == ['ac88'] and seven.num_dropped == {'contempt': 1}
