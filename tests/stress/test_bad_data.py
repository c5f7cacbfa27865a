# Copyright (c) orsa contributors. All rights reserved.
"""Damaged images, videos and lists: a result, or an error that names it.

Inputs are tried in a process of their own (``fenced.py``), where a crash or a
hang of a decoder is a failure of the test. In the long form there are 10,000:
each is made from its number alone, which a failure names.
"""
import gc
import json
import os
import os.path as osp
import socket

import cv2
import numpy as np
import pytest
from damaged_files import (chunk, encoded_images, mutate, mutate_header, png,
                           smooth_image)
from fenced import Fence, accept_or_refuse, crash, notes, try_all
from list_kinds import kinds

from orsa.apis import FERInferencer
from orsa.apis.predicting import predict_to_files
from orsa.datasets import FaceParsingDataset, FERDataset
from orsa.datasets.images import read_image
from orsa.faces.images import ImageError
from orsa.faces.images import read_image as read_photo
from orsa.faces.video_files import VideoReader
from orsa.utils.compat import setup_stack
from orsa.utils.image_files import image_fault

PIPELINES = {
    'images through a pipeline': [
        dict(type='LoadImageFromFile'),
        dict(type='orsa.RandomFaceAffine', size=32),
        dict(type='PackInputs')
    ],
    'images through LoadFace': [
        dict(type='orsa.LoadFace', min_size=16),
        dict(type='orsa.RandomFaceAffine', size=32),
        dict(type='PackInputs')
    ],
    'masks': [
        dict(type='LoadImageFromFile'),
        dict(type='mmseg.LoadAnnotations'),
        dict(type='orsa.AsSegSample'),
        dict(type='orsa.RandomFaceAffine', size=32),
    ]
}


def test_the_fence_sees_crashes_and_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr('fenced.LIMIT', 10)

    def prepare():

        def trial(number):
            if number == 1:
                crash()
            if number == 2:
                os.read(os.pipe()[0], 1)  # for ever
            assert number != 3, 'a wrong result'
            return {'accepted': 1}

        return trial

    fence = Fence(prepare, (), tmp_path)
    with pytest.raises(AssertionError) as raised:
        fence.run(range(6))
    for text in ('input 1: the process died (SIGSEGV)', 'in crash',
                 'input 2: no result within 10 s', 'in trial',
                 'a wrong result'):
        assert text in str(raised.value)
    assert fence.outcomes == {'accepted': 3}


