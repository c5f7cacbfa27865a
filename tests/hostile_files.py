# Copyright (c) orsa contributors. All rights reserved.
"""Files that every reader of checkpoints has to refuse."""
import io
import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import torch
import torch._utils

GIGABYTE = 1 << 30
BOMB = 1 << 28


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


class Storage:
    """Pickles as a storage that claims a number of elements."""

    def __init__(self, numel, kind=torch.FloatStorage, more=()):
        self.numel, self.kind, self.more = numel, kind, more


class _Pickler(pickle.Pickler):

    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            return 'storage', obj.kind, '0', 'cpu', obj.numel, *obj.more


def dumps(content) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, 2).dump(content)
    return buffer.getvalue()


def tensor(claimed, size, stride, offset=0):
    return Call(torch._utils._rebuild_tensor_v2, Storage(claimed), offset,
                size, stride, False, OrderedDict())


def write_zip(path, pickled, data=b'\1' * 16, compress=zipfile.ZIP_STORED):
    """An archive as torch writes it, with any pickle and storage."""
    with zipfile.ZipFile(path, 'w', compress) as archive:
        archive.writestr('archive/data.pkl', pickled)
        archive.writestr('archive/version', '3\n')
        archive.writestr('archive/byteorder', 'little')
        archive.writestr('archive/data/0', data)


def _op(name, *args):
    return b'c' + name.replace(' ', '\n').encode() + b'\n' + b''.join(args)


def write_poison(folder):
    """Files that give what torch may call another state.

    Returns:
        list[Path]: The files.
    """
    paths = []
    for name in ('mmengine.logging.history_buffer HistoryBuffer',
                 'collections OrderedDict', 'numpy dtype', 'numpy ndarray',
                 'torch Size', 'builtins getattr'):
        for key in ('__init__', '__setstate__'):
            paths.append(folder / f'poison{len(paths)}.pth')
            state = b'X' + len(key).to_bytes(4, 'little') + key.encode()
            state = b'N}' + state + _op('torch Size') + b's\x86'
            write_zip(paths[-1], b'\x80\x02' + _op(name) + state + b'b.')
    return paths


def write_two_readings(path, order=1):
    """torch finds ``DATA.PKL`` when it looks for ``data.pkl``: a tensor that
    takes a gigabyte as soon as somebody adds up its elements."""
    names = dict(good='archive/data.pkl', bad='archive/DATA.PKL')
    wide = tensor(4, (1 << 27, ), (0, ))
    made = dict(
        good=dumps(dict(state_dict=dict(w=tensor(4, (4, ), (1, ))))),
        bad=dumps(dict(state_dict=dict(w=wide))))
    with zipfile.ZipFile(path, 'w') as archive:
        for kind in ('good', 'bad')[::order]:
            archive.writestr(names[kind], made[kind])
        archive.writestr('archive/version', '3\n')
        archive.writestr('archive/byteorder', 'little')
        archive.writestr('archive/data/0', bytes(16))


def _cut(path, content, keep):
    torch.save(content, path)
    data = path.read_bytes()
    path.write_bytes(data[:int(len(data) * keep)])


