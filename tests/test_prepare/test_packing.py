# Copyright (c) orsa contributors. All rights reserved.
"""Packed images have the bytes of the files, and datasets read them alike."""
import errno
import multiprocessing
import os
import resource
import runpy
import shutil
import sys
import tracemalloc

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import get
from torch.utils.data import DataLoader

from orsa.datasets import RAFDB, FERDataset, ImageFolder, packed_files
from orsa.datasets.packed_files import BACKEND, PackedFiles
from orsa.prepare.pack import _places, find_images, pack_files

lmdb = pytest.importorskip('lmdb')
# some that ASCII does not know, some in folders
NAMES = ['a.png', 'b.png', 'sub/a.png', 'sub/é.png', 'sub/sub/Z.png', '0.jpg']
LABELS = ['happiness', 'anger', 'happiness', 'fear', 'neutral', 'anger']
PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / 'data'
    rng = np.random.default_rng(0)
    for name in NAMES:
        path = root / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        done, data = cv2.imencode(path.suffix,
                                  rng.integers(0, 255, (16, 16, 3), np.uint8))
        path.write_bytes(data.tobytes())
    (root / 'train.txt').write_text(
        ''.join(f'{n} {c}\n' for n, c in zip(NAMES, LABELS)), 'utf-8')
    (root / 'val.txt').write_text(f'{NAMES[0]} happiness\n')
    return root


def dataset(root, **kwargs):
    how = dict(
        type='orsa.FERDataset',
        data_root=str(root),
        data_prefix='images',
        ann_file='train.txt',
        serialize_data=False,
        pipeline=PIPELINE)
    return dict(how, **kwargs)


def config(root, **kwargs):
    train = dataset(root, **kwargs)
    return Config(
        dict(
            train_dataloader=dict(dataset=train),
            val_dataloader=dict(
                dataset=dict(train, ann_file='val.txt', test_mode=True))))


def build(root, **kwargs):
    how = dataset(root, **kwargs)
    how.pop('type')
    return FERDataset(**how)


@pytest.fixture
def packed(tree):
    out = tree.parent / 'faces.lmdb'
    pack_files(find_images(config(tree)), str(out))
    return out


def test_the_packed_bytes_are_those_of_the_files(tree, packed):
    # by lmdb's own reading, not by ours
    with lmdb.open(
            str(packed), subdir=False, readonly=True, lock=False) as file:
        with file.begin() as read:
            content = {bytes(k): bytes(v) for k, v in read.cursor()}
    content.pop(packed_files.ABOUT)
    assert content == {
        f'images/{name}'.encode(): (tree / 'images' / name).read_bytes()
        for name in NAMES
    }
    assert not list(tree.parent.glob('*lock*'))


def test_the_dataset_reads_the_same_images_without_the_files(tree, packed):
    plain = [sample['inputs'] for sample in build(tree)]
    samples = build(tree)
    names = [samples.get_data_info(i)['name'] for i in range(len(samples))]
    os.rename(tree / 'images', tree / 'elsewhere')
    with pytest.raises(OSError, match='no such file'):
        build(tree)[0]
    dataset = build(tree, pack=str(packed))
    assert [dataset.get_data_info(i)['name'] for i in range(6)] == names
    for sample, image in zip(dataset, plain):
        assert torch.equal(sample['inputs'], image)
    # looking at every picture in the beginning, too
    assert len(build(tree, pack=str(packed), skip_unreadable=True)) == 6


@pytest.mark.parametrize('how', ['fork', 'spawn'])
def test_workers_open_the_file_for_themselves(tree, packed, how, monkeypatch):
    dataset = build(tree, pack=str(packed))
    own = [s['inputs'] for s in dataset]  # opened here before the fork
    loader = DataLoader(
        dataset,
        batch_size=None,
        num_workers=1,
        multiprocessing_context=how,
        persistent_workers=True)
    for _ in range(2):
        for sample, image in zip(loader, own, strict=True):
            assert torch.equal(sample['inputs'], image)
    # the parent's is as it was
    assert torch.equal(dataset[3]['inputs'], own[3])


def _ask(pack, path, queue):
    before = id(packed_files._opened[pack.db_path][1])
    content = pack.get(path)
    after = packed_files._opened[pack.db_path]
    queue.put((content, after[0] == os.getpid(), id(after[1]) != before))


def test_a_fork_does_not_use_its_parents_environment(tree, packed):
    pack, path = PackedFiles(packed, tree), str(tree / 'images/a.png')
    content = pack.get(path)
    context = multiprocessing.get_context('fork')
    queue = context.SimpleQueue()
    child = context.Process(target=_ask, args=(pack, path, queue))
    child.start()
    assert queue.get() == (content, True, True)
    child.join()
    assert pack.get(path) == content


