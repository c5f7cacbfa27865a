# Copyright (c) orsa contributors. All rights reserved.
"""Folders of classes: names, conventions, subjects, what is skipped."""

import cv2
import numpy as np
import pytest
from torchvision.datasets import DatasetFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from orsa.datasets import RAFDB, ImageFolder, OccluFER
from orsa.datasets.image_folder import CONVENTIONS
from orsa.utils.classes import AFFECTNET_CLASSES, common_classes
from orsa.utils.image_files import IMAGE_SUFFIXES

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
    with pytest.raises(ValueError, match='convention'):
        ImageFolder(str(tmp_path))
    # by declaration
    assert content(ImageFolder(str(tmp_path), classes=['6', '3'])) == {
        '3/a': '3',
        '6/b': '6'
    }


@pytest.mark.parametrize('files, convention, message', [
    (['joy/a.jpg'], None, r"has folders \['joy'\] and none of the classes"),
    (['0/a.jpg'], 'rafdb_file', "0' is no folder .* 1-7"),
    (['8/a.jpg'], 'affectnet', "8' is no folder .* 0-7"),
    (['sad/a.jpg', 'sadness/b.jpg'], None, 'two folders for sadness'),
    (['2/a.jpg', 'disgust/b.jpg'], 'rafdb', 'two folders for disgust'),
    (['fear/a.jpg'], 'alphabet', 'convention must be one of'),
])
def test_bad_folders(tmp_path, files, convention, message):
    make(tmp_path, *files)
    with pytest.raises(ValueError, match=message):
        ImageFolder(str(tmp_path), convention=convention)


def test_pictures_at_any_depth_are_those_of_torchvision(tmp_path):
    files = ('fear/b.jpg', 'fear/a-b/c.png', 'fear/a/c.png', 'fear/a/x/y.bmp',
             'fear/a.jpg', 'anger/1.TIFF', 'anger/p/2.webp', 'anger/Z.jpeg')
    make(tmp_path, *files)
    (tmp_path / 'anger/p/notes.txt').write_text('no image')
    (tmp_path / 'anger/linked').symlink_to(tmp_path / 'fear/a')
    theirs = DatasetFolder(
        str(tmp_path), loader=None, extensions=IMG_EXTENSIONS)
    ours = ImageFolder(str(tmp_path))
    infos = [ours.get_data_info(i) for i in range(len(ours))]
    assert [(i['img_path'], ours.CLASSES[i['gt_label']]) for i in infos] == [
        (path, theirs.classes[label]) for path, label in theirs.samples
    ]
    assert len(infos) == len(files) + 2
    assert [i.get('person') for i in infos
            ] == [None, None, 'linked', 'linked', 'p', None, None, 'a', 'a-b',
                  'a']  # yapf: disable


def test_a_link_in_a_circle_ends(tmp_path):
    make(tmp_path, 'fear/a/c.png')
    (tmp_path / 'fear/a/up').symlink_to(tmp_path)
    dataset = ImageFolder(str(tmp_path))
    assert list(content(dataset)) == ['fear/a/c']
    assert dataset.passed_over == {'links in a circle': 1}


def test_every_suffix_that_opencv_opens(tmp_path):
    """Each is listed, and read: what OpenCV wrote is what it reads."""
    written = [s for s in IMAGE_SUFFIXES if cv2.haveImageWriter(f'a{s}')]
    assert set(IMAGE_SUFFIXES) - set(written) <= {
        '.jfif', '.avif', '.heic', '.heif'
    }
    (tmp_path / 'fear').mkdir()
    image = np.full((64, 64, 3), 128, np.uint8)
    for i, suffix in enumerate(written):
        grey = suffix in ('.pbm', '.pgm')
        _, data = cv2.imencode(suffix, image[..., 0] if grey else image)
        suffix = suffix.upper() if i % 2 else suffix
        (tmp_path / f'fear/{i}{suffix}').write_bytes(data.tobytes())
    dataset = ImageFolder(str(tmp_path), skip_unreadable=True)
    assert len(dataset) == len(written) and not dataset.skipped


def test_what_is_passed_over_is_counted(tmp_path, logged):
    make(tmp_path, 'fear/a.jpg', 'fear/p/.b.jpg', 'fear/.thumbs/c.jpg',
         '.git/d.jpg', 'e.jpg')
    for name in ('fear/x.MP4', 'fear/p/y.mp4', 'fear/z', 'fear/Thumbs.db'):
        (tmp_path / name).write_bytes(b'')
    dataset = ImageFolder(str(tmp_path))
    assert list(content(dataset)) == ['fear/a']
    assert dataset.passed_over == {
        '.db': 1,
        '.mp4': 2,
        'files without a suffix': 1,
        'hidden files': 1,
        'hidden folders': 1,
        'files beside the folders': 1
    }
    assert len([s for s in logged if '2 .mp4' in s]) == 1


