# Copyright (c) orsa contributors. All rights reserved.
from typing import Sequence, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS


@MODELS.register_module()
class GatedFusion(BaseModule):
    """A sum of maps, each weighed by a gate that sees all of them.

    Symbols: B images, C channels of an input, E the width, K inputs.

    Args:
        in_channels (Sequence[int]): C of each of the backbone's K outputs.
        out_channels (int): E.
        init_cfg (dict, optional): Initialisation.

    Returns:
        tuple[Tensor]: The fused feature (B, E), alone in a tuple.
    """

    def __init__(self,
                 in_channels: Sequence[int],
                 out_channels: int,
                 init_cfg: dict = None):
        super().__init__(init_cfg=init_cfg)
        self.projections = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(channels), nn.Conv2d(channels, out_channels, 1))
            for channels in in_channels)
        self.gate = nn.Linear(
            len(in_channels) * out_channels, len(in_channels))

    def forward(self, inputs: Tuple[torch.Tensor]) -> Tuple[torch.Tensor]:
        """Fuse maps (B, C, h, w)."""
        vectors = [
            F.adaptive_avg_pool2d(project(x), 1).flatten(1)
            for project, x in zip(self.projections, inputs, strict=True)
        ]
        weights = self.gate(torch.cat(vectors, dim=1)).softmax(dim=1)
        fused = torch.stack(vectors, dim=1) * weights[:, :, None]  # (B, K, E)
        return (fused.sum(dim=1), )
