# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional, Sequence

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from orsa.registry import HOOKS
from orsa.utils.classes import check_classes


@HOOKS.register_module()
class ModelCheckHook(Hook):
    """Check at start what would go wrong without a sound.

    - A frozen prior re-normalises what the classifier was given: the mean and
      std that it assumes (``input_mean``, ``input_std``) have to be those of
      the data preprocessor.
    - A checkpoint carries the names of its classes: loading it for a dataset
      with other names, or another order of the same names, is an error.

    Raises:
        ValueError: If either does not agree; both values are named.
    """

    def before_run(self, runner: Runner) -> None:
        """Compare priors and data preprocessor."""
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        preprocessor = getattr(model, 'data_preprocessor', None)
        for name, module in model.named_modules():
            for field in ('mean', 'std'):
                expected = getattr(module, f'input_{field}', None)
                actual = getattr(preprocessor, field, None)
                if expected is None or actual is None:
                    continue
                expected = torch.as_tensor(expected).flatten().cpu().float()
                actual = actual.flatten().cpu().float()
                if not torch.allclose(expected, actual, atol=1e-3):
                    raise ValueError(
                        f'{name}.input_{field}={expected.tolist()} differs '
                        f'from data_preprocessor.{field}='
                        f'{actual.tolist()}: the prior would see wrongly '
                        'normalised images. Set both to the same values')

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the checkpoint's class names with the dataset's."""
        meta = checkpoint.get('meta') or {}
        classes = (meta.get('dataset_meta') or {}).get('classes')
        check_classes(classes, self._dataset_classes(runner))

    @staticmethod
    def _dataset_classes(runner: Runner) -> Optional[Sequence[str]]:
        for loop in (runner._train_loop, runner._val_loop, runner._test_loop):
            dataset = getattr(
                getattr(loop, 'dataloader', None), 'dataset', None)
            meta = getattr(dataset, 'metainfo', None)
            if meta and 'classes' in meta:
                return meta['classes']
        return None
