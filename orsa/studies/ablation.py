# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/ablate.py`` does: a study of variants, run by run.

A study is a config that names its variants, seeds, data and conditions, see
``configs/ablations/faces.py``. Every run, a (variant, seed), is a process of
its own whose result is stored as it ends; what is stored is not run again.
"""
import argparse
import copy
import hashlib
import os.path as osp
import sys
import time
from functools import partial
from typing import Dict, List, NamedTuple, Optional, Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS

from orsa.apis.model import init_model, load_config
from orsa.apis.training import build_runner, latest_checkpoint, resume_latest
from orsa.evaluation import FERMetric
from orsa.prepare.weights import publish
from orsa.utils.configs import named_checkpoints, scope_of
from orsa.utils.fileio import (dump_json, file_hash, load_json, save_npz,
                               write_text)
from orsa.utils.pretrained import local_file
from .jobs import run_all, run_logged
from .occlusion_conditions import with_occluder
from .occlusion_metrics import CLEAN


class Run(NamedTuple):
    """One training: of a variant, or of a prior for cross-fitting.

    ``fold`` is what it does not see; None for the whole training split.
    """
    variant: str
    seed: int = 0
    fold: Optional[int] = None

    @property
    def name(self) -> str:
        """What its files are called."""
        fold = '' if self.fold is None else f'_fold{self.fold}'
        return f'{self.variant}_seed{self.seed}{fold}'


class Study:
    """A study, read from its config.

    Args:
        config (str): The file. Its fields:

            - title (str).
            - variants (dict): name -> dict(config=..., title=...), paths
              relative to the file.
            - reference (str): The variant that the others are compared with.
            - seeds (list[int]).
            - num_folds (int): Of the training split, for cross validation and
              cross-fitted priors.
            - priors (dict): name of a prior in ORSANet -> dict(config=...,
              checkpoint=..., cross_fit=True): what is trained once for each
              fold, and the file of the whole training, which the variants
              name; empty for none. ``cross_fit=False`` answers for all
              training faces by one network, which inner features need: those
              of networks trained apart have no coordinates in common.
            - severities (list[int]): Of ``orsa.OccludeFace``.
            - num_occluded (int, optional): Faces tested at each severity, all
              by default.
            - subsets (dict): title -> list of test samples, tested as they
              are.
            - time_limit (int): Seconds of training a run may take.

        work_dir (str, optional): Where everything goes. Defaults to None,
            ``work_dirs/ablation_NAME``.

    Raises:
        ValueError: If a field is missing, or a name is unknown.
    """

    def __init__(self, config: str, work_dir: Optional[str] = None):
        self.path = config
        self.cfg = load_config(config)
        missing = [
            k for k in ('title', 'variants', 'reference', 'seeds', 'num_folds',
                        'priors', 'severities', 'subsets', 'time_limit')
            if k not in self.cfg
        ]
        if missing:
            raise ValueError(f"'{config}' is no study: it lacks {missing}")
        if self.cfg.reference not in self.cfg.variants:
            raise ValueError(f"'{config}': the reference "
                             f"'{self.cfg.reference}' is none of the variants "
                             f'{list(self.cfg.variants)}')
        name = osp.splitext(osp.basename(config))[0]
        self.work_dir = work_dir or osp.join('work_dirs', f'ablation_{name}')

    def file(self, *parts: str) -> str:
        """A path below the work dir."""
        return osp.join(self.work_dir, *parts)

    def result_file(self, run: Run) -> str:
        """Where a run's result is stored."""
        if run.variant in self.cfg.priors:
            return self.file('priors', f'{run.name}.json')
        return self.file('results', f'{run.name}.json')

    def prior_file(self, prior: str, fold: int) -> str:
        """The weights of a prior that has not seen a fold."""
        return self.file('priors', Run(prior, 0, fold).name + '.pth')

    def prior_runs(self) -> List[Run]:
        """The trainings of priors, one for each fold."""
        return [
            Run(prior, 0, fold) for fold in range(self.cfg.num_folds)
            for prior in self.cfg.priors
        ]

    def runs(self, variants: Sequence[str], seeds: Sequence[int],
             folds: Sequence[Optional[int]]) -> List[Run]:
        """The trainings of variants; seeds outside, so that a study that is
        cut short has all variants."""
        unknown = set(variants) - set(self.cfg.variants)
        if unknown:
            raise ValueError(
                f"'{self.path}' has no variants {sorted(unknown)}, only "
                f'{list(self.cfg.variants)}')
        return [
            Run(variant, seed, fold) for seed in seeds for fold in folds
            for variant in variants
        ]

    def load(self, run: Run) -> dict:
        """The config of a run, with seed, folds and priors filled in."""
        folder = osp.dirname(self.path)
        if run.variant in self.cfg.priors:
            cfg = load_config(
                osp.join(folder, self.cfg.priors[run.variant].config))
            for part in ('train', 'val', 'test'):
                _set_fold(cfg[f'{part}_dataloader'].dataset,
                          self.cfg.num_folds, run.fold, part != 'train')
        else:
            cfg = load_config(
                osp.join(folder, self.cfg.variants[run.variant].config))
            self._set_data(cfg, run)
            if self.cfg.priors:
                self._set_priors(cfg, run)
            # Nothing is chosen by what is tested.
            cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        cfg.randomness = dict(seed=run.seed)
        cfg.work_dir = self.file('runs', run.name)
        cfg.default_hooks.checkpoint = dict(
            type='orsa.CheckpointHook', interval=1, max_keep_ckpts=1)
        return cfg

    def _set_data(self, cfg: Config, run: Run) -> None:
        """The study's data in place of the variant's, and its folds."""
        for part in ('train', 'test'):
            loader = cfg[f'{part}_dataloader']
            data = self.cfg.get('data', {}).get(part)
            if data:
                pipeline = loader.dataset.pipeline
                dataset = copy.deepcopy(data)
                load = dataset.pop('load', [])
                dataset.pipeline = [*load, *pipeline[1:]]
                loader.dataset = dataset
            if self.cfg.num_folds:
                _set_fold(loader.dataset, self.cfg.num_folds, run.fold,
                          part == 'test')
                pack = loader.dataset.pipeline[-1]
                pack.meta_keys = (*pack.get('meta_keys',
                                            ('sample_idx', )), 'fold')

    def _set_priors(self, cfg: Config, run: Run) -> None:
        """Priors that have not seen the face that they are asked about."""
        backbone = cfg.model.backbone
        present = [p for p in self.cfg.priors if backbone.get(p)]
        fitted = [
            p for p in present if self.cfg.priors[p].get('cross_fit', True)
        ]
        for prior in fitted:
            backbone[prior].fold_checkpoints = [
                self.prior_file(prior, k) for k in range(self.cfg.num_folds)
            ]
        if run.fold is not None:
            # not what has seen the faces that are tested
            for prior, source in self.cfg.priors.items():
                _replace_checkpoint(cfg.model, source.checkpoint,
                                    self.prior_file(prior, run.fold))
        if fitted:
            cfg.model.data_preprocessor.type = 'orsa.CompanionDataPreprocessor'

    def fingerprint(self, run: Run) -> str:
        """A hash of all that a run depends on, but for the code.

        Raises:
            FileNotFoundError: If a fold's prior has not been trained yet.
        """
        cfg = self.load(run)
        digest = hashlib.sha256()
        for field in ('model', 'train_dataloader', 'test_dataloader',
                      'optim_wrapper', 'param_scheduler', 'train_cfg',
                      'custom_hooks', 'randomness'):
            value = cfg.get(field)
            value = value.to_dict() if hasattr(value, 'to_dict') else value
            digest.update(repr((field, value)).encode())
        for path in sorted(named_checkpoints(cfg.model)):
            found = local_file(path)
            if found:
                digest.update(file_hash(found).encode())
        if run.variant not in self.cfg.priors:
            digest.update(repr(list(self.cfg.severities)).encode())
        return digest.hexdigest()[:16]

    def stored(self, run: Run) -> Optional[dict]:
        """The result of a run if there is one that is not out of date."""
        path = self.result_file(run)
        if not osp.isfile(path):
            return None
        result = load_json(path)
        if result['fingerprint'] != self.fingerprint(run):
            print(f'{path} belongs to another config or prior: it is run '
                  'again')
            return None
        return result


