# Copyright (c) orsa contributors. All rights reserved.
"""Writing files whole or not at all."""
import contextlib
import csv
import json
import os
import os.path as osp
import tempfile
from typing import Any, Iterable, Iterator, Sequence

import numpy as np


@contextlib.contextmanager
def atomic_path(path: str) -> Iterator[str]:
    """Yield a temporary path beside ``path``, renamed to it on success.

    The file is flushed to the disk before it gets its name, so that ``path``
    never holds half of it. After an error the temporary file is removed and
    ``path`` stays as it was. The temporary name keeps the suffix.

    Args:
        path (str): Where the file shall be. Its folder is made if missing.
    """
    path = osp.abspath(osp.expanduser(str(path)))
    folder, name = osp.split(path)
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(
        prefix='.tmp_', suffix='_' + name, dir=folder)
    os.close(handle)
    try:
        yield temporary
        with open(temporary, 'rb+') as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp's 0600 is for secrets
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)
        raise


def write_text(path: str, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        with open(temporary, 'w', encoding='utf-8') as file:
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
