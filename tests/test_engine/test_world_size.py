# Copyright (c) orsa contributors. All rights reserved.
"""A training goes on with another number of processes."""
import os
import signal

import numpy as np
import pytest
import train_worker
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from ranks import on_ranks

EPOCHS = 4


def config(world, batch_size, work_dir, **kwargs):
    hooks = dict(
        schedule=dict(type='orsa.ScheduleHook'),
        rank_check=dict(type='orsa.RankCheckHook'),
        reseed=dict(type='orsa.ReseedHook'),
        checkpoint=dict(type='orsa.CheckpointHook', interval=1),
        preemption=dict(type='orsa.PreemptionHook', interval=1),
        logger=None)
    return train_worker.tiny_config(
        work_dir,
        'pytorch' if world > 1 else 'none',
        batch_size,
        shuffle=True,
        train_cfg=dict(type='orsa.SAMTrainLoop', max_epochs=EPOCHS),
        optim_wrapper=dict(
            type='orsa.SAMOptimWrapper',
            optimizer=dict(type='SGD', lr=0.3, momentum=0.9)),
        param_scheduler=dict(
            type='CosineAnnealingLR', T_max=EPOCHS,
            convert_to_iter_based=True),
        default_hooks=hooks,
        **kwargs)


def train(rank, world, batch_size, work_dir, term_at=None, resume=None):

    class Term(Hook):
        """SIGTERM on the last rank alone; keeps the learning rates."""
        rates = []

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == term_at and rank == world - 1:
                os.kill(os.getpid(), signal.SIGTERM)
            self.rates.append(
                (runner.epoch + batch_idx / len(runner.train_dataloader),
                 runner.optim_wrapper.get_lr()['lr'][0]))

    HOOKS.register_module(module=Term, force=True)
    cfg = config(world, batch_size, work_dir)
    cfg.custom_hooks = [dict(type='Term')]
    ended, runner, weights = train_worker.run(cfg, resume)
    return ended, runner.iter, weights, Term.rates


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp('unbroken')
    return folder, on_ranks(train, 2, 6, folder)


@pytest.mark.parametrize('world, batch_size', [(1, 12), (3, 4)])
def test_the_same_batches_in_another_division(tmp_path, unbroken, world,
                                              batch_size):
    """As if nothing had happened, but for the order of sums."""
    folder, (first, second) = unbroken
    assert first[2] == second[2] and first[1] == EPOCHS * 4
    ends = on_ranks(train, world, batch_size, tmp_path, None,
                    folder / 'epoch_2.pth')
    for ended, iteration, weights, rates in ends:
        assert (ended, iteration) == ('to the end', EPOCHS * 4)
        np.testing.assert_allclose(weights, first[2], rtol=0, atol=1e-5)
        np.testing.assert_allclose(rates, first[3][8:], rtol=1e-6)


def test_one_rank_is_told_to_end_and_others_go_on(tmp_path):
    """SIGTERM on one of two saves both; one goes on where the epoch began."""
    ends = on_ranks(train, 2, 6, tmp_path / 'two', 5)
    assert [e[:2] for e in ends] == [('preempted', 5)] * 2
    saved = tmp_path / 'two' / 'preempted_iter_6.pth'
    (ended, iteration, _, rates), = on_ranks(train, 1, 6, tmp_path / 'one',
                                             None, saved)
    assert (ended, iteration) == ('to the end', EPOCHS * 8)
    assert rates[0][0] == 1 and len(rates) == (EPOCHS - 1) * 8
    # the schedule, converted from epochs, comes to its end with the training
    place, rate = np.array(rates).T
    cosine = 0.3 * (1 + np.cos(np.pi * place / EPOCHS)) / 2
    np.testing.assert_allclose(rate, cosine, atol=1e-6)


def test_the_hook_of_older_configs():
    from orsa.registry import HOOKS as ours
    ours.build(dict(type='orsa.WorldSizeHook'))