def _replace_checkpoint(cfg, old: str, new: str) -> None:
    """Name another file of weights wherever a model's config names one."""
    if isinstance(cfg, dict):
        if cfg.get('checkpoint') == old:
            cfg['checkpoint'] = new
        cfg = list(cfg.values())
    if isinstance(cfg, (list, tuple)):
        for value in cfg:
            _replace_checkpoint(value, old, new)


def _set_fold(dataset: dict, num_folds: int, fold: Optional[int],
              test: bool) -> None:
    """Tell every RAFDB inside a data set's config its fold."""
    if dataset.get('type') == 'orsa.RAFDB':
        dataset.num_folds = num_folds
        if fold is not None:
            dataset.fold = fold
            if test:
                dataset.split = 'val'
    for value in dataset.values():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(item, dict):
                _set_fold(item, num_folds, fold, test)


def execute(study: Study, run: Run) -> dict:
    """Do one run, in this process, and store its result.

    A training that was stopped goes on from its last checkpoint.

    Returns:
        dict: The result, as stored.
    """
    fingerprint = study.fingerprint(run)
    cfg = study.load(run)
    marker = osp.join(cfg.work_dir, 'fingerprint')
    if osp.isfile(marker):
        with open(marker, encoding='utf-8') as f:
            if f.read() == fingerprint:
                resume_latest(cfg)
    write_text(marker, fingerprint)

    start = time.time()
    with scope_of(cfg):
        runner = build_runner(copy.deepcopy(cfg))
        runner.train()
    result = dict(
        variant=run.variant,
        seed=run.seed,
        fold=run.fold,
        fingerprint=fingerprint,
        epochs=runner.max_epochs,
        seconds=round(time.time() - start),
        threads=torch.get_num_threads())
    checkpoint = latest_checkpoint(cfg.work_dir)
    if run.variant in study.cfg.priors:
        publish(checkpoint, study.prior_file(run.variant, run.fold))
        result['metrics'] = _last_validation(runner)
    else:
        model = init_model(cfg, checkpoint)
        result['parameters'] = _count(model)
        result['metrics'] = test_conditions(study, run, cfg, model)
    dump_json(result, study.result_file(run))
    return result


