# Copyright (c) orsa contributors. All rights reserved.
import torch
import torch.nn as nn
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseModule

from orsa.registry import MODELS
from .cross_attention import CrossAttention
from .cross_interaction import MultiScaleCrossInteraction


class CrossEncoder(BaseModule):
    """A transformer encoder of one stream, asked by the other.

    Args:
        dims (int): Width d of the tokens.
        num_heads (int): Heads of the attention.
        mlp_ratio (float): Hidden width of the MLP, in multiples of d.
        drop_path (float): Rate of stochastic depth.
    """

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


class TwoWayFusion(BaseModule):
    """Each stream is asked by the other, then both are mixed.

    Args:
        num_tokens (int): Tokens N of each stream.
        dims, num_heads, mlp_ratio, drop_path: See :class:`CrossEncoder`.
    """

    def __init__(self, num_tokens: int, dims: int, num_heads: int,
                 mlp_ratio: float, drop_path: float):
        super().__init__()
        self.num_tokens = num_tokens
        self.image = CrossEncoder(dims, num_heads, mlp_ratio, drop_path)
        self.landmark = CrossEncoder(dims, num_heads, mlp_ratio, drop_path)
        self.mix = nn.Conv1d(2 * num_tokens, 2 * num_tokens, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # (B, 2N, d) -> (B, 2N, d), image rows first
        image, landmark = x.split(self.num_tokens, dim=1)
        return self.mix(
            torch.cat(
                [self.image(image, landmark),
                 self.landmark(landmark, image)],
                dim=1))


@MODELS.register_module()
class PosterNeck(MultiScaleCrossInteraction):
    """The pyramid of two-way cross-fusion transformers of POSTER.

    From `POSTER: A Pyramid Cross-Fusion Transformer Network for Facial
    Expression Recognition <https://arxiv.org/abs/2204.04083>`_.
    :class:`orsa.MultiScaleCrossInteraction` descends from it and shares its
    pyramid; here landmark tokens do not only ask, they are asked by the image
    tokens too, and have an encoder of their own at every scale. Symbols: B
    images, E ``embed_dims``, N tokens of each stream.

    Args:
        embed_dims (int): E. Defaults to 512.
        num_tokens (int): N, the same for both streams. Defaults to 49.
        depth (int): Levels; 4, 6 and 8 are the paper's small, base and
            large. Defaults to 8.
        num_scales (int): Scales; scale i has ``embed_dims / 2**i`` features.
            Defaults to 3.
        num_heads (int): Heads, at every scale. Defaults to 8.
        mlp_ratio (float): Hidden width of the MLPs. Defaults to 2.
        drop_path_rate (float): Stochastic depth at the last level; it grows
            linearly from 0 at the first. Defaults to 0.1.
        in_index (tuple[int, int]): Which inputs are the image map and the
            landmark tokens. Defaults to (0, 1).
        init_cfg (dict, optional): Initialisation. Defaults to None.

    Returns:
        tuple[Tensor]: The mean token of the image stream after fusion,
        (B, E), alone in a tuple.

    Raises:
        ValueError: If widths, heads and scales do not divide, or the inputs
            have other shapes; both numbers are named.
    """

    fusion = TwoWayFusion
