# Copyright (c) orsa contributors. All rights reserved.
"""Killed wherever it is, a training ends as if nothing had happened."""
import signal

import numpy as np
import pytest
from test_resume import CONFIG, assert_same_end, make_faces, train


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    root = tmp_path_factory.mktemp('faces')
    make_faces(root)
    path = root / 'config.py'
    path.write_text(CONFIG.replace('{root}', str(root)))
    return path


@pytest.mark.parametrize('precision', ['float32', 'bfloat16'])
def test_killed_at_random(config, tmp_path, repo_root, precision, amount,
                          tried):
    """One training is killed again and again until it gets to its end."""
    rng = np.random.default_rng(len(precision))
    extra = ['--amp'] if precision == 'bfloat16' else []
    if extra and amount(1, 0):
        pytest.skip('the ordinary suite kills the training in float32 alone')
    unbroken = tmp_path / 'unbroken'
    done = train(config, unbroken, repo_root, *extra, MEASURE=1)
    assert done.returncode == 0, done.stderr[-3000:]
    seconds = float((unbroken / 'seconds').read_text())
    (unbroken / 'seconds').unlink()
    kills, run = 0, 0
    while kills < amount(2, 10):
        work_dir = tmp_path / f'killed_{run}'
        run += 1
        for attempt in range(99):
            more = kills < amount(2, 10)
            after = rng.uniform(0, seconds) if more else 1e9
            done = train(
                config,
                work_dir,
                repo_root,
                '--resume',
                *extra,
                KILL_AFTER=after)
            if done.returncode == 0:
                break
            assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]
            kills += 1
        assert_same_end(unbroken, work_dir)
    tried[f'kills of a training in {precision}'] += kills
    tried['trainings that ended bit for bit as unbroken ones'] += run
