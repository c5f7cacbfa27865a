# Copyright (c) orsa contributors. All rights reserved.
"""Variants of a piece of work, timed in turn."""
import importlib
import multiprocessing
import os
import traceback
from typing import Callable, Dict, List, NamedTuple, Optional

import numpy as np

from .clock import use_processor_time

TOTAL = 'total'


class Timing(NamedTuple):
    """What a variant took.

    Attributes:
        seconds (dict[str, list[float]]): By part, of every round; 'total' is
            the sum.
        memory (int, optional): Bytes that its process held at most during
            the rounds; None where the system does not tell.
    """
    seconds: Dict[str, List[float]]
    memory: Optional[int]

    def median(self, part: str = TOTAL) -> float:
        """Seconds, the median over the rounds."""
        return float(np.median(self.seconds[part]))

    def percentile(self, q: float, part: str = TOTAL) -> float:
        """Seconds that ``q`` percent of the rounds stay below."""
        return float(np.percentile(self.seconds[part], q))


def take_turns(make: str,
               variants: Dict[str, dict],
               rounds: int = 9,
               warmup: int = 2,
               threads: int = 1,
               processor_time: bool = False) -> Dict[str, Timing]:
    """Time variants in turn, each in a process of its own.

    Machines are shared and change their speed from minute to minute: in every
    round each variant does its work once, one after another, so that what
    else the machine does meets all of them, and ratios are taken within a
    round. A process of its own gives each its own peak of memory.

    Args:
        make (str): 'module:function', called in the process with a variant's
            arguments. It returns what is called once a round, which returns
            the seconds of its parts by name.
        variants (dict[str, dict]): Arguments by variant.
        rounds (int): That count. Defaults to 9.
        warmup (int): Rounds before these. Defaults to 2.
        threads (int): Of each process. Defaults to 1.
        processor_time (bool): Whether to measure the processor's time, see
            :func:`.clock.use_processor_time`. Defaults to False.

    Returns:
        dict[str, Timing]: By variant.

    Raises:
        ValueError: If there is nothing to time.
        RuntimeError: If a process fails, with its traceback.
    """
    if not variants or rounds < 1 or warmup < 0:
        raise ValueError(f'{len(variants)} variants, {rounds} rounds and '
                         f'{warmup} to warm up: there is nothing to time')
    workers = {}
    try:
        for name, arguments in variants.items():
            workers[name] = _Worker(name, make, arguments, threads,
                                    processor_time)
        for worker in workers.values():
            worker.answer()  # built
        for number in range(warmup + rounds):
            for worker in workers.values():
                worker.ask('forget' if number == warmup else 'work')
        return {
            name: Timing(*worker.ask('report'))
            for name, worker in workers.items()
        }
    finally:
        for worker in workers.values():
            worker.stop()


def ratio(first: Timing, second: Timing, part: str = TOTAL) -> float:
    """How long the first takes in terms of the second.

    The median of the ratios of the rounds.
    """
    return float(
        np.median(np.divide(first.seconds[part], second.seconds[part])))


class _Worker:
    """The process of one variant, as its parent sees it."""

    def __init__(self, name: str, make: str, arguments: dict, threads: int,
                 processor_time: bool):
        context = multiprocessing.get_context('spawn')
        self.name = name
        self.pipe, other = context.Pipe()
        # set before the process starts: libraries read it when imported
        before = os.environ.get('OMP_NUM_THREADS')
        os.environ['OMP_NUM_THREADS'] = str(threads)
        try:
            self.process = context.Process(
                target=_serve,
                args=(other, make, arguments, threads, processor_time))
            self.process.start()
        finally:
            if before is None:
                del os.environ['OMP_NUM_THREADS']
            else:
                os.environ['OMP_NUM_THREADS'] = before
        other.close()

    def ask(self, order: str):
        """Give an order and wait for its answer."""
        self.pipe.send(order)
        return self.answer()

    def answer(self):
        """What the process says, or why it failed."""
        try:
            failed, content = self.pipe.recv()
        except EOFError:
            self.process.join()
            failed, content = True, ('it ended with exit code '
                                     f'{self.process.exitcode}')
        if failed:
            raise RuntimeError(f"variant '{self.name}' failed: {content}")
        return content

    def stop(self) -> None:
        """End the process: one that waits for an order sees that there will
        be none, one that is at work is given a second."""
        self.pipe.close()
        self.process.join(1)
        self.process.terminate()
        self.process.join()


def _serve(pipe, make: str, arguments: dict, threads: int,
           processor_time: bool) -> None:
    """What a variant's process does."""
    try:
        import torch
        torch.set_num_threads(threads)
        use_processor_time(processor_time)
        module, _, function = make.partition(':')
        work = getattr(importlib.import_module(module), function)(**arguments)
        seconds: Dict[str, List[float]] = {}
        pipe.send((False, None))
        while True:
            order = pipe.recv()
            if order == 'report':
                pipe.send((False, (seconds, _peak_memory())))
                continue
            if order == 'forget':
                seconds.clear()
                _forget_peak()
            _note(seconds, work)
            pipe.send((False, None))
    except EOFError:
        pass  # the parent is gone
    except Exception:
        pipe.send((True, traceback.format_exc()))


def _note(seconds: Dict[str, List[float]],
          work: Callable[[], Dict[str, float]]) -> None:
    parts = work()
    for part, value in {**parts, TOTAL: sum(parts.values())}.items():
        seconds.setdefault(part, []).append(value)


def _forget_peak() -> None:
    try:
        with open('/proc/self/clear_refs', 'w') as f:
            f.write('5')  # the peak of resident memory starts anew
    except OSError:
        pass


def _peak_memory() -> Optional[int]:
    try:
        with open('/proc/self/status') as f:
            for line in f:
                if line.startswith('VmHWM'):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None
