# Copyright (c) orsa contributors. All rights reserved.
"""Interleaved timing: each variant runs once per round, in its own process.

Machines are shared, and their speed changes from minute to minute. In every
round the variants run one after another, so other load affects all of them,
and ratios are taken within a round. Separate processes separate the peaks of
memory.
"""
import importlib
import multiprocessing
import os
import traceback
from typing import Dict, List, NamedTuple, Optional
from unittest import mock

import numpy as np

from .clock import use_processor_time

TOTAL = 'total'


class Timing(NamedTuple):
    """Time and memory of a variant.

    Attributes:
        seconds (dict[str, list[float]]): By stage, of every round; 'total' is
            the sum.
        memory (int, optional): See :func:`peak_memory`, of its process
            during the rounds.
    """
    seconds: Dict[str, List[float]]
    memory: Optional[int]

    def median(self, stage: str = TOTAL) -> float:
        """Return the median over the rounds, in seconds."""
        return float(np.median(self.seconds[stage]))

    def percentile(self, q: float, stage: str = TOTAL) -> float:
        """Return the ``q``-th percentile of the rounds, in seconds."""
        return float(np.percentile(self.seconds[stage], q))


def time_interleaved(make: str,
                     variants: Dict[str, dict],
                     rounds: int = 9,
                     warmup: int = 2,
                     threads: int = 1,
                     processor_time: bool = False) -> Dict[str, Timing]:
    """Time variants round by round, each in a process of its own.

    Args:
        make (str): 'module:function', called in the process with a variant's
            arguments. It returns a function that is called once per round
            and returns the seconds of its stages by name.
        variants (dict[str, dict]): Arguments by variant; 'environment' is not
            one of them, but the variables that its process has besides.
        rounds (int): Measured rounds. Defaults to 9.
        warmup (int): Unmeasured rounds before. Defaults to 2.
        threads (int): Threads of each process. Defaults to 1.
        processor_time (bool): Whether to measure CPU time, see
            :func:`.clock.use_processor_time`. Defaults to False.

    Returns:
        dict[str, Timing]: By variant.

    Raises:
        ValueError: If there are no variants or no rounds.
        RuntimeError: If a process fails, with its traceback.
    """
    if not variants or rounds < 1 or warmup < 0:
        raise ValueError(f'{len(variants)} variants, {rounds} rounds and '
                         f'{warmup} warm-up rounds: there is nothing to time')
    workers = {}
    try:
        for name, arguments in variants.items():
            workers[name] = _Worker(name, make, arguments, threads,
                                    processor_time)
        for worker in workers.values():
            worker.receive()  # ready
        for number in range(warmup + rounds):
            for worker in workers.values():
                worker.request('reset' if number == warmup else 'work')
        return {
            name: Timing(*worker.request('report'))
            for name, worker in workers.items()
        }
    finally:
        for worker in workers.values():
            worker.stop()


def ratio(first: Timing, second: Timing, stage: str = TOTAL) -> float:
    """Return the time of the first relative to the second.

    Args:
        first (Timing): Numerator.
        second (Timing): Denominator, of the same rounds.
        stage (str): The stage. Defaults to 'total'.

    Returns:
        float: Median of the ratios of the rounds.
    """
    return float(
        np.median(np.divide(first.seconds[stage], second.seconds[stage])))


class _Worker:
    """The process of one variant, seen from its parent."""

    def __init__(self, name: str, make: str, arguments: dict, threads: int,
                 processor_time: bool):
        context = multiprocessing.get_context('spawn')
        self.name = name
        self.pipe, other = context.Pipe()
        arguments = dict(arguments)
        # set before the process starts: libraries read them when loaded
        environment = dict(
            arguments.pop('environment', {}), OMP_NUM_THREADS=str(threads))
        with mock.patch.dict(os.environ, environment):
            self.process = context.Process(
                target=_serve,
                args=(other, make, arguments, threads, processor_time))
            self.process.start()
        other.close()

    def request(self, command: str):
        """Send a command and wait for its result."""
        self.pipe.send(command)
        return self.receive()

    def receive(self):
        """Receive a result, or raise what went wrong."""
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
        """End the process: if idle at once, else after at most a second."""
        self.pipe.close()
        self.process.join(1)
        self.process.terminate()
        self.process.join()


def _serve(pipe, make: str, arguments: dict, threads: int,
           processor_time: bool) -> None:
    """Run in the process of a variant."""
    try:
        import torch
        torch.set_num_threads(threads)
        use_processor_time(processor_time)
        module, _, function = make.partition(':')
        work = getattr(importlib.import_module(module), function)(**arguments)
        seconds: Dict[str, List[float]] = {}
        pipe.send((False, None))
        while True:
            command = pipe.recv()
            if command == 'report':
                pipe.send((False, (seconds, peak_memory())))
                continue
            if command == 'reset':
                seconds.clear()
                reset_peak_memory()
            stages = work()
            for stage, value in {
                    **stages, TOTAL: sum(stages.values())
            }.items():
                seconds.setdefault(stage, []).append(value)
            pipe.send((False, None))
    except EOFError:
        pass  # the parent has ended
    except Exception:
        pipe.send((True, traceback.format_exc()))


def reset_peak_memory() -> None:
    """Let :func:`peak_memory` begin anew."""
    import torch
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        with open('/proc/self/clear_refs', 'w') as f:
            f.write('5')  # resets the peak of resident memory
    except OSError:
        pass


def peak_memory() -> Optional[int]:
    """Return the peak of the bytes in use since :func:`reset_peak_memory`.

    Returns:
        int | None: What torch has allocated on the GPU, in a process that
        uses one, or the resident memory; None where the system has no such
        number.
    """
    import torch
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    try:
        with open('/proc/self/status') as f:
            for line in f:
                if line.startswith('VmHWM'):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None
