# Copyright (c) orsa contributors. All rights reserved.
import contextlib
import os.path as osp
import signal
import threading
import time
from typing import Any, Iterator, Optional

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import all_reduce, barrier, is_distributed, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from orsa.engine.ranks.data_workers import ShieldedWorker, loader_of
from orsa.registry import HOOKS
from orsa.utils.configs import type_name
from orsa.utils.fileio import write_text
from ..loops.steps import step_is_open
from .checkpoint_hook import PREEMPTED

# EX_TEMPFAIL of sysexits.h: "the user is invited to retry".
EXIT_CODE = 75
# SIGTERMs within so many seconds of the first are the same request: a batch
# system sends one to all processes of a job, and torchrun, which gets one,
# another to each of its own. It is the time that torchrun then waits.
SAME_REQUEST = 30.
_NOTHING = 'nothing was trained yet, start it again with the same command'


class Preempted(SystemExit):
    """The training was asked to end, and goes on by --resume: code 75."""

    def __init__(self):
        super().__init__(EXIT_CODE)


class _Request:
    """The handler of SIGTERM: remembers that the training shall end.

    Args:
        at_once (bool): Whether to end right there, as nothing is trained
            yet. Defaults to False.
    """

    def __init__(self, at_once: bool = False) -> None:
        self.at_once = at_once
        self.since: Optional[float] = None

    def __call__(self, number, frame) -> None:
        now = time.monotonic()
        if self.since is None:
            self.since = now
            if self.at_once:
                raise Preempted
        elif now - self.since > SAME_REQUEST:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)


