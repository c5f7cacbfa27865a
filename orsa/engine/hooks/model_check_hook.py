# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional, Sequence, Tuple

import torch
from mmengine.evaluator import DumpResults
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from orsa.engine.state_fit import bare_keys, class_axes, fit_classes, misfits
from orsa.registry import HOOKS
from orsa.utils.checkpoint_records import CheckpointError
from orsa.utils.classes import (check_classes, checkpoint_classes, class_names,
                                common_classes)
from orsa.utils.configs import nested_dicts, type_name


@HOOKS.register_module()
class ModelCheckHook(Hook):
    """Check at the start what would go wrong without a message.

    - A frozen prior re-normalises what the classifier was given: the mean and
      std that it assumes (``input_mean``, ``input_std``) have to be those of
      the data preprocessor, which has to give RGB.
    - MMEngine loads what fits of a checkpoint and leaves the rest as it is.
      For a test, and to resume, all of the model has to be in it; to begin
      from one, what was to begin from a file of its own (frozen priors, the
      image encoder) has to, for that file is not read then.
    - A checkpoint carries the names of its classes: resuming it for a dataset
      with other names, or another order of the same names, is an error. A
      training that begins from it (``load_from``) takes what it has by class
      in the order of the data; of other names or another number it is left
      out. In a test, metrics that can match classes by name
      (``model_classes`` of :class:`orsa.FERMetric`) get the
      checkpoint's, and what is left out is logged.

    Raises:
        ValueError: If one of these does not agree; it is named.
    """

    def before_run(self, runner: Runner) -> None:
        """Compare priors and data preprocessor."""
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        preprocessor = getattr(model, 'data_preprocessor', None)
        for name, module in model.named_modules():
            for field in ('mean', 'std'):
                expected = getattr(module, f'input_{field}', None)
                if expected is None:
                    continue
                expected = torch.as_tensor(expected).flatten().cpu().float()
                actual = getattr(preprocessor, field, None)
                if actual is None and self._normalises(runner):
                    continue
                if actual is None:  # nothing is normalised
                    actual = torch.full_like(expected, field == 'std')
                actual = actual.flatten().cpu().float()
                if not torch.allclose(expected, actual, atol=1e-3):
                    raise ValueError(
                        f'{name}.input_{field}={expected.tolist()} differs '
                        f'from data_preprocessor.{field}='
                        f'{actual.tolist()}: the prior would see wrongly '
                        'normalised images. Set both to the same values')
            # mmpretrain's name, and MMEngine's
            to_rgb = getattr(preprocessor, 'to_rgb',
                             getattr(preprocessor, '_channel_conversion', 1))
            if (hasattr(module, 'input_mean') and not to_rgb
                    and not self._normalises(runner)):
                raise ValueError(
                    f'{name} expects RGB, and images are read in BGR: set '
                    'to_rgb=True of the data preprocessor')

    @staticmethod
    def _normalises(runner: Runner) -> bool:
        """Whether a pipeline does it, in the place of the preprocessor."""
        return any(
            type_name(part) == 'Normalize'
            for part in nested_dicts(getattr(runner, 'cfg', {}))
            if part.get('type'))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare its keys with the model's, its classes with the data's."""
        self._check_keys(runner, checkpoint)
        if runner._resume:
            self._check_optimizer(runner, checkpoint)
        expected, named = self._dataset_classes(runner)
        metrics = self._matching_metrics(runner)
        if not metrics:
            self._fit_classes(runner, checkpoint, expected)
            return
        # names that the checkpoint lacks may have been given to the metric
        classes = class_names(
            checkpoint, metrics[0].model_classes
            or (expected if named else None), runner._load_from)
        for metric in metrics:
            metric.model_classes = classes
        if classes and expected and list(classes) != list(expected):
            self._log_classes(classes, expected)

    @staticmethod
    def _check_keys(runner: Runner, checkpoint: dict) -> None:
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        state = bare_keys(checkpoint.get('state_dict', checkpoint))
        name = runner._load_from or 'the checkpoint'
        begins = hasattr(runner._train_loop, 'dataloader')
        if not begins or runner._resume:
            problems = misfits(model, state, unknown=False)
            if problems:
                raise CheckpointError(
                    f"'{name}' does not fit the model of this config: "
                    f'{"; ".join(problems)}')
        for prefix, part in model.named_modules():
            # it was built without its own file, since this one follows
            if getattr(part, 'allow_untrained', None) != 'quiet':
                continue
            lacking = [
                key for key in part.state_dict()
                if f'{prefix}.{key}' not in state
            ]
            if lacking:
                raise CheckpointError(
                    f"'{name}' lacks {len(lacking)} weights of {prefix}, "
                    f'{lacking[0]} first, which would stay random: begin from '
                    'a checkpoint of the whole model, or give the part that '
                    'it is for its own file (init_cfg or checkpoint) instead '
                    'of load_from')

    @staticmethod
    def _fit_classes(runner: Runner, checkpoint: dict,
                     expected: Optional[Sequence[str]]) -> None:
        saved = checkpoint_classes(checkpoint)
        begins = hasattr(runner._train_loop,
                         'dataloader') and not runner._resume
        model = runner.model
        head = getattr(
            model.module if is_model_wrapper(model) else model, 'head', None)
        count = getattr(head, 'num_classes', None)
        if begins and expected and count is not None:
            axes = class_axes(head, runner.cfg.model.head)
            done = fit_classes(
                checkpoint.get('state_dict', checkpoint), {
                    f'head.{key}': axis
                    for key, axis in axes.items()
                }, count, saved, expected)
            if done:
                # EMAHook swaps it with the state dict, to begin from that
                checkpoint.pop('ema_state_dict', None)
                print_log(f"'{runner._load_from}' {done}", logger='current')
            if done or saved:
                return
        check_classes(saved, expected)

    @staticmethod
    def _check_optimizer(runner: Runner, checkpoint: dict) -> None:
        saved = (checkpoint.get('optimizer') or {}).get('param_groups')
        # of several optimizers each has its own, under its name
        own = getattr(
            getattr(runner.optim_wrapper, 'optimizer', None), 'param_groups',
            None)
        if not isinstance(saved, list) or own is None:
            return
        # flags, which versions of torch add, have a default when loaded
        lacking = {
            key
            for group, other in zip(own, saved)
            for key, value in group.items()
            if key not in other and key != 'initial_lr' and value is not None
            and not isinstance(value, bool)
        }
        if lacking or len(own) != len(saved):
            what = (f'has no {", ".join(sorted(lacking))}' if lacking else
                    f'has {len(saved)} groups of parameters, not {len(own)}')
            raise CheckpointError(
                f"the optimizer of '{runner._load_from}' {what}: resume with "
                'the one of the beginning, or start again from its weights '
                '(load_from, without --resume)')

    @staticmethod
    def _matching_metrics(runner: Runner) -> list:
        # training goes on with indices: only a test can go by names
        if hasattr(runner._train_loop, 'dataloader'):
            return []
        evaluator = getattr(runner._test_loop, 'evaluator', None)
        metrics = getattr(evaluator, 'metrics', [])
        able = [m for m in metrics if hasattr(m, 'model_classes')]
        # what else evaluates would compare by index; a dump does not evaluate
        other = [
            m for m in metrics
            if m not in able and not isinstance(m, DumpResults)
        ]
        return [] if other else able

    @staticmethod
    def _log_classes(model: Sequence[str], data: Sequence[str]) -> None:
        common = common_classes(model, data)
        left = [
            f'{owner} {", ".join(names)}' for owner, names in (
                ("of the model's classes",
                 [name for name in model if name not in common]),
                ("of the data's classes, with their samples,",
                 [name for name in data if name not in common])) if names
        ]
        print_log(
            "the model's classes are not those of the data, and are matched "
            f'by name: {", ".join(common)}. Left out: ' +
            ('; '.join(left) or 'nothing, the order alone is another'),
            logger='current')

    @staticmethod
    def _dataset_classes(
            runner: Runner) -> Tuple[Optional[Sequence[str]], bool]:
        """Of the data, and whether they are given or a default."""
        for loop in (runner._train_loop, runner._val_loop, runner._test_loop):
            dataset = getattr(
                getattr(loop, 'dataloader', None), 'dataset', None)
            meta = getattr(dataset, 'metainfo', None)
            if meta and 'classes' in meta:
                return meta['classes'], getattr(dataset, 'names_classes', True)
        return None, False
