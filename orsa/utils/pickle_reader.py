# Copyright (c) orsa contributors. All rights reserved.
"""Read the pickle of a checkpoint without building what it describes.

Stand-ins take the place of tensors and records, and every claim of a size is
held against the bytes that are there.
"""
import math
import pickle
import re
from typing import Any, Callable, Dict, Optional

# Tensors may share memory (tied weights), but not without end: what copies
# them one by one would need that many times the file.
_SHARING = 8
_SLACK = 1 << 20
_DEPTH = 100  # containers within one another
# numpy's short names of the types that MMEngine's records have
_DTYPES = dict(f4=4, f8=8, i8=8)
# what torch's own reader knows; others may claim sizes, or do what it does not
_OPCODES = '''
    PROTO STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT
    BINUNICODE SHORT_BINSTRING EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS EMPTY_SET GLOBAL
    REDUCE NEWOBJ BUILD BINPERSID BINPUT LONG_BINPUT BINGET LONG_BINGET'''
# what numpy says of a type of number, after the version and order of bytes. It
# takes the last, flags, on trust: others say that the elements are objects.
_NUMBER = (None, None, None, -1, -1, 0)
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


# What a file holds can be nested so that to write it out, or to hash it, takes
# for ever: neither is done with anything but texts and numbers.
class _Dict(dict):
    """For OrderedDict and Counter."""

    state = None


class _Record:
    """For an object that is only given its state."""

    state = None


class _Storage:

    def __init__(self, nbytes: int, itemsize: int):
        self.nbytes, self.itemsize = nbytes, itemsize


class _StorageType:

    def __init__(self, itemsize: int):
        self.itemsize = itemsize


class _Tensor:
    pass


class _NumpyType:

    def __init__(self, name, align=False, copy=True):
        if type(name) is not str or name not in _DTYPES:
            raise Refusal(f'an array of type {_brief(name)}')
        self.itemsize = _DTYPES[name]


class _Array:
    pass


def _brief(value) -> str:
    """A value for a message."""
    return repr(value)[:60] if type(value) in (str, int) else (
        f'a {type(value).__name__}')


def _product(shape) -> int:
    if type(shape) is not tuple or len(shape) > 64 or not all(
            type(n) is int and 0 <= n < 1 << 62 for n in shape):
        raise Refusal('a shape that is none')
    return math.prod(shape)


def _size(shape) -> tuple:
    shape = tuple(shape) if type(shape) is list else shape
    _product(shape)
    return shape


def _plain_key(key) -> bool:
    """Whether a key is of a kind that checkpoints have: texts, numbers of 64
    bits, and tuples of them."""
    if type(key) is tuple:
        return len(key) <= 8 and all(
            type(k) is not tuple and _plain_key(k) for k in key)
    if type(key) is int:  # larger ones can all be given the same hash
        return -1 << 63 <= key < 1 << 64
    return type(key) in (str, float, bool, type(None))


def _reconstruct(kind, shape, code) -> _Array:
    if kind is not _Array or shape != (0, ):
        raise Refusal('an array without its bytes')
    return _Array()


def _scalar(dtype, raw) -> _Record:
    if not isinstance(dtype, _NumpyType) or not isinstance(
            raw, bytes) or len(raw) != dtype.itemsize:
        raise Refusal('a number without its bytes')
    return _Record()


def _getattr(owner, name) -> _Record:
    if owner is not _Record or name not in ('current', 'mean', 'max', 'min'):
        raise Refusal(f'getattr of {_brief(name)} is not allowed in a '
                      'checkpoint')
    return _Record()


def _parameter(data, requires_grad=True, hooks=()) -> Any:
    if not isinstance(data, _Tensor) or hooks:
        raise Refusal('a parameter that is no tensor')
    return data


# Whatever else a pickle asks for is refused. The names are as narrow as what
# MMEngine writes and published weights have. A text is the reader's method.
_ALLOWED: Dict[str, Any] = {
    'collections.OrderedDict': 'make_dict',
    'collections.Counter': 'make_counter',  # milestones of a MultiStepLR
    'torch.Size': _size,
    'torch._utils._rebuild_parameter': _parameter,
    'torch._utils._rebuild_tensor': 'make_tensor',
    'torch._utils._rebuild_tensor_v2': 'make_tensor',
    '_codecs.encode': 'encode',  # how bytes are written for Python 2
    'mmengine.logging.history_buffer.HistoryBuffer': _Record,
    'builtins.getattr': _getattr,
    'numpy.dtype': _NumpyType,
    'numpy.ndarray': _Array,
    'numpy.core.multiarray._reconstruct': _reconstruct,
    'numpy._core.multiarray._reconstruct': _reconstruct,
    'numpy.core.multiarray.scalar': _scalar,
    'numpy._core.multiarray.scalar': _scalar,
}


