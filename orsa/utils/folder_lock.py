# Copyright (c) orsa contributors. All rights reserved.
"""One process at a time writes to a folder."""
import contextlib
import os
import os.path as osp
import socket
from typing import Iterator

from filelock import FileLock, Timeout

NAME = '.lock'


@contextlib.contextmanager
def locked_folder(folder: str,
                  patience: float = 30.,
                  flag: str = '--work-dir') -> Iterator[None]:
    """Keep other processes that ask for the same out of a folder.

    The system releases the lock when the process ends, however it ends. The
    file ``.lock`` names the process; it stays, but where nobody waits.

    Args:
        folder (str): One that exists.
        patience (float): Seconds to wait for another process: what is being
            ended may take as long. Defaults to 30.
        flag (str): The command's flag that names another folder.
            Defaults to '--work-dir'.

    Raises:
        BlockingIOError: If another process has it for longer; it is named.
    """
    path = osp.join(folder, NAME)
    lock = FileLock(path, timeout=patience)
    try:
        lock.acquire()
    except Timeout:
        with open(path, encoding='utf-8', errors='replace') as file:
            holder = file.read(200).strip() or 'another process'
        raise BlockingIOError(
            f"'{folder}' is in use by {holder}: end that, wait for it, or "
            f'name another folder ({flag})') from None
    try:
        with open(path, 'w', encoding='utf-8') as file:
            file.write(f'process {os.getpid()} on {socket.gethostname()}\n')
        yield
    finally:
        if not patience:
            os.remove(path)
        lock.release()
