# Copyright (c) orsa contributors. All rights reserved.
"""Writing files whole or not at all."""
import contextlib
import csv
import errno
import hashlib
import json
import math
import os
import os.path as osp
import re
import shutil
import stat
import sys
import tempfile
import zipfile
from typing import Any, Dict, Iterable, Iterator, Optional, Sequence

import numpy as np
from mmengine.fileio import LocalBackend, register_backend

from .image_files import open_ordinary, read_bytes

TEMPORARY = '.tmp_'
# what a disk says when it takes no more, or never did
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES,
         errno.EPERM, errno.ENOTDIR)


@contextlib.contextmanager
def plain_disk_errors(path: str) -> Iterator[None]:
    """Say of a full or read-only disk which file it is about and what to do.

    Raises:
        OSError: With the number that the disk gave.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK or 'cannot be written' in str(error):
            raise
        remedy = 'free some space, or' if error.errno in _DISK[:3] else (
            'see to its permissions, or')
        raise OSError(
            error.errno,
            f"'{path}' cannot be written ({os.strerror(error.errno)}). What "
            'was whole before is untouched; ' + remedy +
            ' name another folder (--work-dir)') from error


def check_writable(folder: str) -> None:
    """Make a folder, and see that a file can be written into it.

    Raises:
        OSError: If not; the message names it and says why.
    """
    if osp.exists(folder) and not osp.isdir(folder):
        raise NotADirectoryError(f"'{folder}' is a file: name a folder")
    with plain_disk_errors(folder):
        with atomic_path(osp.join(folder, '.writable')):
            pass
        with contextlib.suppress(FileNotFoundError):
            os.remove(osp.join(folder, '.writable'))


class AtomicBackend(LocalBackend):
    """MMEngine's access to local files, writing whole or not at all.

    All loaders of pictures read by it: what would make a decoder take memory
    or time without end is refused, see
    :func:`orsa.utils.image_files.image_fault`.
    """

    def get(self, filepath: str) -> bytes:
        """Read bytes.

        Raises:
            OSError: If it is no ordinary file, or a picture that no decoder
                should be given.
        """
        return read_bytes(filepath)

    def put(self, obj: bytes, filepath: str) -> None:
        """Write bytes."""
        with atomic_path(filepath) as temporary:
            with open(temporary, 'wb') as file:
                file.write(obj)

    def put_text(self,
                 obj: str,
                 filepath: str,
                 encoding: str = 'utf-8') -> None:
        """Write a text."""
        self.put(obj.encode(encoding), filepath)


def register_atomic_backend() -> None:
    """Let MMEngine write checkpoints and dumps whole or not at all.

    MMEngine 0.10.7 opens the file itself for writing: killed meanwhile, it
    leaves half a checkpoint under a good name. This replaces its access to
    local files in the place that it provides for it.
    """
    register_backend('local', AtomicBackend, force=True, prefixes='')


@contextlib.contextmanager
def atomic_path(path: str) -> Iterator[str]:
    """Yield a temporary path beside ``path``, renamed to it on success.

    The file is flushed to the disk before it gets its name, so that ``path``
    never holds half of it. After an error the temporary file is removed and
    ``path`` stays as it was. The temporary name keeps the suffix.

    A link is followed: it stays, and the file that it names is written. What
    is there and is no file (``/dev/stdout``, ``/dev/null``, a pipe) gets the
    whole content at the end.

    Args:
        path (str): Where the file shall be. Its folder is made if missing.

    Raises:
        OSError: If it cannot be written, is a folder, or a disk.
    """
    path = osp.abspath(osp.expanduser(str(path)))
    with plain_disk_errors(path):
        stream = _is_stream(path)
        target = path if stream else osp.realpath(path)
        folder = tempfile.gettempdir() if stream else osp.dirname(target)
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(
            prefix=TEMPORARY, suffix='_' + osp.basename(path), dir=folder)
        os.close(handle)
    try:
        with plain_disk_errors(path):
            yield temporary
            if stream:
                _pour(temporary, path)
                os.remove(temporary)
            else:
                _rename(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)
        raise


def _is_stream(path: str) -> bool:
    """Whether a path is no file, but something to write into.

    Raises:
        OSError: If it is neither.
    """
    if _open_number(path) is not None:
        return True
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
        raise OSError(f"'{path}' is a folder, a disk or a socket: name a file "
                      'to write')
    return not stat.S_ISREG(mode)


def _open_number(path: str) -> Optional[int]:
    """The number of what is open already, if the path says so: to rename
    another file to it would part the two."""
    names = {'/dev/stdout': 1, '/dev/stderr': 2}
    found = re.fullmatch('/(?:dev|proc/self)/fd/([0-9]{1,9})', path)
    return int(found[1]) if found else names.get(path)


def _pour(temporary: str, path: str) -> None:
    number = _open_number(path)
    if number in (1, 2):
        (sys.stdout if number == 1 else sys.stderr).flush()
    # its own descriptor goes on where it is, a second one of the file would
    # write over what is there
    with open(temporary, 'rb') as file, open(
            path if number is None else os.dup(number), 'wb') as into:
        shutil.copyfileobj(file, into)


def _rename(temporary: str, target: str) -> None:
    with open(temporary, 'rb+') as file:
        os.fsync(file.fileno())
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(temporary, 0o666 & ~umask)  # mkstemp's 0600 is for secrets
    os.replace(temporary, target)
    _flush_folder(osp.dirname(target))


def _flush_folder(folder: str) -> None:
    """Flush the names too, where the system can: a power cut loses none."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def file_hash(path: str) -> str:
    """SHA-256 of a file, in hexadecimal.

    Args:
        path (str): The file, read in pieces.
    """
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def write_text(path: str, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    What is no UTF-8, as names of files can be, is escaped as JSON does.
    """
    with atomic_path(path) as temporary:
        with open(
                temporary, 'w', encoding='utf-8',
                errors='backslashreplace') as file:
            file.write(text)


def write_csv(path: str, rows: Iterable[Sequence]) -> None:
    """Write rows, the names of the columns first, whole or not at all."""
    with atomic_path(path) as temporary:
        with open(temporary, 'w', newline='', encoding='utf-8') as file:
            csv.writer(file).writerows(rows)


def save_npz(path: str, compress: bool = True, **arrays: np.ndarray) -> None:
    """Write arrays by name as numpy does, whole or not at all."""
    save = np.savez_compressed if compress else np.savez
    with atomic_path(path) as temporary:
        with open(temporary, 'wb') as file:
            save(file, **arrays)


# What numpy's deflated arrays may grow to, as a multiple of the file: labels
# and names shrink that much, a bomb a thousand times.
_GROWTH, _SLACK = 64, 1 << 24


def _check_header(file: Any, size: int) -> None:
    """Hold what an .npy file says of itself against its bytes.

    Args:
        file (file): At its beginning.
        size (int): Its bytes in all.

    Raises:
        ValueError: If it holds objects, or another number of bytes.
    """
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0) else np.lib.format.read_array_header_2_0)
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError('it holds Python objects, which are not read')
    if math.prod(shape) * dtype.itemsize != size - file.tell():
        raise ValueError(f'it claims {dtype} of shape {shape} and has '
                         f'{size - file.tell()} bytes')


def load_npy(path: str) -> np.ndarray:
    """Read an array that numpy wrote, with no more memory than it has bytes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, holds objects, or claims another size
            than it has.
    """
    try:
        with open_ordinary(path, 'rb') as file:
            _check_header(file, os.path.getsize(path))
            file.seek(0)
            return np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise
    except Exception as error:  # of numpy, ast, zipfile, ...
        raise ValueError(f"'{path}' is no array of numpy's, or damaged "
                         f'({error})') from error


def load_npz(path: str) -> Dict[str, np.ndarray]:
    """Read what :func:`save_npz` wrote; what claims more is refused.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, holds objects, or would grow to more
            than 64 times its size.
    """
    try:
        with open_ordinary(path,
                           'rb') as opened, zipfile.ZipFile(opened) as archive:
            entries = archive.infolist()
            grown = sum(e.file_size for e in entries)
            if grown > _GROWTH * os.path.getsize(path) + _SLACK:
                raise ValueError(f'its arrays claim {grown} bytes')
            for entry in entries:
                with archive.open(entry) as file:
                    _check_header(file, entry.file_size)
        with np.load(path, allow_pickle=False) as content:
            return dict(content)
    except FileNotFoundError:
        raise
    except Exception as error:  # of numpy, ast, zipfile, zlib, ...
        raise ValueError(f"'{path}' is no file of numpy's arrays, or damaged "
                         f'({error})') from error


def load_json(path: str) -> Any:
    """Read JSON in UTF-8, with the mark of Windows' editors or without.

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: If it is no ordinary file.
        ValueError: If it is damaged, with the place.
    """
    try:
        with open_ordinary(path, encoding='utf-8-sig') as file:
            return json.load(file)
    # a RecursionError comes of what is nested too deep
    except (ValueError, RecursionError) as error:
        raise ValueError(f"'{path}' is no JSON in UTF-8, or damaged "
                         f'({error})') from error


def dump_json(obj: Any, path: str) -> None:
    """Write ``obj`` as indented JSON, whole or not at all.

    NaN is written as ``null``: JSON has no such number, and strict readers
    stop at it.
    """
    text = json.dumps(
        _plain(obj), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + '\n')


def _plain(obj: Any) -> Any:
    if isinstance(obj, dict):
        return {str(k): _plain(v) for k, v in obj.items()}
    if isinstance(obj, (list, tuple)):
        return [_plain(v) for v in obj]
    if hasattr(obj, 'tolist'):  # arrays, tensors and their scalars
        return _plain(obj.tolist())
    if isinstance(obj, float) and (obj != obj
                                   or obj in (float('inf'), float('-inf'))):
        return None
    return obj
