# Copyright (c) orsa contributors. All rights reserved.
"""Files that are written completely or not at all, and read with a limit."""
import contextlib
import errno
import hashlib
import json
import math
import os
import os.path as osp
import shutil
import stat
import sys
import tempfile
import zipfile
from typing import Any, Dict, Iterator

import numpy as np

from .image_files import open_ordinary

TEMPORARY = '.tmp_'
# of a name, in a temporary one: file systems take 255 bytes
_KEPT = 40
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)
# Streams of this process. If they are redirected to a file, a second
# descriptor of it would write over what is there.
_STREAMS = {'/dev/stdout': 1, '/dev/stderr': 2}


@contextlib.contextmanager
def disk_errors(path: str) -> Iterator[None]:
    """Name the file and a remedy in errors of a full or read-only disk.

    Args:
        path (str): What is being written.

    Raises:
        OSError: With the number that the disk gave.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL + _REFUSED or 'cannot be written' in str(
                error):
            raise
        hint = ('free some space'
                if error.errno in _FULL else 'change its permissions')
        raise OSError(
            error.errno,
            f"'{path}' cannot be written ({os.strerror(error.errno)}). What "
            f'was complete before is untouched; {hint}, or name another '
            'place (--work-dir, --out)') from error


def check_writable(folder: str) -> None:
    """Make a folder, and check that a file can be written into it.

    Args:
        folder (str): The folder.

    Raises:
        OSError: If not; the message names it and says why.
    """
    if osp.exists(folder) and not osp.isdir(folder):
        raise NotADirectoryError(f"'{folder}' is a file: name a folder")
    with disk_errors(folder):
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


@contextlib.contextmanager
def atomic_path(path: str) -> Iterator[str]:
    """Yield a temporary path beside ``path``, renamed to it on success.

    The file is flushed to the disk before it gets its name, so that ``path``
    never holds half of it. After an error the temporary file is removed and
    ``path`` stays as it was. The temporary name ends as ``path`` does.

    A link is followed: it stays, and the file that it names is written. What
    is there and is no file (``/dev/stdout``, ``/dev/null``, a pipe) gets the
    complete content at the end.

    Args:
        path (str): Where the file shall be. Its folder is made if missing.

    Raises:
        OSError: If it cannot be written, is a folder, a disk or a socket.
    """
    path = osp.abspath(osp.expanduser(str(path)))
    with disk_errors(path):
        stream = _is_stream(path)
        target = path if stream else osp.realpath(path)
        folder = tempfile.gettempdir() if stream else osp.dirname(target)
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(
            prefix=TEMPORARY,
            suffix='_' + osp.basename(path)[-_KEPT:],
            dir=folder)
        os.close(handle)
    try:
        with disk_errors(path):
            yield temporary
            if stream:
                _write_stream(temporary, path)
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
    if path in _STREAMS:
        return True
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
        raise OSError(f"'{path}' is a folder, a disk or a socket: name a file "
                      'to write')
    return not stat.S_ISREG(mode)


def _write_stream(temporary: str, path: str) -> None:
    number = _STREAMS.get(path)
    if number:
        (sys.stdout if number == 1 else sys.stderr).flush()
    with open(temporary,
              'rb') as file, open(os.dup(number) if number else path,
                                  'wb') as stream:
        shutil.copyfileobj(file, stream)


def _rename(temporary: str, target: str) -> None:
    with open(temporary, 'rb+') as file:
        os.fsync(file.fileno())
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(temporary, 0o666 & ~umask)  # mkstemp's 0600 is for secrets
    os.replace(temporary, target)
    # the names too, where the system can: a power cut loses none
    with contextlib.suppress(OSError):
        handle = os.open(osp.dirname(target), os.O_RDONLY)
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
    """Write a text file in UTF-8, completely or not at all.

    What is no UTF-8, as names of files can be, is escaped as JSON does.
    """
    with atomic_path(path) as temporary:
        with open(
                temporary, 'w', encoding='utf-8',
                errors='backslashreplace') as file:
            file.write(text)


def save_npz(path: str, compress: bool = True, **arrays: np.ndarray) -> None:
    """Write arrays by name as numpy does, completely or not at all.

    Args:
        path (str): The file.
        compress (bool): Whether to deflate them. Defaults to True.
        **arrays: By their names.
    """
    save = np.savez_compressed if compress else np.savez
    with atomic_path(path) as temporary:
        with open(temporary, 'wb') as file:
            save(file, **arrays)


def load_npy(path: str) -> np.ndarray:
    """Read an array that numpy wrote, with no more memory than it has bytes.

    Args:
        path (str): The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, holds objects, or claims another size
            than it has.
    """
    try:
        with open_ordinary(path, 'rb'):
            pass
        # numpy holds the size that a map claims against the file
        return np.array(np.load(path, mmap_mode='r', allow_pickle=False))
    except FileNotFoundError:
        raise
    except Exception as error:  # of numpy, ast, mmap, ...
        raise ValueError(f"'{path}' is no array of numpy's, or damaged "
                         f'({error})') from error


def load_npz(path: str) -> Dict[str, np.ndarray]:
    """Read what :func:`save_npz` wrote; what claims more is refused.

    Args:
        path (str): The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, holds objects, or would grow to more
            than 64 times its size.
    """
    try:
        with open_ordinary(path,
                           'rb') as opened, zipfile.ZipFile(opened) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        # labels and names shrink that much, a bomb a thousand times
        if size > 64 * os.path.getsize(path) + (1 << 24):
            raise ValueError(f'its arrays claim {size} bytes')
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
    """Write ``obj`` as indented JSON, completely or not at all.

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
    if isinstance(obj, float) and not math.isfinite(obj):
        return None
    return obj
