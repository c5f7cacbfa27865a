# Copyright (c) orsa contributors. All rights reserved.
import os.path as osp
from typing import Dict, Optional, Sequence

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from orsa.registry import HOOKS
from orsa.utils.fileio import dump_json, load_json


@HOOKS.register_module()
class ValidationRecordHook(Hook):
    """Keep every validation of a run; report best, last and their mean.

    FER datasets rarely have a validation split, so the published results are
    the best epoch *on the test set*. This hook writes all of them to
    ``validation.json`` in the work dir and ends the run with the best epoch,
    the last one and the mean of the last ones beside each other, so that the
    choice is never silent. The file outlives the process; a validation that
    an interruption cut off is made up for by :class:`orsa.CheckpointHook`.
    Where a training is counted in iterations, so are its validations: in the
    file and the names of the metrics 'epoch' is then 'iteration'.

    Args:
        last (int): How many of the last epochs are averaged. Defaults to 10.
        lower (Sequence[str]): Metrics of which the least is the best, by a
            part of their name. Defaults to those of calibration, distance
            and loss.
    """

    # Before CheckpointHook (VERY_LOW), which may save the best on it.
    priority = 'LOW'

    def __init__(
        self,
        last: int = 10,
        lower: Sequence[str] = ('ece', 'NME', 'EPE', 'loss')
    ) -> None:
        self.last = last
        self.lower = tuple(lower)
        self.records: Dict[str, Dict[str, float]] = {}
        self.unit = 'epoch'

    @staticmethod
    def _path(runner: Runner) -> str:
        return osp.join(runner.work_dir, 'validation.json')

    def _done(self, runner: Runner) -> int:
        return runner.epoch if self.unit == 'epoch' else runner.iter

    def before_train(self, runner: Runner) -> None:
        """On resuming, read the file."""
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            self.unit = 'iteration'
        path = self._path(runner)
        if not (runner._resume and osp.isfile(path)):
            return
        try:
            records = load_json(path)[f'{self.unit}s']
            self.records = {
                k: {
                    name: float(v)
                    for name, v in record.items()
                }
                for k, record in records.items()
                if int(k) <= self._done(runner)
            }
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            runner.logger.warning(
                f"'{path}' is damaged ({type(error).__name__}: {error}): "
                f'validations before {self.unit} {self._done(runner)} are '
                'not counted')

    def after_val_epoch(self,
                        runner: Runner,
                        metrics: Optional[Dict[str, float]] = None) -> None:
        """Store one validation, by the epochs or iterations trained."""
        if not metrics or runner._train_loop is None:
            return
        self.records[str(self._done(runner))] = {
            k: float(v)
            for k, v in metrics.items() if np.ndim(v) == 0
        }
        if is_main_process():
            dump_json({f'{self.unit}s': self.records}, self._path(runner))

    def summary(self) -> dict:
        """Best, last and mean of the last epochs of the main metrics.

        Returns:
            dict: Per metric (those without a slash in their own name, if
            there are any) a dict with ``best``, ``best_epoch``, ``last``,
            ``last_epoch`` and ``mean_last``; or ``best_iteration`` and
            ``last_iteration``.
        """
        times = sorted(self.records, key=int)
        if not times:
            return {}
        result, names = {}, list(self.records[times[-1]])
        # with a slash are figures of single classes, or all have one
        for name in [n for n in names if '/' not in n] or names:
            values = [self.records[t].get(name, float('nan')) for t in times]
            low = any(part in name.split('/')[-1] for part in self.lower)
            better = np.nanargmin if low else np.nanargmax
            if np.isnan(values).all():
                continue
            best = int(better(values))
            result[name] = {
                'best': values[best],
                f'best_{self.unit}': int(times[best]),
                'last': values[-1],
                f'last_{self.unit}': int(times[-1]),
                'mean_last': float(np.mean(values[-self.last:])),
                'mean_of': len(values[-self.last:])
            }
        return result

    def after_train(self, runner: Runner) -> None:
        """Log the summary and add it to the file."""
        summary, unit = self.summary(), self.unit
        if not summary:
            return
        for name, s in summary.items():
            runner.logger.info(
                f'{name}: best {s["best"]:.2f} ({unit} {s[f"best_{unit}"]}, '
                f'chosen on the validation data), last {s["last"]:.2f} ({unit}'
                f' {s[f"last_{unit}"]}), mean of the last {s["mean_of"]} '
                f'{s["mean_last"]:.2f}')
        if is_main_process():
            dump_json({
                f'{unit}s': self.records,
                'summary': summary
            }, self._path(runner))
