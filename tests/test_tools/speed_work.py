# Copyright (c) orsa contributors. All rights reserved.
"""Work of test_speed.py and test_gpu_kit.py, done in processes."""
import os
import subprocess
import time


def make(seconds: float, megabytes: int = 0):
    """Work that takes a while, and holds memory once."""
    calls = []

    def work() -> dict:
        calls.append(1)
        held = bytearray(megabytes * 2**20)
        for i in range(0, len(held), 4096):
            held[i] = 1
        time.sleep(seconds)
        return dict(sleeping=seconds, calls=float(len(calls)))

    return work


def make_broken():
    """Work that fails."""

    def work():
        raise ValueError('the work is broken')

    return work


def row(number: int):
    """Rows of a table, as those of gpu_steps."""
    return [{'number': number, 'half': number / 2}]


def hang():
    """A measurement that does not end, nor does what it has started."""
    print(subprocess.Popen(['sleep', '100']).pid, flush=True)
    time.sleep(100)


def exhaust():
    """A measurement whose process ends."""
    os._exit(9)


def incomplete(seconds: float):
    """A training that goes on in the next call."""
    return [{'seconds': seconds, 'complete': False}]


def make_from_environment():
    seconds = float(os.environ.get('SECONDS', 0))
    return lambda: dict(work=seconds)
