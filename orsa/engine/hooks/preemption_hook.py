# Copyright (c) orsa contributors. All rights reserved.
import os.path as osp
import signal
import threading
from typing import Optional

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce, barrier, is_distributed, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from orsa.registry import HOOKS
from orsa.utils.data_workers import ShieldedWorker, loader_of
from orsa.utils.fileio import write_text
from .checkpoint_hook import PREEMPTED

# EX_TEMPFAIL of sysexits.h: "the user is invited to retry".
EXIT_CODE = 75


class Preempted(SystemExit):
    """The training was asked to end, and was saved; the code is 75."""

    def __init__(self):
        super().__init__(EXIT_CODE)


@HOOKS.register_module()
class PreemptionHook(Hook):
    """On SIGTERM, save and exit with code 75; ``--resume`` goes on there.

    A cluster that takes a machine back sends SIGTERM and waits a little. The
    iteration at hand is finished, the training saved as
    ``preempted_iter_N.pth``, and the process ends with a code that tells
    this from a failure. Resumed, it goes on within the epoch, and ends as if
    it had not been interrupted, bit for bit. Loops that cannot go on within
    an epoch (MMEngine's own, by epoch) fall back to its beginning. A second
    SIGTERM ends the process at once.

    Args:
        interval (int): With several ranks, every how many iterations they
            ask each other. Defaults to 10.
    """

    # After everything else has done its work on an iteration.
    priority = 'LOWEST'

    def __init__(self, interval: int = 10) -> None:
        self.interval = interval
        self.asked = False
        self._before = None
        self._saved_at: Optional[int] = None

    def before_train(self, runner: Runner) -> None:
        """Listen for the signal, which workers leave to this process."""
        for loop in (runner._train_loop, runner._val_loop):
            loader = loader_of(loop)
            if hasattr(loader, 'worker_init_fn'):
                loader.worker_init_fn = ShieldedWorker(loader.worker_init_fn)
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._ask)

    def after_train(self, runner: Runner) -> None:
        """Listen no more."""
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None

    def _ask(self, number, frame) -> None:
        if self.asked:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)
        self.asked = True

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Tell the loop how much of the epoch has been done."""
        place = (checkpoint.get('meta') or {}).get('within_epoch')
        if not runner._resume or not isinstance(place, dict):
            return
        loop = runner.train_loop
        done, total = int(place['done']), int(place['of'])
        if not hasattr(loop, 'skip_batches'):
            runner.logger.warning(
                f'{type(loop).__name__} cannot go on within an epoch: it is '
                'begun again')
            return
        if total != len(loop.dataloader):
            runner.logger.warning(
                f'an epoch had {total} batches and has '
                f'{len(loop.dataloader)} now: the training goes on at the '
                'same share of it')
            done = done * len(loop.dataloader) // total
        loop.skip_batches = done

    def _agreed(self, runner: Runner, ask: bool = False) -> bool:
        if not is_distributed():
            return self.asked
        if not ask and (runner.iter + 1) % self.interval:
            return False
        flag = torch.tensor(float(self.asked), device=get_device())
        all_reduce(flag, 'max')
        return bool(flag)

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs=None) -> None:
        """Save within the epoch, where no step is half done."""
        loop = runner.train_loop
        by_epoch = not hasattr(loop, 'dataloader_iterator')
        if by_epoch and batch_idx + 1 >= len(loop.dataloader):
            return  # the epoch is over, and saved next
        wrapper = runner.optim_wrapper
        if getattr(wrapper, '_inner_count', 0) % getattr(
                wrapper, '_accumulative_counts', 1):
            return
        if not self._agreed(runner):
            return
        meta = dict(epoch=runner.epoch, iter=runner.iter + 1)
        if by_epoch:
            if not hasattr(loop, 'skip_batches'):
                self._exit(runner, runner.iter + 1, None)
            meta['within_epoch'] = dict(
                done=batch_idx + 1, of=len(loop.dataloader))
        self._save(runner, meta)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remember which state is saved."""
        self._saved_at = int(checkpoint['meta']['epoch'])

    def after_train_epoch(self, runner: Runner) -> None:
        """The CheckpointHook has saved the epoch, if it is its turn."""
        if self._agreed(runner, ask=True):
            self._save_epoch(runner, runner.epoch + 1)

    def after_val_epoch(self, runner: Runner, metrics=None) -> None:
        """End after a validation, whose weights may have been averages."""
        if runner._train_loop is not None and hasattr(
                runner.train_loop, 'max_epochs') and self._agreed(
                    runner, ask=True):
            self._save_epoch(runner, runner.epoch)

    def _save_epoch(self, runner: Runner, epoch: int) -> None:
        last = osp.join(runner.work_dir, f'epoch_{epoch}.pth')
        if osp.isfile(last):
            self._exit(runner, runner.iter, last)
        self._save(runner, dict(epoch=epoch, iter=runner.iter))

    def _save(self, runner: Runner, meta: dict) -> None:
        name = PREEMPTED.format(meta['iter'])
        runner.save_checkpoint(
            runner.work_dir, name, meta=meta, by_epoch=False)
        path = osp.join(runner.work_dir, name)
        if is_main_process():
            write_text(osp.join(runner.work_dir, 'last_checkpoint'), path)
        self._exit(runner, meta['iter'], path)

    def _exit(self, runner: Runner, done: int, path: Optional[str]) -> None:
        barrier()  # a rank that ended early would have the others killed
        saved = f"the training is saved in '{path}'" if path else (
            f'{type(runner.train_loop).__name__} cannot go on within an '
            'epoch, and the last checkpoint stands')
        runner.logger.warning(
            f'SIGTERM after iteration {done}: {saved}; --resume '
            f'goes on. Exit code {EXIT_CODE}')
        raise Preempted
