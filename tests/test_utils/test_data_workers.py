# Copyright (c) orsa contributors. All rights reserved.
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from orsa.engine.ranks.data_workers import ShieldedWorker


class Numbers(Dataset):

    def __len__(self):
        return 100

    def __getitem__(self, index):
        return index


def seed_one(worker_id):
    torch.manual_seed(1)


@pytest.mark.skipif(
    not hasattr(signal, 'sigwaitinfo'), reason='needs to know who sent it')
@pytest.mark.parametrize('inner', [None, seed_one])
def test_workers_heed_their_own_process_alone(inner):
    loader = DataLoader(
        Numbers(),
        batch_size=1,
        num_workers=1,
        prefetch_factor=2,
        worker_init_fn=ShieldedWorker(inner))
    batches = iter(loader)
    first = next(batches)
    worker = batches._workers[0]
    # as a launcher does, which is another process
    subprocess.run([
        sys.executable, '-c',
        f'import os; os.kill({worker.pid}, {int(signal.SIGTERM)})'
    ],
                   check=True)
    rest = [int(b) for b in batches]
    assert [int(first), *rest] == list(range(100))
    # and its own process ends it, even where it hangs
    batches = iter(loader)
    next(batches)
    worker = batches._workers[0]
    worker.terminate()
    worker.join(10)
    assert worker.exitcode == 0
    batches._shutdown_workers()


def work(end, parent):
    """A worker that begins when its process has been killed."""
    while os.getppid() == parent:
        time.sleep(0.01)
    ShieldedWorker()(0)
    os.write(end, b'it works for nobody')


def begin(end):
    context = multiprocessing.get_context('fork')
    context.Process(target=work, args=(end, os.getpid())).start()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(
    not hasattr(signal, 'sigwaitinfo'), reason='needs to know who sent it')
def test_a_worker_whose_process_is_gone_does_not_begin():
    read, write = os.pipe()
    process = multiprocessing.get_context('fork').Process(
        target=begin, args=(write, ))
    process.start()
    os.close(write)
    process.join(20)
    assert process.exitcode == -signal.SIGKILL
    with open(read, 'rb') as pipe:  # ends when nobody is left
        assert pipe.read() == b''
