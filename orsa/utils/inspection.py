# Copyright (c) orsa contributors. All rights reserved.
"""A look at a checkpoint file before anything in it is built.

``torch.load(weights_only=True)`` runs no code, but believes what a file says
of its own sizes: a megabyte of deflated zeros, a ``bytearray`` of ten
gigabytes or a tensor of 10**12 equal elements take the memory of the machine,
at once or when they are first used. Here the file is gone through first: its
container in this module, its pickle, with stand-ins that build nothing, in
:mod:`orsa.utils.pickle_reader`.
"""
import os
import re
import struct
import tarfile
import zipfile
from typing import Any

from .pickle_reader import Damage, PickleReader, Refusal

_ZIP = b'PK\x03\x04'
_MAGIC = 0x1950a86a20f9469cfc6c  # of torch's format before 1.6
_END, _END64, _LOCATOR64 = 22, 56, 20  # bytes of a zip's last records


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
        if file.read(len(_ZIP)) != _ZIP:
            return _inspect_legacy(file, size)
        try:
            return _inspect_zip(file, size)
        except (zipfile.BadZipFile, NotImplementedError, EOFError,
                UnicodeDecodeError, OSError) as error:
            raise Damage(f'{type(error).__name__}: {error}') from error


def _inspect_zip(file, size: int) -> Any:
    number = _read_end(file, size)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if not entries or len(entries) != number:
            raise Refusal('it is empty, or miscounts its entries')
        folder = entries[0].filename.split('/')[0]
        sizes = {e.filename: e.file_size for e in entries}
        if f'{folder}/constants.pkl' in sizes:
            raise Refusal('it is a TorchScript program, no checkpoint')
        _check_entries(entries, folder)
        if sum(e.file_size for e in entries) > size:
            raise Refusal('its entries claim more bytes than the file has')
        if f'{folder}/data.pkl' not in sizes:
            raise Damage('it is a zip of something else')
        damaged = archive.testzip()
        if damaged:
            raise Damage(f'the check sum of {damaged!r} is wrong')
        with archive.open(f'{folder}/data.pkl') as pickled:
            return PickleReader(pickled, size, lambda key: sizes.get(
                f'{folder}/data/{key}', -1)).read_object()  # yapf: disable


# torch has another reader of zips than Python: what both do not understand in
# the same way is refused, or torch would read what was not looked at.
def _read_end(file, size: int) -> int:
    """The number of entries that a zip claims.

    Raises:
        Damage: If it does not end as torch's do.
        Refusal: If what lists the entries does not lie right before its end.
    """
    file.seek(max(0, size - _END - _LOCATOR64 - _END64))
    tail = file.read()
    start, locator = tail[-_END:], tail[-_END - _LOCATOR64:-_END]
    if start[:4] != b'PK\5\6' or start[-2:] != b'\0\0':
        raise Damage('the end of the zip is missing, or is a comment')
    end = size - _END
    number, length, begin = struct.unpack('<HLL', start[10:20])
    if locator[:4] == b'PK\6\7':
        end -= _LOCATOR64 + _END64
        if tail[:4] != b'PK\6\6' or struct.unpack('<Q',
                                                  locator[8:16])[0] != end:
            raise Refusal('it has two lists of its entries')
        number, length, begin = struct.unpack('<QQQ', tail[32:_END64])
    if begin + length != end:
        raise Refusal('it has bytes before or after its entries')
    return number


def _check_entries(entries, folder: str) -> None:
    seen = set()
    for entry in entries:
        name = entry.orig_filename
        if entry.compress_type:
            raise Refusal(f'{name[:60]!r} is compressed, which torch never '
                          'does')
        # torch compares names without regard of case
        if name.lower() in seen:
            raise Refusal(f'it has the entry {name[:60]!r} twice, by torch')
        seen.add(name.lower())
        if not name.startswith(folder + '/') or re.search(
                r'[\\\0-\x1f]|[^\0-\x7f]', name[len(folder):]):
            raise Refusal(f'{name[:60]!r} is no name that torch gives')
        # flags of a folder, whose content torch leaves as it finds memory
        if (entry.compress_size != entry.file_size
                or entry.external_attr & 0x10 or name.endswith('/')
                or _extended(entry.extra) > 1):
            raise Refusal(f'{name[:60]!r} has two sizes')


def _extended(extra: bytes) -> int:
    """How many times an entry states sizes of more than 32 bits."""
    found = 0
    while extra:
        kind, length = struct.unpack('<HH', extra[:4].ljust(4, b'\xff'))
        found += kind == 1
        extra = extra[4 + length:]
    return found


def _inspect_legacy(file, size: int) -> Any:
    file.seek(0)
    start = file.read(tarfile.BLOCKSIZE)
    file.seek(0)
    if start[:1] != b'\x80':
        raise Damage('it does not begin as a checkpoint does')
    try:  # which torch tries first
        tarfile.TarInfo.frombuf(start, 'utf-8', 'surrogateescape')
    except tarfile.TarError:
        pass
    else:
        raise Refusal('it is a tar, which is not allowed')
    if PickleReader(file, size).read_object() != _MAGIC:
        raise Damage('it is a pickle of something else')
    for _ in range(2):  # the version of the format, facts of the machine
        PickleReader(file, size).read_object()
    reader = PickleReader(file, size)
    content = reader.read_object()
    keys = PickleReader(file, size).read_object()
    claimed = sum(s.nbytes for s in reader.storages.values())
    if type(keys) is not list or not all(
            type(key) is str
            for key in keys) or sorted(keys) != sorted(reader.storages):
        raise Damage('its storages are not those that it lists')
    left = size - file.tell()
    if claimed + 8 * len(keys) != left:
        raise Damage(f'its tensors need {claimed + 8 * len(keys)} bytes, '
                     f'{left} follow')
    return content
