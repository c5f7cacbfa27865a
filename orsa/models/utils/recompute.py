# Copyright (c) orsa contributors. All rights reserved.
"""Activation checkpointing that keeps what is expensive."""
from contextlib import contextmanager
from typing import Callable, ContextManager

import torch
import torch.nn as nn
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch.utils.checkpoint import (checkpoint,
                                    create_selective_checkpoint_contexts)

Forward = Callable[[torch.Tensor], torch.Tensor]


@contextmanager
def _again(context: ContextManager, module: nn.Module):
    """Enter a context, in which running statistics stay as they are."""
    norms = [
        m for m in module.modules() if isinstance(m, _BatchNorm) and m.training
    ]
    before = [(m.momentum, m.num_batches_tracked) for m in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0., None
    try:
        with context:
            yield
    finally:
        for norm, values in zip(norms, before):
            norm.momentum, norm.num_batches_tracked = values


def keep_convolutions(module: nn.Module, forward: Forward,
                      x: torch.Tensor) -> torch.Tensor:
    """Compute a part of a network, of which little is kept for its gradient.

    The input and the outputs of convolutions are kept; normalisation and
    activation are computed again in the backward pass, which is cheap. The
    gradient is the same. Without gradients nothing is kept anyway.

    Args:
        module (nn.Module): What has the layers.
        forward (Callable): Its computation, without random numbers.
        x (Tensor): The input.
    """
    if not torch.is_grad_enabled():
        return forward(x)

    def contexts():
        first, again = create_selective_checkpoint_contexts(
            [torch.ops.aten.convolution.default])
        return first, _again(again, module)

    return checkpoint(
        forward,
        x,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=contexts)
