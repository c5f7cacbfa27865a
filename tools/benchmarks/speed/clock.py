# Copyright (c) orsa contributors. All rights reserved.
"""Seconds by part of one piece of work."""
import contextlib
import functools
import time
from typing import Callable, Dict, List

# whether clocks tell the processor's time instead of the wall's
_of_processor = False


def use_processor_time(on: bool = True) -> None:
    """Let all clocks of this process tell its processor time.

    The time in which the process, all its threads together, really ran. On a
    machine that others use it is what the work costs, while the time on the
    wall is mostly theirs; for one thread on an idle machine they are equal.
    Waiting, for a disk or another process, is not in it.
    """
    global _of_processor
    _of_processor = on


def _now() -> float:
    return time.process_time() if _of_processor else time.perf_counter()


class Clock:
    """Charges time to the innermost part that is open.

    Example:
        >>> clock = Clock()
        >>> with clock.part('first pass'):
        ...     with clock.part('priors'):
        ...         pass
        >>> sorted(clock.read())
        ['first pass', 'priors']
    """

    def __init__(self):
        self._seconds: Dict[str, float] = {}
        self._open: List[str] = []
        self._since = 0.

    def _charge(self) -> None:
        now = _now()
        if self._open:
            part = self._open[-1]
            self._seconds[part] = (
                self._seconds.get(part, 0.) + now - self._since)
        self._since = now

    @contextlib.contextmanager
    def part(self, name: str):
        """What happens inside is charged to a part."""
        self._charge()
        self._open.append(name)
        try:
            yield
        finally:
            self._charge()
            self._open.pop()

    def rename(self, name: str) -> None:
        """From now on the outermost part has another name."""
        self._charge()
        self._open[0] = name

    def wrap(self,
             owner: object,
             method: str,
             name: str,
             then: str = None) -> None:
        """Charge a method of an object to a part.

        Args:
            owner (object): Whose method.
            method (str): Its name.
            name (str): The part.
            then (str, optional): What the outermost part is called once the
                method has returned. Defaults to None, as before.
        """
        inner: Callable = getattr(owner, method)

        @functools.wraps(inner)
        def timed(*args, **kwargs):
            with self.part(name):
                out = inner(*args, **kwargs)
            if then is not None:
                self.rename(then)
            return out

        setattr(owner, method, timed)

    def read(self) -> Dict[str, float]:
        """Seconds by part since the last time; starts anew."""
        seconds, self._seconds = self._seconds, {}
        return seconds
