# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/benchmark.py`` does: several models on the same faces.

Every run, a (config, seed), is a process of its own that trains as
``tools/train.py`` does and tests the last epoch under occlusion. Its result is
stored as it ends; what is stored is not run again.
"""
import argparse
import os.path as osp
import sys
import time
from functools import partial
from typing import Dict, List, NamedTuple, Optional, Sequence

from mmengine.config import Config

from orsa.apis.model import load_config
from orsa.apis.training import add_train_arguments, latest_checkpoint, train
from orsa.datasets.drawing.occluders import KINDS
from orsa.engine.hooks import ValidationRecordHook
from orsa.utils.configs import config_hash, named_checkpoints
from orsa.utils.fileio import dump_json, file_hash, load_json
from orsa.utils.pretrained import local_file
from .jobs import run_all, run_logged
from .occlusion_metrics import FIGURES
from .occlusion_suite import SEVERITIES, OcclusionSuite

# of a config, what a training depends on
_FIELDS = ('model', 'train_dataloader', 'val_dataloader', 'test_dataloader',
           'optim_wrapper', 'param_scheduler', 'train_cfg', 'custom_hooks',
           'load_from', 'auto_scale_lr')


class Run(NamedTuple):
    """One training of a model."""
    model: str
    seed: int

    @property
    def name(self) -> str:
        """What its files are called."""
        return f'{self.model}_seed{self.seed}'


class Benchmark:
    """Models that are trained and tested on the same faces.

    Args:
        configs (Sequence[str]): Of the models, files or 'orsa::NAME.py'.
        num_seeds (int): Trainings of each, with seeds from 0. Defaults to 1.
        work_dir (str): Where everything goes. Defaults to
            'work_dirs/benchmark'.
        kinds (Sequence[str], optional): Of occluders, as in
            :class:`orsa.OcclusionSuite`. Defaults to None, all.
        severities (Sequence[int]): Of occluders; without any the faces are
            tested as they are, and on lists of really occluded ones.
            Defaults to all.
        titles (Sequence[str], optional): What to call the models. Defaults to
            None, as their files.

    Raises:
        ValueError: If two models have the same name, or there are not as many
            titles as models.
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
                                 'are needed, by which results are stored and '
                                 f'shown, got {list(values)}')
        self.configs = dict(zip(names, configs))
        self.titles = dict(zip(names, titles))
        self.num_seeds = num_seeds
        self.work_dir = work_dir
        self.severities = tuple(severities)
        # without a severity there is nothing to lay over a face
        self.kinds = kinds if self.severities else []
        self._cfgs: Dict[str, Config] = {}

    def file(self, *parts: str) -> str:
        """A path below the work dir."""
        return osp.join(self.work_dir, *parts)

    def runs(self) -> List[Run]:
        """Seeds outside, so that what is cut short has all models."""
        return [
            Run(model, seed) for seed in range(self.num_seeds)
            for model in self.configs
        ]

    def log_file(self, run: Run) -> str:
        """Where a run's output goes."""
        return self.file('logs', f'{run.name}.log')

    def result_file(self, run: Run) -> str:
        """Where a run's result is stored."""
        return self.file('results', f'{run.name}.json')

    def cfg(self, model: str) -> Config:
        """The config of a model, read once."""
        if model not in self._cfgs:
            self._cfgs[model] = load_config(self.configs[model])
        return self._cfgs[model]

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

    def fingerprint(self, run: Run) -> str:
        """A hash of all that a training depends on, but for the code."""
        cfg = self.cfg(run.model)
        files = named_checkpoints(cfg.model)
        files += [cfg.load_from] if cfg.get('load_from') else []
        found = [local_file(path) for path in sorted(files)]
        return config_hash([{
            k: cfg.get(k)
            for k in _FIELDS
        }, run.seed, [file_hash(path) for path in found if path]])[:16]

    def train_dir(self, run: Run) -> str:
        """Where a run is trained: elsewhere with another config."""
        return self.file('runs', f'{run.name}_{self.fingerprint(run)}')

    def key(self, run: Run) -> dict:
        """What has to be equal for a stored result to count."""
        kinds = KINDS if self.kinds is None else self.kinds
        return dict(
            fingerprint=self.fingerprint(run),
            kinds=[k for k in KINDS if k in kinds],
            severities=sorted(self.severities))

    def stored(self, run: Run) -> Optional[dict]:
        """What is stored of a run, if it is not out of date.

        Returns:
            dict, optional: The result; of a run that failed its ``key`` and
            the ``log`` that says why.
        """
        path = self.result_file(run)
        if not osp.isfile(path):
            return None
        result = load_json(path)
        return result if result['key'] == self.key(run) else None

    def check_same_data(self) -> None:
        """Refuse models that are tested on different faces.

        Raises:
            ValueError: Names those that differ from the first, and in what.
        """
        seen = {}
        for model in self.configs:
            suite = self.suite(model, work_dir=self.work_dir)
            labels = [suite.data_classes[i] for i in suite.labels]
            seen[model] = (suite.data_classes, dict(zip(suite.names, labels)))
        first, (classes, faces) = next(iter(seen.items()))
        problems = []
        for model, (other_classes, other_faces) in seen.items():
            if other_classes != classes:
                problems.append(f"'{model}' has the classes {other_classes}, "
                                f"'{first}' {classes}")
            elif other_faces != faces:
                same = len(faces.items() & other_faces.items())
                problems.append(
                    f"'{model}' is tested on {len(other_faces)} faces and "
                    f"'{first}' on {len(faces)}, of which {same} have the "
                    'same name and label')
        if problems:
            raise ValueError(
                'the figures of a table have to be of the same test split '
                f'and classes: {"; ".join(problems)}. Set test_dataloader of '
                'these configs to the same data, or benchmark them apart')


