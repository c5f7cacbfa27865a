# Copyright (c) orsa contributors. All rights reserved.
"""SIGTERM saves a training once, never within a step; workers live on."""
import os
import signal
import subprocess
import time
from types import SimpleNamespace

import pytest
import train_worker
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from ranks import on_ranks
from test_resume import CONFIG, command_of, make_faces
from torch.utils.data import DataLoader, Dataset

from orsa.engine.hooks.preemption_hook import _shield_workers
from orsa.engine.resuming import latest_checkpoint
from orsa.utils.checkpoint import load_checkpoint_file


def config(work_dir, world=1, accumulate=3, every=1, loop='orsa.SAMTrainLoop'):
    by_epoch = 'Iter' not in loop
    length = dict(max_epochs=2) if by_epoch else dict(max_iters=8)
    return train_worker.tiny_config(
        work_dir,
        'pytorch' if world > 1 else 'none',
        batch_size=6,
        shuffle=by_epoch,
        train_cfg=dict(type=loop, **length),
        optim_wrapper=dict(
            type='orsa.SAMOptimWrapper' if 'SAM' in loop else 'OptimWrapper',
            accumulative_counts=accumulate,
            optimizer=dict(type='SGD', lr=0.3, momentum=0.9)),
        default_hooks=dict(
            reseed=dict(type='orsa.ReseedHook'),
            checkpoint=dict(
                type='orsa.CheckpointHook', interval=every, by_epoch=by_epoch),
            preemption=dict(type='orsa.PreemptionHook', interval=2),
            logger=None),
        custom_hooks=[dict(type='Terms')])


def train(rank, world, cfg, term_at=(), resume=None):
    """SIGTERMs on the last rank, each in an iteration; how it ended."""

    class Terms(Hook):

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            for _ in range(term_at.count(runner.iter)):
                if rank == world - 1:
                    signal.raise_signal(signal.SIGTERM)

    HOOKS.register_module(module=Terms, force=True)
    ended, _, weights = train_worker.run(cfg, resume)
    return ended, weights


# 8 batches in an epoch make steps of 3, 3 and 2
@pytest.mark.parametrize(
    'loop',
    ['orsa.SAMTrainLoop', 'orsa.EpochTrainLoop', 'orsa.SAMIterBasedTrainLoop'])
def test_a_step_of_several_batches_is_not_torn(tmp_path, loop):
    every = 6 if 'Iter' in loop else 1
    whole, = on_ranks(train, 1, config(tmp_path / 'a', every=every, loop=loop))
    cfg = config(tmp_path / 'b', every=every, loop=loop)
    assert on_ranks(train, 1, cfg, [3])[0][0] == 'preempted'
    saved = tmp_path / 'b' / 'preempted_iter_6.pth'
    place = load_checkpoint_file(saved)['meta'].get('within_epoch')
    assert place == (None if 'Iter' in loop else dict(done=6, of=8))
    assert on_ranks(train, 1, cfg, [], saved) == [whole]
    # and from what was saved at the end of an epoch, after a kill
    saved = tmp_path / 'a' / ('iter_6.pth'
                              if 'Iter' in loop else 'epoch_1.pth')
    assert on_ranks(train, 1, cfg, [], saved) == [whole]


def test_ranks_ask_in_a_step_and_end_after_it(tmp_path):
    """They ask after 2 iterations, and a step has 3."""
    cfg = config(tmp_path, world=2)
    ends = on_ranks(train, 2, cfg, [0])
    assert [e[0] for e in ends] == ['preempted'] * 2
    assert (tmp_path / 'preempted_iter_3.pth').exists()


def test_a_repeated_signal_is_one_request(tmp_path):
    """As torchrun and a batch system send it."""
    cfg = config(tmp_path, accumulate=1)
    assert on_ranks(train, 1, cfg, [2, 2, 2])[0][0] == 'preempted'
    assert (tmp_path / 'preempted_iter_3.pth').exists()


def test_the_end_of_an_epoch_is_saved(tmp_path):
    """Before its validation, whatever file of an older run is there."""
    (tmp_path / 'epoch_1.pth').write_bytes(b'of another run')
    cfg = config(tmp_path, every=5)
    assert on_ranks(train, 1, cfg, [7])[0][0] == 'preempted'
    saved = tmp_path / 'preempted_iter_8.pth'
    meta = load_checkpoint_file(saved)['meta']
    assert meta['epoch'] == 1 and 'within_epoch' not in meta
    assert (tmp_path / 'last_checkpoint').read_text() == str(saved)
    whole, = on_ranks(train, 1, config(tmp_path / 'b', every=5))
    assert on_ranks(train, 1, cfg, [], saved) == [whole]


class Numbers(Dataset):

    def __len__(self):
        return 100

    def __getitem__(self, index):
        return index


def test_workers_leave_the_signal_to_their_process():
    """A launcher sends it to all processes of a job."""
    loader = DataLoader(Numbers(), num_workers=1)
    _shield_workers(SimpleNamespace(dataloader=loader))
    batches = iter(loader)
    first, worker = next(batches), batches._workers[0]
    # as a launcher does, which is another process
    subprocess.run(['kill', '-TERM', str(worker.pid)], check=True)
    assert [int(first), *map(int, batches)] == list(range(100))
    worker.join(10)
    assert worker.exitcode == 0


@pytest.mark.skipif('ORSA_STRESS' not in os.environ, reason='takes a while')
@pytest.mark.parametrize('turn', range(5))
def test_to_every_process_of_a_job(tmp_path, repo_root, turn):
    """The ranks, then torchrun, which forwards its own."""
    make_faces(tmp_path)
    (tmp_path / 'config.py').write_text(
        CONFIG.replace('{root}', str(tmp_path)))
    command, env = command_of(
        tmp_path / 'config.py',
        tmp_path / 'work',
        repo_root,
        '--cfg-options',
        'train_cfg.max_epochs=40',
        processes=2)
    job = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (tmp_path / 'work' / 'epoch_1.pth').exists():
        assert job.poll() is None
        time.sleep(0.1)
    ranks = subprocess.run(['pgrep', '-P', str(job.pid)],
                           capture_output=True,
                           text=True).stdout.split()
    assert len(ranks) == 2
    for process in (*map(int, ranks), job.pid):
        os.kill(process, signal.SIGTERM)
    job.wait(60)
    pointer = (tmp_path / 'work' / 'last_checkpoint').read_text()
    assert latest_checkpoint(str(tmp_path / 'work')) == pointer
    log = next((tmp_path / 'work').glob('2*/*.log')).read_text()
    assert f"the training is saved in '{pointer}'" in log
