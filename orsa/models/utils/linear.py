# Copyright (c) orsa contributors. All rights reserved.
"""Linear layers by the faster of torch's two libraries.

On a CPU torch multiplies float32 matrices by MKL. oneDNN is twice as fast on
processors where MKL holds back (docs/performance.md), equal up to rounding.
"""
from typing import Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.autograd.function import once_differentiable
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

# switched off by the plain yardstick of tools/benchmarks/speed
enabled = (
    torch.backends.mkldnn.is_available()
    and hasattr(torch.ops.mkldnn, '_linear_pointwise'))
# multiplications below which calling oneDNN costs more than it brings
MIN_PRODUCTS = 2**20


def _product(x: torch.Tensor,
             weight: torch.Tensor,
             bias: Optional[torch.Tensor] = None,
             act: str = 'none') -> torch.Tensor:
    """``x @ weight.T + bias``; what ``torch.compile`` emits for it."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, act, [],
                                              'none' if act == 'gelu' else '')


class _LinearFunction(torch.autograd.Function):
    """The product with its gradients, all three by oneDNN."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        grad = grad.contiguous()
        rows = grad.flatten(0, -2)
        grads = [None, None, None]
        if ctx.needs_input_grad[0]:
            grads[0] = _product(grad, weight.t())
        if ctx.needs_input_grad[1]:
            grads[1] = _product(rows.t(), x.reshape(-1, x.size(-1)).t())
        if ctx.needs_input_grad[2]:
            grads[2] = rows.sum(0)
        return tuple(grads)


def is_observed() -> bool:
    """Whether operations are traced, compiled or counted now."""
    return (torch.jit.is_tracing() or torch.compiler.is_compiling()
            or is_in_torch_dispatch_mode())


def takes(x: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether oneDNN shall multiply these, eagerly and in float32."""
    # what is traced first: its size must not be read
    return (enabled and not is_observed()
            and x.device.type == 'cpu' == weight.device.type
            and x.dtype == weight.dtype == torch.float32 and x.ndim > 1
            and x.numel() * weight.size(0) >= MIN_PRODUCTS
            and not torch.is_autocast_enabled('cpu'))


def linear(x: torch.Tensor,
           weight: torch.Tensor,
           bias: Optional[torch.Tensor] = None) -> torch.Tensor:
    """As :func:`torch.nn.functional.linear`, by oneDNN where that is faster.

    Args:
        x (Tensor): (..., K).
        weight (Tensor): (N, K), cast to the precision of ``x``.
        bias (Tensor, optional): (N, ).

    Returns:
        Tensor: (..., N). It can be differentiated once.
    """
    weight = weight.to(x.dtype)
    if not takes(x, weight):
        return F.linear(x, weight, bias)
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad or
                                    (bias is not None and bias.requires_grad)):
        return _LinearFunction.apply(x, weight, bias)
    return _product(x, weight, bias)


def linear_gelu(x: torch.Tensor, weight: torch.Tensor,
                bias: Optional[torch.Tensor]) -> torch.Tensor:
    """A linear layer and an exact GELU in one, without gradients."""
    weight = weight.to(x.dtype)
    if not takes(x, weight):
        return F.gelu(F.linear(x, weight, bias))
    return _product(x, weight, bias, 'gelu')


class Linear(nn.Linear):
    """torch's linear layer by :func:`linear`; keys and values are equal."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return linear(x, self.weight, self.bias)
