# Copyright (c) orsa contributors. All rights reserved.
import contextlib
import warnings
from itertools import chain
from typing import Callable, Dict, Optional

import torch
import torch.nn as nn

from orsa.models.utils.fast_copy import TOLERANCE, fast_copy, off_by
from orsa.models.utils.linear import is_observed

DTYPES = dict(
    float32=torch.float32, bfloat16=torch.bfloat16, float16=torch.float16)


class PriorSpeed:
    """How a frozen prior computes: by which network, at which precision.

    This is no module, and what it makes is in no checkpoint. A copy is made
    when it is first asked, and anew when a weight was written to or moved.

    Args:
        name (str): Of the prior, for messages.
        prepare (str, optional): See :class:`FrozenPrior`.
        dtype (str, optional): See :class:`FrozenPrior`.

    Raises:
        ValueError: If one of them is unknown, or this machine cannot do it.
    """

    def __init__(self, name: str, prepare: Optional[str],
                 dtype: Optional[str]):
        if prepare not in (None, 'fold'):
            raise ValueError(f"{name}.prepare should be None or 'fold', but "
                             f'got {prepare!r}')
        if dtype is not None and dtype not in DTYPES:
            raise ValueError(f'{name}.dtype should be None or one of '
                             f'{list(DTYPES)}, but got {dtype!r}')
        if dtype == 'float16' and not torch.cuda.is_available():
            raise ValueError(f"{name}.dtype='float16' needs a GPU; on a CPU "
                             "use 'bfloat16'")
        self.name = name
        self.prepare = prepare
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
        if dtype is None and torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        dtype = dtype or torch.float32
        copied = self._copy(model, x, extract, dtype)
        if copied is not None:
            with torch.autocast(device, enabled=False):
                return _as_float(extract(copied, x.to(dtype)))
        if self.dtype is None:
            return extract(model, x)
        precision = contextlib.nullcontext() if (
            dtype is torch.float32
            and not torch.is_autocast_enabled(device)) else torch.autocast(
                device, dtype, enabled=dtype is not torch.float32)
        with precision:
            return _as_float(extract(model, x))

    def _copy(self, model: nn.Module, x: torch.Tensor, extract: Callable,
              dtype: torch.dtype) -> Optional[nn.Module]:
        """The prepared network, None where there is none to be used."""
        if self.prepare is None or is_observed() or _is_watched(model):
            return None
        state = _state_of(model)
        if state != self._state:
            self.forget()
            self._state = state
        if dtype not in self._copies:
            fits = self._fits(model, x, extract)
            self._copies[dtype] = fast_copy(
                model,
                None if dtype is torch.float32 else dtype) if fits else None
        return self._copies[dtype]

    def _fits(self, model: nn.Module, x: torch.Tensor,
              extract: Callable) -> bool:
        with torch.autocast(x.device.type, enabled=False):
            wrong = off_by(
                extract(fast_copy(model), x[:1]), extract(model, x[:1]))
        if wrong <= TOLERANCE:
            return True
        warnings.warn(
            f"{self.name}: prepare='{self.prepare}' would change what "
            f'{type(model).__name__} gives by {wrong:.1g} of the largest '
            'value, and is left out',
            stacklevel=2)
        return False


def _is_watched(model: nn.Module) -> bool:
    """Whether someone has hooks in it, who would not see a copy."""
    return any(m._forward_hooks or m._forward_pre_hooks
               for m in model.modules())


def _state_of(model: nn.Module) -> tuple:
    return tuple((t.data_ptr(), t._version)
                 for t in chain(model.parameters(), model.buffers()))


def _as_float(out):
    if isinstance(out, torch.Tensor):
        return out.float()
    return type(out)(o.float() for o in out)
