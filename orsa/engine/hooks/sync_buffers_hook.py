# Copyright (c) orsa contributors. All rights reserved.
from typing import Iterator

import torch
from mmengine.dist import all_reduce_params, broadcast, is_distributed
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _NormBase

from orsa.registry import HOOKS


def running_statistics(model: torch.nn.Module) -> Iterator[torch.Tensor]:
    """The running means and variances that a training is changing."""
    for module in model.modules():
        if isinstance(module, _NormBase) and module.training:
            for name in ('running_mean', 'running_var'):
                if getattr(module, name) is not None:
                    yield getattr(module, name)


@HOOKS.register_module()
class SyncBuffersHook(Hook):
    """Average the running statistics of norms over the ranks.

    Without it every rank keeps statistics of its own part of the data:
    validation then evaluates several slightly different models, none of
    which need be the one in the checkpoint, and a resumed training is not the
    one that was interrupted. MMEngine's hook of this name averages at the end
    of an epoch. Here it is done after every iteration, before an average of
    weights is taken, so that a training can be saved within an epoch; the
    statistics are some ten thousand numbers beside the gradients' millions.

    With one process it does nothing.
    """

    # before EMAHook (NORMAL) copies the statistics
    priority = 'ABOVE_NORMAL'

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs=None) -> None:
        """Average what this iteration has added."""
        if is_distributed():
            statistics = list(running_statistics(runner.model))
            if statistics:
                all_reduce_params(statistics, op='mean')
            # spectral norms have seen other weights where each rank climbs
            # by itself
            wrapper = getattr(runner, 'optim_wrapper', None)
            if not getattr(wrapper, 'sync_perturbation', True):
                for name, vector in runner.model.named_buffers():
                    if name.endswith(('._u', '._v')):
                        broadcast(vector)
