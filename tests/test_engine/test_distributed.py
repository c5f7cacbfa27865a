# Copyright (c) orsa contributors. All rights reserved.
"""Ranks that share a batch step as one process with all of it would."""
import argparse
import json
import signal
from pathlib import Path

import numpy as np
import pytest
import train_worker
from ranks import on_ranks

from orsa.engine.distributed import rank_main


def train(rank, world, *args):
    train_worker.main(args[0], 'pytorch' if world > 1 else 'none', *args[1:])


def run(tmp_path, processes, batch_size, sync='sync', accumulate=1):
    name = f'{processes}_{sync}_{accumulate}'
    out = tmp_path / name
    args = str(out), batch_size, str(tmp_path /
                                     f'work_{name}'), sync, accumulate
    if processes == 1:
        train(0, 1, *args)  # here, so that what it imports is here for ranks
    else:
        on_ranks(train, processes, *args)
    return [
        json.loads(Path(f'{out}.{rank}').read_text())
        for rank in range(processes)
    ]


@pytest.fixture(scope='module')
def single(tmp_path_factory):
    return run(tmp_path_factory.mktemp('single'), 1, 12)[0]


def test_two_processes_equal_one_with_the_same_global_batch(tmp_path, single):
    first, second = run(tmp_path, 2, 6)
    assert first['weights'] == second['weights']  # bit for bit
    np.testing.assert_allclose(
        first['losses'], single['losses'], rtol=0, atol=1e-6)
    for a, b in zip(first['weights'], single['weights']):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


def test_accumulation_under_ddp_equals_one_batch(tmp_path, single):
    first, second = run(tmp_path, 2, 3, accumulate=2)
    assert first['weights'] == second['weights']
    # DefaultSampler deals samples out in turn: two batches of 3 on two ranks
    # are the same twelve samples.
    for a, b in zip(first['weights'], single['weights']):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


def test_unsynchronised_perturbation_differs_but_ranks_agree(tmp_path, single):
    first, second = run(tmp_path, 2, 6, sync='local')
    assert first['weights'] == second['weights']
    assert not np.allclose(
        first['losses'][1:], single['losses'][1:], atol=1e-6)


def test_after_an_error_sigterm_does_what_it_did_before():
    """A training defers it, and would not end by its launcher's."""

    @rank_main
    def fail(args):
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        raise ValueError('the fault')

    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(ValueError, match='the fault'):
            fail(argparse.Namespace(launcher='pytorch'))
        assert signal.getsignal(signal.SIGTERM) == before
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        signal.signal(signal.SIGTERM, before)
