# Copyright (c) orsa contributors. All rights reserved.
"""Each thing that a checkpoint may not hold is refused in its own words.

The files are good ones but for one thing. ``test_hostile_files`` gives whole
attacks to every reader; what is refused there first may hide a second refusal.
"""
import codecs
import copy
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
import torch._utils
from hostile_files import Call, Storage, dumps, tensor, write_zip

from orsa.utils.checkpoint import load_checkpoint_file
from orsa.utils.checkpoint_records import CheckpointError

REFUSED = CheckpointError
MAGIC = 0x1950a86a20f9469cfc6c
BUFFER = b'cmmengine.logging.history_buffer\nHistoryBuffer\n'
SCALAR, ARRAY = np.float64(1).__reduce__()[0], np.ones(1).__reduce__()[0]


class Built(Call):
    """Pickles as a call whose result is given a state."""

    def __init__(self, state, function, *args):
        super().__init__(function, *args)
        self.state = state

    def __reduce__(self):
        return *self.call, self.state


def raw(code: bytes) -> bytes:
    """A state dict with what some opcodes make as its value."""
    return b'\x80\x02}X\1\0\0\0w' + code + b's.'


def made(value) -> bytes:
    return dumps(dict(state_dict=dict(w=value)))


def weights(storage=None, hooks=()):
    return Call(torch._utils._rebuild_tensor_v2,
                Storage(4) if storage is None else storage, 0, (4, ), (1, ),
                False, OrderedDict(hooks))


def array(shape, dtype, data):
    return Built((1, shape, dtype, False, data), ARRAY, np.ndarray, (0, ),
                 b'b')


PICKLES = {
    'a number without its bytes':
    made(Call(SCALAR, np.dtype('f8'), b'abc')),
    'a parameter that is no tensor':
    made(Call(torch._utils._rebuild_parameter, 3, False, OrderedDict())),
    'a storage of an unknown type':
    made(weights(Storage(4, OrderedDict))),
    'a view of a storage':
    made(weights(Storage(4, more=('view', )))),
    'a tensor without a storage':
    made(weights(3)),
    'a tensor with hooks':
    made(weights(hooks={1: 2})),
    'a dict made from 3':
    made(Call(OrderedDict, 3)),
    'a dict that is not made from pairs':
    made(Call(OrderedDict, [(1, 2, 3)])),
    "a text encoded by 'rot13'":
    made(Call(codecs.encode, 'a', 'rot13')),
    'an array of objects':
    made(array((1, ), 3, bytes(8))),
    r'an array that claims the shape \(5,\) and has 8 bytes':
    made(array((5, ), np.dtype('f8'), bytes(8))),
    'an object whose state is none':
    raw(BUFFER + b')\x81]b'),
    'an object that is not made as MMEngine does':
    raw(BUFFER + b'K\1\x85\x81'),
    'a call without arguments':
    raw(b'ctorch\nSize\nK\1R'),
    'keys of something that is no dict':
    raw(b']K\1K\2s'),
    'elements of something that is no list':
    raw(b'}K\1a'),
}


@pytest.mark.parametrize('words', PICKLES)
def test_pickles(tmp_path, words):
    path = tmp_path / 'x.pth'
    write_zip(path, PICKLES[words])
    with pytest.raises(REFUSED, match=f'x.pth.*{words}'):
        load_checkpoint_file(path)


def test_the_good_one_is_read(tmp_path):
    """The others differ from it by one thing."""
    path = tmp_path / 'x.pth'
    write_zip(path, made(weights()), np.arange(4, dtype='f4').tobytes())
    read = load_checkpoint_file(path)['state_dict']['w']
    assert read.tolist() == [0, 1, 2, 3]
    records = dict(
        a=array((2, ), np.dtype('f8'),
                np.arange(2.).tobytes()),
        b=Call(SCALAR, np.dtype('f8'),
               np.float64(3).tobytes()),
        c=Call(codecs.encode, 'abc', 'latin1'),
        d=Call(OrderedDict, [(1, 2)]))
    write_zip(path, dumps(dict(state_dict=dict(w=weights()), meta=records)))
    read = load_checkpoint_file(path)['meta']
    assert read.pop('a').tolist() == [0, 1]
    assert read == dict(b=3, c=b'abc', d={1: 2})


def old_format(storages, keys, data):
    """A file of torch's format before 1.6."""
    content = dumps({
        str(i):
        Call(torch._utils._rebuild_tensor_v2, Storage(n, more=(None, )), 0,
             (1, ), (1, ), False, OrderedDict())
        for i, n in enumerate(storages)
    })
    head = b''.join(pickle.dumps(x, 2) for x in (MAGIC, 1001, dict(a=1)))
    return head + content + pickle.dumps(keys, 2) + data


def one_storage(size=4):
    return struct.pack('<q', size) + bytes(4 * size)


OLD = {
    'claims two sizes':
    old_format([4, 5], ['0'], one_storage()),
    'its storages are not those that it lists':
    old_format([4], ['1'], one_storage()),
    'its tensors need 24 bytes, 23 follow':
    old_format([4], ['0'],
               one_storage()[:-1]),
    'its tensors need 24 bytes, 25 follow':
    old_format([4], ['0'],
               one_storage() + b'x'),
    'a pickle of something else':
    pickle.dumps(dict(a=1), 2),
}


@pytest.mark.parametrize('words', OLD)
def test_old_format(tmp_path, words):
    path = tmp_path / 'x.pth'
    path.write_bytes(old_format([4], ['0'], one_storage()))
    assert load_checkpoint_file(path)['0'].tolist() == [0]
    path.write_bytes(OLD[words])
    with pytest.raises(REFUSED, match=f'x.pth.*{words}'):
        load_checkpoint_file(path)


def _overlap(archive):
    """Further names of the same bytes."""
    entry = archive.getinfo('archive/data/0')
    for i in range(1, 99):
        other = copy.copy(entry)
        other.filename = f'archive/data/{i}'
        archive.filelist.append(other)


def _size_twice(archive):
    """Another size, in a field for files of more than 4 GB."""
    archive.getinfo('archive/data/0').extra = struct.pack(
        '<HHQHHQ', 1, 8, 16, 1, 8, 32)


@pytest.mark.parametrize('change, words', [
    (_overlap, 'entries claim more bytes than the file has'),
    (_size_twice, "'archive/data/0' has two sizes"),
    (lambda archive: archive.writestr('archive/constants.pkl', 'x'),
     'a TorchScript program'),
    (lambda archive: archive.writestr('archive/data/1', 'x'), None),
])
def test_zips(tmp_path, change, words):
    path = tmp_path / 'x.pth'
    write_zip(path, made(tensor(4096, (4, ), (1, ))), bytes(4 * 4096))
    with zipfile.ZipFile(path, 'a') as archive:
        change(archive)
        archive._didModify = True
    if words is None:  # what nobody asks for is no harm
        assert load_checkpoint_file(path)
        return
    with pytest.raises(REFUSED, match=f'x.pth.*{words}'):
        load_checkpoint_file(path)


def test_torchscript_is_called_that(tmp_path):
    path = tmp_path / 'x.pth'
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    with pytest.raises(REFUSED, match='x.pth.*TorchScript program'):
        load_checkpoint_file(path)
