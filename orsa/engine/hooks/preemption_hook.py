# Copyright (c) orsa contributors. All rights reserved.
import functools
import os
import os.path as osp
import signal
import threading
from typing import Any, Callable, Optional

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce, barrier, is_distributed, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from orsa.registry import HOOKS
from orsa.utils.fileio import write_text
from ..distributed import loader_of, restart_loader
from ..loops.steps import step_is_open
from .checkpoint_hook import PREEMPTED

# EX_TEMPFAIL of sysexits.h: "the user is invited to retry".
EXIT_CODE = 75


class Preempted(SystemExit):
    """The training was asked to end, and goes on by --resume: code 75."""

    def __init__(self):
        super().__init__(EXIT_CODE)


def _exit_with_parent(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


def _start_worker(worker_id: int, init: Optional[Callable]) -> None:
    """A ``worker_init_fn`` that lets SIGTERM of the own process alone through.

    Launchers send it to all processes of a job, and a worker that ended by it
    would fail the iteration that is to be finished.
    """
    if hasattr(signal, 'sigwaitinfo'):  # else who sent it is not known
        # blocked in this thread, and so in those that it starts
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(
            target=_exit_with_parent, args=(os.getppid(), ),
            daemon=True).start()
    if init is not None:
        init(worker_id)


def _shield_workers(loop: Any) -> None:
    """Let the workers of a loop leave SIGTERM to their process."""
    loader = loader_of(loop)
    if not hasattr(loader, 'worker_init_fn'):
        return
    loader.worker_init_fn = functools.partial(
        _start_worker, init=loader.worker_init_fn)
    if loader.num_workers:
        # those that a loop by iterations or a validation has started
        restart_loader(loop)


@HOOKS.register_module()
class PreemptionHook(Hook):
    """On SIGTERM, save and exit with code 75; ``--resume`` goes on there.

    A cluster that takes a machine back sends SIGTERM and waits a little. The
    iteration at hand is finished, or the step where it takes several, the
    training saved as ``preempted_iter_N.pth``, and the process ends with a
    code that tells this from a failure. Resumed, it goes on within the epoch,
    and ends as if it had not been interrupted, bit for bit. Loops that cannot
    go on within an epoch (MMEngine's own, by epoch) fall back to its
    beginning.

    Launchers forward the signal, so that a process may get it more than once:
    that is one request. Before the first iteration there is nothing to save,
    and the signal ends the process as it ends any.

    Args:
        interval (int): With several ranks, every how many iterations they
            compare requests. Defaults to 10.
    """

    # after everything else has done its work on an iteration
    priority = 'LOWEST'

    def __init__(self, interval: int = 10) -> None:
        self.interval = interval
        self.requested = self._all_know = False
        self._before: Any = None

    def _request(self, number, frame) -> None:
        self.requested = True

    def before_train(self, runner: Runner) -> None:
        """Handle the signal, which workers leave to this process."""
        for loop in (runner._train_loop, runner._val_loop):
            _shield_workers(loop)
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._request)

    def before_train_epoch(self, runner: Runner) -> None:
        """Hold the signal back until the workers have begun."""
        self._hold(True)

    def before_val_epoch(self, runner: Runner) -> None:
        """Hold the signal back until the workers have begun."""
        self._hold(True)

    def _before_iter(self, *args, **kwargs) -> None:
        """They have given a batch."""
        self._hold(False)

    def _hold(self, hold: bool) -> None:
        # Workers inherit it: none is ended before `_start_worker` shields it.
        if self._before is not None and hasattr(signal, 'pthread_sigmask'):
            signal.pthread_sigmask(
                signal.SIG_BLOCK if hold else signal.SIG_UNBLOCK,
                {signal.SIGTERM})

    def after_train(self, runner: Runner) -> None:
        """Put the former handler back."""
        self._hold(False)
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Tell the loop how much of the epoch has been done."""
        place = (checkpoint.get('meta') or {}).get('within_epoch')
        if not runner._resume or not isinstance(place, dict):
            return
        loop = runner.train_loop
        if hasattr(loop, 'skip_batches') and place['of'] == len(
                loop.dataloader):
            loop.skip_batches = int(place['done'])
        else:
            runner.logger.warning('the training cannot go on within its epoch '
                                  f'({type(loop).__name__}, '
                                  f'{len(loop.dataloader)} batches): it is '
                                  'begun again')

    def _agreed(self, runner: Runner, ask: bool) -> bool:
        """Whether all ranks know that one was asked to end."""
        if not is_distributed():
            return self.requested
        if ask and not self._all_know:
            flag = torch.tensor(float(self.requested), device=get_device())
            all_reduce(flag, 'max')
            self._all_know = bool(flag)
        return self._all_know

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: Optional[dict] = None) -> None:
        """Save within the epoch, where no step is half done."""
        loop, done = runner.train_loop, runner.iter + 1
        by_epoch = not hasattr(loop, 'dataloader_iterator')
        if by_epoch and batch_idx + 1 >= len(loop.dataloader):
            return  # the epoch is over, and saved next
        if not self._agreed(runner, done % self.interval
                            == 0) or step_is_open(runner):
            return
        meta = dict(epoch=runner.epoch, iter=done)
        if by_epoch:
            if not hasattr(loop, 'skip_batches'):
                self._exit(
                    runner, done, f'{type(loop).__name__} cannot go on within '
                    'an epoch, and the last checkpoint stands')
            meta['within_epoch'] = dict(
                done=batch_idx + 1, of=len(loop.dataloader))
        self._save(runner, meta)

    def after_train_epoch(self, runner: Runner) -> None:
        """Save before a validation, which may take long."""
        if self._agreed(runner, True):
            self._save(runner, dict(epoch=runner.epoch + 1, iter=runner.iter))

    def _save(self, runner: Runner, meta: dict) -> None:
        name = PREEMPTED.format(meta['iter'])
        runner.save_checkpoint(
            runner.work_dir, name, meta=meta, by_epoch=False)
        path = osp.join(runner.work_dir, name)
        if is_main_process():
            write_text(osp.join(runner.work_dir, 'last_checkpoint'), path)
        self._exit(runner, meta['iter'], f"the training is saved in '{path}'")

    def _exit(self, runner: Runner, done: int, saved: str) -> None:
        barrier()  # a rank that ended early would have the others killed
        runner.logger.warning(f'SIGTERM after iteration {done}: {saved}; '
                              f'--resume goes on. Exit code {EXIT_CODE}')
        raise Preempted
