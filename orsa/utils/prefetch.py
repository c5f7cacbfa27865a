# Copyright (c) orsa contributors. All rights reserved.
"""Reading ahead and writing behind, in threads of their own."""
import queue
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Deque, Iterable, Iterator

_END = object()


def read_ahead(source: Iterable, size: int = 8) -> Iterator:
    """Iterate in a thread, up to ``size`` items ahead.

    Args:
        source (Iterable): Is used by that thread alone until the end.
        size (int): How many items wait at most. Defaults to 8.

    Yields:
        Any: The items. An error of ``source`` is raised where it comes.
    """
    items: queue.Queue = queue.Queue(size)
    stopped = threading.Event()

    def put(item: Any) -> bool:
        while not stopped.is_set():
            try:
                items.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def read() -> None:
        try:
            for item in source:
                if not put((item, None)):
                    return
            put((_END, None))
        except BaseException as error:  # raised by the reader below
            put((_END, error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        while True:
            item, error = items.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stopped.set()
        thread.join()


class WriteBehind:
    """Calls that are done in their order by a thread, some of them later.

    Args:
        size (int): How many calls wait at most. Defaults to 8.
    """

    def __init__(self, size: int = 8):
        self._size = size
        self._pool = ThreadPoolExecutor(1)
        self._waiting: Deque[Future] = deque()

    def __call__(self, function: Callable, *args) -> None:
        """Have ``function(*args)`` done; raises the error of an earlier one.
        """
        while len(self._waiting) >= self._size:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(function, *args))

    def __enter__(self) -> 'WriteBehind':
        return self

    def __exit__(self, kind, *error) -> None:
        # what was asked for is done, whatever ended the work
        self._pool.shutdown()
        if kind is None:
            for future in self._waiting:
                future.result()
