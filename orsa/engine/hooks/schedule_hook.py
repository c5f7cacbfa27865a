# Copyright (c) orsa contributors. All rights reserved.
import copy
import logging
from types import SimpleNamespace
from typing import List, Sequence

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import _ParamScheduler
from mmengine.runner import IterBasedTrainLoop, Runner

from orsa.registry import HOOKS
from .world_size_hook import PROGRESS


@HOOKS.register_module()
class ScheduleHook(Hook):
    """Say what a schedule does that is not of the length of the training.

    A resumed training goes on with the optimizer's settings and schedules of
    its checkpoint, whatever the config says by now, and with the
    ``max_epochs`` of the config. Where the two differ that is said, with the
    learning rate at the end. ``rebuild`` takes the config's learning rate and
    schedules instead, at the place that the training has reached.

    In any training it is said when a schedule ends before the training does.

    Args:
        rebuild (bool): Whether a resumed training takes learning rate and
            schedules from the config. Defaults to False.
    """

    # WorldSizeHook has converted what is counted in iterations by then
    priority = 'LOW'

    def __init__(self, rebuild: bool = False):
        self.rebuild = rebuild
        self._told = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the schedules, when a training is resumed."""
        built = runner.param_schedulers
        saved = checkpoint.get('param_schedulers') or []
        optimizer = checkpoint.get('optimizer') or {}
        # several optimizers have schedules each, and go MMEngine's way
        if not runner._resume or not _can_follow(runner) or not (isinstance(
                saved, list) and 'param_groups' in optimizer):
            return
        groups = list(optimizer['param_groups'])
        if optimizer.get('base_param_settings'):  # what is logged as base_lr
            groups.append(optimizer['base_param_settings'])
        own, done = runner.optim_wrapper.param_groups, checkpoint['meta'][
            'iter']
        differ = _differences(built, saved, own, groups)
        if not differ:
            return
        self._told = True
        new = _Course(runner, built, own)
        new.advance(0, done)
        if self.rebuild:
            for name in {s.param_name for s in built}:
                for group, other in zip(groups, new.groups):
                    for key in (name, f'initial_{name}'):
                        group[key] = other[key]
            checkpoint['param_schedulers'] = new.states()
            print_log(
                'resuming takes learning rate and schedules from the config, '
                'as --rebuild-schedule asks, and the rest of the optimizer '
                f'from the checkpoint ({differ}): the learning rate '
                f'{new.tell(done)}',
                logger='current')
            return
        old = _Course(runner, built, groups, saved)
        print_log(
            'resuming takes weights, optimizer and schedules from the '
            f'checkpoint ({differ}), and all else from the config: until '
            f'{_place(runner, runner.max_iters)} the learning rate '
            f'{old.tell(done)}. --rebuild-schedule takes learning rate and '
            f'schedules from the config too: then it {new.tell(done)}',
            logger='current',
            level=logging.WARNING)

    def before_train(self, runner: Runner) -> None:
        """Compare the lengths of schedules and training."""
        if self._told or not _can_follow(runner):
            return
        planned = max(_planned(runner, s) for s in runner.param_schedulers)
        if not planned < runner.max_iters:
            return
        course = _Course(runner, runner.param_schedulers,
                         runner.optim_wrapper.param_groups)
        course.advance(runner.iter, planned)
        print_log(
            'the schedules of param_scheduler are made to end with '
            f'{_place(runner, planned)}, and the training ends with '
            f'{_place(runner, runner.max_iters)}: in between the learning '
            f'rate {course.tell(max(runner.iter, planned))}. Give them its '
            'length (T_max, end, total_steps) if that is not meant',
            logger='current',
            level=logging.WARNING)


class _Course:
    """Schedules that are followed without the optimizer and the training.

    Args:
        runner (Runner): Whose training it would be.
        schedulers (list): Where they begin.
        groups (list[dict]): The optimizer's groups.
        states (list[dict], optional): State dicts to begin from.
    """

    def __init__(self,
                 runner: Runner,
                 schedulers: List[_ParamScheduler],
                 groups: List[dict],
                 states: Sequence[dict] = ()):
        self.runner = runner
        self.groups = [{
            k: v
            for k, v in group.items() if k != 'params'
        } for group in groups]
        optimizer = SimpleNamespace(
            param_groups=self.groups,
            _global_step=0,
            step=SimpleNamespace(_with_counter=True))
        self.schedulers = []
        for i, scheduler in enumerate(schedulers):
            scheduler = copy.copy(scheduler)
            state = states[i] if i < len(states) else scheduler.state_dict()
            scheduler.load_state_dict(copy.deepcopy(state))
            scheduler.optimizer = optimizer
            self.schedulers.append(scheduler)
        rates = [group.get('initial_lr', group['lr']) for group in groups]
        self._group = self.groups[rates.index(max(rates))]

    def states(self) -> List[dict]:
        return [s.state_dict() for s in self.schedulers]

    def advance(self, start: int, stop: int) -> None:
        """Take the steps of iterations ``start`` to ``stop``."""
        epoch = len(self.runner.train_dataloader)
        for i in range(start + 1, stop + 1):
            for scheduler in self.schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
            for scheduler in self.schedulers:
                if scheduler.by_epoch and i % epoch == 0:
                    scheduler.step()

    def tell(self, done: int) -> str:
        """The way of the learning rate from here to the last iteration."""
        first = self._group['lr']
        self.advance(done, self.runner.max_iters - 1)
        last = self._group['lr']
        if f'{first:.2e}' == f'{last:.2e}':
            return f'stays at {first:.2e}'
        return f'goes from {first:.2e} to {last:.2e}'


def _can_follow(runner: Runner) -> bool:
    schedulers = runner.param_schedulers
    by_iter = isinstance(runner.train_loop, IterBasedTrainLoop)
    return isinstance(schedulers, list) and bool(schedulers) and not any(
        getattr(s, 'need_val_args', False) or by_iter and s.by_epoch
        for s in schedulers)


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


def _differences(built: List[_ParamScheduler], saved: List[dict],
                 own: List[dict], groups: List[dict]) -> str:
    """What the config says otherwise than a checkpoint, in words."""
    found = {}
    if len(built) != len(saved):
        found['schedules'] = len(saved), len(built)
    for scheduler, state in zip(built, saved):
        for key, value in scheduler.state_dict().items():
            if key not in PROGRESS and state.get(key) != value:
                name = f'{type(scheduler).__name__}.{key}'
                found.setdefault(name, (state.get(key), value))
    for group, other in zip(own, groups):
        for key, value in group.items():
            # flags say how to compute; schedules have moved what has an
            # initial value
            if key == 'params' or f'initial_{key}' in group or isinstance(
                    value, bool) or value is None:
                continue
            if other.get(key, value) != value:
                found.setdefault(key, (other[key], value))
    return '; '.join(f'{name}={old}, in the config {new}'
                     for name, (old, new) in found.items())