def _last_validation(runner) -> dict:
    scalars = runner.message_hub.log_scalars
    return {
        k.removeprefix('val/'): v.current()
        for k, v in scalars.items()
        if k.startswith('val/') and not k.endswith('time')
    }


def _count(model: torch.nn.Module) -> Dict[str, int]:
    return dict(
        all=sum(p.numel() for p in model.parameters()),
        trained=sum(p.numel() for p in model.parameters() if p.requires_grad))


def conditions(study: Study) -> List[tuple]:
    """What every variant is tested under: (name, severity, subset)."""
    names = [(CLEAN, 0, None)]
    names += [(f'severity {s}', s, None) for s in study.cfg.severities]
    names += [(name, 0, path) for name, path in study.cfg.subsets.items()]
    return names


def test_conditions(study: Study, run: Run, cfg: Config,
                    model: torch.nn.Module) -> Dict[str, dict]:
    """Test a model under every condition of the study.

    What the model says of every face is stored beside the result, for paired
    comparisons.
    """
    metrics, said = {}, {}
    for name, severity, subset in conditions(study):
        if subset and run.fold is not None:
            continue  # a list of test samples
        faces = test_faces(study, cfg, severity, subset)
        scores = predict(model, faces['inputs'])
        report = FERMetric.calculate(
            pred=scores,
            target=faces['labels'],
            classes=model.dataset_meta['classes'])
        metrics[name] = {
            k: report[k]
            for k in ('accuracy', 'uar', 'macro_f1', 'ece', 'confusion_matrix')
        }
        metrics[name]['num_samples'] = len(scores)
        said[f'{name}/scores'] = scores.astype(np.float16)
        said[f'{name}/labels'] = faces['labels']
    save_npz(study.result_file(run).replace('.json', '.npz'), **said)
    return metrics


def test_faces(study: Study,
               cfg: Config,
               severity: int,
               subset: Optional[str] = None) -> Dict[str, np.ndarray]:
    """The pictures of a condition, as the test pipeline makes them.

    They are the same for all variants with the same pipeline, so that they
    are made once and kept in the work dir.

    Returns:
        dict: ``inputs`` (N, 3, H, W) uint8, ``labels`` (N, ).
    """
    dataset = copy.deepcopy(cfg.test_dataloader.dataset)
    if severity:
        dataset = with_occluder(dataset, severity=severity)
        count = study.cfg.get('num_occluded')
        if count:
            dataset.indices = count
    if subset:
        dataset.subset_file = subset
    key = hashlib.sha256(repr(dataset.to_dict()).encode()).hexdigest()[:12]
    path = study.file('faces', f'{key}.npz')
    if not osp.isfile(path):
        with scope_of(cfg):
            built = DATASETS.build(dataset)
        packed = [built[i] for i in range(len(built))]
        save_npz(
            path,
            compress=False,
            inputs=np.stack([p['inputs'].numpy() for p in packed]),
            labels=np.array([int(p['data_samples'].gt_label) for p in packed]))
    with np.load(path) as faces:
        return dict(faces)