@pytest.fixture(scope='module', autouse=True)
def _freeze():
    """MMEngine collects garbage for each dataset."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


# -- images through the datasets


def write_damaged(path, originals, number):
    rng = np.random.default_rng([number, 1])
    suffix, data = originals[number % len(originals)]
    path.write_bytes(mutate(data, rng))
    return suffix


def prepare_images(root, pipeline):
    originals = encoded_images(np.random.default_rng(0))
    (root / 'list.txt').write_text('face.jpg fear\n')
    path = root / 'face.jpg'
    path.write_bytes(originals[0][1])
    dataset = FERDataset(
        data_root=str(root), ann_file='list.txt', pipeline=pipeline)
    assert dataset[0]['inputs'].shape == (3, 32, 32)

    def trial(number):
        write_damaged(path, originals, number)

        def read():
            assert dataset[0]['inputs'].shape == (3, 32, 32)

        # OpenCV's own errors are those of the transform, with a note
        return accept_or_refuse(
            read, 'face.jpg', allowed=(OSError, ValueError, cv2.error))

    return trial


@pytest.mark.parametrize('what, short, long',
                         [('images through a pipeline', 100, 2600),
                          ('images through LoadFace', 40, 800)])
def test_images(what, short, long, tmp_path, amount, tried):
    found = try_all(prepare_images, (tmp_path, PIPELINES[what]), tmp_path,
                    range(amount(short, long)), tried, what)
    assert len(found) == 2


def test_a_transform_that_fails_says_where(tmp_path):
    """OpenCV warps no image of 40,000 pixels on a side."""
    (tmp_path / 'face.png').write_bytes(
        png(40000, 8, bytes(8 * (40000 * 3 + 1))))
    (tmp_path / 'list.txt').write_text('face.png fear\n')
    dataset = FERDataset(
        'list.txt',
        data_root=str(tmp_path),
        pipeline=PIPELINES['images through a pipeline'])
    with pytest.raises(cv2.error) as raised:
        dataset[0]
    assert 'sample 0' in notes(raised.value)
    assert 'face.png' in notes(raised.value)


def prepare_masks(root, pipeline):
    setup_stack()
    rng = np.random.default_rng(0)
    cv2.imwrite(str(root / 'face.jpg'), smooth_image(rng))
    mask = np.arange(48 * 48, dtype=np.uint8).reshape(48, 48) // 16 % 11
    data = cv2.imencode('.png', mask)[1].tobytes()
    record = dict(
        img_path=str(root / 'face.jpg'), seg_map_path=str(root / 'mask.png'))

    class Masks(FaceParsingDataset):

        def load_data_list(self):
            return [record]

    dataset = Masks({}, pipeline=pipeline)
    (root / 'mask.png').write_bytes(data)
    np.testing.assert_array_equal(
        np.unique(dataset[0]['gt_seg_map']), range(11))

    def trial(number):
        rng = np.random.default_rng([number, 2])
        damaged = mutate(data, rng)
        if number % 4 == 0:  # a good image of another size or classes
            image = rng.integers(0, int(rng.choice([5, 11, 11, 256])),
                                 rng.choice([47, 48, 48, 48], 2), np.uint8)
            damaged = cv2.imencode('.png', image)[1].tobytes()
        (root / 'mask.png').write_bytes(damaged)

        def read():
            seen = dataset[0]['gt_seg_map']
            assert seen.shape == (32, 32)
            assert set(np.unique(seen)) <= {*range(11), 255}

        return accept_or_refuse(read, 'mask.png', 'face.jpg')

    return trial


def test_masks(tmp_path, amount, tried):
    pytest.importorskip('mmseg')
    found = try_all(prepare_masks, (tmp_path, PIPELINES['masks']), tmp_path,
                    range(amount(30, 400)), tried, 'masks')
    assert len(found) == 2


# -- images and videos through the inferencer


def middle(image):
    """A detector that always finds a face."""
    height, width = image.shape[:2]
    return np.array([[width * .2, height * .2, width * .8, height * .8]])


BATCH = 20


@pytest.fixture(scope='module')
def inferencer():
    """Is not used by this process, but by those that come of it."""
    return FERInferencer(device='cpu', detector=middle)


def prepare_folders(root, inferencer):
    originals = encoded_images(np.random.default_rng(1))
    folder = root / 'photos'
    folder.mkdir()

    def trial(number):
        for path in folder.iterdir():
            path.unlink()
        for i in range(BATCH):
            path = folder / f'{i:02d}'
            suffix = write_damaged(path, originals, number * BATCH + i)
            path.rename(path.with_suffix(suffix))
        found = inferencer(str(folder))['predictions']
        assert [osp.basename(one.name)[:2]
                for one in found] == [f'{i:02d}' for i in range(BATCH)]
        for one in found:
            if one.error:
                assert '\n' not in one.error and len(one.error) < 500
                assert not one.faces
            else:
                assert len(one.faces) == 1
                scores = one.faces[0].scores.values()
                assert abs(sum(scores) - 1) < 1e-4
        refused = sum(bool(one.error) for one in found)
        return {'refused by name': refused, 'accepted': BATCH - refused}

    return trial


def test_images_through_the_inferencer(inferencer, tmp_path, amount, tried):
    found = try_all(prepare_folders, (tmp_path, inferencer), tmp_path,
                    range(amount(3, 100)), tried,
                    'images through the inferencer')
    assert len(found) == 2


VIDEOS = (('a.avi', 'MJPG'), ('b.avi', 'XVID'), ('c.mp4', 'mp4v'), ('d.mkv',
                                                                    'mp4v'))


def encoded_videos(root, frames=10):
    rng = np.random.default_rng(0)
    found = []
    for name, code in VIDEOS:
        writer = cv2.VideoWriter(
            str(root / name), cv2.VideoWriter_fourcc(*code), 25., (64, 48))
        if not writer.isOpened():
            continue
        for _ in range(frames):
            writer.write(cv2.resize(smooth_image(rng), (64, 48)))
        writer.release()
        found.append((name[1:], (root / name).read_bytes()))
    assert found
    return found


def prepare_videos(root, inferencer):
    originals = encoded_videos(root)
    # onnxruntime keeps the memory of the largest batch
    for suffix, data in originals:
        path = root / f'whole{suffix}'
        path.write_bytes(data)
        inferencer(str(path))

    def trial(number):
        rng = np.random.default_rng([number, 3])
        suffix, data = originals[number % len(originals)]
        path = root / f'damaged{suffix}'
        path.write_bytes((mutate_header if number % 3 else mutate)(data, rng))
        if number % 25 == 0:
            found = inferencer([str(path), smooth_image(rng)])['predictions']
            assert found[-1].name == 'array 0' and len(found[-1].faces) == 1
            errors = [one for one in found if one.error]
            assert all(one.name == str(path) for one in found[:-1])
            return {'refused by name' if errors else 'accepted': 1}
        try:
            with VideoReader(path) as frames:
                assert frames.fps > 0 and frames.total >= 0
                times, sizes = [], set()
                for one in frames:
                    times.append(one.time)
                    sizes.add(one.size)
                    assert one.image.ndim == 3 and len(times) < 1000
                assert (np.diff(times) > 0).all(), times
                assert times or frames.error
                assert not frames.error or '\n' not in frames.error
        except ImageError as error:
            assert '\n' not in str(error)
            return {'refused by name': 1}
        return {'refused by name' if frames.error else 'accepted': 1}

    return trial


def test_videos(inferencer, tmp_path, amount, tried):
    found = try_all(prepare_videos, (tmp_path, inferencer), tmp_path,
                    range(amount(50, 1300)), tried, 'videos')
    assert len(found) == 2


# -- lists


def prepare_lists(root, make, kind):
    make(root)
    kind.read(root)
    good = {p: p.read_bytes() for p in root.rglob('*') if p.is_file()}
    good = {p: data for p, data in good.items() if p.suffix != '.png'}
    path = root / kind.file
    # a cache is a folder; a pack is read under another name
    names = [path.name, 'pack_'
             ] + [root.name] * (root / 'manifest.json').is_file()

    def trial(number):
        rng = np.random.default_rng([number, 4])
        for other in ('manifest.json', 'samples.json'):
            if (root / other) in good:
                (root / other).write_bytes(good[root / other])
        path.write_bytes(kind.damage(good[path], rng))

        def read():
            for record in kind.read(root) or ():
                inside = osp.relpath(record.get('img_path', root), root)
                assert not inside.startswith(osp.pardir), inside

        return accept_or_refuse(read, *names)

    return trial


@pytest.mark.parametrize('name', list(kinds()))
def test_lists(name, tmp_path, amount, tried):
    if 'packs' in name:
        pytest.importorskip('lmdb')
    root = tmp_path / 'tree'
    root.mkdir()
    found = try_all(prepare_lists, (root, *kinds()[name]), tmp_path,
                    range(amount(12, 170)), tried, name)
    assert found['refused by name']


GOOD = ['a.png fear', 'b/c.png anger', 'd.png happiness']
# a line of a list, by its number, and what an editor made of it
LINES = [
    ('lists of images', 3, '../../outside.png fear'),
    ('lists of images', 3, 'b/../../outside.png fear'),
    ('lists of images', 3, '/etc/hostname fear'),
    ('lists of images', 3, '\0.png fear'),
    ('lists of images', 3, 'x' * 100000 + ' fear'),
    ('lists of images', 3, 'a.png fear'),
    ('lists of images', 3, 'a.jpg anger'),
    ('lists of images', 3, 'd.png joy'),
    ('lists of images', 3, 'd.png'),
    ('lists of images', 3, 'd.png\tfear'),
    ('lists of images', 3, 'd.png 3'),
    ('lists of protocols', 3, '9' * 5000),
    ('lists of protocols', 3, '\u00b2'),
    ('lists of protocols', 3, 'nowhere.png'),
    ('RAF-DB, labels', 5, 'train_00001.jpg 3'),
    ('RAF-DB, labels', 5, 'train_00005.jpg 8'),
    ('RAF-DB, labels', 5, 'train_00005.jpg \u00b2'),
    ('RAF-DB, labels', 5, 'train_00005.jpg'),
    ('RAF-DB, labels', 5, '../train_00005.jpg 3'),
    ('RAF-DB, labels', 5, 'y' * 100000),
    ('RAF-DB, persons', 4, 'train_00001,x.jpg,somebody else,fear'),
    ('RAF-DB, persons', 4, 'train_00003,x.jpg'),
    ('RAF-DB, persons', 4, 'train_00003,' + 'x' * 200000 + ',a,fear'),
    ('AffectNet, csv', 4, '../../outside.jpg,1,3'),
    ('AffectNet, csv', 4, '0/../../outside.jpg,1,3'),
    ('AffectNet, csv', 4, '/etc/hostname,1,3'),
    ('AffectNet, csv', 4, '0/00000000.jpg,1,5'),
    ('AffectNet, csv', 4, '0/x.jpg,1,\u00b2'),
    ('AffectNet, csv', 4, '0/x.jpg,1,' + '9' * 5000),
    ('AffectNet, csv', 4, '0/x.jpg,1'),
    ('FER+, votes', 4, 'Training,../../outside.png' + ',1' * 10),
    ('FER+, votes', 4, 'Training,/etc/hostname' + ',1' * 10),
    ('FER+, votes', 4, 'Training,x.png,\u00b2' + ',1' * 9),
    ('FER+, votes', 4, 'Trainings,x.png' + ',1' * 10),
    ('FER+, votes', 4, 'Training,x.png'),
    ('FER+, pixels', 4, '0,' + '300 ' * 48 * 48 + ',Training'),
    ('FER+, pixels', 4, '0,' + '9' * 30 + ' 1' * (48 * 48 - 1) + ',Training'),
    ('FER+, pixels', 4, '0,' + '\u0663 ' * 48 * 48 + ',Training'),
    ('FER+, pixels', 4, '0,7 7 7,Training'),
    ('FER+, pixels', 4, '0,,PrivateTest'),
]


@pytest.fixture(scope='module')
def trees(tmp_path_factory):
    made = {}

    def tree(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp('tree')
            kinds()[name][0](made[name])
        kind = kinds()[name][1]
        return made[name], made[name] / kind.file, kind.read

    return tree


@pytest.mark.parametrize('name, number, line', LINES)
def test_the_line_is_named(name, number, line, trees):
    root, path, read = trees(name)
    good = path.read_bytes()
    lines = good.decode().splitlines()
    lines[number - 1] = line
    path.write_text('\n'.join(lines), encoding='utf-8')
    try:
        with pytest.raises((ValueError, FileNotFoundError)) as raised:
            read(root)
    finally:
        path.write_bytes(good)
    assert f'{path.name}:{number}: ' in str(raised.value)
    assert len(str(raised.value)) < 2000


TEXTS = [
    'lists of images', 'lists of protocols', 'lists of classes',
    'RAF-DB, labels', 'RAF-DB, persons', 'RAF-DB, landmarks', 'AffectNet, csv',
    'FER+, votes', 'FER+, pixels', '300-W, points'
]


@pytest.mark.parametrize('name', TEXTS)
def test_encodings_and_ends_of_lines(name, trees):
    root, path, read = trees(name)
    good = path.read_bytes()
    expected = read(root)
    assert expected
    try:
        for same in (b'\xef\xbb\xbf' + good, good.replace(b'\n', b'\r\n'),
                     good.replace(b'\n', b'\r'), good + b'\n\n'):
            path.write_bytes(same)
            assert repr(read(root)) == repr(expected)
        for other in (good.decode().encode('utf-16'), good + b'\xe9', b'',
                      b'\n \n\t\n', smooth_image(np.random.default_rng(0))):
            path.write_bytes(other)
            with pytest.raises(ValueError, match=path.name):
                read(root)
    finally:
        path.write_bytes(good)


@pytest.mark.parametrize('change, noun', [
    (lambda p: p[:67], 'expected 68 points'),
    (lambda p: 3, 'expected 68 points'),
    (lambda p: {
        'x': p
    }, 'expected 68 points'),
    (lambda p: [*p[:67], [1]], 'expected 68 points'),
    (lambda p: [*p[:67], [1, 'x' * 9000]], 'expected 68 points'),
    (lambda p: [*p[:67], [1, float('nan')]], 'point 68 is at'),
    (lambda p: [[float('-inf'), 1], *p[1:]], 'point 1 is at'),
    (lambda p: [*p[:67], [1, 1e30]], 'point 68 is at'),
    (lambda p: [*p[:67], [10**400, 1]], 'expected 68 points'),
])
def test_points_are_points_of_an_image(change, noun, trees):
    root, path, read = trees('RAF-DB, landmarks')
    good = path.read_text()
    content = json.loads(good)
    content['train_00003'] = change(content['train_00003'])
    path.write_text(json.dumps(content))
    try:
        with pytest.raises(ValueError, match=f'train_00003.*{noun}') as raised:
            read(root)
    finally:
        path.write_text(good)
    assert path.name in str(raised.value) and len(str(raised.value)) < 1000


# -- what claims more than it has


def test_absurd_sizes(tmp_path, tried):
    """Each in a process that may not hold more for it."""
    sizes = [(0, 0), (1, 0), (1, 1), (2**31 - 1, 2**31 - 1), (65535, 65535),
             (60000, 1), (1 << 20, 1 << 20), (20000, 20000)]
    path = tmp_path / 'a.png'

    def prepare():

        def trial(number):
            width, height = sizes[number]
            path.write_bytes(png(width, height))
            image, reason = read_image(str(path))
            assert (image is None) == bool(reason)
            assert image is None or image.shape == (height, width, 3)
            try:
                assert read_photo(path).shape == image.shape
            except ImageError:
                assert image is None
            return {'accepted' if image is not None else 'refused by name': 1}

        return trial

    try_all(
        prepare, (),
        tmp_path,
        range(len(sizes)),
        tried,
        'images of absurd sizes',
        peak=300)


def test_lengths_of_chunks_take_no_memory(tmp_path, tried):
    """OpenCV would believe them: 4 GB for the last."""
    good = png(48, 48, bytes(48 * (48 * 3 + 1)))
    lies = [
        (png(48, 48, claimed=length), f'claims {length} bytes')
        for length in (1 << 20, 1 << 29, 0x7fffffff, 0xffffffff)
    ] + [(good[:33] + chunk(kind, b'abc', 0x7fffffff) + good[33:], str(kind))
         for kind in (b'tEXt', b'fdAT', b'abCd')]
    path = tmp_path / 'a.png'
    dataset = _one_image(tmp_path, 'a.png')

    def prepare():

        def trial(number):
            data, noun = lies[number] if number else (good, None)
            path.write_bytes(data)
            image, reason = read_image(str(path))
            assert (noun in reason) if noun else image.shape == (48, 48, 3)
            return accept_or_refuse(lambda: dataset[0], 'a.png')

        return trial

    found = try_all(
        prepare, (),
        tmp_path,
        range(len(lies)),
        tried,
        'lying chunks of a PNG',
        growth=20,
        peak=20)
    assert found == {'accepted': 1, 'refused by name': len(lies) - 1}


def _one_image(root, name):
    (root / 'list.txt').write_text(f'{name} fear\n')
    return FERDataset(
        'list.txt',
        data_root=str(root),
        pipeline=[dict(type='LoadImageFromFile')])


def test_complete_images_have_no_fault():
    for _, data in encoded_images(np.random.default_rng(0)):
        assert image_fault(data) is None
        for end in (1, 10, len(data) // 2, len(data) - 1):
            # what a decoder makes something of
            prefix = np.frombuffer(data[:end], np.uint8)
            if cv2.imdecode(prefix, cv2.IMREAD_COLOR) is not None:
                assert image_fault(data[:end]) is None


def test_no_program_is_run_for_an_image(tmp_path, monkeypatch):
    """Pillow has Ghostscript read what is an EPS inside."""
    monkeypatch.setattr('PIL.EpsImagePlugin.Ghostscript',
                        lambda *args, **kwargs: pytest.fail('was run'))
    path = tmp_path / 'a.jpg'
    path.write_text('%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n'
                    '%%EndComments\n(x) run\n%%EOF\n')
    with pytest.raises(ImageError, match='formats'):
        read_photo(path)


# -- what is no file, and names that are odd


def prepare_odd(root, inferencer):
    good = cv2.imencode('.png',
                        smooth_image(np.random.default_rng(0)))[1].tobytes()
    odd = [
        ' ', '-rf.png', '[1].png', '%02d.png', 'a\nb.png', '\u00e9.png',
        '\U0001f642.png', 'x' * 240 + '.png', b'\xff\xfe.png', '~.png',
        '$(true).png', 'A.PNG'
    ]
    for name in odd:
        with open(osp.join(os.fsencode(root), os.fsencode(name)), 'wb') as f:
            f.write(good)
    os.mkfifo(root / 'fifo.png')
    (root / 'folder.png').mkdir()
    (root / 'loop.png').symlink_to('loop.png')
    (root / 'nowhere.png').symlink_to('there/is/none.png')
    (root / 'device.png').symlink_to('/dev/zero')
    (root / 'link.png').symlink_to('A.PNG')
    sock = socket.socket(socket.AF_UNIX)
    os.chdir(root)  # the name of a socket is short
    sock.bind('socket.png')
    special = ['fifo', 'folder', 'loop', 'nowhere', 'device', 'socket']

    def folder():
        found = predict_to_files(inferencer, [str(root)], str(root / 'out'))
        # ' ' has no suffix, there is a link more; folder.png is a folder
        assert found.faces == len(odd)
        assert sorted(osp.basename(e['file']) for e in found.errors) == [
            f'{name}.png' for name in sorted(special) if name != 'folder'
        ]
        lines = (root / 'out/predictions.jsonl').read_text().splitlines()
        assert len(lines) == found.faces
        assert len(list((root / 'out').glob('*_faces.jpg'))) == found.faces
        name = os.fsdecode(osp.join(os.fsencode(root), b'\xff\xfe.png'))
        predict_to_files(
            inferencer, [name], str(root / 'one'), cards=True, masks=True)
        names = sorted(os.listdir(root / 'one'))
        assert names[-3:] == [
            f'\ufffd\ufffd_{end}'
            for end in ('face1.png', 'face1_parsing.png', 'faces.jpg')
        ]
        row = json.loads((root / 'one/predictions.jsonl').read_text())
        assert row['file'] == name

    def one_by_one():
        names = [root / f'{name}.png' for name in special]
        found = inferencer([*names, root / 'A.PNG'])['predictions']
        # of the folder in which there is none, and of each of the others
        assert [bool(one.error) for one in found] == [True] * 6 + [False]
        assert 'pipe' in found[0].error

    def data_set():
        for name in special:
            text = _refusal(_one_image(root, f'{name}.png'))
            assert f'{name}.png' in text and 'sample 0' in text

    def videos():
        for name in (b'\xff.avi', b'fifo.avi', b'folder.avi', b'loop.avi',
                     b'text.avi', b'play.mp4'):
            path = osp.join(os.fsencode(root), name)
            if b'fifo' in name:
                os.mkfifo(path)
            elif b'folder' in name:
                os.mkdir(path)
            elif b'loop' in name:
                os.symlink(name, path)
            else:
                text = b'ffconcat version 1.0\nfile good.avi\n'
                with open(path, 'wb') as file:
                    file.write(text if b'play' in name else b'text')
            found = inferencer([os.fsdecode(path), root / 'A.PNG'])
            errors = [one.error for one in found['predictions']]
            assert errors[0] and errors[1] is None, name

    return lambda number: (folder, one_by_one, data_set, videos)[number]() or {
        'seen': 1
    }


def _refusal(dataset):
    with pytest.raises(OSError) as raised:
        dataset[0]
    return notes(raised.value)


def test_odd_names_and_what_is_no_file(inferencer, tmp_path):
    (tmp_path / 'odd').mkdir()
    Fence(prepare_odd, (tmp_path / 'odd', inferencer), tmp_path).run(range(4))


# -- videos that are none, or too large


def test_a_list_of_videos_is_no_video(tmp_path):
    """FFmpeg would play what the text names."""
    suffix, data = encoded_videos(tmp_path)[0]
    (tmp_path / f'good{suffix}').write_bytes(data)
    text = f'ffconcat version 1.0\nfile good{suffix}\n'
    for name in ('a.mp4', f'b{suffix}'):
        (tmp_path / name).write_text(text)
        assert cv2.VideoCapture(str(tmp_path / name)).read()[0]  # it does
        with pytest.raises(ImageError, match='no video'):
            VideoReader(tmp_path / name)
    assert 'OPENCV_FFMPEG_CAPTURE_OPTIONS' not in os.environ


def test_absurd_frames(tmp_path, monkeypatch):
    suffix, data = encoded_videos(tmp_path)[0]
    path = tmp_path / f'good{suffix}'
    path.write_bytes(data)
    monkeypatch.setattr('orsa.faces.video_files.MAX_PIXELS', 64 * 48 - 1)
    with pytest.raises(ImageError, match='64x48 .*3071'):
        VideoReader(path)
    monkeypatch.setattr('orsa.faces.video_files.MAX_PIXELS', 64 * 48)
    frames = VideoReader(path)
    monkeypatch.setattr('orsa.faces.video_files.MAX_PIXELS', 64 * 48 - 1)
    assert not list(frames) and '64x48 pixels' in frames.error