def test_one_environment_for_all_in_a_process(tree, packed):
    # LMDB refuses a second one
    for _ in range(2):
        assert len(build(tree, pack=str(packed))[0]['inputs']) == 3
    assert len(
        get(
            str(tree / 'images/a.png'),
            dict(backend=BACKEND, db_path=str(packed),
                 root=str(tree)))) == len((tree / 'images/a.png').read_bytes())


def test_what_is_missing_is_named_with_the_remedy(tree, packed):
    (tree / 'images/new.png').write_bytes(b'new')
    with open(tree / 'train.txt', 'a') as file:
        file.write('new.png anger\n')
    with pytest.raises(FileNotFoundError) as raised:
        # RAF-DB and AffectNet look for all of them, before training
        samples = build(tree, pack=str(packed))
        samples.check_present([samples.get_data_info(6)], 'images')
    for word in (str(packed), 'images/new.png', 'pack_images.py'):
        assert word in str(raised.value)
    with pytest.raises(FileNotFoundError, match='pack_images.py'):
        build(tree, pack=str(packed))[6]
    assert build(
        tree, pack=str(packed), skip_unreadable=True).skipped == ['new']
    # outside of the root
    with pytest.raises(FileNotFoundError, match='root'):
        PackedFiles(packed, tree).get(str(packed))


def test_what_is_no_pack_is_refused(tree, tmp_path):
    other = tmp_path / 'other.lmdb'
    with pytest.raises(FileNotFoundError, match='pack_images.py'):
        build(tree, pack=str(other))[0]
    other.write_bytes(b'no database' * 1000)
    with pytest.raises(ValueError, match='cannot be opened'):
        build(tree, pack=str(other))[0]
    other.unlink()
    with lmdb.open(str(other), subdir=False, lock=False) as file:
        with file.begin(write=True) as write:
            write.put(b'images/a.png', b'image')
    with pytest.raises(ValueError, match='packed images'):
        build(tree, pack=str(other))[0]


def test_a_broken_image_is_named(tree):
    (tree / 'images/a.png').write_bytes(b'\x89PNG, or what is left of it')
    out = tree.parent / 'broken.lmdb'
    pack_files(find_images(config(tree)), str(out))
    with pytest.raises(OSError, match=r"a\.png'.*formats"):
        build(tree, pack=str(out))[0]
    assert build(tree, pack=str(out), skip_unreadable=True).skipped == ['a']


def test_complete_or_not_at_all(tree, packed, monkeypatch):
    before = packed.read_bytes()
    files = find_images(config(tree))
    # a file that goes, one that is empty, one too long, a disk that is full
    path = tree / 'images/sub/a.png'
    content = path.read_bytes()
    path.write_bytes(b'')
    with pytest.raises(OSError, match='is empty'):
        pack_files(files, str(packed))
    path.write_bytes(content)
    with pytest.raises(ValueError, match='511'):
        pack_files({'x' * 600: str(path)}, str(packed))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        with pytest.raises(OSError, match='LMDB') as raised:
            pack_files(files, str(packed))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.errno in (errno.EIO, errno.ENOSPC)
    # a copy that is not the file
    from orsa.prepare import pack as packing
    read = packing._read
    seen = []

    def changing(path):
        seen.append(path)
        return read(path) + (b'!' if seen.count(path) == 2 else b'')

    monkeypatch.setattr(packing, '_read', changing)
    with pytest.raises(RuntimeError, match='Pack again'):
        pack_files(files, str(packed))
    assert packed.read_bytes() == before
    assert sorted(p.name
                  for p in packed.parent.iterdir()) == ['data', 'faces.lmdb']


def test_memory_does_not_grow_with_the_files(tmp_path):
    files = {}
    for i in range(100):
        path = tmp_path / f'{i:03}.bin'
        path.write_bytes(bytes([i]) * 2**20)
        files[path.name] = str(path)
    tracemalloc.start()
    pack_files(files, str(tmp_path / 'big.lmdb'))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20
    assert PackedFiles(tmp_path / 'big.lmdb',
                       tmp_path).get(str(tmp_path / '042.bin')) == b'*' * 2**20


def test_configs_that_cannot_be_packed(tree, tmp_path):
    faces = dict(type='orsa.SyntheticFaces', num_samples=4, split='train')
    with pytest.raises(ValueError, match='nothing to pack|no orsa.FERData'):
        find_images(Config(dict(train_dataloader=dict(dataset=faces))))
    with pytest.raises(ValueError, match='no dataset'):
        find_images(Config())
    # the same place below two roots
    other = tmp_path / 'other/images'
    other.mkdir(parents=True)
    (other / 'a.png').write_bytes(b'other')
    (tmp_path / 'other/val.txt').write_text('a.png anger\n')
    cfg = config(tree)
    cfg.val_dataloader.dataset.data_root = str(tmp_path / 'other')
    with pytest.raises(ValueError, match='--splits'):
        find_images(cfg)
    assert list(find_images(cfg, ['val'])) == ['images/a.png']
    # images that are elsewhere
    cfg = config(tree, data_prefix=str(tree / 'images'))
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.update(
            data_root=str(tmp_path / 'other'),
            ann_file=str(tree / f'{split}.txt'))
    with pytest.raises(ValueError, match='data_root'):
        find_images(cfg)


