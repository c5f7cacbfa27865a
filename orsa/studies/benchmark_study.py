# Copyright (c) orsa contributors. All rights reserved.
"""A benchmark: its models, and runs that train and test them."""
import argparse
import os.path as osp
import time
from functools import lru_cache
from typing import Dict, List, Optional, Sequence

from mmengine.config import Config

from orsa.apis.model import load_config
from orsa.apis.training import add_train_arguments, latest_checkpoint, train
from orsa.datasets.drawing.occluders import KINDS
from orsa.utils.fileio import dump_json, load_json
from .occlusion_metrics import METRICS
from .occlusion_suite import SEVERITIES, OcclusionSuite
from .study import Run, Study


class Benchmark(Study):
    """Models that are trained and tested on the same faces.

    Args:
        configs (Sequence[str]): Of the models, files or 'orsa::NAME.py'.
        num_seeds (int): Trainings of each, with seeds from 0.
        work_dir (str): Where everything goes.
        kinds (Sequence[str], optional): As in :class:`orsa.OcclusionSuite`.
            Defaults to None, all.
        severities (Sequence[int]): Without any there are no occluders.
            Defaults to all.
        titles (Sequence[str], optional): What to call the models. Defaults to
            None, as their files.

    Raises:
        ValueError: If names of models are not different.
    """

    def __init__(self,
                 configs: Sequence[str],
                 num_seeds: int = 1,
                 work_dir: str = 'work_dirs/benchmark',
                 kinds: Optional[Sequence[str]] = None,
                 severities: Sequence[int] = SEVERITIES,
                 titles: Optional[Sequence[str]] = None):
        if num_seeds < 1:
            raise ValueError(f'--seeds should be positive, got {num_seeds}')
        names = [
            osp.splitext(osp.basename(c.split('::')[-1]))[0] for c in configs
        ]
        titles = names if titles is None else list(titles)
        for what, values in (('files', names), ('titles', titles)):
            if len(set(values)) < len(configs):
                raise ValueError(f'{len(configs)} different names of {what} '
                                 f'are needed, got {values}')
        self.configs = dict(zip(names, configs))
        self.titles = dict(zip(names, titles))
        self.num_seeds = num_seeds
        super().__init__(
            work_dir,
            configs=list(configs),
            num_seeds=num_seeds,
            kinds=kinds,
            severities=list(severities),
            titles=titles)
        self.severities = tuple(severities)
        # without a severity there is no occluder
        self.kinds = kinds if self.severities else []
        # the config of a model, read once
        self.cfg = lru_cache(None)(lambda m: load_config(self.configs[m]))

    def runs(self) -> List[Run]:
        """By seed, so that a benchmark that is stopped has all models."""
        return [
            Run(model, seed) for seed in range(self.num_seeds)
            for model in self.configs
        ]

    def config(self, run: Run) -> Config:
        """The config of a run, but for its seed."""
        return self.cfg(run.variant)

    def key(self, run: Run) -> dict:
        """What a stored result depends on, by what it is."""
        kinds = KINDS if self.kinds is None else self.kinds
        return dict(
            fingerprint=self.fingerprint(run),
            kinds=[k for k in KINDS if k in kinds],
            severities=sorted(self.severities))

    def suite(self,
              model: str,
              checkpoint: str = 'not trained yet',
              **kwargs) -> OcclusionSuite:
        """The test under occlusion of a model."""
        return OcclusionSuite(
            self.cfg(model),
            checkpoint,
            kinds=self.kinds,
            severities=self.severities,
            **kwargs)

    def check_same_data(self) -> None:
        """Raise a ValueError if models are tested on different faces."""
        first = None
        for model in self.configs:
            found = self.suite(model, work_dir=self.work_dir).faces
            labels = [found.classes[i] for i in found.labels]
            faces = dict(zip(found.names, labels))
            if first is None:
                first, all_classes, all_faces = model, found.classes, faces
            problem = ''
            if found.classes != all_classes:
                problem = (f"'{model}' has the classes {found.classes}, "
                           f"'{first}' {all_classes}")
            elif faces != all_faces:
                same = len(faces.items() & all_faces.items())
                problem = (f"'{model}' is tested on {len(faces)} faces and "
                           f"'{first}' on {len(all_faces)}, of which {same} "
                           'have the same name and label')
            if problem:
                raise ValueError(
                    f'{problem}: set test_dataloader of these configs to the '
                    'same data, or benchmark them apart')

    def execute(self, run: Run) -> dict:
        """Do one run, in this process, and store and return its result.

        A training that was stopped continues from its last checkpoint, and one
        that is complete is not repeated for other occluders.
        """
        folder = self.train_dir(run)
        trained = osp.join(folder, 'trained.json')
        if not osp.isfile(trained):
            dump_json(
                _train(self.configs[run.variant], run.seed, folder), trained)
        training = load_json(trained)
        suite = self.suite(
            run.variant,
            osp.join(folder, training['checkpoint']),
            work_dir=osp.join(folder, 'occlusion'))
        suite.config = self.configs[run.variant]
        report = suite.run()
        result = dict(
            key=self.key(run),
            training=training,
            validation=_validations(folder),
            test=_some(report['clean'], 'ece'),
            occluded={
                group: _some(means['overall'], 'ece')
                for group, means in report['means'].items()
            },
            lists={
                name: _some(found, 'num_samples')
                for name, found in report['lists'].items()
            },
            suite=osp.relpath(
                osp.join(suite.work_dir, 'occlusion_suite.json'),
                self.work_dir))
        dump_json(result, self.result_file(run))
        return result


def _some(metrics: dict, other: str) -> dict:
    return {k: metrics[k] for k in (*METRICS, other)}


def _train(config: str, seed: int, folder: str) -> dict:
    """Train as ``tools/train.py`` does."""
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    args = parser.parse_args([config, '--work-dir', folder])
    args.cfg_options = {'randomness.seed': seed}
    args.resume = 'auto'  # where there is a checkpoint
    start = time.time()
    runner = train(args)
    return dict(
        checkpoint=osp.basename(latest_checkpoint(folder)),
        epochs=runner.epoch,
        iterations=runner.iter,
        # unknown of one that was stopped
        seconds=None if runner._resume else round(time.time() - start))


def _validations(folder: str) -> Dict[str, dict]:
    """What ``orsa.ValidationRecordHook`` recorded, by epoch."""
    path = osp.join(folder, 'validation.json')
    return load_json(path).get('epochs', {}) if osp.isfile(path) else {}
