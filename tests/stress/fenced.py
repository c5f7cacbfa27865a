# Copyright (c) orsa contributors. All rights reserved.
"""Trials in a process of their own: crashes and hangs are found and named."""
import faulthandler
import gc
import multiprocessing
import os
import signal
import time
import traceback
from collections import Counter

import cv2
import torch

LIMIT = 120  # seconds for one trial; an image of 89 million pixels takes five
GIVE_UP = 5  # failures
_MIB = 1 << 20


def _status(key):
    """MiB, as the system counts for this process."""
    with open('/proc/self/status') as file:
        return next(
            int(line.split()[1]) * 1024 / _MIB for line in file
            if line.startswith(key))


def _work(prepare, args, pipe, log):
    # threads of the parent are not here
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    gc.freeze()  # MMEngine collects garbage for each dataset
    with open(log, 'w') as file:
        faulthandler.enable(file)
        trial = prepare(*args)
        pipe.send('ready')
        while True:
            number = pipe.recv()
            faulthandler.dump_traceback_later(.8 * LIMIT, file=file)
            began = time.process_time()
            try:
                outcomes, failure = trial(number), None
            except BaseException:
                outcomes, failure = {}, traceback.format_exc()[-3000:]
            faulthandler.cancel_dump_traceback_later()
            pipe.send((outcomes, failure, time.process_time() - began,
                       _status('VmRSS'), _status('VmHWM')))


class Fence:
    """A process that tries one input after another.

    Args:
        prepare (Callable): Is called with ``args`` in that process and
            returns the trial, a function of the input's number. This returns
            how often what came of it (a dict), and raises if that is wrong.
        args (tuple): Of ``prepare``.
        folder (Path): For a log.
    """

    def __init__(self, prepare, args, folder):
        self.prepare, self.args = prepare, args
        self.log = folder / 'faults.log'
        self.process = None
        self.failures, self.outcomes = [], Counter()
        self.slowest, self.held, self.peak = 0., [], 0.

    def _start(self):
        context = multiprocessing.get_context('fork')
        self.pipe, end = context.Pipe()
        self.process = context.Process(
            target=_work, args=(self.prepare, self.args, end, self.log))
        self.process.start()
        end.close()
        self.pipe.recv()
        self.held = []

    def _stop(self):
        self.process.kill()
        self.process.join()
        self.pipe.close()
        self.process = None

    def _fail(self, number, what):
        log = self.log.read_text()[:2000]
        self.failures.append(f'input {number}: {what}\n{log}')
        self._stop()

    def _try(self, number):
        try:
            if self.process is None:
                self._start()
            self.pipe.send(number)
            if not self.pipe.poll(LIMIT):
                self._fail(number, f'no result within {LIMIT} s')
                return
            outcomes, failure, took, held, peak = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            died = signal.Signals(-code).name if code < 0 else code
            self._fail(number, f'the process died ({died})')
            return
        if failure:
            self.failures.append(f'input {number}: {failure}')
        self.outcomes.update(outcomes)
        self.slowest = max(self.slowest, took)
        self.held.append(held)
        self.peak = max(self.peak, peak - self.held[0])

    def run(self, numbers):
        """Try inputs, and raise an AssertionError that names all failures."""
        try:
            for number in numbers:
                self._try(number)
                if len(self.failures) >= GIVE_UP:
                    break
        finally:
            if self.process is not None:
                self._stop()
        assert not self.failures, '\n'.join(self.failures)
        return self.outcomes

    @property
    def growth(self):
        """MiB that the process holds more than after a quarter of the inputs,
        when all kinds and sizes have been cached."""
        return self.held[-1] - self.held[len(self.held) // 4]


def try_all(prepare, args, folder, numbers, tried, what, growth=40, peak=700):
    """Try inputs, count what came of them, and see that memory is bounded.

    Args:
        prepare, args, folder, numbers: See :class:`Fence`.
        tried (Counter): Counts for the report.
        what (str): Begins the names of the counts.
        growth, peak (float): MiB that are allowed: at the end more than after
            a quarter, and for a moment more than after the first (an image
            may have 89 million pixels).
    """
    fence = Fence(prepare, args, folder)
    outcomes = fence.run(numbers)
    for outcome, count in sorted(outcomes.items()):
        tried[f'{what}: {outcome}'] += count
    print(f'{what}: {dict(outcomes)}, {fence.growth:+.0f} MiB at the end, '
          f'{fence.peak:+.0f} for a moment, {fence.slowest:.2f} s the slowest')
    assert fence.growth < growth, fence.growth
    assert fence.peak < peak, fence.peak
    return outcomes


def notes(error):
    """Return the message of an error with its notes."""
    return '\n'.join([str(error), *getattr(error, '__notes__', ())])


def accept_or_refuse(read, *names, allowed=(ValueError, OSError)):
    """Count input as accepted, or as refused by an error that names it."""
    try:
        read()
    except allowed as error:
        text = notes(error)
        assert any(name in text for name in names), text
        assert len(text) < 2500, text
        return {'refused by name': 1}
    return {'accepted': 1}


def crash():
    """End this process as a broken library does."""
    os.kill(os.getpid(), signal.SIGSEGV)
