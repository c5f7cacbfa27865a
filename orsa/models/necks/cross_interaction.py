# Copyright (c) orsa contributors. All rights reserved.
from typing import List, Optional, Sequence, Tuple

import torch
import torch.nn as nn
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseModule, ModuleList
from mmengine.model.weight_init import trunc_normal_

from orsa.models.utils.attention import multi_head_attention
from orsa.models.utils.inputs import Maps, pick_inputs
from orsa.models.utils.linear import Linear
from orsa.registry import MODELS
from orsa.utils.checkpoint import has_pretrained


class CrossFusion(BaseModule):
    """Landmark tokens attend to image tokens, and both are mixed.

    Only the attention sees the normalised rows; the residual and the
    landmark rows go on as they came.

    Args:
        num_tokens (int): Tokens N of each stream.
        dims (int): Their width d.
        num_heads (int): Heads of the attention.
        mlp_ratio (float): Hidden width of the MLP, in multiples of d.
        drop_path (float): Rate of stochastic depth.
    """

    def __init__(self, num_tokens: int, dims: int, num_heads: int,
                 mlp_ratio: float, drop_path: float):
        super().__init__()
        self.num_tokens = num_tokens
        self.num_heads = num_heads
        hidden = int(dims * mlp_ratio)
        self.norm1 = nn.LayerNorm(dims, eps=1e-6)
        self.kv = Linear(dims, 2 * dims)
        self.proj = Linear(dims, dims)
        self.norm2 = nn.LayerNorm(dims, eps=1e-6)
        self.mlp = nn.Sequential(
            Linear(dims, hidden), nn.GELU(), Linear(hidden, dims))
        self.landmark_scale = nn.Parameter(torch.ones(1))
        self.mix = nn.Conv1d(2 * num_tokens, 2 * num_tokens, 1)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def attend(self, image: torch.Tensor,
               landmark: torch.Tensor) -> torch.Tensor:
        """Attention of landmark tokens over image tokens, (B, N, d)."""
        key, value = self.kv(image).chunk(2, dim=-1)
        return self.proj(
            multi_head_attention(landmark, key, value, self.num_heads))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # (B, 2N, d) -> (B, 2N, d), image rows first
        count = self.num_tokens
        normed = self.norm1(x)
        image = x[:, :count] + self.drop_path(
            self.attend(normed[:, :count], normed[:, count:]))
        image = image + self.drop_path(self.mlp(self.norm2(image)))
        landmark = x[:, count:] * self.landmark_scale
        return self.mix(torch.cat([image, landmark], dim=1))


class _Level(BaseModule):
    """Cross-fusion at every scale, then the narrow ones join the wide ones."""

    def __init__(self, num_tokens: int, dims: Sequence[int], num_heads: int,
                 mlp_ratio: float, drop_path: float, fusion: type):
        super().__init__()
        self.fusions = ModuleList(
            fusion(num_tokens, d, num_heads, mlp_ratio, drop_path)
            for d in dims)
        self.upsamples = ModuleList(
            nn.ConvTranspose1d(2 * num_tokens, 2 * num_tokens, 2, stride=2)
            for _ in dims[1:])

    def forward(self, scales: List[torch.Tensor]) -> List[torch.Tensor]:
        scales = [fuse(x) for fuse, x in zip(self.fusions, scales)]
        # from the narrowest up, each on top of the updated one below
        for i in range(len(scales) - 2, -1, -1):
            scales[i] = scales[i] + self.upsamples[i](scales[i + 1])
        return scales


