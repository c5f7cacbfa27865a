# Copyright (c) orsa contributors. All rights reserved.
"""Workers of a DataLoader that a signal to the whole job does not end."""
import multiprocessing
import os
import signal
import sys
import threading
from typing import Any, Callable, Optional


def _end_with_parent() -> None:
    """Linux: a worker does not outlive its process, even where it hangs."""
    import ctypes
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    except (OSError, AttributeError):
        pass
    # It may have ended before that was asked for; DataLoader's own watch,
    # which begins later, would not notice. A fork server is no such parent.
    parent = multiprocessing.parent_process()
    if parent is not None and os.getppid() != parent.pid and (
            'multiprocessing.forkserver' not in sys.modules):
        os._exit(1)


def _obey_parent_alone() -> None:
    parent = os.getppid()
    while True:
        info = signal.sigwaitinfo({signal.SIGTERM})
        if info.si_pid == parent:
            os._exit(0)


def loader_of(loop: Any) -> Any:
    """The DataLoader of a loop, itself where ``--max-iters`` cuts it short.

    Args:
        loop (Any): A loop of MMEngine's Runner, one that is not built yet, or
            None.

    Returns:
        Any: None, if it has none.
    """
    loader = getattr(loop, 'dataloader', None)
    return getattr(loader, '_dataloader', loader)


class ShieldedWorker:
    """A ``worker_init_fn`` that leaves SIGTERM to the main process.

    Launchers and clusters send SIGTERM to all processes of a job. A worker
    that ends by it fails the iteration that its process wants to finish
    before it saves. Here a worker heeds the signal of its own process alone.
    Where the system cannot tell who sent one (others than Linux), nothing is
    changed.

    Args:
        inner (Callable, optional): The ``worker_init_fn`` that there was.
            Defaults to None.
    """

    def __init__(self, inner: Optional[Callable] = None):
        self.inner = inner

    def __call__(self, worker_id: int) -> None:
        if hasattr(signal, 'sigwaitinfo'):
            # blocked in this thread, and so in those that it starts
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            threading.Thread(target=_obey_parent_alone, daemon=True).start()
            _end_with_parent()
        if self.inner is not None:
            self.inner(worker_id)
