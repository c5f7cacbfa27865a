# Copyright (c) orsa contributors. All rights reserved.
"""One process at a time writes to a folder."""
import contextlib
import errno
import os
import os.path as osp
import socket
import time
from typing import IO, Callable, Iterator, Union

NAME = '.lock'
# What a process that is being ended may still take, in seconds.
PATIENCE = 30.


@contextlib.contextmanager
def locked_folder(folder: str, patience: float = PATIENCE) -> Iterator[None]:
    """Keep other processes that ask for the same out of a folder.

    The system takes the lock back when the process ends, however it ends; the
    file ``.lock`` stays and says who was the last. Workers that are forked do
    not inherit it. Where the system has no such locks (Windows, some network
    disks) nothing is kept out.

    Args:
        folder (str): One that exists.
        patience (float): Seconds to wait for who holds it. Defaults to 30.

    Raises:
        BlockingIOError: If another process has it for longer; it is named.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(osp.join(folder, NAME), 'a+') as file:
        if not _acquire(fcntl.lockf, file, patience):
            file.seek(0)
            raise BlockingIOError(
                f"'{folder}' is in use by {file.read(200).strip()}: end that, "
                'wait for it, or name another folder (--work-dir)')
        file.truncate(0)
        file.write(f'process {os.getpid()} on {socket.gethostname()}\n')
        file.flush()
        yield


@contextlib.contextmanager
def unshared_folder(folder: str) -> Iterator[None]:
    """The same for a folder of results: without a wait, and without a file.

    Args:
        folder (str): One that exists.

    Raises:
        BlockingIOError: If another process has it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        if not _acquire(fcntl.flock, handle, 0):
            raise BlockingIOError(
                f"another run writes to '{folder}': wait for it, or name "
                'another folder by --out')
        yield
    finally:
        os.close(handle)


def _acquire(lock: Callable, file: Union[int, IO], patience: float) -> bool:
    """Whether a lock was got in time; also where there are no such locks."""
    import fcntl
    end = time.monotonic() + patience
    while True:
        try:
            lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                return True
        if time.monotonic() >= end:
            return False
        time.sleep(0.2)
