# Copyright (c) orsa contributors. All rights reserved.
"""The size of a pack, its progress, and splits that are absent."""
import runpy
import struct
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from orsa.datasets.packed_files import PackedFiles
from orsa.prepare import pack as packing
from orsa.prepare.pack import find_images, pack_files

pytest.importorskip('lmdb')


def write(folder, names, size):
    files = {}
    for i, name in enumerate(names):
        path = folder / str(i)
        path.write_bytes(bytes([i % 251]) * size)
        files[name] = str(path)
    return files


def test_there_is_room_for_what_fills_its_pages_badly(tmp_path, monkeypatch):
    """The worst case: one byte more than a page, and keys as long as may be.

    What is held in memory is made small, so that nothing else has room to
    spare, and is written in several pieces.
    """
    monkeypatch.setattr(packing, '_BATCH', 16 << 10)
    keys = [f'{i:0510}x'[:511] for i in range(300)]
    files = write(tmp_path, keys, 4090)
    out = str(tmp_path / 'out.lmdb')
    pack_files(files, out)
    pack = PackedFiles(out)
    assert pack.count() == 300 and len(keys[0]) == 511


def test_progress_is_shown(tmp_path, capsys):
    pack_files(write(tmp_path, 'abcde', 10), str(tmp_path / 'out.lmdb'))
    assert '10/10' in capsys.readouterr().err  # written, then compared


def test_keys_longer_than_lmdb_takes(tmp_path):
    files = write(tmp_path, ['x' * 512], 10)
    with pytest.raises(ValueError, match='512 bytes.*511'):
        pack_files(files, str(tmp_path / 'out.lmdb'))
    assert not (tmp_path / 'out.lmdb').exists()


def test_images_with_false_sizes_are_not_packed_nor_read(
        tmp_path, monkeypatch):
    """A chunk of 2 GB, for which OpenCV would make room."""
    png = cv2.imencode('.png', np.zeros((2, 2, 3), np.uint8))[1].tobytes()
    lie = png[:33] + struct.pack('>I', 2**31 - 1) + png[37:]
    path, out = tmp_path / 'a.png', str(tmp_path / 'out.lmdb')
    path.write_bytes(lie)
    with pytest.raises(OSError, match='a.png.*claims 2147483647'):
        pack_files({'a.png': str(path)}, out)
    assert not Path(out).exists()
    monkeypatch.setattr(packing, '_read', lambda path: lie)  # as before
    pack_files({'a.png': str(path)}, out)
    pack = PackedFiles(out, str(tmp_path))
    with pytest.raises(OSError, match='a.png.*out.lmdb.*claims 2147483647'):
        pack.get(str(path))


@pytest.fixture
def data(tmp_path):
    root = tmp_path / 'data'
    root.mkdir()
    rng = np.random.default_rng(0)
    # what is no picture is packed as it is
    (root / 'a.png').write_bytes(rng.bytes(700_000))
    (root / 'test.txt').write_text('a.png anger\n')
    return dict(
        type='orsa.FERDataset',
        data_root=str(root),
        ann_file='test.txt',
        test_mode=True,
        pipeline=[])


def test_a_config_with_some_of_the_splits(data):
    for absent in ({}, dict(train_dataloader=None)):
        cfg = Config(dict(test_dataloader=dict(dataset=data), **absent))
        assert list(find_images(cfg)) == ['a.png']
        with pytest.raises(ValueError, match="'train', 'val'"):
            find_images(cfg, ['train', 'val'])


def test_the_command_prints_size_and_use(data, tmp_path, repo_root, capsys,
                                         monkeypatch):
    Config(dict(test_dataloader=dict(dataset=data))).dump(tmp_path / 'c.py')
    out = tmp_path / 'out.lmdb'
    tool = str(repo_root / 'tools/dataset_converters/pack_images.py')
    monkeypatch.setattr(sys, 'argv', [
        tool,
        str(tmp_path / 'c.py'), '--out',
        str(out), '--splits', 'test', '--cfg-options',
        'test_dataloader.dataset.pipeline=[]'
    ])
    runpy.run_path(tool, run_name='__main__')
    printed = capsys.readouterr().out
    assert f'1 files, {out.stat().st_size / 1048576:.1f} MiB: {out}' in printed
    assert f'--cfg-options test_dataloader.dataset.pack={out}\n' in printed
