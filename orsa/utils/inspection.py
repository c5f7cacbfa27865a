# Copyright (c) orsa contributors. All rights reserved.
"""A look at a checkpoint file before anything in it is built.

``torch.load(weights_only=True)`` runs no code, but believes what a file says
of its own sizes: a megabyte of deflated zeros, a ``bytearray`` of ten
gigabytes or a tensor of 10**12 equal elements take the memory of the machine,
at once or when they are first used. Here the pickle is read with stand-ins
that build nothing, and every claim is held against the bytes that are there.
"""
import math
import os
import pickle
import re
import zipfile
from typing import Any, Callable, Dict, Optional

_ZIP = b'PK\x03\x04'
_MAGIC = 0x1950a86a20f9469cfc6c  # of torch's format before 1.6
# Tensors may share memory (tied weights), but not without end: what copies
# them one by one would need that many times the file.
_SHARING = 8
_SLACK = 1 << 20
# numpy's short names of the types that MMEngine's records have
_DTYPES = dict(f4=4, f8=8, i8=8)
# bytes of an element by torch's names of storages
_STORAGES = dict(
    DoubleStorage=8,
    FloatStorage=4,
    HalfStorage=2,
    BFloat16Storage=2,
    LongStorage=8,
    IntStorage=4,
    ShortStorage=2,
    CharStorage=1,
    ByteStorage=1,
    BoolStorage=1,
    UntypedStorage=1)


class Refusal(pickle.UnpicklingError):
    """A checkpoint refers to something that it may not, or claims memory
    that it does not have. Nothing of it was run."""


class Damage(RuntimeError):
    """A checkpoint is cut off, damaged, or a file of another kind."""


class _Dict(dict):
    """For OrderedDict and Counter; takes attributes as they do."""

    def __init__(self, items=()):
        if not isinstance(items, (dict, list, tuple)):
            raise Refusal(f'a dict made from {type(items).__name__}')
        super().__init__(items)


class _Record:
    """For an object that is only given its state."""


class _Storage:

    def __init__(self, nbytes: int, itemsize: int):
        self.nbytes, self.itemsize = nbytes, itemsize


class _StorageType:

    def __init__(self, itemsize: int):
        self.itemsize = itemsize


class _Tensor:

    def __setstate__(self, state):
        raise Refusal('a tensor that is given another content')


class _NumpyType:

    def __init__(self, name, align=False, copy=True):
        if name not in _DTYPES:
            raise Refusal(f'an array of type {str(name)[:20]!r}')
        self.itemsize = _DTYPES[name]

    def __setstate__(self, state):
        pass


class _Array:

    def __setstate__(self, state):
        _, shape, dtype, _, raw = state
        if not isinstance(dtype, _NumpyType) or not isinstance(raw, bytes):
            raise Refusal('an array of objects')
        if _product(shape) * dtype.itemsize != len(raw):
            raise Refusal(f'an array that claims the shape {shape} and has '
                          f'{len(raw)} bytes')


def _product(shape) -> int:
    if not isinstance(shape, tuple) or len(shape) > 64 or not all(
            type(n) is int and 0 <= n < 1 << 62 for n in shape):
        raise Refusal(f'a shape that is none: {str(shape)[:60]}')
    return math.prod(shape)


def _reconstruct(kind, shape, code) -> _Array:
    if kind is not _Array or shape != (0, ):
        raise Refusal(f'an array of the shape {shape} without its bytes')
    return _Array()


def _scalar(dtype, raw) -> _Record:
    if not isinstance(dtype, _NumpyType) or not isinstance(
            raw, bytes) or len(raw) != dtype.itemsize:
        raise Refusal('a number without its bytes')
    return _Record()


def _encode(text, encoding) -> bytes:
    if not isinstance(text, str) or encoding != 'latin1':
        raise Refusal(f'a text encoded by {encoding!r}')
    return text.encode('latin1')


