# Copyright (c) orsa contributors. All rights reserved.
"""A copy of a network that predicts the same in less time."""
import copy
from itertools import chain
from typing import Optional, Sequence, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn.bricks.transformer import FFN, PatchMerging
from mmcv.cnn.bricks.wrappers import Linear as MMCVLinear
from mmpretrain.models.utils import ShiftWindowMSA, WindowMSA
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_weights

from .linear import Linear, linear_gelu
from .prelu import PReLU

# the relative error up to which a copy is used
TOLERANCE = 1e-4

Output = Union[torch.Tensor, Sequence[torch.Tensor]]


class _FastShiftWindowMSA(ShiftWindowMSA):
    """mmpretrain's window attention, fused.

    Shift and window partition are one gather. Its indices, and what is added
    to the scores, are computed once for each size of map.
    """

    def forward(self, query: torch.Tensor,
                hw_shape: Tuple[int, int]) -> torch.Tensor:
        side = self.window_size
        if hw_shape[0] % side or hw_shape[1] % side:
            return super().forward(query, hw_shape)  # which pads
        plans = vars(self).setdefault('_plans', {})
        size = tuple(hw_shape)
        if size not in plans:
            plans[size] = self._make_plan(size, query)
        order, back, scores = plans[size]
        msa, (batch, _, dims) = self.w_msa, query.shape
        qkv = msa.qkv(query[:, order].view(-1, side**2, dims))
        q, k, v = qkv.unflatten(2,
                                (3, msa.num_heads, -1)).permute(2, 0, 3, 1, 4)
        if len(scores) > 1:  # of each window another
            scores = scores.repeat(batch, 1, 1, 1)
        out = F.scaled_dot_product_attention(q, k, v, scores, scale=msa.scale)
        out = msa.proj(out.transpose(1, 2).flatten(2))
        return out.view(query.shape)[:, back]

    def _make_plan(self, size: Tuple[int, int], like: torch.Tensor) -> tuple:
        side, shift = self.window_size, self.shift_size
        if min(size) == side and not self.pad_small_map:
            shift = 0
        places = torch.arange(size[0] * size[1], device=like.device)
        grid = places.view(1, *size, 1).roll((-shift, -shift), (1, 2))
        order = self.window_partition(grid, side).flatten()
        msa = self.w_msa
        index = msa.relative_position_index.flatten()
        scores = msa.relative_position_bias_table[index].unflatten(
            0, (side**2, side**2)).permute(2, 0, 1)[None]
        mask = self.get_attn_mask(
            size, window_size=side, shift_size=shift, device=like.device)
        if mask is not None:
            scores = scores + mask[:, None]
        return order, order.argsort(), scores.to(like.dtype).contiguous()


class _FastPatchMerging(PatchMerging):
    """mmcv's patch merging of two by two, by one permutation."""

    def forward(self, x: torch.Tensor,
                input_size: Tuple[int, int]) -> Tuple[torch.Tensor, tuple]:
        height, width = input_size
        if height % 2 or width % 2:
            return super().forward(x, input_size)
        out_size = height // 2, width // 2
        x = x.unflatten(1, (out_size[0], 2, out_size[1], 2))
        # as nn.Unfold orders them: the channel before the place
        x = x.permute(0, 1, 3, 5, 2, 4).flatten(3).flatten(1, 2)
        if self.norm is not None:
            x = self.norm(x)
        return self.reduction(x), out_size


class _FastFFN(FFN):
    """mmcv's two linear layers with a GELU, in evaluation mode."""

    def forward(self, x: torch.Tensor, identity=None) -> torch.Tensor:
        (first, *_), last, _ = self.layers
        out = last(linear_gelu(x, first.weight, first.bias))
        return (x if identity is None else identity) + out


def _make_fast(module: nn.Module) -> None:
    """Give a module of a known kind its faster forward."""
    kind = type(module)
    if kind in (nn.Linear, MMCVLinear):
        module.__class__ = Linear
    elif kind is nn.PReLU:
        module.__class__ = PReLU
    elif kind is ShiftWindowMSA and type(module.w_msa) is WindowMSA:
        module.__class__ = _FastShiftWindowMSA
    elif kind is PatchMerging:
        sampler = module.sampler
        if (sampler.padding == (0, 0) and sampler.dilation == (1, 1)
                and sampler.kernel_size == sampler.stride == (2, 2)):
            module.__class__ = _FastPatchMerging
    elif kind is FFN and len(module.layers) == 3 and module.add_identity:
        act = module.layers[0][1]
        if (isinstance(act, nn.GELU) and act.approximate == 'none'
                and isinstance(module.gamma2, nn.Identity)):
            module.__class__ = _FastFFN


