# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional, Sequence, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from mmcv.cnn.bricks.scale import LayerScale
from mmcv.cnn.bricks.transformer import FFN
from mmengine.model import BaseModule, ModuleList, Sequential
from mmengine.model.weight_init import trunc_normal_
from mmengine.utils import to_2tuple
from mmpretrain.models.backbones.vision_transformer import \
    TransformerEncoderLayer
from mmpretrain.models.utils import ShiftWindowMSA, WindowMSA

from orsa.models.utils.inputs import Maps, check_map, pick_inputs
from orsa.registry import MODELS
from orsa.utils.checkpoint import has_pretrained
from .cross_attention import CrossAttention


class WindowCrossAttention(BaseModule):
    """Landmarks attend to every window of an image map.

    The landmark map is averaged to the size of a window, and is the query of
    all windows. Symbols: B images, C channels, h x w the map.

    Args:
        dims (int): C.
        num_heads (int): Heads.
        window_size (int): Side of a window; h and w are multiples of it.
    """

    def __init__(self, dims: int, num_heads: int, window_size: int):
        super().__init__()
        self.window_size = window_size
        self.attn = CrossAttention(dims, num_heads)
        # one number for each offset of two places in a window, and each head
        self.position_bias = nn.Parameter(
            torch.zeros(num_heads, (2 * window_size - 1)**2))
        # which entry of the table a pair of places has, (M * M, M * M)
        places = WindowMSA.double_step_seq(2 * window_size - 1, window_size, 1,
                                           window_size)
        self.register_buffer(
            'offsets', places.T + places.flip(1), persistent=False)

    def init_weights(self) -> None:
        super().init_weights()
        trunc_normal_(self.position_bias, std=.02)

    def forward(self, image: torch.Tensor,
                landmark: torch.Tensor) -> torch.Tensor:
        # (B, h, w, C) and a landmark map (B, C, any, any) -> (B, h, w, C)
        height, width = image.shape[1:3]
        size = self.window_size
        windows = ShiftWindowMSA.window_partition(image, size)
        query = F.adaptive_avg_pool2d(landmark, size).flatten(2)
        # the windows of an image follow each other
        query = query.transpose(1, 2).repeat_interleave(
            windows.size(0) // image.size(0), dim=0)
        out = self.attn(query, windows.flatten(1, 2),
                        self.position_bias[:, self.offsets])
        # mmpretrain's window_reverse would fix the number of images
        out = out.unflatten(0, (-1, height // size, width // size))
        out = out.unflatten(3, (size, size)).transpose(2, 3)
        return out.flatten(3, 4).flatten(1, 2)


class WindowCrossFusion(BaseModule):
    """A transformer encoder of an image map, queried by landmarks.

    As published, the residual starts from the normalised map, and both steps
    begin small (LayerScale).

    Args:
        dims (int): Channels C of both maps.
        num_heads (int): Heads of the attention.
        window_size (int): Side of the windows.
        mlp_ratio (float): Hidden width of the MLP, in multiples of C.
        drop_path (float): Rate of stochastic depth.
        layer_scale (float): Initial weight of attention and MLP.
    """

    def __init__(self, dims: int, num_heads: int, window_size: int,
                 mlp_ratio: float, drop_path: float, layer_scale: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(dims)
        self.attn = WindowCrossAttention(dims, num_heads, window_size)
        self.scale = LayerScale(dims, scale=layer_scale)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dims)
        self.ffn = FFN(
            dims,
            int(dims * mlp_ratio),
            act_cfg=dict(type='GELU'),
            dropout_layer=dict(type='DropPath', drop_prob=drop_path),
            layer_scale_init_value=layer_scale)

    def forward(self, image: torch.Tensor,
                landmark: torch.Tensor) -> torch.Tensor:
        # maps (B, C, h, w) and (B, C, any, any) -> (B, C, h, w)
        x = self.norm1(image.permute(0, 2, 3, 1))
        x = x + self.drop_path(self.scale(self.attn(x, landmark)))
        x = self.ffn(self.norm2(x), identity=x)
        return x.permute(0, 3, 1, 2)


def _embedding(in_channels: int, out_channels: int,
               halvings: int) -> nn.Module:
    """Tokens of a map: 3x3 convolutions that halve it, or a 1x1 one."""
    if not halvings:
        return nn.Conv2d(in_channels, out_channels, 1)
    widths = [in_channels] + [out_channels] * halvings
    return Sequential(*(nn.Conv2d(a, b, 3, 2, 1)
                        for a, b in zip(widths, widths[1:])))


@MODELS.register_module()
class PosterV2Neck(BaseModule):
    """Window cross-fusion at every scale, then a small ViT: POSTER++.

    From `POSTER++: A simpler and stronger facial expression recognition
    network <https://arxiv.org/abs/2301.12149>`_. Takes the maps of an image
    encoder and of a landmark network (see :class:`orsa.TwoStream`), the
    largest first. The landmark maps attend to the image maps, never the other
    way round; the outputs of all scales become tokens of one grid each,
    which a ViT of a few layers joins. Symbols: B images, S scales, gh x gw
    the grid.

    Args:
        image_channels (Sequence[int]): Channels of the S image maps; those of
            IR-50 by default.
        landmark_channels (Sequence[int]): Channels of the S landmark maps,
            those of MobileFaceNet by default; a 3x3 convolution turns what
            differs into the image map's.
        grid (int | tuple[int, int]): gh and gw, the size at which the last
            scale is fused; it doubles from scale to scale towards the first.
        stride (int): How much larger the image maps come in; a 3x3
            convolution at each scale reduces them.
        window_sizes (Sequence[int]): Side of the windows of each scale. As
            published, each window is the complete map.
        num_heads (Sequence[int]): Heads at each scale.
        mlp_ratio (float): Hidden width of all MLPs.
        drop_path_rate (float): Stochastic depth at the last scale; it grows
            linearly from 0 at the first.
        layer_scale (float): Initial weight of what fusion adds to the image
            maps.
        embed_dims (int): Width E of the ViT.
        depth (int): Its layers.
        vit_heads (int): Its heads.
        in_index (Sequence[int], optional): Which inputs are the S image maps
            and the S landmark maps, in this order. Defaults to None: the
            backbone gives these and nothing else.
        init_cfg (dict, optional): Initialisation.

    Returns:
        tuple[Tensor]: The class token of the ViT, (B, E), alone in a tuple.

    Raises:
        ValueError: If the lists differ in length, widths do not divide into
            heads or maps into windows, or the inputs have other shapes; both
            numbers are named.
    """

    def __init__(self,
                 image_channels: Sequence[int] = (64, 128, 256),
                 landmark_channels: Sequence[int] = (64, 128, 512),
                 grid: Union[int, Tuple[int, int]] = 7,
                 stride: int = 2,
                 window_sizes: Sequence[int] = (28, 14, 7),
                 num_heads: Sequence[int] = (2, 4, 8),
                 mlp_ratio: float = 4.,
                 drop_path_rate: float = 0.25,
                 layer_scale: float = 1e-5,
                 embed_dims: int = 768,
                 depth: int = 2,
                 vit_heads: int = 8,
                 in_index: Optional[Sequence[int]] = None,
                 init_cfg: Optional[dict] = None):
        super().__init__(init_cfg=init_cfg)
        self.image_channels = tuple(image_channels)
        self.landmark_channels = tuple(landmark_channels)
        self.stride = stride
        scales = len(self.image_channels)
        # the first scale is the largest
        self.sizes = [
            tuple(side * 2**(scales - 1 - i) for side in to_2tuple(grid))
            for i in range(scales)
        ]
        self.in_index = tuple(
            range(2 * scales) if in_index is None else in_index)
        for name, values, expected in (('landmark_channels', landmark_channels,
                                        scales), ('num_heads', num_heads,
                                                  scales),
                                       ('window_sizes', window_sizes,
                                        scales), ('in_index', self.in_index,
                                                  2 * scales)):
            if len(values) != expected:
                raise ValueError(
                    f'PosterV2Neck has {scales} image_channels, so that '
                    f'{name} should be {expected} numbers, but are '
                    f'{len(values)}: {tuple(values)}')
        for i, (height, width) in enumerate(self.sizes):
            if height % window_sizes[i] or width % window_sizes[i]:
                raise ValueError(
                    f'scale {i} of PosterV2Neck is fused at {height}x{width}, '
                    f'which does not divide into windows of {window_sizes[i]}')

        if embed_dims % vit_heads:
            raise ValueError(f'embed_dims={embed_dims} features do not divide '
                             f'into vit_heads={vit_heads}')

        rates = torch.linspace(0, drop_path_rate, scales).tolist()
        self.reductions, self.landmark_projections, self.fusions, \
            self.embeddings = (ModuleList() for _ in range(4))
        for i, dims in enumerate(self.image_channels):
            self.reductions.append(nn.Conv2d(dims, dims, 3, stride, 1))
            channels = self.landmark_channels[i]
            self.landmark_projections.append(nn.Identity(
            ) if channels == dims else nn.Conv2d(channels, dims, 3, padding=1))
            self.fusions.append(
                WindowCrossFusion(dims, num_heads[i], window_sizes[i],
                                  mlp_ratio, rates[i], layer_scale))
            self.embeddings.append(
                _embedding(dims, embed_dims, scales - 1 - i))

        count = 1 + scales * self.sizes[-1][0] * self.sizes[-1][1]
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.pos_embed = nn.Parameter(torch.zeros(1, count, embed_dims))
        self.layers = Sequential(*(TransformerEncoderLayer(
            embed_dims,
            vit_heads,
            int(embed_dims * mlp_ratio),
            norm_cfg=dict(type='LN', eps=1e-6)) for _ in range(depth)))
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)

    def init_weights(self) -> None:
        """Truncated normal (0.02) for linear layers, token and positions."""
        super().init_weights()
        if has_pretrained(self.init_cfg):
            return
        trunc_normal_(self.cls_token, std=.02)
        trunc_normal_(self.pos_embed, std=.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=.02)
                nn.init.zeros_(module.bias)

    def forward(self, inputs: Maps) -> Maps:
        """Fuse maps (B, C, h, w) of both streams."""
        maps = pick_inputs('PosterV2Neck', inputs, self.in_index)
        scales, tokens = len(self.sizes), []
        for i, size in enumerate(self.sizes):
            image, landmark = maps[i], maps[scales + i]
            check_map(f'image map {i} of PosterV2Neck', image,
                      self.image_channels[i],
                      tuple(side * self.stride for side in size))
            check_map(f'landmark map {i} of PosterV2Neck', landmark,
                      self.landmark_channels[i])
            x = self.embeddings[i](
                self.fusions[i](self.reductions[i](image),
                                self.landmark_projections[i](landmark)))
            tokens.append(x.flatten(2).transpose(1, 2))
        x = torch.cat([self.cls_token.expand(x.size(0), -1, -1), *tokens],
                      dim=1)
        x = self.layers(x + self.pos_embed)
        return (self.norm(x)[:, 0], )