@contextlib.contextmanager
def sigterm_heard(cfg: Config) -> Iterator[None]:
    """Heed SIGTERM from now on, before a :class:`PreemptionHook` does.

    While a training is built, and what is due of the last one is made up for,
    there is nothing to save: the process ends at once, with code 75. Ranks of
    a launcher must end together, and are left to the hook. Without the hook
    nothing is changed.

    Args:
        cfg (Config): Of the training.
    """
    hooks = [
        *(cfg.get('default_hooks') or {}).values(),
        *(cfg.get('custom_hooks') or ())
    ]
    if (cfg.get('launcher', 'none') != 'none'
            or threading.current_thread() is not threading.main_thread()
            or not any(
                isinstance(hook, dict) and 'type' in hook
                and type_name(hook) == 'PreemptionHook' for hook in hooks)):
        yield
        return
    request, stays = _Request(at_once=True), False
    before = signal.signal(signal.SIGTERM, request)
    try:
        yield
    except Preempted:
        if request.at_once:
            print_log(
                f'SIGTERM before the first iteration: {_NOTHING}. Exit code '
                f'{EXIT_CODE}',
                logger='current',
                level=30)
        request.at_once = False
        stays = True  # a repeat may not change the exit code
        raise
    finally:
        if not stays:
            signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _shield_workers(loop: Any) -> None:
    """Let the workers of a loop leave SIGTERM to their process."""
    loader = loader_of(loop)
    init = getattr(loader, 'worker_init_fn', None)
    if not hasattr(loader, 'worker_init_fn') or isinstance(
            init, ShieldedWorker):
        return
    loader.worker_init_fn = ShieldedWorker(init)
    if loader.num_workers and hasattr(loop, 'dataloader_iterator'):
        # a loop by iterations has begun them when it was built
        loader._iterator = None
        loop.dataloader_iterator = type(loop.dataloader_iterator)(
            loop.dataloader)


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
    within 30 seconds (``SAME_REQUEST``) that is one request. A SIGTERM after
    that ends the process at once.

    Args:
        interval (int): With several ranks, every how many iterations they
            ask each other. Defaults to 10.
    """

    # After everything else has done its work on an iteration.
    priority = 'LOWEST'

    def __init__(self, interval: int = 10) -> None:
        self.interval = interval
        self._request = _Request()
        self._before = None
        self._begun = self._all_know = False
        self._listens = self._holds = False

    @property
    def asked(self) -> bool:
        """bool: Whether this process was asked to end."""
        return self._request.since is not None

    def before_train(self, runner: Runner) -> None:
        """Listen, and end if all ranks may not even begin."""
        self._listen(runner)
        self._request.at_once = False
        if self._agreed(runner, ask=True):
            self._exit(runner, runner.iter, _NOTHING)
        self._begun = True

    def _listen(self, runner: Runner) -> None:
        """Listen for the signal, which workers leave to this process."""
        for loop in (runner._train_loop, runner._val_loop):
            _shield_workers(loop)
        if threading.current_thread() is not threading.main_thread():
            return
        self._listens = True
        handler = signal.getsignal(signal.SIGTERM)
        if isinstance(handler, _Request) and handler.at_once:
            self._request = handler  # of sigterm_heard, which takes it away
        elif handler is not self._request:
            self._before = signal.signal(signal.SIGTERM, self._request)

    def _hold(self) -> None:
        """Hold the signal back while workers begin.

        They inherit that, and are not ended before they are shielded.
        """
        if self._listens and hasattr(signal, 'sigwaitinfo'):
            self._holds = True
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def _release(self) -> None:
        if self._holds:
            self._holds = False
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def before_train_epoch(self, runner: Runner) -> None:
        """The workers of an epoch begin after this."""
        if not hasattr(runner.train_loop, 'dataloader_iterator'):
            self._hold()

    def before_val_epoch(self, runner: Runner) -> None:
        """The workers of a validation begin after this."""
        self._hold()

    def _before_iter(self,
                     runner: Runner,
                     batch_idx: int,
                     data_batch=None,
                     mode: str = 'train') -> None:
        """They have given a batch."""
        self._release()

    def after_train(self, runner: Runner) -> None:
        """Listen no more."""
        self._release()
        self._listens = False
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Tell the loop how much of the epoch has been done."""
        if not runner._resume:
            return
        self._listen(runner)  # a validation may be made up for next
        place = (checkpoint.get('meta') or {}).get('within_epoch')
        if not isinstance(place, dict):
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
        if self._all_know:
            return True
        if not ask and (runner.iter + 1) % self.interval:
            return False
        flag = torch.tensor(float(self.asked), device=get_device())
        all_reduce(flag, 'max')
        self._all_know = bool(flag)
        return self._all_know

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
        if not self._agreed(runner) or step_is_open(runner):
            return
        meta = dict(epoch=runner.epoch, iter=runner.iter + 1)
        if by_epoch:
            if not hasattr(loop, 'skip_batches'):
                self._exit(
                    runner, runner.iter + 1,
                    f'{type(loop).__name__} cannot go on within an epoch, and '
                    'the last checkpoint stands; --resume goes on')
            meta['within_epoch'] = dict(
                done=batch_idx + 1, of=len(loop.dataloader))
        self._save(runner, meta)

    def after_train_epoch(self, runner: Runner) -> None:
        """The CheckpointHook has saved the epoch, if it is its turn."""
        self._release()  # an epoch may have had no batch
        if self._agreed(runner, ask=True):
            self._save_epoch(runner, runner.epoch + 1)

    def after_val_epoch(self, runner: Runner, metrics=None) -> None:
        """End after a validation, whose weights may have been averages."""
        self._release()
        if runner._train_loop is None or not hasattr(
                runner.train_loop, 'max_epochs') or not self._agreed(
                    runner, ask=True):
            return
        if not self._begun:
            self._exit(runner, runner.iter, _NOTHING)
        if not step_is_open(runner):
            self._save_epoch(runner, runner.epoch)

    def _save_epoch(self, runner: Runner, epoch: int) -> None:
        path = osp.join(runner.work_dir, f'epoch_{epoch}.pth')
        # by this run: a file of that name may be an older one's
        if path in [getattr(h, 'last_ckpt', None) for h in runner.hooks]:
            self._exit(runner, runner.iter, _saved_in(path))
        self._save(runner, dict(epoch=epoch, iter=runner.iter))

    def _save(self, runner: Runner, meta: dict) -> None:
        name = PREEMPTED.format(meta['iter'])
        runner.save_checkpoint(
            runner.work_dir, name, meta=meta, by_epoch=False)
        path = osp.join(runner.work_dir, name)
        if is_main_process():
            write_text(osp.join(runner.work_dir, 'last_checkpoint'), path)
        self._exit(runner, meta['iter'], _saved_in(path))

    def _exit(self, runner: Runner, done: int, saved: str) -> None:
        barrier()  # a rank that ended early would have the others killed
        runner.logger.warning(f'SIGTERM after iteration {done}: {saved}. Exit '
                              f'code {EXIT_CODE}')
        raise Preempted


def _saved_in(path: str) -> str:
    return f"the training is saved in '{path}'; --resume goes on"
