# Copyright (c) orsa contributors. All rights reserved.
import contextlib
import glob
import os
import os.path as osp
import re
from typing import List

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook as _CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from orsa.registry import HOOKS
from orsa.utils.fileio import TEMPORARY

PREEMPTED = 'preempted_iter_{}.pth'
# What a training alone writes into its work dir. Other temporary files there
# may be of another program.
_WRITTEN = ('.pth', '_validation.json', '_last_checkpoint')


class _Later:
    """A file backend that keeps what shall be removed for later."""

    def __init__(self, backend, paths: List[str]):
        self._backend, self._paths = backend, paths

    def remove(self, path: str) -> None:
        self._paths.append(str(path))

    rmtree = remove

    def __getattr__(self, name):
        return getattr(self._backend, name)


@HOOKS.register_module()
class CheckpointHook(_CheckpointHook):
    """MMEngine's ``CheckpointHook``, which removes nothing too early.

    MMEngine removes the oldest checkpoint, and the best one so far, before it
    writes the new one. Here they stay until the new one is complete. On
    beginning, files that a killed process left half-written are removed. On
    resuming, a validation that was due but may not have been judged is run
    again, so that the best checkpoint is that of an unbroken run. The
    arguments are MMEngine's.
    """

    def before_train(self, runner: Runner) -> None:
        """Clear up after a killed process, and catch up on its validation."""
        super().before_train(runner)
        if is_main_process() and '://' not in str(self.out_dir):
            self._clear_up(runner)
        if not runner._resume:
            return
        loop = runner.val_loop
        if loop is not None and self._validation_is_due(runner):
            place = (f'iteration {runner.iter}' if isinstance(
                runner.train_loop, IterBasedTrainLoop) else
                     f'epoch {runner.epoch}')
            runner.logger.info(f'The validation of {place} is run again: the '
                               'checkpoint was saved before it')
            loop.run()

    @staticmethod
    def _validation_is_due(runner: Runner) -> bool:
        loop = runner.train_loop
        if isinstance(loop, IterBasedTrainLoop):
            done, end = loop.iter, loop.max_iters
        elif isinstance(loop, EpochBasedTrainLoop):
            done, end = loop.epoch, loop.max_epochs
        else:
            return False
        if done < 1 or getattr(loop, 'skip_batches', 0):
            return False  # it was judged before this epoch began
        loop._decide_current_val_interval()
        return done >= loop.val_begin and (done % loop.val_interval == 0
                                           or done == end)

    def _clear_up(self, runner: Runner) -> None:
        # also of one that was killed before its first checkpoint
        for path in glob.glob(osp.join(self.out_dir, TEMPORARY + '*')):
            if path.endswith(_WRITTEN):
                os.remove(path)
        if (not runner._resume or self.max_keep_ckpts < 1
                or not self.keep_ckpt_ids):
            return
        # the one that was about to be removed when the process was killed;
        # several are of a run that kept more, and stay
        older = {}
        pattern = re.escape(self.filename_tmpl).replace(r'\{\}', r'(\d+)')
        for name in os.listdir(self.out_dir):
            found = re.fullmatch(pattern, name)
            if found and int(found[1]) < min(self.keep_ckpt_ids):
                older[name] = osp.join(self.out_dir, name)
        if len(older) == 1:
            os.remove(*older.values())
            runner.logger.info(f"removed '{list(older)[0]}', as the run would "
                               'have that was killed')

    @contextlib.contextmanager
    def _old_ones_stay(self):
        """Remove what is removed inside at the end, if all went well."""
        backend, paths = self.file_backend, []
        self.file_backend = _Later(backend, paths)
        try:
            yield
        finally:
            self.file_backend = backend
        new = {self.last_ckpt, getattr(self, 'best_ckpt_path', None)}
        new.update(getattr(self, 'best_ckpt_path_dict', {}).values())
        for path in paths:
            if path in new:
                continue
            remove = backend.remove if backend.isfile(path) else backend.rmtree
            remove(path)

    def _save_checkpoint_with_step(self, runner, step, meta) -> None:
        with self._old_ones_stay():
            super()._save_checkpoint_with_step(runner, step, meta)
        if is_main_process():
            # the place that it held is passed
            for path in glob.glob(
                    osp.join(self.out_dir, PREEMPTED.format('*'))):
                os.remove(path)

    def _save_best_checkpoint(self, runner, metrics) -> None:
        with self._old_ones_stay():
            super()._save_best_checkpoint(runner, metrics)
