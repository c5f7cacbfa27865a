# Copyright (c) orsa contributors. All rights reserved.
"""A training goes on with another number of processes."""
import os
import signal

import numpy as np
import pytest
import torch
import train_worker
from mmengine.hooks import Hook
from mmengine.optim import (CosineAnnealingLR, LinearLR, MultiStepLR,
                            OptimWrapper)
from mmengine.registry import HOOKS
from ranks import on_ranks

from orsa.engine.hooks.world_size_hook import _convert_schedules, convert_place

EPOCHS, SAMPLES = 4, 48


def config(world, batch_size, work_dir, **kwargs):
    hooks = dict(
        world_size=dict(type='orsa.WorldSizeHook'),
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


@pytest.mark.parametrize('world', [1, 3])
def test_one_rank_is_told_to_end_and_others_go_on(tmp_path, world):
    """SIGTERM on one of two saves both; the place is that of the samples."""
    ends = on_ranks(train, 2, 6, tmp_path / 'two', 5)
    assert [e[:2] for e in ends] == [('preempted', 5)] * 2
    saved = tmp_path / 'two' / 'preempted_iter_6.pth'
    # 24 of 48 samples of the second epoch are done
    done, per_epoch = (4, 8) if world == 1 else (1, 3)
    ends = on_ranks(train, world, 6, tmp_path / 'others', None, saved)
    for ended, iteration, _, rates in ends:
        assert (ended, iteration) == ('to the end', EPOCHS * per_epoch)
        assert rates[0][0] == 1 + done / per_epoch
        assert len(rates) == (EPOCHS - 1) * per_epoch - done
    # the schedule goes on where it was, and comes to its end
    place, rate = np.array(rates).T
    cosine = 0.3 * (1 + np.cos(np.pi * place / EPOCHS)) / 2
    exact = done / per_epoch == 0.5
    np.testing.assert_allclose(rate, cosine, atol=1e-6 if exact else 0.05)


@pytest.mark.parametrize('accumulate', [1, 2])
def test_no_sample_of_an_epoch_is_left_out(accumulate):
    rng = np.random.default_rng(0)
    for _ in range(500):
        samples = int(rng.integers(1, 200))
        old, new = ({
            'count': int(c),
            'batch_size': int(b)
        } for c, b in rng.integers(1, 9, (2, 2)))
        for note in (old, new):
            per_rank = -(-samples // note['count'])
            note['batches'] = -(-per_rank // note['batch_size'])
        done = int(rng.integers(0, old['batches'] + 1))
        place = convert_place(done, old, new, accumulate)
        step = new['count'] * new['batch_size']
        seen = done * old['count'] * old['batch_size']
        assert 0 <= place <= new['batches']
        assert place * step <= seen
        # what is seen again is less than a step, unless the epoch is over
        assert ((place + accumulate) * step > seen
                or place + accumulate > new['batches'])
        assert place % accumulate == 0
    same = dict(count=2, batch_size=6, batches=5)
    assert [convert_place(i, same, same) for i in range(6)] == list(range(6))


def schedules(per_epoch):
    parameter = nn_parameter()
    wrapper = OptimWrapper(torch.optim.SGD([parameter], lr=1.))
    built = dict(epoch_length=per_epoch)
    return wrapper, [
        LinearLR(wrapper, 0.1, end=10, by_epoch=False),
        CosineAnnealingLR.build_iter_from_epoch(
            wrapper, T_max=8, begin=2, end=10, **built),
        MultiStepLR(wrapper, [7], by_epoch=True),
    ]


def nn_parameter():
    return torch.nn.Parameter(torch.zeros(1))


@pytest.mark.parametrize('old, new', [(20, 40), (40, 20), (20, 13)])
def test_schedules(old, new):
    """Those from epochs get the new length; those in iterations stay."""
    wrapper, steps = schedules(old)
    for _ in range(5 * old):
        wrapper.optimizer.step()
        for each in steps[:2]:
            each.step()
    saved = [s.state_dict() for s in steps]
    rate = wrapper.get_lr()['lr'][0]
    warm_up = dict(saved[0])
    wrapper, steps = schedules(new)
    _convert_schedules(saved, steps, 5 * old, 5 * new)
    assert saved[0] == warm_up
    wrapper.optimizer.param_groups[0]['lr'] = rate
    for state, each in zip(saved, steps):
        each.load_state_dict(state)
    assert steps[1].last_step == 3 * new and steps[1].T_max == 8 * new
    assert steps[1].end == 10 * new
    for i in range(5 * new):
        expected = (1 + np.cos(np.pi * (3 + i / new) / 8)) / 2
        assert wrapper.get_lr()['lr'][0] == pytest.approx(expected, abs=0.01)
        wrapper.optimizer.step()
        steps[1].step()
