# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional, Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule

from orsa.models.utils.inputs import Maps, check_map, pick_inputs
from orsa.registry import MODELS


@MODELS.register_module()
class ConcatFusion(BaseModule):
    """Maps side by side, mixed by a 1x1 convolution: the plain fusion.

    Every input is normalised over the batch and projected to the same width,
    resized to the first one's size, concatenated, mixed and averaged over
    places. Symbols: B images, C channels of an input, E the width.

    Args:
        in_channels (Sequence[int]): C of each input.
        out_channels (int): E.
        in_index (Sequence[int], optional): Which of the backbone's outputs
            the inputs are. Defaults to None, the first ones in order.
        init_cfg (dict, optional): Initialisation.

    Returns:
        tuple[Tensor]: The fused feature (B, E), alone in a tuple.

    Raises:
        ValueError: If ``in_index`` has another length than ``in_channels``,
            or an input has other channels.
    """

    def __init__(self,
                 in_channels: Sequence[int],
                 out_channels: int,
                 in_index: Optional[Sequence[int]] = None,
                 init_cfg: Optional[dict] = None):
        super().__init__(init_cfg=init_cfg)
        self.in_channels = tuple(in_channels)
        self.in_index = tuple(
            range(len(self.in_channels)) if in_index is None else in_index)
        if len(self.in_index) != len(self.in_channels):
            raise ValueError(
                f'ConcatFusion has {len(self.in_channels)} in_channels, but '
                f'{len(self.in_index)} in_index')
        self.projections = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(channels), nn.Conv2d(channels, out_channels, 1))
            for channels in self.in_channels)
        width = out_channels * len(self.in_channels)
        self.mix = nn.Sequential(
            nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))

    def forward(self, inputs: Maps) -> Maps:
        """Fuse maps (B, C, h, w)."""
        maps = []
        for index, x, channels, project in zip(
                self.in_index,
                pick_inputs('ConcatFusion', inputs, self.in_index),
                self.in_channels, self.projections):
            check_map(f'input {index} of ConcatFusion', x, channels)
            x = project(x)
            if maps and x.shape[2:] != maps[0].shape[2:]:
                x = F.adaptive_avg_pool2d(x, maps[0].shape[2:])
            maps.append(x)
        return (self.mix(torch.cat(maps, dim=1)).mean(dim=(2, 3)), )