def execute(bench: Benchmark, run: Run) -> dict:
    """Do one run, in this process, and store its result.

    A training that was stopped goes on from its last checkpoint, and one that
    is complete is not repeated for other occluders.

    Returns:
        dict: The result, as stored.
    """
    folder = bench.train_dir(run)
    trained = osp.join(folder, 'trained.json')
    if not osp.isfile(trained):
        dump_json(_train(bench.configs[run.model], run.seed, folder), trained)
    training = load_json(trained)
    suite = bench.suite(
        run.model,
        osp.join(folder, training['checkpoint']),
        work_dir=osp.join(folder, 'occlusion'))
    suite.config = bench.configs[run.model]
    report = suite.run()
    result = dict(
        key=bench.key(run),
        training=training,
        validation=_validations(folder),
        test={k: report['clean'][k]
              for k in (*FIGURES, 'ece')},
        occluded={
            group: {
                k: means['overall'][k]
                for k in (*FIGURES, 'ece')
            }
            for group, means in report['means'].items()
        },
        lists={
            name: {
                k: found[k]
                for k in (*FIGURES, 'num_samples')
            }
            for name, found in report['lists'].items()
        },
        suite=osp.relpath(
            osp.join(suite.work_dir, 'occlusion_suite.json'), bench.work_dir))
    dump_json(result, bench.result_file(run))
    return result


def _train(config: str, seed: int, folder: str) -> dict:
    """Train as ``tools/train.py`` does."""
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    args = parser.parse_args([config, '--work-dir', folder])
    args.cfg_options = {'randomness.seed': seed}
    args.resume = 'auto'  # if there is something to go on from
    start = time.time()
    runner = train(args)
    return dict(
        checkpoint=osp.basename(latest_checkpoint(folder)),
        epochs=runner.epoch,
        iterations=runner.iter,
        # of one that was stopped nobody knows
        seconds=None if runner._resume else round(time.time() - start))


def _validations(folder: str) -> Dict[str, dict]:
    """What ``orsa.ValidationRecordHook`` recorded, by epoch; nothing of a
    training that is counted in iterations."""
    path = osp.join(folder, 'validation.json')
    if not osp.isfile(path):
        return {}
    return load_json(path).get('epochs', {})


