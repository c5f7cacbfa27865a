# Copyright (c) orsa contributors. All rights reserved.
"""``verify_dataset.py`` counts and finds the faults of a dataset."""
import runpy

import cv2
import numpy as np
import pytest

from orsa.datasets import RAFDB
from orsa.datasets.published import PUBLISHED, Published
from orsa.prepare import image_scan
from orsa.prepare.verify import verify
from orsa.utils.classes import AFFECTNET_CLASSES, RAFDB_CLASSES

LIST = 'basic/EmoLabel/list_patition_label.txt'
ALIGNED = 'basic/Image/aligned'


def write_face(path, seed, size=(20, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    # lossless whatever the suffix says: pixels are compared
    _, data = cv2.imencode('.png',
                           rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    path.write_bytes(data.tobytes())


@pytest.fixture
def tree(tmp_path):
    """RAF-DB's layout, three faces a class in train and two in test."""
    lines = []
    for i in range(35):
        name = f'train_{i:05d}' if i < 21 else f'test_{i:04d}'
        lines.append(f'{name}.jpg {i % 7 + 1}')
        write_face(tmp_path / ALIGNED / f'{name}_aligned.jpg', i)
    (tmp_path / LIST).parent.mkdir(parents=True)
    (tmp_path / LIST).write_text('\n'.join(lines))
    return tmp_path


def face(tree, i):
    name = f'train_{i:05d}' if i < 21 else f'test_{i:04d}'
    return tree / ALIGNED / f'{name}_aligned.jpg'


def test_a_sound_tree(tree, tmp_path):
    report = verify('rafdb', str(tree), str(tmp_path / 'out'))
    assert report.errors == []
    train, test = report.splits
    assert train.counts == dict.fromkeys(RAFDB_CLASSES, 3)
    assert test.counts == dict.fromkeys(RAFDB_CLASSES, 2)
    assert train.sizes == {(30, 20): 21} and test.total == 14
    assert train.layout == 'list of the release'
    warning, = report.warnings
    assert 'not RAF-DB as published' in warning
    assert '21 instead of 12,271' in warning and 'of 3,068' in warning
    text = '\n'.join(report.lines())
    assert 'usable: 0 errors, 1 warning' in text
    row = next(s.split() for s in text.splitlines() if s.startswith('sadness'))
    # the test counts stand in DATASETS.md, in the order of the file
    assert row[1] == '3' and row[3:] == ['2', '478']


def test_published_counts_are_recognised(tree, monkeypatch):
    counts = dict(train=dict.fromkeys(RAFDB_CLASSES, 3), test=14)
    monkeypatch.setitem(PUBLISHED, 'rafdb',
                        (Published('of another size', '', dict(train=1000)),
                         Published('this one', 'a page', counts)))
    report = verify('rafdb', str(tree))
    assert report.warnings == [] and 'this one' in report.notes[0]
    # as many, but of other classes
    path = tree / LIST
    path.write_text(path.read_text().replace('00000.jpg 1', '00000.jpg 2'))
    warning, = verify('rafdb', str(tree)).warnings
    assert 'surprise 2 instead of 3, fear 4 instead of 3' in warning


def test_published_numbers_agree_with_each_other():
    """Sums of the classes against the totals that stand beside them."""
    raf = PUBLISHED['rafdb'][0].counts
    assert sum(raf['train'].values()) == 12271
    assert sum(raf['test'].values()) == 3068
    full = {n: PUBLISHED[f'affectnet{n}'][0].counts for n in (7, 8)}
    assert sum(full[7]['train'].values()) == 283901
    assert sum(full[8]['train'].values()) == 287651
    assert [sum(full[n]['val'].values()) for n in (7, 8)] == [3500, 4000]
    assert sum(PUBLISHED['ferplus'][0].counts.values()) == 35887


@pytest.mark.parametrize('content, what',
                         [(None, 'missing files (1)'),
                          (b'', 'the file is empty'),
                          (b'no image', 'none of the formats')])
def test_missing_and_unreadable_files(tree, content, what):
    path = face(tree, 4)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    report = verify('rafdb', str(tree))
    error, = report.errors
    assert what in error and f'{ALIGNED}/train_00004_aligned.jpg' in error
    assert sum(report.splits[0].sizes.values()) == 20


def test_damaged_files_that_are_read(tree):
    """By their own names, among others in the same batch."""
    for i, end in ((3, -2), (5, None)):
        image = cv2.imread(str(face(tree, i)))
        content = cv2.imencode('.jpg', cv2.resize(image, (90, 90)))[1]
        content = content.tobytes()
        if end is None:  # half of it, with an end
            content = content[:len(content) * 3 // 4] + b'\xff\xd9'
        face(tree, i).write_bytes(content[:end])
    report = verify('rafdb', str(tree))
    assert report.errors == []
    warning, = [w for w in report.warnings if 'damaged' in w]
    assert 'damaged files, which are read (2)' in warning
    assert 'train_00003_aligned.jpg (its end marker is missing)' in warning
    assert 'train_00005_aligned.jpg (Corrupt JPEG data' in warning


def test_duplicate_images(tree, tmp_path):

    def copy(a, b):
        face(tree, b).write_bytes(face(tree, a).read_bytes())

    copy(0, 7)  # the same class, in train
    report = verify('rafdb', str(tree))
    assert report.errors == []
    assert 'the same image twice in a split (1)' in report.warnings[-1]
    copy(1, 8), copy(1, 9)  # fear, and once disgust
    error, = verify('rafdb', str(tree)).errors
    assert 'under two classes, one of them wrong (1)' in error
    assert 'train_00009_aligned.jpg (disgust)' in error
    copy(2, 23)  # disgust, in train and test
    report = verify('rafdb', str(tree), str(tmp_path / 'out'))
    assert len(report.errors) == 2
    assert 'the same image in two splits (1)' in report.errors[0]
    assert 'train_00002_aligned.jpg = ' in report.errors[0]
    assert report.written[0] == str(tmp_path / 'out/duplicates.txt')
    lines = (tmp_path / 'out/duplicates.txt').read_text().splitlines()
    assert len(lines) == 4 and lines[0] == (
        f'the same image in two splits: {ALIGNED}/train_00002_aligned.jpg = '
        f'{ALIGNED}/test_0023_aligned.jpg')
    # the pixels count, not the bytes of the file
    image = cv2.imread(str(face(tree, 3)))
    cv2.imwrite(str(tree / 'other.bmp'), image)
    face(tree, 24).write_bytes((tree / 'other.bmp').read_bytes())
    assert 'in two splits (2)' in verify('rafdb', str(tree)).errors[0]


def test_duplicate_images_of_a_folder(tmp_path):
    for path in ('train/anger/0', 'train/fear/1', 'val/anger/2'):
        write_face(tmp_path / f'{path}.png', 0)
    errors = verify('imagefolder', str(tmp_path)).errors
    assert ['in two splits (1)' in errors[0], 'two classes'
            in errors[1]] == [True, True]
    report = verify('imagefolder', str(tmp_path), allow_duplicates=True)
    assert not report.errors and len(report.warnings) == 4


def test_images_of_one_colour_are_reported(tree):
    for i in (2, 23):
        cv2.imwrite(str(tree / 'black.png'), np.zeros((9, 9, 3), np.uint8))
        face(tree, i).write_bytes((tree / 'black.png').read_bytes())
    report = verify('rafdb', str(tree))
    assert not report.errors
    assert 'images of one colour (2)' in report.warnings[-1]


def test_one_colour_need_not_be_grey(tree):
    for i, colour in ((0, (200, 0, 0)), (1, (200, 0, 0))):  # of two classes
        _, data = cv2.imencode('.png', np.full((9, 9, 3), colour, np.uint8))
        face(tree, i).write_bytes(data.tobytes())
    report = verify('rafdb', str(tree))
    assert not any('same image' in line for line in report.errors)
    assert any('one colour' in line
               for line in [*report.errors, *report.warnings])


def test_wrong_labels_and_files_in_no_list(tree):
    path = tree / LIST
    lines = path.read_text().splitlines()
    path.write_text('\n'.join(lines[:-1]))
    warnings = verify('rafdb', str(tree)).warnings
    assert 'images that the dataset does not take (1)' in warnings[-1]
    assert 'test_0034_aligned.jpg' in warnings[-1]
    path.write_text('\n'.join(lines).replace('00000.jpg 1', '00000.jpg 0'))
    error, = verify('rafdb', str(tree)).errors
    assert error.startswith('train and test cannot be read')
    assert f'{LIST}:1: the label of train_00000 must be 1-7' in error


def test_an_absent_class_and_an_empty_folder(tree, tmp_path):
    path = tree / LIST
    lines = [s for s in path.read_text().splitlines() if s[-1] != '3']
    path.write_text('\n'.join(lines))
    report = verify('rafdb', str(tree))
    assert 'train has no image of disgust' in report.warnings[0]
    (tmp_path / 'nothing').mkdir()
    report = verify('rafdb', str(tmp_path / 'nothing'))
    error, = report.errors
    assert 'Expected under' in error
    assert 'NOT fit' in '\n'.join(report.lines())


def test_image_folder_and_sheet(tmp_path):
    for i, name in enumerate(('Happy', 'anger', 'contempt')):
        for j in range(3):
            write_face(tmp_path / f'data/train/{name}/{j}.png', 10 * i + j,
                       (40 + j, 80))
    report = verify('imagefolder', str(tmp_path / 'data'), str(tmp_path))
    assert report.splits[0].counts == {
        c: 3 if c in ('happiness', 'anger', 'contempt') else 0
        for c in AFFECTNET_CLASSES
    }
    assert len(report.splits[0].sizes) == 3
    assert report.written == [str(tmp_path / 'train.png')]
    sheet = cv2.imread(report.written[0])
    # the happy ones are in the second row of eight, and not distorted
    top, left = 40 + 100, 12 + 116
    cell = sheet[top:top + 96, left:left + 96]
    assert (cell[:24] == 255).all() and (cell[72:] == 255).all()
    first = cv2.imread(str(tmp_path / 'data/train/Happy/0.png'))
    expected = cv2.resize(first, (96, 48), interpolation=cv2.INTER_CUBIC)
    assert (cell[24:72] == expected).all()
    # a class without images says so, in grey
    assert (sheet[40 + 2 * 100:40 + 3 * 100, left:].min() > 140)
    with pytest.raises(ValueError, match='convention'):
        verify('imagefolder', str(tmp_path / 'data'), convention='x')


def test_it_looks_with_other_eyes_than_the_loader(tmp_path):
    taken = ('happiness/a.png', 'happiness/eva/b.JPG', 'anger/c.webp')
    strange = ('happiness/.hidden.png', 'anger/.old/d.png', 'e.png',
               'anger/f.png.part', 'anger/picture')
    for i, name in enumerate(taken + strange):
        write_face(tmp_path / 'train' / name, i)
    write_face(tmp_path / 'Dev/anger/g.png', 20)
    (tmp_path / 'train/anger/notes.txt').write_text('no picture')
    (tmp_path / 'train/anger/clip.mp4').write_bytes(b'no picture')
    report = verify('imagefolder', str(tmp_path))
    assert not report.errors and report.splits[0].total == 3
    assert report.warnings[-1] == (
        'images that the dataset does not take (6): Dev/anger/g.png; '
        'train/anger/.old/d.png; train/anger/f.png.part; '
        'train/anger/picture; train/e.png; and 1 more')
    assert report.notes == ['files that are no images: 1 .mp4, 1 .txt']


def test_all_of_a_nested_tree(cases_dir):
    for case, number in (('nested', 8), ('suffixes', 8)):
        report = verify('imagefolder', str(cases_dir / case))
        assert not report.errors and report.splits[0].total == number
        assert not any('does not take' in w for w in report.warnings)


def test_classes_that_are_no_expressions(tmp_path):
    for i, name in enumerate(('Pain', 'none', 'bored')):
        write_face(tmp_path / f'train/{name}/0.png', i)
    report = verify('imagefolder', str(tmp_path), classes=['none', 'pain'])
    assert not report.errors
    assert report.splits[0].counts == dict(none=1, pain=1)
    assert 'none of the classes, which are left out: bored (1)' in (
        report.warnings[0])
    error, = verify('imagefolder', str(tmp_path)).errors
    assert "['Pain', 'bored', 'none'] and none of the classes" in error


def test_a_subject_in_two_splits(tmp_path):
    for i, name in enumerate(
        ('train/anger/ann/0', 'train/sadness/bob/0', 'train/anger/0',
         'test/sadness/ann/0', 'test/sadness/cy/0', 'test/anger/0')):
        write_face(tmp_path / f'{name}.png', i)
    report = verify('imagefolder', str(tmp_path))
    assert "persons in two splits (1): 'ann' in train and test" in (
        report.warnings)


@pytest.mark.parametrize('name', ['affectnet7', 'affectnet8'])
def test_affectnet_leaves_out_what_is_no_expression(tmp_path, name):
    for part in ('train_set', 'val_set'):
        (tmp_path / part / 'annotations').mkdir(parents=True)
        for i in range(11):
            write_face(tmp_path / part / f'images/{i}.jpg',
                       i + 50 * (part == 'val_set'))
            np.save(tmp_path / part / f'annotations/{i}_exp.npy',
                    np.array(str(i)))
    report = verify(name, str(tmp_path))
    assert not report.errors
    left = {'none': 1, 'uncertain': 1, 'no-face': 1}
    if name == 'affectnet7':
        left['contempt'] = 1
    assert report.splits[0].left_out == left
    assert report.splits[0].total == int(name[-1])
    assert 'the reduced release' in report.warnings[0]


def test_ferplus_counts_rows(tmp_path):
    votes = [
        'Usage,Image name,neutral,happiness,surprise,sadness,anger,'
        'disgust,fear,contempt,unknown,NF'
    ]
    faces = ['emotion,pixels,Usage']
    rng = np.random.default_rng(0)
    for i, usage in enumerate(['Training'] * 4 +
                              ['PublicTest', 'PrivateTest'] * 2):
        split = '5,5,0,0,0,0,0,0,0,0' if i == 1 else '9,1,0,0,0,0,0,0,0,0'
        votes.append(f'{usage},fer{i:07d}.png,{split}')
        pixels = ' '.join(map(str, rng.integers(0, 256, 48 * 48)))
        faces.append(f'0,{"7 7" if i == 2 else pixels},{usage}')
    (tmp_path / 'fer2013new.csv').write_text('\n'.join(votes))
    (tmp_path / 'fer2013.csv').write_text('\n'.join(faces))
    report = verify('ferplus', str(tmp_path))
    assert [s.total for s in report.splits] == [3, 2, 2]
    assert report.splits[0].left_out == dict(unknown=1)
    assert "by the rule 'filtered'" in report.splits[0].layout
    error, = report.errors
    assert 'unreadable files (1)' in error and 'fer0000002' in error
    # rows are compared with the published ones, not what the rule leaves
    assert 'train 4 instead of 28,709' in report.warnings[-1]
    report = verify('ferplus', str(tmp_path), vote_rule='majority')
    assert report.splits[0].total == 4


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="'raf'"):
        verify('raf', str(tmp_path))
    with pytest.raises(FileNotFoundError, match='nowhere'):
        verify('rafdb', str(tmp_path / 'nowhere'))


def test_images_are_not_kept(tree, monkeypatch):
    """At no time are more in memory than a batch."""
    monkeypatch.setattr(image_scan, '_BATCH', 4)
    alive, most = set(), []
    read = RAFDB.read_image

    class Image(np.ndarray):

        def __del__(self):
            alive.discard(id(self))

    def counted(self, info):
        image, reason = read(self, info)
        image = image.view(Image)
        alive.add(id(image))
        most.append(len(alive))
        return image, reason

    monkeypatch.setattr(RAFDB, 'read_image', counted)
    verify('rafdb', str(tree))
    assert len(most) == 35 and max(most) <= 5


def command(repo_root, monkeypatch, *args):
    monkeypatch.setattr('sys.argv', ['verify_dataset.py', *map(str, args)])
    try:
        runpy.run_path(
            str(repo_root / 'tools/misc/verify_dataset.py'),
            run_name='__main__')
    except SystemExit as stopped:
        return stopped.code
    return 0


def test_command_on_real_faces(faces_dir, repo_root, tmp_path, monkeypatch,
                               capsys):
    assert command(repo_root, monkeypatch, 'rafdb', faces_dir, '--out',
                   tmp_path) == 0
    out, err = capsys.readouterr()
    assert 'this is not RAF-DB as published' in out
    assert 'test has no image of fear, disgust' in out
    assert '128x128 (1,277)' in out
    assert 'usable: 0 errors, 2 warnings' in out
    assert '1699/1699' in err
    for split in ('train', 'test'):
        assert (tmp_path / f'{split}.png').exists()


def test_command_fails_on_a_bad_tree(tree, repo_root, tmp_path, monkeypatch,
                                     capsys):
    face(tree, 30).write_bytes(b'no image')
    assert command(repo_root, monkeypatch, 'rafdb', tree, '--out',
                   tmp_path / 'out') == 1
    assert 'NOT fit for training: 1 error,' in capsys.readouterr().out
