# Copyright (c) orsa contributors. All rights reserved.
import copy
import gc
import warnings
from itertools import chain
from typing import Callable, Dict, Optional

import torch
import torch.nn as nn
from mmcv.cnn.bricks.wrappers import Linear as MMCVLinear
from torch.nn.modules.conv import _ConvNd

from orsa.models.utils.fast_copy import TOLERANCE, fast_copy, relative_error
from orsa.models.utils.linear import is_observed
from orsa.models.utils.same_batch import as_float

DTYPES = dict(
    float32=torch.float32, bfloat16=torch.bfloat16, float16=torch.float16)


class PriorSpeed:
    """How a frozen prior computes: by which network, at which precision.

    This is no module, and what it makes is in no checkpoint. A copy is made
    when it is first needed, and anew when a weight was written to or moved.

    Args:
        name (str): Of the prior, for messages.
        prepare (str, optional): 'fuse' computes by
            :func:`orsa.models.utils.fast_copy.fast_copy`, equal up to
            rounding; where it is not, it is left out with a warning. None
            computes by the network itself.
        dtype (str, optional): 'float32', 'bfloat16' or 'float16' (GPU); the
            output is float32 in any case. None is the classifier's.
        half_weights (bool): Whether to hold the weights of linear layers and
            convolutions at ``dtype`` alone once the copy is made, not in
            float32 beside it. Where ``dtype`` is None or 'float32' the
            weights of linear layers alone are held in bfloat16, and cast when
            they are used. A checkpoint has them so, too, so that they do not
            go with ``EMAHook`` or a cache of priors. Defaults to False.

    Raises:
        ValueError: If one of them is unknown, this machine cannot do it, or
            ``half_weights`` is without ``prepare``.
    """

    def __init__(self,
                 name: str,
                 prepare: Optional[str],
                 dtype: Optional[str],
                 half_weights: bool = False):
        if prepare == 'fold':
            warnings.warn(
                f"{name}: prepare='fold' is deprecated, use 'fuse'",
                DeprecationWarning,
                stacklevel=2)
            prepare = 'fuse'
        if prepare not in (None, 'fuse'):
            raise ValueError(f"{name}.prepare should be None or 'fuse', but "
                             f'got {prepare!r}')
        if dtype is not None and dtype not in DTYPES:
            raise ValueError(f'{name}.dtype should be None or one of '
                             f'{list(DTYPES)}, but got {dtype!r}')
        if dtype == 'float16' and not torch.cuda.is_available():
            raise ValueError(f"{name}.dtype='float16' needs a GPU; on a CPU "
                             "use 'bfloat16'")
        if half_weights and not prepare:
            raise ValueError(f"{name}.half_weights needs prepare='fuse'")
        self.name = name
        self.prepare = prepare
        self.half_weights = half_weights
        self.dtype = None if dtype is None else DTYPES[dtype]
        self.forget()

    def forget(self) -> None:
        """Make copies anew when they are needed next."""
        self._state: Optional[tuple] = None
        self._copies: Dict[torch.dtype, Optional[nn.Module]] = {}

    def compute(self, model: nn.Module, x: torch.Tensor,
                extract: Callable[[nn.Module, torch.Tensor], torch.Tensor]):
        """Let a network compute.

        Args:
            model (nn.Module): The network as it is.
            x (Tensor): Its input, float32.
            extract (Callable): Called with the network that is to compute,
                this one or a copy, and the input at its precision.

        Returns:
            Tensor | tuple[Tensor]: What ``extract`` returned.
        """
        device, dtype = x.device.type, self.dtype
        autocast = torch.is_autocast_enabled(device)
        if dtype is None and autocast:
            dtype = torch.get_autocast_dtype(device)
        dtype = dtype or torch.float32
        copied = self._copy(model, x, extract, dtype)
        if copied is not None:
            with torch.autocast(device, enabled=False):
                return as_float(extract(copied, x.to(dtype)))
        if self.half_weights:  # torch's own layers do not cast them
            dtype = torch.bfloat16 if dtype is torch.float32 else dtype
        elif self.dtype is None:
            return extract(model, x)
        if dtype is torch.float32 and not autocast:
            return as_float(extract(model, x))
        with torch.autocast(device, dtype, enabled=dtype is not torch.float32):
            return as_float(extract(model, x))

    def _copy(self, model: nn.Module, x: torch.Tensor, extract: Callable,
              dtype: torch.dtype) -> Optional[nn.Module]:
        """The fused network, None where there is none to be used."""
        # hooks inside would not see a copy
        if self.prepare is None or is_observed() or any(
                m._forward_hooks or m._forward_pre_hooks
                for m in model.modules()):
            return None
        if _state(model) != self._state:
            self.forget()
        if dtype not in self._copies:
            if self.half_weights:
                fits = self._fits(_in_float32(model), x[:1], extract)
                _halve(model, self.dtype)
                # networks and what they hold may refer to each other: weights
                # in float32 would stay until the collector comes by itself
                gc.collect()
            else:
                fits = self._fits(model, x[:1], extract)
            self._copies[dtype] = fast_copy(
                model,
                None if dtype is torch.float32 else dtype) if fits else None
            self._state = _state(model)
        return self._copies[dtype]

    def _fits(self, model: nn.Module, x: torch.Tensor,
              extract: Callable) -> bool:
        with torch.autocast(x.device.type, enabled=False):
            error = relative_error(
                extract(fast_copy(model), x), extract(model, x))
        if error <= TOLERANCE:
            return True
        warnings.warn(
            f"{self.name}: prepare='fuse' would change the output of "
            f'{type(model).__name__} by {error:.1g} of its largest value, and '
            'is left out',
            stacklevel=2)
        return False


def _state(model: nn.Module) -> tuple:
    """Changes when a weight is written to or moved."""
    return tuple((t.data_ptr(), t._version)
                 for t in chain(model.parameters(), model.buffers()))


def _in_float32(model: nn.Module) -> nn.Module:
    """The model itself, a copy if some of its weights are halved."""
    if all(p.dtype is torch.float32 for p in model.parameters()):
        return model
    return copy.deepcopy(model).float()


def _halve(model: nn.Module, dtype: Optional[torch.dtype]) -> None:
    """Cast the weights of linear layers, and of convolutions."""
    half = dtype in (torch.bfloat16, torch.float16)
    dtype = dtype if half else torch.bfloat16
    for module in model.modules():
        # not kinds of linear layers, which may compute with their weights in
        # a way of their own; convolutions cannot cast back to float32
        if type(module) in (nn.Linear, MMCVLinear) or (half and isinstance(
                module, _ConvNd)):
            module.weight.data = module.weight.data.to(dtype)
