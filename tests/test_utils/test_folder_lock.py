# Copyright (c) orsa contributors. All rights reserved.
"""A folder has one run at a time, and the lock of a dead one is free."""
import multiprocessing
import os
import signal

import pytest

from orsa.utils.folder_lock import locked_folder


def hold(folder, pipe):
    with locked_folder(folder):
        pipe.send(os.getpid())
        pipe.recv()


@pytest.fixture
def holder(tmp_path):
    context = multiprocessing.get_context('fork')
    mine, other = context.Pipe()
    process = context.Process(target=hold, args=(str(tmp_path), other))
    process.start()
    assert mine.recv() == process.pid
    yield process
    process.kill()
    process.join()


def test_who_holds_it_is_named(holder, tmp_path):
    with pytest.raises(BlockingIOError, match=f'process {holder.pid} on'):
        with locked_folder(str(tmp_path), patience=0.3):
            pass


def test_a_killed_process_holds_nothing(holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    with locked_folder(str(tmp_path), patience=5):
        pass


def test_a_forked_child_holds_nothing(tmp_path):
    """A worker that outlives its training does not keep out the next."""
    context = multiprocessing.get_context('fork')
    with locked_folder(str(tmp_path)):
        mine, other = context.Pipe()
        child = context.Process(target=other.recv)
        child.start()
    taken, there = context.Pipe()
    process = context.Process(target=hold, args=(str(tmp_path), there))
    process.start()
    try:
        assert taken.poll(10) and taken.recv() == process.pid
    finally:
        child.kill()
        process.kill()
