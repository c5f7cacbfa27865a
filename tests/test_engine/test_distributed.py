# Copyright (c) orsa contributors. All rights reserved.
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ranks import free_port

WORKER = Path(__file__).with_name('train_worker.py')


def run(tmp_path, processes, batch_size, sync='sync', accumulate=1):
    name = f'{processes}_{sync}_{accumulate}'
    out = tmp_path / name
    command = [sys.executable]
    if processes > 1:
        command += [
            '-m', 'torch.distributed.run', f'--nproc_per_node={processes}',
            f'--master_port={free_port()}'
        ]
    command += [
        str(WORKER),
        str(out), 'pytorch' if processes > 1 else 'none',
        str(batch_size),
        str(tmp_path / f'work_{name}'), sync,
        str(accumulate)
    ]
    env = dict(os.environ, OMP_NUM_THREADS='1')
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
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