def _getattr(owner, name) -> _Record:
    if owner is not _Record or name not in ('current', 'mean', 'max', 'min'):
        raise Refusal(f'getattr of {str(name)[:40]!r} is not allowed in a '
                      'checkpoint')
    return _Record()


def _parameter(data, requires_grad=True, hooks=()) -> Any:
    if not isinstance(data, _Tensor) or hooks:
        raise Refusal('a parameter that is no tensor')
    return data


# Whatever else a pickle asks for is refused. The names are as narrow as what
# MMEngine writes and published weights have.
_ALLOWED: Dict[str, Callable] = {
    'collections.OrderedDict': _Dict,
    'collections.Counter': _Dict,  # milestones of a MultiStepLR
    'torch.Size': tuple,
    'torch._utils._rebuild_parameter': _parameter,
    '_codecs.encode': _encode,  # how bytes are written for Python 2
    'mmengine.logging.history_buffer.HistoryBuffer': _Record,
    'builtins.getattr': _getattr,
    'numpy.dtype': _NumpyType,
    'numpy.ndarray': _Array,
    'numpy.core.multiarray._reconstruct': _reconstruct,
    'numpy._core.multiarray._reconstruct': _reconstruct,
    'numpy.core.multiarray.scalar': _scalar,
    'numpy._core.multiarray.scalar': _scalar,
}


class _Reader(pickle._Unpickler):
    """Read a pickle without building what it describes.

    The unpickler in Python, for the one in C makes room for whatever index a
    file names.

    Args:
        file (file): Where the pickle begins.
        size_of (Callable): Bytes of a storage by its key, None if unknown.
    """

    def __init__(self, file, size_of: Callable[[str], Optional[int]]):
        super().__init__(file)
        self.size_of = size_of
        self.storages: Dict[str, _Storage] = {}
        self.tensor_bytes = 0

    def find_class(self, module, name):
        path = f'{module}.{name}'.replace('__builtin__', 'builtins')
        if path == 'torch._utils._rebuild_tensor_v2':
            return self._tensor
        if path == 'torch._utils._rebuild_tensor':
            return self._tensor
        found = re.fullmatch(r'torch\.(?:cuda\.|storage\.)?(\w+Storage)', path)
        if found and found[1] in _STORAGES:
            return _StorageType(_STORAGES[found[1]])
        if path not in _ALLOWED:
            raise Refusal(f'GLOBAL {path[:120]} is not allowed')
        return _ALLOWED[path]

    def get_extension(self, code):
        raise Refusal(f'the extension {code} is not allowed')

    def load_bytearray8(self):
        # it makes room for whatever length is claimed
        raise Refusal('a bytearray is not allowed')

    dispatch = {
        **pickle._Unpickler.dispatch, pickle.BYTEARRAY8[0]: load_bytearray8
    }

    def persistent_load(self, pid):
        if not isinstance(pid, tuple) or len(pid) not in (
                5, 6) or pid[0] not in ('storage', b'storage'):
            raise Refusal('a reference to something that is no storage')
        kind, key, numel = pid[1], str(pid[2]), pid[4]
        if not isinstance(kind, _StorageType):
            raise Refusal('a storage of an unknown type')
        claimed = _product((numel, )) * kind.itemsize
        there = self.size_of(key)
        if there is not None and there != claimed:
            raise Refusal(f'storage {key} claims {claimed} bytes and has '
                          f'{there}')
        view = pid[5] if len(pid) == 6 else None
        if view is not None:
            raise Refusal('a view of a storage')
        storage = self.storages.setdefault(key,
                                           _Storage(claimed, kind.itemsize))
        if storage.nbytes != claimed:
            raise Refusal(f'storage {key} claims two sizes')
        return storage

    def _tensor(self, storage, offset, size, stride, *rest) -> _Tensor:
        if not isinstance(storage, _Storage):
            raise Refusal('a tensor without a storage')
        needed = _product(tuple(size)) * storage.itemsize
        # a tensor whose elements are one (stride 0) is not what weights are
        if needed + _product((offset, )) * storage.itemsize > storage.nbytes:
            raise Refusal(f'a tensor claims the shape {tuple(size)}, '
                          f'{needed} bytes, of a storage of {storage.nbytes}')
        self.tensor_bytes += needed
        return _Tensor()

    def read_object(self) -> Any:
        """The object with stand-ins in it.

        Raises:
            Refusal: If there is anything in it that may not be there.
            Damage: If it is no pickle.
        """
        try:
            return self.load()
        except Refusal:
            raise
        except EOFError as error:
            raise Damage('the pickle ends too early') from error
        except MemoryError:
            raise
        except Exception as error:  # whatever a stand-in was abused for
            raise Refusal(
                'its pickle does what a checkpoint does not '
                f'({type(error).__name__}: {str(error)[:120]})') from error