def test_wrapped_data_sets_are_packed(tree):
    cfg = config(tree)
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset',
        times=2,
        dataset=dict(
            type='ConcatDataset',
            datasets=[dataset(tree),
                      dataset(tree, ann_file='val.txt')]))
    assert list(find_images(cfg, ['train'])) == list(find_images(config(tree)))


def test_the_command(tree, repo_root, tmp_path, monkeypatch, capsys):
    config(tree, pack='not_there_yet.lmdb').dump(tmp_path / 'mine.py')
    tool = str(repo_root / 'tools/dataset_converters/pack_images.py')
    out = tmp_path / 'new' / 'mine.lmdb'
    monkeypatch.setattr(
        sys, 'argv', [tool, str(tmp_path / 'mine.py'), '--out',
                      str(out)])
    runpy.run_path(tool, run_name='__main__')
    printed = capsys.readouterr().out
    assert 'packed and compared 6 files' in printed
    assert f'train_dataloader.dataset.pack={out}' in printed
    assert list(_places(dict(datasets=[{}, dict(dataset={})]),
                        'd')) == ['d.datasets.0', 'd.datasets.1.dataset']
    assert PackedFiles(out).count() == 6
    (tree / 'images/b.png').unlink()
    with pytest.raises(SystemExit, match='2'):
        runpy.run_path(tool, run_name='__main__')
    assert 'b.png' in capsys.readouterr().err
    assert PackedFiles(out).count() == 6


def test_data_sets_that_look_for_their_images(tmp_path):
    """RAF-DB's list needs no image on the disk, its folders do."""
    root = tmp_path / 'raf-db'
    images = root / 'basic/Image/aligned'
    images.mkdir(parents=True)
    (root / 'basic/EmoLabel').mkdir()
    (root / 'basic/EmoLabel/list_patition_label.txt'
     ).write_text('train_00001.jpg 5\ntrain_00002.jpg 4\ntest_0001.jpg 1\n')
    names = ('train_00001', 'train_00002', 'test_0001')
    for i, name in enumerate(names):
        cv2.imwrite(
            str(images / f'{name}_aligned.jpg'),
            np.full((8, 8, 3), 40 * i, np.uint8))
    cfg = dict(
        type='orsa.RAFDB',
        data_root=str(root),
        pipeline=PIPELINE,
        serialize_data=False)
    loaders = {
        f'{split}_dataloader': dict(dataset=dict(cfg, split=split))
        for split in ('train', 'test')
    }
    out = str(tmp_path / 'raf-db.lmdb')
    pack_files(find_images(Config(loaders)), out)
    assert PackedFiles(out).count() == 3
    shutil.rmtree(root / 'basic/Image')
    cfg.pop('type')
    dataset = RAFDB(split='train', pack=out, **cfg)
    assert [int(s['inputs'].float().mean()) for s in dataset] == [0, 40]
    with pytest.raises(FileNotFoundError, match='folder of aligned images'):
        RAFDB(split='train', **cfg)
    # one more in the list than in the pack: said when it is built
    with open(root / 'basic/EmoLabel/list_patition_label.txt', 'a') as file:
        file.write('train_00003.jpg 5\n')
    with pytest.raises(FileNotFoundError, match='train_00003.*pack_images'):
        RAFDB(split='train', pack=out, **cfg)


def test_folders_of_classes(tmp_path):
    for i, name in enumerate(('anger', 'fear')):
        (tmp_path / name).mkdir()
        cv2.imwrite(
            str(tmp_path / name / '1.png'), np.full((8, 8, 3), i, np.uint8))
    cfg = dict(
        data_root=str(tmp_path),
        classes=['anger', 'fear'],
        serialize_data=False)
    loader = dict(dataset=dict(type='orsa.ImageFolder', **cfg))
    out = str(tmp_path / 'faces.lmdb')
    pack_files(find_images(Config(dict(train_dataloader=loader))), out)
    for name in ('anger', 'fear'):  # the names alone are read from the disk
        (tmp_path / name / '1.png').write_bytes(b'')
    dataset = ImageFolder(pack=out, pipeline=PIPELINE, **cfg)
    assert [int(s['inputs'].float().mean()) for s in dataset] == [0, 1]
