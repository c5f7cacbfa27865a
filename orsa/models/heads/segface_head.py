# Copyright (c) orsa contributors. All rights reserved.
"""The mask decoder of SegFace. Needs mmseg, and is therefore imported by
:mod:`orsa.registry` when ``orsa.SegFaceHead`` is requested, not before."""
import math
from typing import Optional, Sequence, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule, ModuleList
from mmpretrain.models.utils import LayerNorm2d

from orsa.models.utils.attention import multi_head_attention
from orsa.models.utils.inputs import pick_inputs
from orsa.registry import MODELS
from orsa.utils.compat import provide_mmcv_ops

provide_mmcv_ops()  # without them mmseg's models do not import

from mmseg.models.decode_heads.decode_head import BaseDecodeHead  # noqa: E402


class _NarrowAttention(BaseModule):
    """Attention between two sets of rows, narrower inside than outside."""

    def __init__(self, dims: int, inner_dims: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(dims, inner_dims)
        self.k = nn.Linear(dims, inner_dims)
        self.v = nn.Linear(dims, inner_dims)
        self.proj = nn.Linear(inner_dims, dims)

    def forward(self, query: torch.Tensor, key: torch.Tensor,
                value: torch.Tensor) -> torch.Tensor:
        """(B, N, C), (B, M, C) and (B, M, C) to (B, N, C)."""
        return self.proj(
            multi_head_attention(
                self.q(query), self.k(key), self.v(value), self.num_heads))


class _TwoWayLayer(BaseModule):
    """Tokens attend to the map, then the map to the tokens."""

    def __init__(self, dims: int, inner_dims: int, num_heads: int,
                 hidden_dims: int, is_first: bool):
        super().__init__()
        self.is_first = is_first
        self.self_attn = _NarrowAttention(dims, dims, num_heads)
        self.norm1 = nn.LayerNorm(dims)
        self.token_attn = _NarrowAttention(dims, inner_dims, num_heads)
        self.norm2 = nn.LayerNorm(dims)
        self.mlp = nn.Sequential(
            nn.Linear(dims, hidden_dims), nn.ReLU(inplace=True),
            nn.Linear(hidden_dims, dims))
        self.norm3 = nn.LayerNorm(dims)
        self.map_attn = _NarrowAttention(dims, inner_dims, num_heads)
        self.norm4 = nn.LayerNorm(dims)

    def forward(self, tokens: torch.Tensor, places: torch.Tensor,
                token_code: torch.Tensor,
                place_code: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        # (B, K, C) and (B, N, C), with their positional codes, to the same
        if self.is_first:  # the tokens come as they are, and are replaced
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            coded = tokens + token_code
            tokens = tokens + self.self_attn(coded, coded, tokens)
        tokens = self.norm1(tokens)
        coded_places = places + place_code
        tokens = self.norm2(tokens +
                            self.token_attn(tokens +
                                            token_code, coded_places, places))
        tokens = self.norm3(tokens + self.mlp(tokens))
        places = self.norm4(places + self.map_attn(coded_places, tokens +
                                                   token_code, tokens))
        return tokens, places


@MODELS.register_module()
class SegFaceHead(BaseDecodeHead):
    """A mask for every class, each from a token of its own.

    The decoder of `SegFace: Face Segmentation of Long-Tail Classes
    <https://arxiv.org/abs/2412.08647>`_ (AAAI 2025). The maps of all stages
    are projected to one width and fused at the size of the first; a two-way
    transformer joins the fused map and a learned token per class; the map,
    four times as large, times a token is the mask of its class. The defaults
    are the published decoder behind a Swin-B. Symbols: B images, K classes, C
    ``channels``, h x w the first stage's map.

    Args:
        in_channels (Sequence[int]): Channels of the stages, the largest map
            first. Defaults to Swin-B's (128, 256, 512, 1024).
        channels (int): C, a multiple of 8.
        num_classes (int): K. Defaults to 11, those of LaPa.
        in_index (Sequence[int], optional): Which of the backbone's outputs
            the stages are. Defaults to None, the first ones in order.
        num_layers (int): Layers of the transformer.
        num_heads (int): Heads, of every attention.
        feedforward_channels (int): Hidden width of the transformer's MLP.
        attn_ratio (int): The attention between tokens and map is C divided by
            this wide.
        **kwargs: ``loss_decode``, ``ignore_index``, ``sampler``,
            ``align_corners``, ``out_channels``, ``threshold`` and
            ``init_cfg`` of mmseg's ``BaseDecodeHead``.

    Returns:
        Tensor: Logits (B, K, 4h, 4w), from :meth:`forward`.

    Raises:
        ValueError: If the widths do not divide, or, in the forward pass, the
            maps have other channels.
    """

    def __init__(self,
                 in_channels: Sequence[int] = (128, 256, 512, 1024),
                 channels: int = 256,
                 num_classes: int = 11,
                 in_index: Optional[Sequence[int]] = None,
                 num_layers: int = 2,
                 num_heads: int = 8,
                 feedforward_channels: int = 2048,
                 attn_ratio: int = 2,
                 **kwargs):
        in_channels = list(in_channels)
        for divisor in (8, attn_ratio * num_heads):
            if channels % divisor:
                raise ValueError('SegFaceHead.channels should be a multiple '
                                 f'of {divisor}, but got {channels}')
        kwargs.setdefault('init_cfg', None)
        super().__init__(
            in_channels,
            channels,
            num_classes=num_classes,
            in_index=list(in_index or range(len(in_channels))),
            input_transform='multiple_select',
            dropout_ratio=0,
            **kwargs)
        # the masks are products of map and tokens, there is nothing for a
        # convolution to classify
        del self.conv_seg

        self.projections = ModuleList(
            nn.Linear(c, channels) for c in in_channels)
        self.fuse = nn.Conv2d(
            len(in_channels) * channels, channels, 1, bias=False)
        # drawn once and never trained, but part of the weights
        self.register_buffer('frequencies', torch.randn(2, channels // 2))
        self.class_tokens = nn.Parameter(
            torch.randn(self.out_channels, channels))
        inner = channels // attn_ratio
        self.layers = ModuleList(
            _TwoWayLayer(channels, inner, num_heads, feedforward_channels,
                         index == 0) for index in range(num_layers))
        self.final_attn = _NarrowAttention(channels, inner, num_heads)
        self.final_norm = nn.LayerNorm(channels)
        self.upscale = nn.Sequential(
            nn.ConvTranspose2d(channels, channels // 4, 2, stride=2),
            LayerNorm2d(channels // 4, eps=1e-6), nn.GELU(),
            nn.ConvTranspose2d(channels // 4, channels // 8, 2, stride=2),
            nn.GELU())
        # one for all classes
        self.mask_mlp = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(inplace=True),
            nn.Linear(channels, channels), nn.ReLU(inplace=True),
            nn.Linear(channels, channels // 8))

    def _fused(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """The maps of all stages to one, (B, C, h, w)."""
        stages = pick_inputs('SegFaceHead', inputs, self.in_index)
        found = [x.size(1) for x in stages]
        if found != self.in_channels:
            raise ValueError(
                f'SegFaceHead.in_channels={self.in_channels}, but the '
                f"backbone's maps have {found} channels")
        maps = []
        for project, x in zip(self.projections, stages):
            x = project(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            size, align = stages[0].shape[2:], self.align_corners
            if x.shape[2:] != size:
                x = F.interpolate(x, size, None, 'bilinear', align)
            maps.append(x)
        # the published weights have the deepest stage first
        return self.fuse(torch.cat(maps[::-1], dim=1))

    def _place_code(self, height: int, width: int) -> torch.Tensor:
        """Random Fourier features of the places of a map, (h * w, C)."""

        def axis(side: int) -> torch.Tensor:
            # centres of the pixels, from -1 to 1
            return (2 * torch.arange(side).to(self.frequencies) + 1) / side - 1

        x, y = axis(width)[None, :, None], axis(height)[:, None, None]
        phase = 2 * math.pi * (
            x * self.frequencies[0] + y * self.frequencies[1])
        return torch.cat([phase.sin(), phase.cos()], dim=-1).flatten(0, 1)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Stage maps (B, C_i, h_i, w_i) to logits (B, K, 4h, 4w)."""
        fused = self._fused(inputs)
        batch, _, height, width = fused.shape
        places = fused.flatten(2).transpose(1, 2)
        place_code = self._place_code(height, width)
        # the code of a token is what it was at the start
        tokens = token_code = self.class_tokens.expand(batch, -1, -1)
        for layer in self.layers:
            tokens, places = layer(tokens, places, token_code, place_code)
        tokens = self.final_norm(tokens +
                                 self.final_attn(tokens + token_code, places +
                                                 place_code, places))
        places = places.transpose(1, 2).unflatten(2, (height, width))
        return torch.einsum('bkc,bchw->bkhw', self.mask_mlp(tokens),
                            self.upscale(places))