@MODELS.register_module()
class MultiScaleCrossInteraction(BaseModule):
    """Fuses an image map with landmark tokens at several feature widths.

    The MCM of `Rethinking Occlusion in FER: A Semantic-Aware Perspective and
    Go Beyond <https://arxiv.org/abs/2507.15401>`_. Each stream gets the mean
    of its tokens in front; the image's has a position embedding. Scale i has
    features of width ``embed_dims / 2**i``, and a token is a channel of the
    convolutions between scales. Symbols: B images, E ``embed_dims``,
    N = h * w tokens of each stream.

    Args:
        embed_dims (int): E.
        num_tokens (int): N, the same for both streams.
        depth (int): Levels; 4, 6 and 8 are the paper's small, base and
            large.
        num_scales (int): Scales.
        num_heads (int): Heads, at every scale.
        mlp_ratio (float): Hidden width of the MLPs.
        drop_path_rate (float): Stochastic depth at the last level; it grows
            linearly from 0 at the first.
        in_index (tuple[int, int]): Which inputs are the image map and the
            landmark tokens.
        init_cfg (dict, optional): Initialisation.

    Returns:
        tuple[Tensor]: The fused feature, (B, E), alone in a tuple.

    Raises:
        ValueError: If widths, heads and scales do not divide, or the inputs
            have other shapes.
    """

    # what fuses a scale
    fusion = CrossFusion

    def __init__(self,
                 embed_dims: int = 512,
                 num_tokens: int = 49,
                 depth: int = 8,
                 num_scales: int = 3,
                 num_heads: int = 8,
                 mlp_ratio: float = 2.,
                 drop_path_rate: float = 0.1,
                 in_index: Tuple[int, int] = (0, 1),
                 init_cfg: Optional[dict] = None):
        super().__init__(init_cfg=init_cfg)
        narrowest = 2**(num_scales - 1)
        if embed_dims % narrowest or (embed_dims // narrowest) % num_heads:
            raise ValueError(
                f'embed_dims={embed_dims} with {num_scales} scales has '
                f'{embed_dims / narrowest:g} features at the narrowest, which '
                f'do not divide into num_heads={num_heads}')
        self.embed_dims = embed_dims
        self.num_tokens = num_tokens
        self.in_index = tuple(in_index)
        count = num_tokens + 1  # with the mean in front
        self.pos_embed = nn.Parameter(torch.zeros(1, count, embed_dims))
        self.downsamples = ModuleList([
            nn.Conv1d(2 * count, 2 * count, 2**i, stride=2**i)
            for i in range(1, num_scales)
        ])
        dims = [embed_dims // 2**i for i in range(num_scales)]
        rates = torch.linspace(0, drop_path_rate, depth).tolist()
        self.levels = ModuleList([
            _Level(count, dims, num_heads, mlp_ratio, rate, self.fusion)
            for rate in rates
        ])
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)

    def init_weights(self) -> None:
        """Truncated normal (0.02) for linear layers and positions."""
        super().init_weights()
        if has_pretrained(self.init_cfg):
            return
        trunc_normal_(self.pos_embed, std=.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=.02)
                nn.init.zeros_(module.bias)

    def _tokens(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """(B, E, h, w) or (B, N, E) to (B, 1 + N, E), the mean in front."""
        if x.ndim == 4:
            x = x.flatten(2).transpose(1, 2)
        if x.ndim != 3 or x.shape[1:] != (self.num_tokens, self.embed_dims):
            raise ValueError(
                f'MultiScaleCrossInteraction expects {self.num_tokens} tokens '
                f'of {self.embed_dims} features, but the {name} gives '
                f'{x.shape[1]} of {x.shape[-1]} (shape {tuple(x.shape)})')
        return torch.cat([x.mean(dim=1, keepdim=True), x], dim=1)

    def forward(self, inputs: Maps) -> Maps:
        """Fuse the two streams."""
        image, landmark = pick_inputs('MultiScaleCrossInteraction', inputs,
                                      self.in_index)
        image = self._tokens(image, 'image map') + self.pos_embed
        landmark = self._tokens(landmark, 'landmark prior')
        x = torch.cat([image, landmark], dim=1)
        scales = [x] + [down(x) for down in self.downsamples]
        for level in self.levels:
            scales = level(scales)
        return (self.norm(scales[0][:, 0]), )
