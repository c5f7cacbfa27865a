# Copyright (c) orsa contributors. All rights reserved.
import logging
import warnings
from typing import List, Optional

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import _ParamScheduler
from mmengine.runner import IterBasedTrainLoop, Runner

from orsa.registry import HOOKS

# Of a scheduler's state, how far it is; the rest are its settings.
PROGRESS = ('base_values', 'last_step', '_global_step', '_last_value',
            'verbose')


@HOOKS.register_module()
class ScheduleHook(Hook):
    """Log what a schedule does that is not of the length of the training.

    A resumed training goes on with the optimizer's settings and schedules of
    its checkpoint, whatever the config has by now, and with the
    ``max_epochs`` of the config. Where the two differ that is logged.
    ``rebuild`` takes the config's learning rate and schedules instead, at the
    iteration that the training has reached.

    With another number of processes, or another batch size, an epoch has
    another number of iterations. A resumed training then goes on at the
    beginning of its epoch, and its schedules are rebuilt.

    In any training it is logged when a schedule ends before the training.

    Args:
        rebuild (bool): Whether a resumed training takes learning rate and
            schedules from the config. Defaults to False.
    """

    # before PreemptionHook gives the loop the place within the epoch
    priority = 'LOW'

    def __init__(self, rebuild: bool = False):
        self.rebuild = rebuild

    @staticmethod
    def _processes(runner: Runner) -> Optional[dict]:
        """How an epoch is divided into iterations."""
        loader = getattr(runner._train_loop, 'dataloader', None)
        size = getattr(loader, 'batch_size', None)
        return dict(
            count=get_world_size(), batch_size=size,
            batches=len(loader)) if isinstance(size, int) else None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note how an epoch is divided."""
        processes = self._processes(runner)
        if processes:
            checkpoint['meta']['processes'] = processes

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the schedules, when a training is resumed."""
        if not runner._resume:
            return
        divided = self._divided_anew(runner, checkpoint['meta'])
        saved = checkpoint.get('param_schedulers') or []
        groups = (checkpoint.get('optimizer') or {}).get('param_groups')
        # several optimizers have schedules each, and go MMEngine's way
        if not (_can_follow(runner) and isinstance(saved, list) and groups):
            return
        differences = _differences(runner, saved, groups)
        if not differences and not divided:
            return
        differences = differences or 'other iterations an epoch'
        if self.rebuild or divided:
            _rebuild(runner, checkpoint)
            print_log(
                'resuming takes learning rate and schedules from the config '
                f'({differences}), and the rest of the optimizer from the '
                'checkpoint',
                logger='current')
            return
        print_log(
            'resuming takes weights, optimizer and schedules from the '
            f'checkpoint ({differences}), and all else from the config. '
            '--rebuild-schedule takes learning rate and schedules from the '
            'config too',
            logger='current',
            level=logging.WARNING)

    def _divided_anew(self, runner: Runner, meta: dict) -> bool:
        """Go back to the beginning of the epoch if iterations are others."""
        old, new = meta.get('processes'), self._processes(runner)
        if not old or not new or old == new or hasattr(runner.train_loop,
                                                       'dataloader_iterator'):
            return False
        meta.pop('within_epoch', None)
        meta['iter'] = meta['epoch'] * new['batches']
        was, now = (
            '{count} processes x {batch_size} samples, {batches} iterations an'
            ' epoch'.format(**each) for each in (old, new))
        print_log(
            f'the checkpoint was trained by {was}; now it is {now}: the '
            f'training goes on at the beginning of epoch {meta["epoch"] + 1}, '
            'with the learning rate of the config',
            logger='current',
            level=logging.WARNING)
        return True

    def before_train(self, runner: Runner) -> None:
        """Compare the lengths of schedules and training."""
        if not _can_follow(runner):
            return
        planned = max(_planned(runner, s) for s in runner.param_schedulers)
        if planned < runner.max_iters:
            print_log(
                'the schedules of param_scheduler end with '
                f'{_place(runner, planned)}, and the training with '
                f'{_place(runner, runner.max_iters)}: give them its length '
                '(T_max, end, total_steps) if that is not meant',
                logger='current',
                level=logging.WARNING)


@HOOKS.register_module()
class WorldSizeHook(Hook):
    """Of older configs, without effect: :class:`ScheduleHook` does this."""

    def __init__(self):
        print_log(
            'orsa.WorldSizeHook has no effect any more, orsa.ScheduleHook '
            'does its work: leave it out of the config',
            logger='current',
            level=logging.WARNING)


def _can_follow(runner: Runner) -> bool:
    schedulers = runner.param_schedulers
    by_iter = isinstance(runner.train_loop, IterBasedTrainLoop)
    return isinstance(schedulers, list) and bool(schedulers) and not any(
        getattr(s, 'need_val_args', False) or by_iter and s.by_epoch
        for s in schedulers)


def _rebuild(runner: Runner, checkpoint: dict) -> None:
    """Put into a checkpoint what the config's schedules have come to."""
    schedulers, epoch = runner.param_schedulers, len(runner.train_dataloader)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # no optimizer steps in between
        for i in range(1, checkpoint['meta']['iter'] + 1):
            for scheduler in schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
            for scheduler in schedulers:
                if scheduler.by_epoch and i % epoch == 0:
                    scheduler.step()
    checkpoint['param_schedulers'] = [s.state_dict() for s in schedulers]
    groups = list(checkpoint['optimizer']['param_groups'])
    if checkpoint['optimizer'].get('base_param_settings'):  # the base_lr
        groups.append(checkpoint['optimizer']['base_param_settings'])
    for group, own in zip(groups, runner.optim_wrapper.param_groups):
        for name in {s.param_name for s in schedulers}:
            for key in (name, f'initial_{name}'):
                group[key] = own[key]


def _planned(runner: Runner, scheduler: _ParamScheduler) -> int:
    """The iteration with which a schedule has run its course."""
    length = getattr(scheduler, 'T_max', None) or getattr(
        scheduler, 'total_steps', scheduler.end - scheduler.begin)
    end = min(scheduler.begin + length, scheduler.end)
    return end * len(runner.train_dataloader) if scheduler.by_epoch else end


def _place(runner: Runner, iteration: int) -> str:
    epoch = len(runner.train_dataloader)
    if iteration % epoch or isinstance(runner.train_loop, IterBasedTrainLoop):
        return f'iteration {iteration}'
    return f'epoch {iteration // epoch}'


def _differences(runner: Runner, saved: List[dict], groups: List[dict]) -> str:
    """Settings of schedules and optimizer that a config has otherwise."""
    built, found = runner.param_schedulers, {}
    if len(built) != len(saved):
        found['schedules'] = len(saved), len(built)
    for scheduler, state in zip(built, saved):
        for key, value in scheduler.state_dict().items():
            if key not in PROGRESS and state.get(key) != value:
                name = f'{type(scheduler).__name__}.{key}'
                found.setdefault(name, (state.get(key), value))
    for own, group in zip(runner.optim_wrapper.param_groups, groups):
        for key, value in own.items():
            # flags are how to compute; schedules have moved what has an
            # initial value
            if key == 'params' or f'initial_{key}' in own or isinstance(
                    value, bool) or value is None:
                continue
            if group.get(key, value) != value:
                found.setdefault(key, (group[key], value))
    return '; '.join(f'{name}={old}, in the config {new}'
                     for name, (old, new) in found.items())
