# Copyright (c) orsa contributors. All rights reserved.
"""A training killed at any point and resumed ends as an uninterrupted one."""
import signal

import numpy as np
import pytest
from test_resume import CONFIG, assert_same_end, make_faces, train

# Two processes share the batch, so that an epoch has five steps, too.
EXTRA = dict(
    one=[],
    bfloat16=['--amp'],
    two=['--cfg-options', 'train_dataloader.batch_size=3'])
PROCESSES = dict(one=1, bfloat16=1, two=2)


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    root = tmp_path_factory.mktemp('faces')
    make_faces(root)
    path = root / 'config.py'
    path.write_text(CONFIG.replace('{root}', str(root)))
    return path


def assert_killed(done, processes):
    if processes == 1:
        assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]
        return
    assert done.returncode == 1, done.stderr[-3000:]
    assert 'exitcode  : -9' in done.stderr, done.stderr[-3000:]


def run(case, config, work_dir, repo_root, *args, **faults):
    return train(
        config,
        work_dir,
        repo_root,
        *EXTRA[case],
        *args,
        processes=PROCESSES[case],
        **faults)


@pytest.fixture(scope='module')
def unbroken(config, tmp_path_factory, repo_root):
    """Train each case once without a fault: work dir and seconds."""
    done = {}

    def get(case):
        if case not in done:
            work_dir = tmp_path_factory.mktemp(case)
            ended = run(case, config, work_dir, repo_root, MEASURE=1)
            assert ended.returncode == 0, ended.stderr[-3000:]
            seconds = float((work_dir / 'seconds').read_text())
            done[case] = work_dir, seconds
        return done[case]

    return get


@pytest.mark.parametrize('case', list(EXTRA))
def test_killed_at_random(config, unbroken, tmp_path, repo_root, case, amount,
                          tried):
    """One training is killed again and again until it gets to its end."""
    rng = np.random.default_rng(len(case))
    if case != 'one' and amount(1, 0):
        pytest.skip('the ordinary suite kills one process in float32 alone')
    uninterrupted, seconds = unbroken(case)
    kills, runs = 0, 0
    while kills < amount(2, 10):
        work_dir = tmp_path / f'killed_{runs}'
        runs += 1
        for attempt in range(99):
            more = kills < amount(2, 10)
            faults = dict(KILL_AFTER=rng.uniform(0, seconds) if more else 1e9)
            if PROCESSES[case] > 1 and rng.random() < 0.7:
                # one of them alone; else all at once, as a machine's end is
                faults['FAULT_RANK'] = rng.integers(PROCESSES[case])
            done = run(case, config, work_dir, repo_root, '--resume', **faults)
            if done.returncode == 0:
                break
            assert_killed(done, PROCESSES[case])
            kills += 1
        assert_same_end(uninterrupted, work_dir)
    tried[f'kills of a training ({case})'] += kills
    tried['trainings that ended bit for bit as unbroken ones'] += runs


@pytest.mark.parametrize('fault', [dict(TERM_AT=11), dict(TERM_IN_VAL=3)])
def test_sigterm_to_one_of_two(config, unbroken, tmp_path, repo_root, fault,
                               amount, tried):
    """Both save together, within the epoch, and both go on."""
    if amount(1, 0):
        pytest.skip('in the long form alone')
    uninterrupted, _ = unbroken('two')
    often = 'default_hooks.preemption.interval=1'
    done = run(
        'two', config, tmp_path, repo_root, often, FAULT_RANK=1, **fault)
    assert done.returncode == 1  # the launcher's own
    assert 'exitcode  : 75' in done.stderr, done.stderr[-3000:]
    # in a validation it is acted on after the next iteration
    place = 12 if 'TERM_AT' in fault else 16
    assert f'SIGTERM after iteration {place}' in done.stdout + done.stderr
    assert (tmp_path / f'preempted_iter_{place}.pth').exists()
    done = run('two', config, tmp_path, repo_root, '--resume')
    assert done.returncode == 0, done.stderr[-3000:]
    assert_same_end(uninterrupted, tmp_path)
    tried['SIGTERMs to one of two processes'] += 1