def execute_all(bench: Benchmark, jobs: int) -> List[Run]:
    """Do the runs that have no result yet, each in a process of its own.

    Returns:
        list[Run]: Those that failed; it is stored that they did.
    """
    runs = bench.runs()
    todo = [r for r in runs if 'test' not in (bench.stored(r) or {})]
    print(f'{len(runs) - len(todo)} of {len(runs)} runs are done')
    failed = run_all(todo, partial(_start, bench), jobs)
    for run in failed:
        print(f'{run.name} failed, see {bench.log_file(run)}')
    return failed


def _start(bench: Benchmark, run: Run) -> bool:
    """Do a run in a process of its own; whether it failed."""
    log = bench.log_file(run)
    command = [
        sys.executable, '-m', 'orsa.studies.benchmark',
        bench.configs[run.model], '--seeds',
        str(bench.num_seeds), '--seed',
        str(run.seed), '--work-dir', bench.work_dir, '--severities',
        *map(str, bench.severities)
    ]
    command += ['--kinds', *bench.kinds] if bench.kinds else []
    failed = run_logged(command, log)
    if failed:
        dump_json(
            dict(key=bench.key(run), log=osp.relpath(log, bench.work_dir)),
            bench.result_file(run))
    return failed


def add_benchmark_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``tools/benchmark.py``."""
    parser.add_argument(
        'configs', nargs='+', metavar='CONFIG', help='of the models')
    parser.add_argument(
        '--seeds',
        type=int,
        default=1,
        metavar='N',
        help='trainings of each, with seeds 0 to N-1 (default: %(default)s)')
    parser.add_argument(
        '--work-dir',
        default='work_dirs/benchmark',
        help='default: %(default)s')
    parser.add_argument(
        '--jobs',
        type=int,
        default=2,
        help='runs at once, of one thread each (default: %(default)s)')
    parser.add_argument(
        '--kinds',
        nargs='+',
        choices=KINDS,
        help='what is laid over the test faces (default: all)')
    parser.add_argument(
        '--severities',
        nargs='*',
        type=int,
        choices=SEVERITIES,
        default=list(SEVERITIES),
        help='of what is laid over them; none for no test under occlusion '
        '(default: all)')
    parser.add_argument(
        '--last',
        type=int,
        default=3,
        help='validations in the mean of the last ones (default: %(default)s)')
    parser.add_argument(
        '--names', nargs='+', help='of the models (default: of their files)')
    parser.add_argument(
        '--out', help='folder of the table (default: the work dir)')
    parser.add_argument(
        '--report-only',
        action='store_true',
        help='make the table of what is there')


def _of(args: argparse.Namespace) -> Benchmark:
    return Benchmark(args.configs, args.seeds, args.work_dir, args.kinds,
                     args.severities, args.names)


def benchmark(args: argparse.Namespace) -> int:
    """Run a benchmark by parsed arguments and write its table.

    Returns:
        int: How many runs failed.
    """
    if args.last < 1:
        raise ValueError(f'--last should be positive, got {args.last}')
    bench = _of(args)
    bench.check_same_data()
    if not args.report_only:
        execute_all(bench, args.jobs)
    from .benchmark_report import write_report
    write_report(bench, args.out or bench.work_dir, args.last)
    return sum('log' in (bench.stored(run) or {}) for run in bench.runs())


def summarise_validations(epochs: Dict[str, dict], last: int) -> dict:
    """Best, last and mean of the last validations, by figure.

    Args:
        epochs (dict): Figures by epoch, as ``validation.json`` has them.
        last (int): How many of the last ones are averaged.
    """
    hook = ValidationRecordHook(last)
    hook.records = epochs
    return hook.summary()


def _main() -> None:
    parser = argparse.ArgumentParser(description='One run of a benchmark')
    add_benchmark_arguments(parser)
    parser.add_argument('--seed', type=int, required=True)
    args = parser.parse_args()
    bench = _of(args)
    execute(bench, Run(next(iter(bench.configs)), args.seed))


if __name__ == '__main__':
    _main()
