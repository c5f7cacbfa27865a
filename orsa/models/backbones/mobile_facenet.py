# Copyright (c) orsa contributors. All rights reserved.
from typing import List, Optional, Sequence, Union

import torch
import torch.nn as nn
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, ModuleList, Sequential

from orsa.models.utils.inputs import Maps, stage_indices
from orsa.registry import MODELS


def _conv_unit(in_channels: int,
               out_channels: int,
               *args,
               act: bool = True,
               **kwargs) -> ConvModule:
    """Convolution without bias, BN, and PReLU per channel if ``act``."""
    prelu = dict(type='PReLU', num_parameters=out_channels)
    return ConvModule(
        in_channels,
        out_channels,
        *args,
        norm_cfg=dict(type='BN'),
        act_cfg=prelu if act else None,
        **kwargs)


class _DepthWise(BaseModule):
    """Inverted bottleneck: expand, 3x3 depthwise, project."""

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 mid_channels: int,
                 stride: int = 1,
                 residual: bool = False):
        super().__init__()
        self.residual = residual
        self.expand = _conv_unit(in_channels, mid_channels, 1)
        self.depthwise = _conv_unit(
            mid_channels, mid_channels, 3, stride, 1, groups=mid_channels)
        self.project = _conv_unit(mid_channels, out_channels, 1, act=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.project(self.depthwise(self.expand(x)))
        return x + out if self.residual else out


class _LandmarkHead(BaseModule):
    """68 points from the 7x7 map: global depthwise conv, linear, BN."""

    def __init__(self, in_channels: int, num_keypoints: int):
        super().__init__()
        self.depthwise = _conv_unit(
            in_channels, in_channels, 7, groups=in_channels, act=False)
        self.fc = nn.Linear(in_channels, num_keypoints * 2, bias=False)
        self.norm = nn.BatchNorm1d(num_keypoints * 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        points = self.norm(self.fc(self.depthwise(x).flatten(1)))
        return points.unflatten(1, (-1, 2))  # (B, 2K) -> (B, K, 2)


@MODELS.register_module()
class MobileFaceNet(BaseModule):
    """MobileFaceNet, as face landmark detectors use it.

    `MobileFaceNets <https://arxiv.org/abs/1804.07573>`_. The landmark branch
    of `ORSANet <https://arxiv.org/abs/2507.15401>`_ is its last map, for a
    face of 112x112.

    Args:
        with_head (bool): Build the head of 68 points behind the map, which the
            map does not need (see :meth:`predict_landmarks`).
        num_keypoints (int): Points of that head.
        out_indices (Sequence[int] | int): Stages whose maps are returned,
            counted from 0, or from the end if negative; the last one's is the
            512 channels behind it.
        init_cfg (dict | list[dict], optional): Initialisation.

    Raises:
        ValueError: If ``out_indices`` names no stage.
    """
    # of each stage: residual units behind the first one, channels of the
    # stage, and those inside its first and its residual units
    stage_settings = ((4, 64, 128, 128), (6, 128, 256, 256), (2, 128, 512,
                                                              256))
    out_channels = 512

    def __init__(self,
                 with_head: bool = False,
                 num_keypoints: int = 68,
                 out_indices: Union[int, Sequence[int]] = -1,
                 init_cfg: Optional[dict] = None):
        super().__init__(init_cfg=init_cfg)
        self.out_indices = stage_indices(out_indices, len(self.stage_settings))
        channels = 64
        self.stem = Sequential(
            _conv_unit(3, channels, 3, 2, 1),
            _conv_unit(channels, channels, 3, 1, 1, groups=channels))
        self.stages = ModuleList()
        for depth, out_channels, first, mid in self.stage_settings:
            units = [_DepthWise(channels, out_channels, first, stride=2)]
            channels = out_channels
            units += [
                _DepthWise(channels, channels, mid, residual=True)
                for _ in range(depth)
            ]
            self.stages.append(Sequential(*units))
        self.last = _conv_unit(channels, self.out_channels, 1)
        self.head = _LandmarkHead(self.out_channels,
                                  num_keypoints) if with_head else None

    def _maps(self, x: torch.Tensor) -> List[torch.Tensor]:
        maps = []
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps[:-1] + [self.last(x)]

    def forward(self, x: torch.Tensor) -> Maps:
        """Maps of the chosen stages, from faces (B, 3, H, W)."""
        maps = self._maps(x)
        return tuple(maps[i] for i in self.out_indices)

    def predict_landmarks(self, x: torch.Tensor) -> torch.Tensor:
        """Regress the points of faces.

        Args:
            x (Tensor): Faces of shape (B, 3, 112, 112).

        Returns:
            Tensor: x and y as fractions of width and height, (B, K, 2).

        Raises:
            RuntimeError: If the network was built without its head.
        """
        if self.head is None:
            raise RuntimeError('this MobileFaceNet has no head, build it '
                               'with with_head=True')
        return self.head(self._maps(x)[-1])