def _flipped(path):
    """One bit of a weight is another than was written."""
    torch.save(dict(state_dict=dict(w=torch.ones(4096))), path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def write_all(folder, trace):
    """Write the files.

    Args:
        folder (Path): Where to.
        trace (Path): What the code of those that carry some would make.

    Returns:
        dict[str, Path]: By what is wrong with them.
    """
    folder.mkdir(exist_ok=True, parents=True)
    attack = Call(os.mkdir, str(trace))
    shell = Call(os.system, f'mkdir {trace}')
    ones = torch.ones(3)
    made = {
        'code': dict(state_dict=attack),
        'shell': dict(state_dict=dict(w=shell)),
        'code in meta': dict(state_dict=dict(w=ones), meta=attack),
        'eval': dict(state_dict=Call(eval, f'open("{trace}", "w")')),
        'attribute': dict(state_dict=Call(getattr, np.ndarray, 'tofile')),
        'bytearray': dict(state_dict=Call(bytearray, 4 * GIGABYTE)),
        'numpy': dict(state_dict=Call(
            np.array([0.]).__reduce__()[0], np.ndarray, (GIGABYTE, ), b'b')),
        'objects': dict(state_dict=dict(w=np.array([attack], object))),
        'a list': [ones],
        'a number': 3,
        'a state of texts': dict(state_dict=dict(w='x', v='y')),
        'a state of lists': dict(state_dict=[ones]),
        'keys that are no texts': {1: ones},
        'meta that is none': dict(state_dict=dict(w=ones), meta=[1]),
        'classes that are none': dict(
            state_dict=dict(w=ones),
            meta=dict(dataset_meta=dict(classes=7))),
        'nan': dict(state_dict=dict(w=torch.tensor([1., float('nan')]))),
        'inf': dict(w=torch.tensor([1., float('-inf')]).half()),
        'sparse': dict(state_dict=dict(w=torch.eye(3).to_sparse())),
        'meta device': dict(state_dict=dict(
            w=torch.empty(1 << 40, device='meta'))),
    }  # yapf: disable
    files = {}
    for i, (name, content) in enumerate(made.items()):
        files[name] = folder / f'{i}.pth'
        torch.save(content, files[name])
        if name in ('code', 'shell', 'bytearray'):
            files[f'{name}, old format'] = folder / f'{i}_old.pth'
            torch.save(
                content,
                folder / f'{i}_old.pth',
                _use_new_zipfile_serialization=False)

    def new(name):
        files[name] = folder / f'{len(files)}.pth'
        return files[name]

    new('plain pickle').write_bytes(pickle.dumps(shell))
    new('old protocol').write_bytes(
        f"cos\nsystem\n(S'mkdir {trace}'\ntR.".encode())
    write_zip(
        new('zip bomb'),
        dumps(
            dict(state_dict=dict(w=tensor(BOMB // 4, (BOMB // 4, ), (1, ))))),
        bytes(BOMB), zipfile.ZIP_DEFLATED)
    write_zip(
        new('an opcode that makes room'),
        b'\x80\x05\x96' + (4 * GIGABYTE).to_bytes(8, 'little') + b'.')
    write_zip(
        new('repeated elements'),
        dumps(dict(state_dict=dict(w=tensor(4, (1 << 40, ), (0, ))))))
    write_zip(
        new('claimed storage'),
        dumps(dict(state_dict=dict(w=tensor(1 << 40, (1 << 40, ), (1, ))))))
    write_zip(
        new('beyond the storage'),
        dumps(dict(state_dict=dict(w=tensor(4, (4, ), (1, ), 1 << 20)))))
    write_zip(new('memo'), b'\x80\x02r\xff\xff\xff\x7f.')
    write_zip(new('endless number'), b'\x80\x02\x8b\xff\xff\xff\x7f.')
    for order in (1, -1):
        write_two_readings(new(f'two readings, order {order}'), order)
    for name, code in (('frame', b'\x95'), ('bytes8', b'\x8e'), ('unicode8',
                                                                 b'\x8d')):
        data = b'\x80\4' + code + (1 << 62).to_bytes(8, 'little') + b'K\1.'
        new(f'{name}, old format').write_bytes(data)
        write_zip(new(name), data)
    new('unicode').write_bytes(b'\x80\2X\xff\xff\xff\xff.')
    with zipfile.ZipFile(new('another zip'), 'w') as archive:
        archive.writestr('hello.txt', 'hello')
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(new('program')))
    new('empty').write_bytes(b'')
    new('noise').write_bytes(np.random.default_rng(0).bytes(4096))
    new('image').write_bytes(b'\xff\xd8\xff\xe0' + bytes(64))
    for keep in (.01, .5, .999):
        _cut(new(f'cut at {keep}'), dict(w=torch.ones(4096)), keep)
    _flipped(new('a flipped bit'))
    return files