def test_the_cases(cases_dir):
    nested = ImageFolder(str(cases_dir / 'nested'), 'train')
    assert len(nested) == 8
    assert sum('person' in nested.get_data_info(i) for i in range(8)) == 6
    suffixes = ImageFolder(str(cases_dir / 'suffixes'), skip_unreadable=True)
    assert len(suffixes) == 8


def test_files_that_differ_in_their_suffix_alone(tmp_path):
    make(tmp_path, 'fear/a.jpg', 'fear/a.png', 'fear/b.jpg')
    (tmp_path / 'list.txt').write_text('fear/a.png\nfear/b\n')
    assert list(content(ImageFolder(
        str(tmp_path)))) == ['fear/a.jpg', 'fear/a.png', 'fear/b']
    chosen = ImageFolder(str(tmp_path), subset_file='list.txt')
    assert list(content(chosen)) == ['fear/a.png', 'fear/b']


def test_classes_of_any_name(tmp_path, logged):
    make(tmp_path, 'No Pain/a.jpg', 'pain/b.jpg', 'happy/c.jpg', 'tired/d.jpg',
         'tired/e.jpg')
    dataset = ImageFolder(str(tmp_path), classes=['pain', 'no pain'])
    assert content(dataset) == {'No Pain/a': 'no pain', 'pain/b': 'pain'}
    assert dataset.get_gt_labels().tolist() == [1, 0]
    assert dataset.num_dropped == dict(happiness=1, tired=2)
    ImageFolder(str(tmp_path), classes=['pain', 'no_pain', 'fear'])
    assert any("no sample has the classes ['no_pain']" in s for s in logged)
    # what means the same expression is the same class
    dataset = ImageFolder(str(tmp_path), classes=['Happiness', 'pain'])
    assert content(dataset)['happy/c'] == 'Happiness'
    with pytest.raises(ValueError, match='none of the classes.*Name them'):
        ImageFolder(str(tmp_path), classes=['hapiness'])


def test_persons_are_kept_apart(tmp_path, logged):
    make(
        tmp_path,
        *(f'{c}/person{p}/{i}.jpg' for p in range(10) for i in (0, 1)
          for c in ('pain', 'none')),
        *(f'{c}/{i}.jpg' for i in range(10) for c in ('pain', 'none')))
    options = dict(data_root=str(tmp_path), classes=['none', 'pain'])

    def parts(**kwargs):
        found = [
            ImageFolder(split=split, **options, **kwargs)
            for split in ('train', 'val')
        ]
        names = [set(content(d)) for d in found]
        assert not names[0] & names[1] and len(names[0] | names[1]) == 60
        people = [{d.get_data_info(i).get('person')
                   for i in range(len(d))} - {None} for d in found]
        assert not people[0] & people[1]
        return found, names, people

    (train, val), names, people = parts(val_split=.3)
    assert val.test_mode and not train.test_mode
    # a share of every class, of people and of others
    assert np.bincount(val.get_gt_labels()).tolist() == [9, 9]
    assert people[1] and any('person' not in name for name in names[1])
    assert any('40 samples known' in s for s in logged)
    seen = set()
    for k in range(3):
        _, names, people = parts(num_folds=3, fold=k)
        assert people[0] and people[1]
        seen |= names[1]
    assert len(seen) == 60
    with pytest.raises(ValueError, match='val_split=0.01 holds none'):
        ImageFolder(val_split=.01, **options)
    with pytest.raises(ValueError, match='val_split > 0'):
        ImageFolder(split='val', **options)


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
    with pytest.raises(ValueError, match='val_split.*of the release'):
        OccluFER(str(tmp_path), val_split=.2)
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
    with pytest.raises(ValueError, match='test_0002_aligned.*train split'):
        RAFDB(str(tmp_path))
    make(tmp_path, 'valid/anger/test_0002_aligned.jpg')
    with pytest.raises(ValueError, match='are both test_0002'):
        RAFDB(str(tmp_path), split='test')


def test_classes_in_common():
    assert common_classes(('a', 'b', 'c'), ('c', 'x', 'a')) == ['c', 'a']
    with pytest.raises(ValueError, match='no class in common'):
        common_classes(('a', ), ('b', ))


def test_levels_as_numbers_and_a_name_that_is_no_file(tmp_path):
    make(tmp_path, '0/a.png', '2/b.png')
    dataset = ImageFolder(str(tmp_path), classes=[0, 1, 2])
    assert dataset.CLASSES == ('0', '1', '2')
    assert [d['gt_label']
            for d in map(dataset.get_data_info, (0, 1))] == [0, 2]
    with pytest.raises(FileNotFoundError, match="classes='fear' is no file"):
        ImageFolder(str(tmp_path), classes='fear')