def inspect(path: str) -> Any:
    """Look at a checkpoint file without building anything.

    Reads torch's two formats: the zip of today and the one before 1.6. A file
    that passes has no global names but the few of the allow-list, no deflated
    entries, no tensor larger than its bytes in the file, and the check sums
    that it was written with.

    Args:
        path (str): A file.

    Returns:
        Any: What it holds, with stand-ins for tensors and records.

    Raises:
        Refusal: If it refers to more, or claims memory that it does not have.
        Damage: If it is cut off, damaged or of another kind.
    """
    size = os.path.getsize(path)
    with open(path, 'rb') as file:
        if file.read(len(_ZIP)) == _ZIP:
            try:
                content, reader = _inspect_zip(path, size)
            except (zipfile.BadZipFile, NotImplementedError, EOFError,
                    UnicodeDecodeError, OSError) as error:
                raise Damage(f'{type(error).__name__}: {error}') from error
        else:
            file.seek(0)
            content, reader = _inspect_legacy(file, size)
    if reader.tensor_bytes > _SHARING * size + _SLACK:
        raise Refusal(f'its tensors claim {reader.tensor_bytes} bytes, the '
                      f'file has {size}')
    return content


def _inspect_zip(path: str, size: int):
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        deflated = [e for e in entries if e.compress_type]
        if deflated:
            raise Refusal(f'{deflated[0].filename!r} is compressed, which '
                          'torch never does')
        if sum(e.file_size for e in entries) > size:
            raise Refusal('its entries claim more bytes than the file has')
        sizes = {e.filename: e.file_size for e in entries}
        if not sizes or len(sizes) < len(entries):
            raise Refusal('it is empty, or has an entry twice')
        folder = entries[0].filename.split('/')[0]
        if f'{folder}/constants.pkl' in sizes:
            raise Refusal('it is a TorchScript program, no checkpoint')
        if f'{folder}/data.pkl' not in sizes:
            raise Damage('it is a zip of something else')
        damaged = archive.testzip()
        if damaged:
            raise Damage(f'the check sum of {damaged!r} is wrong')
        with archive.open(f'{folder}/data.pkl') as file:
            reader = _Reader(file, lambda key: sizes.get(
                f'{folder}/data/{key}', -1))  # yapf: disable
            return reader.read_object(), reader


def _inspect_legacy(file, size: int):

    def none(key):
        return None

    start = file.read(2)
    file.seek(0)
    if start[:1] != b'\x80':
        raise Damage('it does not begin as a checkpoint does')
    if _Reader(file, none).read_object() != _MAGIC:
        raise Damage('it is a pickle of something else')
    for _ in range(2):  # the version of the format, facts of the machine
        _Reader(file, none).read_object()
    reader = _Reader(file, none)
    content = reader.read_object()
    keys = _Reader(file, none).read_object()
    claimed = sum(s.nbytes for s in reader.storages.values())
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(
            reader.storages):
        raise Damage('its storages are not those that it lists')
    left = size - file.tell()
    if claimed + 8 * len(keys) != left:
        raise Damage(f'its tensors need {claimed + 8 * len(keys)} bytes, '
                     f'{left} follow')
    return content, reader
