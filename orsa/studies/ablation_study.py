# Copyright (c) orsa contributors. All rights reserved.
"""An ablation study: its config, its runs, its conditions."""
import copy
import hashlib
import os.path as osp
import time
from typing import Dict, List, Optional, Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS

from orsa.apis.model import init_model, load_config
from orsa.apis.training import (build_runner, latest_checkpoint, resume_latest,
                                set_amp)
from orsa.evaluation import FERMetric
from orsa.evaluation.predictions import CLEAN
from orsa.prepare.weights import publish
from orsa.utils.configs import (class_of, nested_dicts, scope_of, type_name,
                                without_keys)
from orsa.utils.fileio import dump_json, save_npz
from orsa.utils.image_files import name_of
from .complexity import count_parameters
from .occlusion_conditions import with_occluder
from .occlusion_metrics import METRICS
from .study import Run, Study, predict_images

_FIELDS = ('title', 'variants', 'reference', 'seeds', 'num_folds', 'priors',
           'severities', 'subsets', 'time_limit')


class AblationStudy(Study):
    """A study of variants, read from its config.

    Args:
        config (str): The file. Its fields:

            - title (str).
            - variants (dict): name -> dict(config=..., title=...), paths
              relative to the file.
            - reference (str): The variant that the others are compared with.
            - seeds (list[int]).
            - data (dict, optional): 'train' and 'test' -> config of a dataset
              for all variants. Its pipeline is ``load``, a list of
              transforms, then the variant's from the second one on.
            - num_folds (int): Of the training split, for cross-validation and
              cross-fitted priors.
            - priors (dict): name of a prior in ORSANet -> dict(config=...,
              checkpoint=..., cross_fit=True): what is trained once for each
              fold, and the file of the complete training, which the variants
              name; empty for none. With ``cross_fit=False`` one network
              predicts all training faces, which inner features need: those of
              networks trained apart have no coordinates in common.
            - severities (list[int]): Of ``orsa.OccludeFace``.
            - num_occluded (int, optional): How many of the first faces are
              tested at each severity, all by default.
            - subsets (dict): title -> list of test samples, tested as they
              are.
            - time_limit (int): Seconds that a training is meant to take; the
              report has the longest beside it.
            - amp (bool, optional): Train in mixed precision, as
              ``tools/train.py --amp``.

        work_dir (str, optional): Where everything is written. Defaults to
            None, ``work_dirs/ablation_NAME``.

    Raises:
        ValueError: If a field is missing, or a name is unknown.
    """
    FIELDS = ('model', 'train_dataloader', 'test_dataloader', 'optim_wrapper',
              'param_scheduler', 'train_cfg', 'custom_hooks', 'randomness')

    def __init__(self, config: str, work_dir: Optional[str] = None):
        self.path = config
        self.cfg = load_config(config)
        missing = [k for k in _FIELDS if k not in self.cfg]
        if missing:
            raise ValueError(f"'{config}' is no study: it lacks {missing}")
        if self.cfg.reference not in self.cfg.variants:
            raise ValueError(f"'{config}': the reference "
                             f"'{self.cfg.reference}' is none of the variants "
                             f'{list(self.cfg.variants)}')
        name = osp.splitext(osp.basename(config))[0]
        super().__init__(
            work_dir or osp.join('work_dirs', f'ablation_{name}'),
            config=config)
        self._lists: Dict[str, str] = {}

    def result_file(self, run: Run) -> str:
        """Where a run's result is stored."""
        folder = 'priors' if run.variant in self.cfg.priors else 'results'
        return self.file(folder, f'{run}.json')

    def predictions_file(self, run: Run) -> str:
        """Where a run's predictions are stored, for paired comparisons."""
        return osp.splitext(self.result_file(run))[0] + '.npz'

    def prior_file(self, prior: str, fold: int) -> str:
        """The weights of a prior that has not seen a fold."""
        return self.file('priors', f'{Run(prior, 0, fold)}.pth')

    def prior_runs(self) -> List[Run]:
        """The trainings of priors, one for each fold."""
        folds = range(self.cfg.num_folds)
        return [Run(p, 0, fold) for fold in folds for p in self.cfg.priors]

    def runs(self, variants: Sequence[str], seeds: Sequence[int],
             folds: Sequence[Optional[int]]) -> List[Run]:
        """The trainings of variants, by seed: a study that is stopped has all.

        Args:
            variants (Sequence[str]): Some of the variants.
            seeds (Sequence[int]): Of the trainings.
            folds (Sequence[int | None]): None for the complete training split.

        Raises:
            ValueError: If a variant is unknown.
        """
        unknown = set(variants) - set(self.cfg.variants)
        if unknown:
            raise ValueError(
                f"'{self.path}' has no variants {sorted(unknown)}, only "
                f'{list(self.cfg.variants)}')
        return [
            Run(variant, seed, fold) for seed in seeds for fold in folds
            for variant in variants
        ]

    def config(self, run: Run) -> Config:
        """The config of a run, with seed, folds and priors filled in."""
        is_prior = run.variant in self.cfg.priors
        source = (self.cfg.priors if is_prior else self.cfg.variants)
        cfg = load_config(
            osp.join(osp.dirname(self.path), source[run.variant].config))
        if is_prior:
            for split in ('train', 'val', 'test'):
                _set_fold(cfg[f'{split}_dataloader'].dataset,
                          self.cfg.num_folds, run.fold, split != 'train')
        else:
            self._set_data(cfg, run)
            if self.cfg.priors:
                self._set_priors(cfg, run)
            # nothing is chosen by what is tested
            cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
            if self.cfg.get('amp'):
                set_amp(cfg)
        cfg.randomness = dict(seed=run.seed)
        cfg.default_hooks.checkpoint = dict(
            type='orsa.CheckpointHook', interval=1, max_keep_ckpts=1)
        return cfg

    def _set_data(self, cfg: Config, run: Run) -> None:
        """The study's data in place of the variant's, and its folds."""
        for split in ('train', 'test'):
            loader = cfg[f'{split}_dataloader']
            data = self.cfg.get('data', {}).get(split)
            if data:
                pipeline = loader.dataset.pipeline
                dataset = copy.deepcopy(data)
                load = dataset.pop('load', [])
                dataset.pipeline = [*load, *pipeline[1:]]
                loader.dataset = dataset
            if split == 'test' and run.fold is not None:
                _place_of(cfg.train_dataloader.dataset, loader.dataset)
            if self.cfg.num_folds or run.fold is not None:
                _set_fold(loader.dataset, self.cfg.num_folds, run.fold,
                          split == 'test')
                pack = loader.dataset.pipeline[-1]
                pack.meta_keys = (*pack.get('meta_keys',
                                            ('sample_idx', )), 'fold')

    def _set_priors(self, cfg: Config, run: Run) -> None:
        """Priors that have not seen the faces that they predict."""
        backbone = cfg.model.backbone
        fitted = [
            name for name, prior in self.cfg.priors.items()
            if backbone.get(name) and prior.get('cross_fit', True)
        ]
        for prior in fitted:
            backbone[prior].fold_checkpoints = [
                self.prior_file(prior, k) for k in range(self.cfg.num_folds)
            ]
        if run.fold is not None:
            # not what has seen the faces that are tested
            for prior, source in self.cfg.priors.items():
                for part in nested_dicts(cfg.model):
                    if part.get('checkpoint') == source.checkpoint:
                        part['checkpoint'] = self.prior_file(prior, run.fold)
        if fitted:
            cfg.model.data_preprocessor.type = 'orsa.CompanionDataPreprocessor'

    def digest(self, run: Run, fields: dict, files: List[str]) -> str:
        """A hash of what a training and its test depend on."""
        # folders are elsewhere on each machine: the lists in them count
        plain = [(k, without_keys(v, ('data_root', )))
                 for k, v in fields.items()]
        parts = [*map(repr, plain), *files]
        faces = [
            part for split in ('train', 'test')
            for part in nested_dicts(fields[f'{split}_dataloader'])
            if 'data_root' in part
        ]
        if run.variant not in self.cfg.priors:
            parts.append(repr(list(self.cfg.severities)))
            parts.append(repr(self.cfg.get('num_occluded')))
            parts += self.cfg.subsets
            if run.fold is None:  # a fold is not of the test split
                faces += [
                    dict(
                        fields['test_dataloader']['dataset'], subset_file=path)
                    for path in self.cfg.subsets.values()
                ]
        parts += map(self._listed, faces)
        return hashlib.sha256(''.join(parts).encode()).hexdigest()

    def _listed(self, dataset: dict) -> str:
        """The names and labels of a dataset, as a hash; listed once."""
        bare = {k: v for k, v in dataset.items() if k != 'pipeline'}
        key = repr(bare)
        if key not in self._lists:
            built = DATASETS.build(dict(copy.deepcopy(bare), pipeline=[]))
            infos = map(built.get_data_info, range(len(built)))
            lines = [f"{name_of(i)} {i.get('gt_label')}\n" for i in infos]
            self._lists[key] = hashlib.sha256(
                ''.join(lines).encode()).hexdigest()
        return self._lists[key]

    @property
    def levels(self) -> List[str]:
        """The conditions with occluders."""
        return [f'severity {s}' for s in self.cfg.severities]

    def conditions(self, run: Run) -> Dict[str, dict]:
        """What a run is tested under: arguments of ``faces`` by name."""
        # a subset is a list of test samples, which a fold has none of
        subsets = self.cfg.subsets if run.fold is None else {}
        return {
            CLEAN: {},
            **{
                f'severity {s}': dict(severity=s)
                for s in self.cfg.severities
            },
            **{
                name: dict(subset=path)
                for name, path in subsets.items()
            }
        }

    def faces(self,
              cfg: Config,
              severity: int = 0,
              subset: Optional[str] = None) -> Dict[str, np.ndarray]:
        """The images of a condition, as the test pipeline makes them.

        Made once for all variants with the same pipeline, and stored.

        Args:
            cfg (Config): Of a run.
            severity (int): Of the occluders. Defaults to 0, none.
            subset (str, optional): A list of test samples. Defaults to None,
                all.

        Returns:
            dict: ``inputs`` (N, 3, H, W) uint8, ``labels`` (N, ).
        """
        dataset = copy.deepcopy(cfg.test_dataloader.dataset)
        if severity:
            dataset = with_occluder(dataset, severity=severity)
            if self.cfg.get('num_occluded'):
                dataset.indices = self.cfg.num_occluded
        if subset:
            dataset.subset_file = subset
        key = hashlib.sha256(repr(dataset.to_dict()).encode()).hexdigest()
        path = self.file('faces', f'{key[:12]}.npz')
        if not osp.isfile(path):
            with scope_of(cfg):
                built = DATASETS.build(dataset)
            packed = [built[i] for i in range(len(built))]
            labels = [int(p['data_samples'].gt_label) for p in packed]
            save_npz(
                path,
                compress=False,
                inputs=np.stack([p['inputs'].numpy() for p in packed]),
                labels=np.array(labels))
        with np.load(path) as faces:
            return dict(faces)

    def execute(self, run: Run) -> dict:
        """Do one run, in this process, and store and return its result.

        A training that was stopped continues from its last checkpoint.
        """
        fingerprint, cfg = self.fingerprint(run), self.config(run)
        cfg.work_dir = self.train_dir(run)
        resume_latest(cfg)
        resumed = bool(cfg.get('resume'))

        start = time.time()
        with scope_of(cfg):
            runner = build_runner(copy.deepcopy(cfg))
            runner.train()
        result = dict(
            **run._asdict(),
            fingerprint=fingerprint,
            epochs=runner.max_epochs,
            # of a part of the training they would say nothing
            seconds=None if resumed else round(time.time() - start),
            threads=torch.get_num_threads())
        checkpoint = latest_checkpoint(cfg.work_dir)
        if run.variant in self.cfg.priors:
            publish(checkpoint, self.prior_file(run.variant, run.fold))
            result['metrics'] = {
                k.removeprefix('val/'): v.current()
                for k, v in runner.message_hub.log_scalars.items()
                if k.startswith('val/') and not k.endswith('time')
            }
        else:
            model = init_model(cfg, checkpoint)
            result['parameters'] = dict(
                zip(('all', 'trained'), count_parameters(model)))
            result['metrics'] = self._test_conditions(run, cfg, model)
        dump_json(result, self.result_file(run))
        return result

    def _test_conditions(self, run: Run, cfg: Config,
                         model: torch.nn.Module) -> Dict[str, dict]:
        """Test a model under every condition, and store its predictions."""
        metrics, predictions = {}, {}
        for name, condition in self.conditions(run).items():
            faces = self.faces(cfg, **condition)
            scores = predict_images(model, faces['inputs'])
            report = FERMetric.calculate(
                pred=scores,
                target=faces['labels'],
                classes=model.dataset_meta['classes'])
            metrics[name] = {
                k: report[k]
                for k in (*METRICS, 'ece', 'confusion_matrix')
            }
            metrics[name]['num_samples'] = len(scores)
            # small enough to be published: docs/results
            predictions[f'{name}/predicted'] = scores.argmax(1).astype(
                np.uint8)
            predictions[f'{name}/labels'] = faces['labels'].astype(np.uint8)
        save_npz(self.predictions_file(run), **predictions)
        return metrics


def _set_fold(dataset: dict, num_folds: int, fold: Optional[int],
              test: bool) -> None:
    """Set the fold of every training split inside a dataset's config.

    Raises:
        ValueError: If there is none, where one is asked for.
    """
    divided = [p for p in nested_dicts(dataset) if _can_be_divided(p)]
    if fold is not None and not divided:
        raise ValueError(f'no dataset of {type_name(dataset)} can be divided '
                         'into folds: leave out --cv')
    for part in divided:
        part['num_folds'] = num_folds
        if fold is not None:
            part['fold'] = fold
            if test:
                part['split'] = 'val'


def _place_of(train: dict, test: dict) -> None:
    """Let what is tested be a part of the training data."""
    train = next(filter(_can_be_divided, nested_dicts(train)), None)
    for part in filter(_can_be_divided, nested_dicts(test)):
        for key in ('data_root', 'data_prefix', 'ann_file'):
            part.pop(key, None)
            if key in train:
                part[key] = train[key]


def _can_be_divided(part: dict) -> bool:
    return getattr(class_of(part, DATASETS), 'DIVIDES', False)
