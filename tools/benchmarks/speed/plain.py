# Copyright (c) orsa contributors. All rights reserved.
"""A plain implementation of the model and of SAM, without optimizations.

The baseline of the speed benchmarks: the same model with the same weights,
batch and results. Priors are computed in each pass, attention is a softmax
between two products, weights keep their memory format, no prior is prepared,
and every parameter is updated by itself.
"""
import math
from typing import Optional

import torch
import torch.nn.functional as F
from mmengine.config import Config

from orsa.models.utils import linear as orsa_linear

# options that make the model fast, and their values without
_OFF = dict(channels_last=False)
_PRIOR_OFF = dict(prepare=None)


def make_plain(cfg: Config) -> None:
    """Switch the optimizations of an ORSANet off in a config.

    Args:
        cfg (Config): The experiment; is changed.
    """
    backbone = cfg.model.backbone
    for key, value in _OFF.items():
        if key in backbone:
            backbone[key] = value
    for name in ('parsing_prior', 'landmark_prior'):
        prior = backbone.get(name)
        for key, value in _PRIOR_OFF.items():
            if prior and key in prior:
                prior[key] = value


def attention(query: torch.Tensor,
              key: torch.Tensor,
              value: torch.Tensor,
              attn_mask: Optional[torch.Tensor] = None,
              dropout_p: float = 0.,
              is_causal: bool = False,
              scale: Optional[float] = None,
              **kwargs) -> torch.Tensor:
    """Compute attention step by step, in place of torch's fused kernel.

    Args and result are those of
    :func:`torch.nn.functional.scaled_dot_product_attention`.

    Raises:
        NotImplementedError: For causal or grouped-query attention.
    """
    if is_causal or kwargs.get('enable_gqa'):
        raise NotImplementedError('causal and grouped-query attention')
    scale = 1 / math.sqrt(query.size(-1)) if scale is None else scale
    weights = query @ key.transpose(-2, -1) * scale
    if attn_mask is not None:
        weights = (
            weights.masked_fill(~attn_mask, -math.inf)
            if attn_mask.dtype == torch.bool else weights + attn_mask)
    weights = F.dropout(weights.softmax(dim=-1), dropout_p)
    return weights @ value


def unfuse() -> None:
    """Replace fused attention and linear layers, in all of this process."""
    F.scaled_dot_product_attention = attention
    orsa_linear.enabled = False


class PlainSAM:
    """SAM around an optimizer, parameter by parameter.

    Args:
        optimizer (torch.optim.Optimizer): The base optimizer.
        rho (float): Radius.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, rho: float):
        self.optimizer = optimizer
        self.rho = rho
        self.saved = {}

    def _params(self):
        return (p for group in self.optimizer.param_groups
                for p in group['params'] if p.grad is not None)

    @torch.no_grad()
    def perturb(self) -> None:
        """Move the weights from w to w + epsilon."""
        norm = torch.stack([p.grad.norm(p=2) for p in self._params()]).norm()
        for p in self._params():
            self.saved[p] = p.detach().clone()
            p.add_(p.grad * (self.rho / (norm + 1e-12)))
        self.optimizer.zero_grad()

    @torch.no_grad()
    def step(self) -> None:
        """Restore w and take the optimizer's step from there."""
        for p, value in self.saved.items():
            p.copy_(value)
        self.saved.clear()
        self.optimizer.step()
        self.optimizer.zero_grad()