@torch.no_grad()
def predict(model: torch.nn.Module,
            inputs: np.ndarray,
            batch_size: int = 64) -> np.ndarray:
    """Probabilities (N, C) of pictures (N, 3, H, W)."""
    scores = []
    for start in range(0, len(inputs), batch_size):
        batch = torch.from_numpy(inputs[start:start + batch_size])
        data = model.data_preprocessor(dict(inputs=batch))
        scores.append(model(data['inputs'], mode='tensor').softmax(dim=1))
    return torch.cat(scores).numpy()


def execute_all(study: Study, runs: Sequence[Run], jobs: int) -> List[Run]:
    """Do the runs that have no result yet, each in a process of its own.

    Returns:
        list[Run]: Those that failed; their logs are in the work dir.
    """
    todo = [run for run in runs if study.stored(run) is None]
    print(f'{len(runs) - len(todo)} of {len(runs)} runs are done')
    failed = run_all(todo, partial(_start, study), jobs)
    for run in failed:
        print(f"{run.name} failed, see {study.file('logs', run.name)}.log")
    return failed


def _start(study: Study, run: Run) -> bool:
    """Do a run in a process of its own; whether it failed."""
    fold = 'none' if run.fold is None else str(run.fold)
    command = [
        sys.executable, '-m', 'orsa.studies.ablation', study.path,
        '--work-dir', study.work_dir, '--run', run.variant,
        str(run.seed), fold
    ]
    return run_logged(command, study.file('logs', f'{run.name}.log'))


def add_ablate_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``tools/ablate.py``."""
    parser.add_argument(
        'study',
        nargs='?',
        default='configs/ablations/faces.py',
        help='config of the study (default: %(default)s)')
    parser.add_argument('--work-dir', help='default: work_dirs/ablation_STUDY')
    parser.add_argument(
        '--variants', nargs='+', help='some of the variants (default: all)')
    parser.add_argument(
        '--seeds', nargs='+', type=int, help="default: the study's")
    parser.add_argument(
        '--cv',
        action='store_true',
        help='cross-validate inside the training split, by which every '
        'choice is to be made, instead of testing')
    parser.add_argument(
        '--folds', nargs='+', type=int, help='of --cv (default: all)')
    parser.add_argument(
        '--jobs',
        type=int,
        default=2,
        help='runs at once, of one thread each (default: %(default)s)')
    parser.add_argument(
        '--priors-only',
        action='store_true',
        help='train the priors of all folds and stop')
    parser.add_argument(
        '--report-only',
        action='store_true',
        help='write the report of what is there')
    parser.add_argument(
        '--out', help='folder of the report (default: the work dir)')


def ablate(args: argparse.Namespace) -> int:
    """Run a study by parsed arguments and write its report.

    Returns:
        int: How many runs failed.
    """
    study = Study(args.study, args.work_dir)
    variants = args.variants or list(study.cfg.variants)
    seeds = args.seeds or list(study.cfg.seeds)
    folds = [None]
    if args.cv:
        folds = args.folds or list(range(study.cfg.num_folds))
        seeds = args.seeds or seeds[:1]
    runs = study.runs(variants, seeds, folds)
    failed = []
    if not args.report_only:
        failed = execute_all(study, study.prior_runs(), args.jobs)
        if failed or args.priors_only:
            return len(failed)
        failed = execute_all(study, runs, args.jobs)
    from .ablation_report import write_report
    write_report(study, runs, args.out or study.work_dir, cv=args.cv)
    return len(failed)


def _main() -> None:
    parser = argparse.ArgumentParser(description='One run of a study')
    parser.add_argument('study')
    parser.add_argument('--work-dir', required=True)
    parser.add_argument('--run', nargs=3, required=True)
    args = parser.parse_args()
    variant, seed, fold = args.run
    run = Run(variant, int(seed), None if fold == 'none' else int(fold))
    execute(Study(args.study, args.work_dir), run)


if __name__ == '__main__':
    _main()
