# Copyright (c) orsa contributors. All rights reserved.
"""Many small files in one, an LMDB, read through MMEngine's file clients.

MMEngine's own ``LmdbBackend`` does not serve here: it takes the path of the
image as the key, in ASCII alone, and so ties the file to one machine; for a
key that is not there it returns None, which fails later as an image that does
not decode; and it goes on with an environment inherited through a fork, which
LMDB forbids.
"""
import json
import os
import os.path as osp
from typing import Dict, Optional, Tuple

from mmengine.fileio import BaseStorageBackend, register_backend

from orsa.utils.image_files import image_fault

BACKEND = 'orsa_lmdb'
FORMAT = 1
# the record about the file itself; no path begins with a zero byte
ABOUT = b'\0orsa'
HINT = ('Pack the images again: python tools/dataset_converters/'
        'pack_images.py CONFIG --out')

# LMDB wants a file to be opened once in a process: (process, environment)
_opened: Dict[str, Tuple[int, object]] = {}


def import_lmdb():
    """Import lmdb, which is optional; ImportError with a hint without it."""
    try:
        import lmdb
    except ImportError as error:
        raise ImportError('packed images need lmdb: pip install lmdb') \
            from error
    return lmdb


def file_key(path: str, root: str) -> Optional[str]:
    """The key of a file: its path below the root, None if it is not below."""
    key = osp.relpath(osp.abspath(path), osp.abspath(root or osp.curdir))
    key = key.replace(os.sep, '/')
    return None if key == '..' or key.startswith('../') else key


def _environment(path: str):
    """The file opened for reading, by this process and only once."""
    process, environment = _opened.get(path, (None, None))
    if process != os.getpid():
        if environment is not None:
            # inherited through a fork: the parent keeps its own
            environment.close()
            del _opened[path]
        environment = _open(path)
        _opened[path] = os.getpid(), environment
    return environment


def _open(path: str):
    lmdb = import_lmdb()
    if not osp.isfile(path):
        raise FileNotFoundError(f"there is no file of packed images '{path}'. "
                                f'{HINT} {path}')
    try:
        environment = lmdb.open(
            path, subdir=False, readonly=True, lock=False, readahead=False)
    except lmdb.Error as error:
        raise ValueError(f"'{path}' cannot be opened as packed images "
                         f'({error}). {HINT} {path}') from error
    problem = _problem(environment, osp.getsize(path))
    if problem:
        environment.close()
        raise ValueError(f"'{path}' {problem}. {HINT} {path}")
    return environment


def _problem(environment, size: int) -> Optional[str]:
    # LMDB maps the file and trusts it: of one that is cut off, a page that is
    # not there would end the process
    pages = environment.info()['last_pgno'] + 1
    needed = pages * environment.stat()['psize']
    if size < needed:
        return f'is cut off: it has {size} of {needed} bytes'
    try:
        with environment.begin() as read:
            about = json.loads(read.get(ABOUT) or 'null')
        if about['format'] == FORMAT and isinstance(about['files'], int):
            return None
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    return 'is an LMDB, but not packed images of this version'


@register_backend(BACKEND)
class PackedFiles(BaseStorageBackend):
    """Files out of an LMDB that ``tools/dataset_converters/pack_images.py``
    wrote.

    As MMEngine's backend: ``backend_args=dict(backend='orsa_lmdb',
    db_path=..., root=...)``, which the argument ``pack`` of
    :class:`orsa.datasets.FERDataset` sets. Each process opens the file for
    itself, at the first reading.

    Args:
        db_path (str): The LMDB; ``~`` is expanded.
        root (str): The folder that paths are taken relative to, the dataset's
            ``data_root``. Defaults to '', the current one.

    Raises:
        ImportError: On reading, if lmdb is not installed.
        OSError: On reading, if the LMDB or the image is missing, or is one
            that no decoder should be given.
        ValueError: On reading, if it is no LMDB, or of another kind.
    """

    def __init__(self, db_path: str, root: str = ''):
        self.db_path = osp.realpath(osp.expanduser(str(db_path)))
        self.root = osp.expanduser(str(root))

    def find(self, filepath: str) -> Optional[bytes]:
        """The content of a file, None if it is not here."""
        key = file_key(str(filepath), self.root)
        if key is None:
            return None
        with _environment(self.db_path).begin() as read:
            return read.get(os.fsencode(key))

    def get(self, filepath: str) -> bytes:
        """The content of a file by its path, where it is, or was, on the disk.

        Raises:
            FileNotFoundError: If it is not here.
            OSError: If it is an image that no decoder should be given.
        """
        content = self.check(filepath)
        fault = image_fault(content)
        if fault:
            raise OSError(f"'{filepath}' in '{self.db_path}' is not read: "
                          f'{fault}. Restore it from the original archive. '
                          f'{HINT} {self.db_path}')
        return content

    def check(self, filepath: str) -> bytes:
        """As :meth:`get`, whatever the content is."""
        content = self.find(filepath)
        if content is None:
            key = file_key(str(filepath), self.root)
            where = (f"it is not below root='{self.root}'" if key is None else
                     f"no '{key}' is in it, relative to root='{self.root}'")
            raise FileNotFoundError(
                f"'{self.db_path}' does not hold '{filepath}': {where}. "
                f'{HINT} {self.db_path}, or leave out pack to read the files '
                'themselves')
        return content

    def get_text(self, filepath: str, encoding: str = 'utf-8') -> str:
        """The content of a file, as text."""
        return self.get(filepath).decode(encoding)

    def count(self) -> int:
        """The number of files."""
        with _environment(self.db_path).begin() as read:
            return json.loads(read.get(ABOUT))['files']
