# Copyright (c) orsa contributors. All rights reserved.
import torch
import torch.nn as nn
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseModule

from orsa.registry import MODELS
from .cross_attention import CrossAttention
from .cross_interaction import MultiScaleCrossInteraction


class _CrossEncoder(BaseModule):
    """A transformer encoder of one stream, queried by the other."""

    def __init__(self, dims: int, num_heads: int, mlp_ratio: float,
                 drop_path: float):
        super().__init__()
        hidden = int(dims * mlp_ratio)
        self.norm1 = nn.LayerNorm(dims, eps=1e-6)
        self.attn = CrossAttention(dims, num_heads)
        self.norm2 = nn.LayerNorm(dims, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(dims, hidden), nn.GELU(), nn.Linear(hidden, dims))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        # both (B, N, d): a token of x gets what the other's at its place
        # finds among all of x
        x = x + self.drop_path(self.attn(self.norm1(other), self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class _TwoWayFusion(BaseModule):
    """Each stream is queried by the other, then both are mixed."""

    def __init__(self, num_tokens: int, dims: int, num_heads: int,
                 mlp_ratio: float, drop_path: float):
        super().__init__()
        self.num_tokens = num_tokens
        self.image = _CrossEncoder(dims, num_heads, mlp_ratio, drop_path)
        self.landmark = _CrossEncoder(dims, num_heads, mlp_ratio, drop_path)
        self.mix = nn.Conv1d(2 * num_tokens, 2 * num_tokens, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # (B, 2N, d) -> (B, 2N, d), image rows first
        image, landmark = x.split(self.num_tokens, dim=1)
        both = self.image(image, landmark), self.landmark(landmark, image)
        return self.mix(torch.cat(both, dim=1))


@MODELS.register_module()
class PosterNeck(MultiScaleCrossInteraction):
    """The pyramid of two-way cross-fusion transformers of POSTER.

    From `POSTER: A Pyramid Cross-Fusion Transformer Network for Facial
    Expression Recognition <https://arxiv.org/abs/2204.04083>`_.
    :class:`orsa.MultiScaleCrossInteraction` is derived from it and shares its
    pyramid, arguments and output; here image tokens attend to landmark tokens
    too, which have an encoder of their own at every scale.
    """

    fusion = _TwoWayFusion
