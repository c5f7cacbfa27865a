# Copyright (c) orsa contributors. All rights reserved.
"""Seconds per stage of one piece of work."""
import contextlib
import functools
import time
from typing import Any, Callable, Dict, List, Tuple, Union

import torch

# whether clocks measure CPU time instead of wall-clock time
_cpu_time = False


def use_processor_time(on: bool = True) -> None:
    """Let all clocks of this process measure CPU time.

    CPU time is what all threads of the process ran, without waiting for a
    disk or another process. On a shared machine it is what the work costs;
    for one thread on an idle machine it equals the wall-clock time.

    Args:
        on (bool): Whether to, or to measure wall-clock time. Defaults to
            True.
    """
    global _cpu_time
    _cpu_time = on


class Clock:
    """Attributes time to the innermost open stage.

    On a GPU the limits of stages are events between its work, which nothing
    waits for before :meth:`read`.

    Args:
        device (str | torch.device): What does the work. Defaults to 'cpu'.

    Example:
        >>> clock = Clock()
        >>> with clock.stage('first pass'):
        ...     with clock.stage('priors'):
        ...         pass
        >>> sorted(clock.read())
        ['first pass', 'priors']
    """

    def __init__(self, device: Union[str, torch.device] = 'cpu'):
        self._on_gpu = torch.device(device).type == 'cuda'
        self._spans: List[Tuple[str, Any, Any]] = []  # stage, start, end
        self._open: List[str] = []
        self._since: Any = None

    def _now(self) -> Any:
        if self._on_gpu:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            return event
        return time.process_time() if _cpu_time else time.perf_counter()

    def _between(self, start: Any, end: Any) -> float:
        if not self._on_gpu:
            return end - start
        end.synchronize()
        return start.elapsed_time(end) / 1e3

    def _charge(self) -> None:
        now = self._now()
        if self._open:
            self._spans.append((self._open[-1], self._since, now))
        self._since = now

    @contextlib.contextmanager
    def stage(self, name: str):
        """Attribute the time inside this context to a stage.

        Args:
            name (str): The stage.
        """
        self._charge()
        self._open.append(name)
        try:
            yield
        finally:
            self._charge()
            self._open.pop()

    def rename(self, name: str) -> None:
        """Give the outermost open stage another name from now on.

        Args:
            name (str): The new name.
        """
        self._charge()
        self._open[0] = name

    def wrap(self,
             owner: object,
             method: str,
             name: str,
             then: str = None) -> None:
        """Attribute the calls of a method to a stage.

        Args:
            owner (object): The object whose method is wrapped.
            method (str): Name of the method.
            name (str): The stage.
            then (str, optional): New name of the outermost stage once the
                method has returned. Defaults to None, no new name.
        """
        inner: Callable = getattr(owner, method)

        @functools.wraps(inner)
        def timed(*args, **kwargs):
            with self.stage(name):
                out = inner(*args, **kwargs)
            if then is not None:
                self.rename(then)
            return out

        setattr(owner, method, timed)

    def read(self) -> Dict[str, float]:
        """Return and reset the seconds per stage.

        Returns:
            dict[str, float]: Seconds since the last call, by stage.
        """
        seconds: Dict[str, float] = {}
        for name, start, end in self._spans:
            seconds[name] = seconds.get(name, 0.) + self._between(start, end)
        self._spans.clear()
        return seconds
