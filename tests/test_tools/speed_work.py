# Copyright (c) orsa contributors. All rights reserved.
"""Work that test_speed.py times in processes."""
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
