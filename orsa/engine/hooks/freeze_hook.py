# Copyright (c) orsa contributors. All rights reserved.
from collections import Counter
from typing import Dict, Iterator, List

import torch.nn as nn
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner

from orsa.registry import HOOKS


@HOOKS.register_module()
class FreezeHook(Hook):
    """Freeze what the config gives no learning rate, and log what is frozen.

    A learning rate of 0 (``lr_mult=0`` in ``paramwise_cfg``) alone freezes
    nothing for long: a schedule lifts it to its ``eta_min``, and running
    statistics (batch normalisation, spectral normalisation) move in any case.
    Here such parameters get no gradient, so that neither the optimizer, weight
    decay nor SAM touches them, and the modules they are of stay in evaluation
    mode. Not a bit of them changes.

    The number of all frozen parameters, those of ``frozen_stages`` and of
    frozen priors too, is logged in one line.
    """

    # before EMAHook copies the model, and ranks compare theirs
    priority = 'VERY_HIGH'

    def __init__(self):
        self._still: List[nn.Module] = []

    def before_run(self, runner: Runner) -> None:
        """Freeze, once the optimizer is built."""
        wrapper = runner.optim_wrapper
        if isinstance(wrapper, OptimWrapper):
            wrapper = {'': wrapper}
        if not isinstance(wrapper, (dict, OptimWrapperDict)) or not all(
                isinstance(each, OptimWrapper) for _, each in wrapper.items()):
            return  # a test
        groups = [g for _, each in wrapper.items() for g in each.param_groups]
        idle = [g for g in groups if g.get('initial_lr', g['lr']) == 0]
        if len(idle) == len(groups):
            return  # a schedule of its own begins at 0
        params = [p for group in idle for p in group['params']]
        for param in params:
            param.requires_grad_(False)
        wrapped = is_model_wrapper(runner.model)
        model = runner.model.module if wrapped else runner.model
        self._still = list(_with_state(model, set(params)))
        if wrapped and params:
            # one that waits for gradients of these would wait in vain
            runner.model = runner.wrap_model(
                runner.cfg.get('model_wrapper_cfg'), model)
        _log_frozen(model)

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch=None) -> None:
        """Hold still what the loop has put into training mode."""
        for module in self._still:
            module.eval()


def _with_state(model: nn.Module, frozen: set) -> Iterator[nn.Module]:
    """Modules that keep a state of their own, in parts that are frozen.

    One without parameters belongs to the part around it that has some.
    """
    parts: Dict[str, List[nn.Parameter]] = {}
    for name, module in model.named_modules():
        parts[name] = list(module.parameters()) or parts.get(
            name.rpartition('.')[0], [])
        if any(True for _ in module.buffers(
                recurse=False)) and parts[name] and frozen.issuperset(
                    parts[name]):
            yield module


def _log_frozen(model: nn.Module) -> None:
    frozen: Counter = Counter()
    total = 0
    for name, param in model.named_parameters():
        total += param.numel()
        if not param.requires_grad:
            frozen['.'.join(name.split('.')[:2])] += param.numel()
    if frozen:
        parts = ', '.join(f'{name} {n:,}' for name, n in frozen.items())
        print_log(
            f'{sum(frozen.values()):,} of {total:,} parameters are frozen and '
            f'stay as they are: {parts}',
            logger='current')
