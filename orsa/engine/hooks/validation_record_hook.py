# Copyright (c) orsa contributors. All rights reserved.
import os.path as osp
from typing import Dict, Optional

import numpy as np
from mmengine.dist import is_main_process
from mmengine.fileio import load
from mmengine.hooks import Hook
from mmengine.runner import Runner

from orsa.registry import HOOKS
from orsa.utils.fileio import dump_json


@HOOKS.register_module()
class ValidationRecordHook(Hook):
    """Keep every validation of a run; report best, last and their mean.

    FER datasets rarely have a validation split, so the published figures are
    the best epoch *on the test set*. This hook writes all of them to
    ``validation.json`` in the work dir and ends the run with the best epoch,
    the last one and the mean of the last ones beside each other, so that the
    choice is never silent. The file outlives the process; a validation that
    an interruption cut off is made up for by :class:`orsa.CheckpointHook`.

    Args:
        last (int): How many of the last epochs are averaged. Defaults to 10.
    """

    # Before CheckpointHook (VERY_LOW), which may save the best on it.
    priority = 'LOW'

    def __init__(self, last: int = 10) -> None:
        self.last = last
        self.records: Dict[str, Dict[str, float]] = {}

    @staticmethod
    def _path(runner: Runner) -> str:
        return osp.join(runner.work_dir, 'validation.json')

    def before_train(self, runner: Runner) -> None:
        """On resuming, read the file."""
        path = self._path(runner)
        if runner._resume and osp.isfile(path):
            records = load(path)['epochs']
            self.records = {
                k: v
                for k, v in records.items() if int(k) <= runner.epoch
            }

    def after_val_epoch(self,
                        runner: Runner,
                        metrics: Optional[Dict[str, float]] = None) -> None:
        """Store one validation, under the number of epochs trained."""
        if not metrics or runner._train_loop is None:
            return
        self.records[str(runner.epoch)] = {
            k: float(v)
            for k, v in metrics.items() if np.ndim(v) == 0
        }
        if is_main_process():
            dump_json(dict(epochs=self.records), self._path(runner))

    def summary(self) -> dict:
        """Best, last and mean of the last epochs of the main metrics.

        Returns:
            dict: Per metric (those without a slash in their own name) a dict
            with ``best``, ``best_epoch``, ``last``, ``last_epoch`` and
            ``mean_last``.
        """
        epochs = sorted(self.records, key=int)
        if not epochs:
            return {}
        result = {}
        for name in self.records[epochs[-1]]:
            if '/' in name:
                continue
            values = [self.records[e].get(name, float('nan')) for e in epochs]
            better = np.nanargmin if name == 'ece' else np.nanargmax
            if np.isnan(values).all():
                continue
            best = int(better(values))
            result[name] = dict(
                best=values[best],
                best_epoch=int(epochs[best]),
                last=values[-1],
                last_epoch=int(epochs[-1]),
                mean_last=float(np.mean(values[-self.last:])),
                mean_of=len(values[-self.last:]))
        return result

    def after_train(self, runner: Runner) -> None:
        """Log the summary and add it to the file."""
        summary = self.summary()
        if not summary:
            return
        for name, s in summary.items():
            runner.logger.info(
                f'{name}: best {s["best"]:.2f} (epoch {s["best_epoch"]}, '
                f'chosen on the validation data), last {s["last"]:.2f} (epoch '
                f'{s["last_epoch"]}), mean of the last {s["mean_of"]} '
                f'{s["mean_last"]:.2f}')
        if is_main_process():
            dump_json(
                dict(epochs=self.records, summary=summary), self._path(runner))
