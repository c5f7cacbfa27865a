# Copyright (c) orsa contributors. All rights reserved.
from contextlib import contextmanager

import torch
import torch.nn as nn
from mmengine.optim import OptimWrapper

from orsa.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """MMEngine's ``OptimWrapper`` in bfloat16, on a CPU too.

    MMEngine's ``AmpOptimWrapper`` refuses to work without a GPU. Forward and
    backward pass run under autocast; weights and moments stay in float32, and
    the losses need no scaling.

    Args:
        **kwargs: Those of MMEngine's ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module):
        """Autocast around the forward pass."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), \
                torch.autocast(device, dtype=torch.bfloat16):
            yield
