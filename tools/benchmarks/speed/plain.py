# Copyright (c) orsa contributors. All rights reserved.
"""The same mathematics without any of what makes it fast.

What the speed of orsa is compared with: the same model, with weights, batch
and results equal, as one writes it down first. Priors are computed in each
pass, attention is a softmax between two products, weights lie in memory as
they were made, nothing is prepared, every parameter is stepped by itself.
"""
import math
from typing import Optional

import torch
import torch.nn.functional as F
from mmengine.config import Config

from orsa.models.utils import linear as orsa_linear

# options that would make the model fast, and what they are without
_OFF = dict(channels_last=False)
_PRIOR_OFF = dict(prepare=None)


def make_plain(cfg: Config) -> None:
    """Switch off, in a config, what makes an ORSANet fast.

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
    """Attention step by step, in place of torch's fused one."""
    if is_causal or kwargs.get('enable_gqa'):
        raise NotImplementedError('no part of orsa has causal attention')
    scale = 1 / math.sqrt(query.size(-1)) if scale is None else scale
    weights = query @ key.transpose(-2, -1) * scale
    if attn_mask is not None:
        weights = (
            weights.masked_fill(~attn_mask, -math.inf)
            if attn_mask.dtype == torch.bool else weights + attn_mask)
    weights = F.dropout(weights.softmax(dim=-1), dropout_p)
    return weights @ value


def unfuse() -> None:
    """Let torch's plain functions do it, in all of this process."""
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
        """Climb from w to w + epsilon."""
        norm = torch.stack([p.grad.norm(p=2) for p in self._params()]).norm()
        for p in self._params():
            self.saved[p] = p.detach().clone()
            p.add_(p.grad * (self.rho / (norm + 1e-12)))
        self.optimizer.zero_grad()

    @torch.no_grad()
    def step(self) -> None:
        """Back to w, and the optimizer's step from there."""
        for p, value in self.saved.items():
            p.copy_(value)
        self.saved.clear()
        self.optimizer.step()
        self.optimizer.zero_grad()
