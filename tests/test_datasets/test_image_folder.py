# Copyright (c) orsa contributors. All rights reserved.
import cv2
import numpy as np
import pytest

from orsa.datasets import RAFDB, ImageFolder, OccluFER
from orsa.utils.classes import AFFECTNET_CLASSES, CONVENTIONS, common_classes

IMAGE = np.full((8, 8, 3), 128, np.uint8)


def make(root, *files):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / file), IMAGE)
    return root


def content(dataset):
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return {i['name']: dataset.CLASSES[i['gt_label']] for i in infos}


def test_conventions_are_those_of_the_page():
    """Independent of the tables: sentences of DATASETS.md."""
    assert CONVENTIONS['rafdb_file'][7] == CONVENTIONS['rafdb'][6] == 'neutral'
    assert CONVENTIONS['affectnet'][6] == 'anger'
    assert CONVENTIONS['ferplus'][4] == 'anger'
    assert CONVENTIONS['ferplus'][2] == 'surprise'
    assert CONVENTIONS['affectnet'][3] == 'surprise'
    assert list(CONVENTIONS['occlufer'].values()) == sorted(
        CONVENTIONS['rafdb'].values())
    assert CONVENTIONS['affectnet'][7] == CONVENTIONS['ferplus'][7]


def test_folders_by_name(tmp_path):
    make(tmp_path, 'train/Happy/a.jpg', 'train/anger/b.PNG',
         'train/sadness/c.jpeg', 'train/.hidden/d.jpg', 'train/contempt/e.jpg')
    (tmp_path / 'train/anger/notes.txt').write_text('no image')
    dataset = ImageFolder(str(tmp_path), 'train')
    assert content(dataset) == {
        'Happy/a': 'happiness',
        'anger/b': 'anger',
        'sadness/c': 'sadness'
    }
    assert dataset.num_dropped == {'contempt': 1}
    assert dataset.layout == 'folders by name'
    eight = ImageFolder(str(tmp_path), 'train', classes=AFFECTNET_CLASSES)
    assert content(eight)['contempt/e'] == 'contempt'
    assert eight.get_gt_labels().max() == 7


@pytest.mark.parametrize('convention, three, six', [
    ('rafdb', 'happiness', 'neutral'), ('rafdb_file', 'disgust', 'anger'),
    ('affectnet', 'surprise', 'anger'), ('ferplus', 'sadness', 'fear'),
    ('occlufer', 'happiness', 'surprise')
])  # yapf: disable
def test_folders_by_index(tmp_path, convention, three, six):
    make(tmp_path, '3/a.jpg', '6/b.jpg')
    dataset = ImageFolder(str(tmp_path), convention=convention)
    assert content(dataset) == {'3/a': three, '6/b': six}
    assert dataset.layout == f'folders by index of {convention}'
    with pytest.raises(ValueError, match='say which by convention'):
        ImageFolder(str(tmp_path))


@pytest.mark.parametrize('files, convention, message', [
    (['joy/a.jpg'], None, "joy' is no folder of a class"),
    (['0/a.jpg'], 'rafdb_file', "0' is no folder .* 1-7"),
    (['8/a.jpg'], 'affectnet', "8' is no folder .* 0-7"),
    (['sad/a.jpg', 'sadness/b.jpg'], None, 'two folders for sadness'),
    (['2/a.jpg', 'disgust/b.jpg'], 'rafdb', 'two folders for disgust'),
    (['fear/a.jpg', 'fear/a.png'], None, 'have the same name'),
    (['fear/a.jpg'], 'alphabet', 'convention must be one of'),
])
def test_bad_folders(tmp_path, files, convention, message):
    make(tmp_path, *files)
    with pytest.raises(ValueError, match=message):
        ImageFolder(str(tmp_path), convention=convention)


def test_no_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        ImageFolder(str(tmp_path / 'nowhere'))
    with pytest.raises(FileNotFoundError, match='no folder of a class'):
        ImageFolder(str(tmp_path))


def test_occlufer(tmp_path):
    make(tmp_path, 'train/anger/1.jpg', 'train/surprise/2.jpg',
         'train/contempt/3.jpg', 'valid/fear/4.jpg',
         'RAF-DB_valid_occlu/neutral/test_0003_aligned.jpg')
    train = OccluFER(str(tmp_path))
    assert train.get_gt_labels().tolist() == [0, 6]
    assert train.num_dropped == {'contempt': 1} and not train.test_mode
    assert content(OccluFER(str(tmp_path), split='val')) == {'fear/4': 'fear'}
    selection = OccluFER(str(tmp_path), split='rafdb_occlu')
    assert list(content(selection).values()) == ['neutral']
    assert selection.test_mode
    with pytest.raises(ValueError, match="'test'"):
        OccluFER(str(tmp_path), split='test')
    with pytest.raises(FileNotFoundError, match='ORSA_OCCLUFER'):
        OccluFER(str(tmp_path / 'nowhere'))


KAGGLE = ('DATASET/train/1/train_00002_aligned.jpg',
          'DATASET/train/4/train_00003_aligned.jpg',
          'DATASET/test/7/test_0001_aligned.jpg',
          'DATASET/test/2/test_0002_aligned.jpg')
NAMED = ('train/surprise/train_00002_aligned.jpg',
         'train/happiness/train_00003_aligned.jpg',
         'valid/neutral/test_0001_aligned.jpg',
         'valid/fear/test_0002_aligned.jpg')


@pytest.mark.parametrize('files, layout', [(KAGGLE, 'folders by index 1-7'),
                                           (NAMED, 'folders by name')])
def test_folders_of_rafdb(tmp_path, files, layout):
    make(tmp_path, *files)
    train = RAFDB(str(tmp_path))
    assert content(train) == dict(
        train_00002='surprise', train_00003='happiness')
    assert train.get_gt_labels().tolist() == [0, 3]
    test = RAFDB(str(tmp_path), split='test')
    assert content(test) == dict(test_0001='neutral', test_0002='fear')
    assert layout in train.layout and layout in test.layout
    (tmp_path / 'list.txt').write_text('test_0002_aligned 1 4\n')
    chosen = RAFDB(str(tmp_path), split='test', subset_file='list.txt')
    assert list(content(chosen)) == ['test_0002']
    # the authors' occluded selection, as a folder without classes
    make(tmp_path, 'occluded/test_0001_aligned.jpg')
    chosen = RAFDB(str(tmp_path), split='test', subset_file='occluded')
    assert list(content(chosen)) == ['test_0001']


def test_folders_of_rafdb_that_contradict_themselves(tmp_path):
    make(tmp_path, *NAMED)
    make(tmp_path, 'train/fear/test_0002_aligned.jpg')
    with pytest.raises(ValueError, match='is in the train split, its name'):
        RAFDB(str(tmp_path))
    make(tmp_path, 'valid/anger/test_0002_aligned.jpg')
    with pytest.raises(ValueError, match='are both test_0002'):
        RAFDB(str(tmp_path), split='test')


def test_classes_in_common():
    assert common_classes(('a', 'b', 'c'), ('c', 'x', 'a')) == ['c', 'a']
    with pytest.raises(ValueError, match='no class in common'):
        common_classes(('a', ), ('b', ))
