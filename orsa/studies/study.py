# Copyright (c) orsa contributors. All rights reserved.
"""Many runs, each stored as it ends and not repeated."""
import argparse
import json
import os
import os.path as osp
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.logging import print_log
from mmengine.utils import track_iter_progress

from orsa.apis.dataset import predict_dataset
from orsa.utils.checkpoint import local_file
from orsa.utils.configs import config_hash, nested_dicts, scope_of
from orsa.utils.fileio import dump_json, file_hash, load_json

log = partial(print_log, logger='current')


class Run(NamedTuple):
    """One training: of a variant, or of a prior for cross-fitting.

    Attributes:
        variant (str): Its name.
        seed (int): Of the training.
        fold (int, optional): What it does not see; None for none.
    """
    variant: str
    seed: int = 0
    fold: Optional[int] = None

    def __str__(self) -> str:
        fold = '' if self.fold is None else f'_fold{self.fold}'
        return f'{self.variant}_seed{self.seed}{fold}'


class Study:
    """Runs whose results are stored under all that they depend on.

    A subclass that trains has ``config(run)``, the config of a run, and
    ``execute(run)``, which does it in this process and stores its result; it
    may have another ``key``. What is stored and up to date is not run again,
    what failed is.

    Args:
        work_dir (str): Where everything is written.
        arguments: The other arguments of the subclass, for processes that
            execute its runs.
    """
    # of a config, what a training depends on
    FIELDS = ('model', 'train_dataloader', 'val_dataloader', 'test_dataloader',
              'optim_wrapper', 'param_scheduler', 'train_cfg', 'custom_hooks',
              'load_from', 'auto_scale_lr')

    def __init__(self, work_dir: str, **arguments):
        self.work_dir = work_dir
        self.arguments = dict(arguments, work_dir=work_dir)

    def file(self, *parts: str) -> str:
        """A path below the work dir."""
        return osp.join(self.work_dir, *parts)

    def result_file(self, run: Any) -> str:
        """Where a run's result is stored."""
        return self.file('results', f'{run}.json')

    def fingerprint(self, run: Run) -> str:
        """A hash of all that a training depends on, but for the code.

        Raises:
            FileNotFoundError: If a file of weights is missing.
        """
        cfg = self.config(run)
        files = [
            path for part in nested_dicts(cfg.model)
            for path in (part.get('checkpoint'),
                         *part.get('fold_checkpoints', ()))
        ] + [cfg.get('load_from') or None]
        files = sorted(path for path in files if isinstance(path, str))
        found = [local_file(path) for path in files]
        fields = {k: cfg.get(k) for k in self.FIELDS}
        with scope_of(cfg):
            return self.digest(run, fields,
                               [file_hash(path)
                                for path in found if path])[:16]

    def digest(self, run: Run, fields: dict, files: List[str]) -> str:
        """A hash of a run's config and of its files of weights."""
        return config_hash([fields, run.seed, files])

    def key(self, run: Any) -> dict:
        """What a stored result depends on, by what it is."""
        return dict(fingerprint=self.fingerprint(run))

    def train_dir(self, run: Run) -> str:
        """Where a run is trained: elsewhere with another config."""
        return self.file('runs', f'{run}_{self.fingerprint(run)}')

    def read(self, path: str) -> Tuple[dict, Any]:
        """The key and the result in a file."""
        result = load_json(path)
        return result.get('key', result), result

    def stored(self, run: Any) -> Any:
        """The stored result of a run; ``key`` and ``log`` of one that failed.

        None if there is none, or it is damaged or out of date.
        """
        path = self.result_file(run)
        if not osp.isfile(path):
            return None
        try:
            before, result = self.read(path)
        except Exception as error:  # of json, zipfile, zlib, numpy, ...
            log(f"{run}: '{path}' is damaged ({error}), it is computed again")
            return None
        changed = [k for k, v in self.key(run).items() if before.get(k) != v]
        if changed:
            log(f"{run}: '{path}' is out of date, it has another "
                f'{", ".join(changed)}; it is computed again')
            return None
        return result

    def missing(self, runs: Sequence) -> list:
        """The runs that have no result yet, or have failed."""
        found = [self.stored(run) for run in runs]
        return [r for r, f in zip(runs, found) if f is None or 'log' in f]

    def run_missing(self, runs: Sequence[Run], jobs: int) -> List[Run]:
        """Do the runs that have no result yet, each in its own process.

        Args:
            runs (Sequence[Run]): The runs.
            jobs (int): How many at once, of one thread each.

        Returns:
            list[Run]: Those that failed, which is stored.
        """
        todo = self.missing(runs)
        print(f'{len(runs) - len(todo)} of {len(runs)} runs are done')
        if not todo:
            return []
        with ThreadPoolExecutor(jobs) as pool:
            ended = track_iter_progress((pool.map(self._start,
                                                  todo), len(todo)))
            failed = [run for run, code in zip(todo, list(ended)) if code]
        print()
        for run in failed:
            log_file = osp.join('logs', f'{run}.log')
            print(f'{run} failed, see {self.file(log_file)}')
            dump_json(
                dict(key=self.key(run), log=log_file), self.result_file(run))
        return failed

    def _start(self, run: Run) -> int:
        path = self.file('logs', f'{run}.log')
        os.makedirs(osp.dirname(path), exist_ok=True)
        # one thread each: two on the same cores are slower than one by one
        env = dict(os.environ, OMP_NUM_THREADS='1')
        name = f'{type(self).__module__}.{type(self).__name__}'
        command = [sys.executable, '-m', 'orsa.studies.execute', name]
        command += [json.dumps(self.arguments), json.dumps(run)]
        with open(path, 'w', encoding='utf-8') as file:
            return subprocess.run(
                command, stdout=file, stderr=subprocess.STDOUT,
                env=env).returncode


def predict_images(model: torch.nn.Module,
                   images: np.ndarray,
                   batch_size: int = 64) -> np.ndarray:
    """Probabilities of images that have been through a test pipeline.

    Args:
        model (nn.Module): A classifier.
        images (np.ndarray): (N, 3, H, W) uint8.
        batch_size (int): Images at a time. Defaults to 64.

    Returns:
        np.ndarray: (N, C).
    """
    batches = (
        dict(inputs=torch.from_numpy(images[i:i + batch_size]))
        for i in range(0, len(images), batch_size))
    predicted = predict_dataset(
        model, batches,
        lambda data: model(data['inputs'], mode='tensor').softmax(dim=1))
    return torch.cat([scores for _, scores in predicted]).cpu().numpy()


def add_study_arguments(parser: argparse.ArgumentParser,
                        work_dir: Optional[str],
                        where: str = '%(default)s') -> None:
    """Add what all commands of studies have; ``where`` is for the help."""
    parser.add_argument(
        '--work-dir', default=work_dir, help=f'default: {where}')
    parser.add_argument(
        '--jobs',
        type=int,
        default=2,
        help='runs at once, of one thread each (default: %(default)s)')
    parser.add_argument(
        '--report-only',
        action='store_true',
        help='write the report of the results that are stored')
    parser.add_argument(
        '--out', help='folder of the report (default: the work dir)')
