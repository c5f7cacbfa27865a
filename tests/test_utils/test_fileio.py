# Copyright (c) orsa contributors. All rights reserved.
"""What is written is complete or not there; what is read has a limit."""
import errno
import json
import os
import socket
import stat
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from subprocess import run

import numpy as np
import pytest

from orsa.datasets.text_files import read_lines, read_rows
from orsa.utils.fileio import (atomic_path, check_writable, disk_errors,
                               dump_json, load_json, load_npy, load_npz,
                               save_npz, write_text)
from orsa.utils.local_backend import register_atomic_backend


def test_an_error_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / 'deep' / 'file.txt'
    with atomic_path(path) as temporary:
        assert temporary.endswith('.txt')
        with open(temporary, 'w') as file:
            file.write('old')
    with pytest.raises(RuntimeError):
        with atomic_path(path) as temporary:
            with open(temporary, 'w') as file:
                file.write('half')
            raise RuntimeError
    assert path.read_text() == 'old'
    assert os.listdir(path.parent) == ['file.txt']


def test_a_name_as_long_as_can_be(tmp_path):
    name = 251 * 'x' + '.npy'
    with atomic_path(tmp_path / name) as temporary:
        # numpy adds a suffix to another
        np.save(temporary, np.ones(2))
    assert os.listdir(tmp_path) == [name]
    assert np.load(tmp_path / name).sum() == 2


def test_a_link_is_followed(tmp_path):
    (tmp_path / 'real').mkdir()
    link = tmp_path / 'link.txt'
    link.symlink_to('real/x.txt')
    for text in ('into nowhere yet', 'over a file'):
        write_text(link, text)
        assert link.is_symlink()
        assert (tmp_path / 'real/x.txt').read_text() == text
    assert os.listdir(tmp_path / 'real') == ['x.txt']
    around = tmp_path / 'around'
    around.symlink_to('around')
    with pytest.raises(OSError, match='around'):
        write_text(around, 'x')


def test_what_is_no_file_is_written_into(tmp_path):
    pipe = tmp_path / 'pipe'
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        # the pipe holds what is written before it is read
        handle = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        pool.submit(write_text, pipe, 'whole').result(timeout=20)
        assert os.read(handle, 99) == b'whole'
        os.close(handle)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert os.listdir(tmp_path) == ['pipe']
    with pytest.raises(OSError, match='folder'):
        write_text(tmp_path, 'x')
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(str(tmp_path / 'plug'))
        with pytest.raises(OSError, match='plug.*socket'):
            write_text(tmp_path / 'plug', 'x')


def test_what_is_open_goes_on(tmp_path):
    """As ``--out /dev/stdout > FILE``: what is printed before and after."""
    path = tmp_path / 'x.txt'
    code = ('from orsa.utils.fileio import write_text; print("before");'
            'write_text("/dev/stdout", "out\\n"); print("after")')
    with open(path, 'w') as file:
        run([sys.executable, '-c', code], stdout=file, check=True)
    assert path.read_text() == 'before\nout\nafter\n'


def test_pipes_and_devices_are_not_read(tmp_path):
    pipe = tmp_path / 'pipe'
    os.mkfifo(pipe)
    for path in (pipe, '/dev/zero'):
        for read in (load_json, load_npy, load_npz, read_lines,
                     lambda path: next(read_rows(path))):
            with pytest.raises((OSError, ValueError), match='pipe'):
                read(path)


def test_json_is_strict(tmp_path):
    path = tmp_path / 'x.json'
    dump_json(dict(a=float('nan'), b=np.float32(1.5), c=np.eye(2)), path)

    def refuse(name):
        raise ValueError(name)

    content = json.loads(path.read_text(), parse_constant=refuse)
    assert content == dict(a=None, b=1.5, c=[[1., 0.], [0., 1.]])


def test_arrays_claim_no_more_than_they_have(tmp_path):
    path = tmp_path / 'x.npz'
    save_npz(path, a=np.arange(6.).reshape(2, 3), names=np.array(['é', 'b']))
    found = load_npz(path)
    assert found['a'].tolist() == [[0., 1., 2.], [3., 4., 5.]]
    assert found['names'].tolist() == ['é', 'b']
    with pytest.raises(FileNotFoundError):
        load_npz(tmp_path / 'none.npz')
    # objects, which are pickles; a bomb; a shape without its bytes; noise
    np.savez(path, a=np.array([print], object))
    with pytest.raises(ValueError, match='x.npz.*Object'):
        load_npz(path)
    save_npz(path, a=np.zeros(1 << 26, np.uint8))
    assert path.stat().st_size < 1 << 17
    with pytest.raises(ValueError, match='67108992 bytes'):
        load_npz(path)
    alone = tmp_path / 'x.npy'
    np.save(alone, np.zeros((2, 3)))
    data = alone.read_bytes()
    for claim in (b'(99, 9),', b'(2, 99),'):
        alone.write_bytes(data.replace(b'(2, 3), ', claim))
        with pytest.raises(ValueError, match='x.npy'):
            load_npy(alone)
        with zipfile.ZipFile(path, 'w') as archive:
            archive.writestr('a.npy', alone.read_bytes())
        with pytest.raises(ValueError, match='x.npz'):
            load_npz(path)
    alone.write_bytes(data[:40])
    path.write_bytes(data)
    for load, file in ((load_npy, alone), (load_npz, path)):
        with pytest.raises(ValueError, match='damaged'):
            load(file)


def test_a_disk_that_takes_no_more(tmp_path):
    path = tmp_path / 'x.txt'
    path.write_text('old')
    with pytest.raises(OSError, match='x.txt.*No space left'):
        with atomic_path(path) as temporary:
            with open(temporary, 'w') as file:
                file.write('half')
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert path.read_text() == 'old' and os.listdir(tmp_path) == ['x.txt']
    with pytest.raises(OSError, match='x.txt/work.*--work'):
        check_writable(str(path / 'work'))
    with pytest.raises(OSError, match='x.txt'):
        check_writable(str(path))
    check_writable(str(tmp_path / 'new'))
    assert os.listdir(tmp_path / 'new') == []
    # other errors stay what they are
    with pytest.raises(OSError, match='^no disk$'):
        with disk_errors('x'):
            raise OSError('no disk')


def test_mmengine_writes_complete_files(tmp_path, monkeypatch):
    from mmengine.runner import save_checkpoint
    register_atomic_backend()
    path = tmp_path / 'deep' / 'x.pth'
    save_checkpoint(dict(a=1), str(path))
    whole = path.read_bytes()

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='x.pth'):
        save_checkpoint(dict(a=2), str(path))
    assert path.read_bytes() == whole and os.listdir(path.parent) == ['x.pth']