class _Opcodes(dict):

    def __missing__(self, code):
        raise Refusal(f'the opcode {code} is not allowed')


class PickleReader(pickle._Unpickler):
    """Read a pickle without building what it describes.

    The unpickler in Python, for the one in C makes room for whatever index a
    file names. It knows the opcodes that torch's does, no others.

    Args:
        file (file): Where the pickle begins.
        size (int): Bytes of the file, which bound what it may claim.
        size_of (Callable): Bytes of a storage by its key, None if unknown.
    """

    def __init__(self,
                 file,
                 size: int,
                 size_of: Callable[[str], Optional[int]] = lambda key: None):
        super().__init__(file)
        self.size, self.size_of = size, size_of
        self.storages: Dict[str, _Storage] = {}
        self.claimed = 0
        self._file_read = lambda n: self._read(file, n)

    def _read(self, file, number: int) -> bytes:
        if number > self.size:  # Python would make room for it
            raise EOFError
        return file.read(number)

    def claim(self, number: int, what: str) -> None:
        """Count what is made out of the file's bytes: a name or a content
        that is used again and again makes much out of few."""
        self.claimed += number
        if self.claimed > _SHARING * self.size + _SLACK:
            raise Refusal(f'its {what} claim {self.claimed} bytes, the file '
                          f'has {self.size}')

    def find_class(self, module, name):
        path = f'{module}.{name}'.replace('__builtin__', 'builtins')
        found = re.fullmatch(r'torch\.(?:cuda\.|storage\.)?(\w+Storage)', path)
        if found and found[1] in _STORAGES:
            return _StorageType(_STORAGES[found[1]])
        if path not in _ALLOWED:
            raise Refusal(f'GLOBAL {path[:120]} is not allowed')
        known = _ALLOWED[path]
        return getattr(self, known) if isinstance(known, str) else known

    def persistent_load(self, pid):
        if type(pid) is not tuple or len(pid) not in (5, 6) or pid[0] not in (
                'storage', b'storage'):
            raise Refusal('a reference to something that is no storage')
        _, kind, key, place, numel = pid[:5]
        if not isinstance(kind, _StorageType):
            raise Refusal('a storage of an unknown type')
        if type(key) is not str or type(place) is not str:
            raise Refusal('a storage whose name is no text')
        claimed = _product((numel, )) * kind.itemsize
        there = self.size_of(key)
        if there is not None and there != claimed:
            raise Refusal(f'storage {_brief(key)} claims {claimed} bytes and '
                          f'has {there}')
        if len(pid) == 6 and pid[5] is not None:
            raise Refusal('a view of a storage')
        storage = self.storages.setdefault(key,
                                           _Storage(claimed, kind.itemsize))
        if storage.nbytes != claimed:
            raise Refusal(f'storage {_brief(key)} claims two sizes')
        return storage

    def make_tensor(self, storage, offset, size, stride, *rest) -> _Tensor:
        """Stand in for a tensor."""
        if not isinstance(storage, _Storage):
            raise Refusal('a tensor without a storage')
        if rest[1:2] and rest[1]:
            raise Refusal('a tensor with hooks')
        size = _size(size)
        _size(stride)
        needed = _product(size) * storage.itemsize
        # a tensor whose elements are one (stride 0) is not what weights are
        if needed + _product((offset, )) * storage.itemsize > storage.nbytes:
            raise Refusal(f'a tensor claims the shape {size}, {needed} bytes, '
                          f'of a storage of {storage.nbytes}')
        self.claim(needed, 'tensors')
        return _Tensor()

    def make_dict(self, items=()) -> _Dict:
        """Stand in for an OrderedDict."""
        if type(items) in (dict, _Dict):
            pairs = list(items.items())
        elif type(items) in (list, tuple):
            pairs = items
        else:
            raise Refusal(f'a dict made from {_brief(items)}')
        self.claim(len(pairs), 'dicts')
        made = _Dict()
        for pair in pairs:
            if type(pair) not in (list, tuple) or len(pair) != 2:
                raise Refusal('a dict that is not made from pairs')
            self._set(made, pair)
        return made

    def make_counter(self, items) -> _Dict:
        """Stand in for a Counter, which would hash what is in a list."""
        if type(items) is not dict:
            raise Refusal(f'a counter of {_brief(items)}')
        return self.make_dict(items)

    def encode(self, text, encoding) -> bytes:
        """Bytes, as they are written for Python 2."""
        if type(text) is not str or encoding != 'latin1':
            raise Refusal(f'a text encoded by {_brief(encoding)}')
        self.claim(len(text), 'texts')
        return text.encode('latin1')

    def _fill(self, array: _Array, state) -> None:
        _, shape, dtype, _, raw = state
        if not isinstance(dtype, _NumpyType) or type(raw) is not bytes:
            raise Refusal('an array of objects')
        if _product(shape) * dtype.itemsize != len(raw):
            raise Refusal(f'an array that claims the shape {shape} and has '
                          f'{len(raw)} bytes')
        self.claim(len(raw), 'arrays')

    def load_build(self):
        """Give an object its state; never a class or function, which are
        those of this module."""
        state, made = self.stack.pop(), self.stack[-1]
        if type(made) is _Array:
            self._fill(made, state)
        elif type(made) is _NumpyType:
            if type(state) is not tuple or state[2:] != _NUMBER:
                raise Refusal('an array of what are no numbers')
        elif type(made) in (_Dict, _Record):
            if made.state is not None or type(state) is not dict:
                raise Refusal('an object whose state is none')
            made.state = state
        else:
            raise Refusal(f'{_brief(made)} that is given another content')

    def load_newobj(self):
        arguments, kind = self.stack.pop(), self.stack.pop()
        if kind is not _Record or arguments != ():
            raise Refusal('an object that is not made as MMEngine does')
        self.append(_Record())

    def load_reduce(self):
        if type(self.stack[-1]) is not tuple:
            raise Refusal('a call without arguments')
        super().load_reduce()

    def load_append(self):
        self._extend([self.stack.pop()])

    def load_appends(self):
        self._extend(self.pop_mark())

    def _extend(self, items: list) -> None:
        if type(self.stack[-1]) is not list:
            raise Refusal('elements of something that is no list')
        self.stack[-1].extend(items)

    def load_setitem(self):
        value, key = self.stack.pop(), self.stack.pop()
        self._set(self.stack[-1], [key, value])

    def load_setitems(self):
        items = self.pop_mark()
        self._set(self.stack[-1], items)

    def _set(self, holder, items: list) -> None:
        if type(holder) not in (dict, _Dict):
            raise Refusal('keys of something that is no dict')
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not _plain_key(key):
                raise Refusal(f'a dict with {_brief(key)} as a key')
            holder[key] = value

    def read_object(self) -> Any:
        """The object with stand-ins in it.

        Raises:
            Refusal: If there is anything in it that may not be there.
            Damage: If it is no pickle.
        """
        try:
            content = self.load()
            _weigh(content, _SHARING * self.size + _SLACK, {})
            return content
        except Refusal:
            raise
        except EOFError as error:
            raise Damage('the pickle ends too early') from error
        except MemoryError as error:
            raise Refusal('its pickle takes more memory than there is') \
                from error
        except Exception as error:  # whatever a stand-in was abused for
            raise Refusal(
                'its pickle does what a checkpoint does not '
                f'({type(error).__name__}: {str(error)[:120]})') from error

    dispatch = _Opcodes({
        getattr(pickle, name)[0]:
        pickle._Unpickler.dispatch[getattr(pickle, name)[0]]
        for name in _OPCODES.split()
    })
    dispatch.update({
        pickle.BUILD[0]: load_build,
        pickle.NEWOBJ[0]: load_newobj,
        pickle.REDUCE[0]: load_reduce,
        pickle.APPEND[0]: load_append,
        pickle.APPENDS[0]: load_appends,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems
    })


def _weigh(node: Any,
           limit: int,
           known: Dict[int, int],
           depth: int = 0) -> int:
    """How long what was read is: what is named twice counts twice.

    What reads or prints a checkpoint goes over it like this.

    Args:
        node (Any): Of what was read.
        limit (int): The largest length.
        known (dict[int, int]): Of what was counted before, by its identity.
        depth (int): How deep it lies. Defaults to 0.

    Raises:
        Refusal: If there are more, or they are nested too deep.
    """
    if isinstance(node, dict):
        parts = [*node, *node.values(), getattr(node, 'state', None)]
    elif isinstance(node, (list, tuple)):
        parts = node
    elif isinstance(node, _Record):
        parts = [node.state]
    else:
        return len(node) if isinstance(node, (str, bytes)) else 1
    if id(node) not in known:
        if depth == _DEPTH:
            raise Refusal(f'its content is nested more than {_DEPTH} times')
        known[id(node)] = 1 + sum(
            _weigh(part, limit, known, depth + 1) for part in parts)
    if known[id(node)] > limit:
        raise Refusal('its content, written out, is without end')
    return known[id(node)]