def _without_parametrizations(module: nn.Module) -> nn.Module:
    """The module as it computes now; torch's own removal changes its class."""
    kind = parametrize.type_before_parametrizations(module)
    plain = kind.__new__(kind)
    for key, value in vars(module).items():
        vars(plain)[key] = copy.copy(value) if isinstance(value,
                                                          dict) else value
    parametrizations = plain._modules.pop('parametrizations')
    for name in parametrizations:
        value = getattr(module, name).detach().clone()
        plain.register_parameter(name, nn.Parameter(value, False))
    return plain


def _own_tensors(model: nn.Module, dtype: Optional[torch.dtype]) -> None:
    """Give a copy Parameters of its own, in the same memory or cast."""
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, value in tensors.items():
                if value is None or not value.is_floating_point():
                    continue
                own = value.detach().to(dtype or value.dtype)
                tensors[name] = nn.Parameter(own, False) if isinstance(
                    value, nn.Parameter) else own


def _fuse_own_norm(conv: nn.Conv2d) -> None:
    """Fuse the normalisation that is a part of a convolution."""
    norm, conv.norm = conv.norm, None
    _fuse(conv, norm)


def _fuse_norms(module: nn.Module) -> None:
    """Fuse each normalisation into the convolution right before it.

    mmcv's ``fuse_conv_bn`` does so over an activation between them, too.
    """
    conv = None
    for name, child in module.named_children():
        if (conv is not None and isinstance(child, _BatchNorm)
                and child.running_mean is not None):
            _fuse(conv, child)
            module._modules[name] = nn.Identity()
        elif not isinstance(child, nn.Conv2d):
            _fuse_norms(child)
        conv = child if isinstance(child, nn.Conv2d) else None


def _fuse(conv: nn.Conv2d, norm: nn.Module) -> None:
    conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias,
                                                  norm.running_mean,
                                                  norm.running_var, norm.eps,
                                                  norm.weight, norm.bias)


@torch.no_grad()
def fast_copy(model: nn.Module,
              dtype: Optional[torch.dtype] = None) -> nn.Module:
    """Copy a network, or a complete model, into a form for inference alone.

    Batch normalisation is fused into the convolution registered before it, or
    that it is a part of, spectral norms are computed once, mmpretrain's window
    attention becomes torch's fused one, and linear layers use
    :mod:`orsa.models.utils.linear`. Predictions are equal up to rounding
    (1e-5 of their scale in float32). What is not fused shares its memory with
    the original.

    Args:
        model (nn.Module): Any network. It is not changed.
        dtype (torch.dtype, optional): To which floating-point numbers are
            cast. Defaults to None, as they are.

    Returns:
        nn.Module: The copy, in evaluation mode and without gradients. Load
        weights into the original, and copy again.

    Example:
        >>> from orsa.apis import init_model
        >>> from orsa.models.utils.fast_copy import fast_copy
        >>> model = fast_copy(init_model('orsanet_lite'))
    """
    shared = {id(t): t for t in chain(model.parameters(), model.buffers())}
    copied = copy.deepcopy(model, shared)
    copied.eval()  # which not every library's modules return
    for name, module in list(copied.named_modules()):
        if parametrize.is_parametrized(module):
            copied.set_submodule(name, _without_parametrizations(module))
        _make_fast(module)
    _fuse_norms(copied)
    for module in copied.modules():
        if (isinstance(module, nn.Conv2d)
                and isinstance(getattr(module, 'norm', None), nn.BatchNorm2d)):
            _fuse_own_norm(module)
    _own_tensors(copied, dtype)
    return copied


def relative_error(output: Output, expected: Output) -> float:
    """Largest difference of two outputs, relative to the largest value.

    Args:
        output (Tensor | Sequence[Tensor]): Output of a copy.
        expected (Tensor | Sequence[Tensor]): Output of the original.

    Returns:
        float: The largest over all tensors; NaN, if one is.
    """
    if isinstance(expected, torch.Tensor):
        output, expected = (output, ), (expected, )
    errors = [(a - b).abs().max() / b.abs().max().clamp(min=1e-12)
              for a, b in zip(output, expected, strict=True)]
    return float(torch.stack(errors).max())
