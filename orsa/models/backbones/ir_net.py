# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
import torch.nn as nn
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule, ModuleList, Sequential
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm

from orsa.models.utils.inputs import Maps, stage_indices
from orsa.models.utils.layer_depth import layer_depth
from orsa.models.utils.prelu import PReLU
from orsa.models.utils.recompute import keep_convolutions
from orsa.registry import MODELS


class _IRUnit(BaseModule):
    """The improved residual unit: BN, conv, PReLU, conv, BN."""

    def __init__(self, in_channels: int, out_channels: int, stride: int,
                 norm_cfg: dict, with_cp: bool):
        super().__init__()
        self.with_cp = with_cp
        self.norm1 = build_norm_layer(norm_cfg, in_channels)[1]
        self.conv1 = nn.Conv2d(
            in_channels, out_channels, 3, padding=1, bias=False)
        self.act = PReLU(out_channels)
        self.conv2 = nn.Conv2d(
            out_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm2 = build_norm_layer(norm_cfg, out_channels)[1]
        if in_channels == out_channels:
            # a pool of size one picks every stride-th pixel
            self.shortcut = (
                nn.Identity() if stride == 1 else nn.MaxPool2d(1, stride))
        else:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                build_norm_layer(norm_cfg, out_channels)[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.with_cp:
            return keep_convolutions(self, self._forward, x)
        return self._forward(x)

    def _forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.act(self.conv1(self.norm1(x)))
        out = self.norm2(self.conv2(out))
        return out + self.shortcut(x)


@MODELS.register_module()
class IRNet(BaseModule):
    """IR-Net, the residual network of face recognition.

    The improved residual unit is that of `ArcFace
    <https://arxiv.org/abs/1801.07698>`_; its 50-layer form without the last
    stage is the image branch of `ORSANet <https://arxiv.org/abs/2507.15401>`_
    and of `POSTER <https://arxiv.org/abs/2204.04083>`_.

    Args:
        arch (str | dict): One of ``IRNet.arch_settings``, or a dict of

            - depths (Sequence[int]): Units of each stage.
            - channels (Sequence[int]): Channels of each stage.
            - stem_channels (int): Channels of the stem. Defaults to those
              of the first stage.
            - stem_stride (int): Stride of the stem. Defaults to 1.
            - strides (Sequence[int]): Stride of each stage. Defaults to 2 for
              all: every stage halves the map.

            Defaults to 'ir50'.
        in_channels (int): Channels of the input. Defaults to 3.
        out_indices (Sequence[int] | int): Stages whose maps are returned,
            counted from 0, or from the end if negative. Defaults to -1.
        frozen_stages (int): Stages without training: -1 for none, 0 for the
            stem alone, n for the stem and the first n. Defaults to -1.
        norm_eval (bool): Keep batch normalisation in eval mode.
            Defaults to False.
        channels_last (bool): Compute with the channels last in memory, which
            is faster on CPUs. Defaults to False.
        norm_cfg (dict): Config of the normalisation layers.
            Defaults to ``dict(type='BN')``.
        with_cp (bool): Keep the outputs of convolutions alone for the
            gradient, which takes less memory and some more time, see
            :func:`orsa.models.utils.recompute.keep_convolutions`.
            Defaults to False.
        init_cfg (dict | list[dict], optional): Initialisation.
            Defaults to Kaiming's for convolutions.

    Raises:
        ValueError: If ``arch``, ``out_indices`` or ``frozen_stages`` do not
            describe a network.
    """
    arch_settings: Dict[str, dict] = {
        'ir50': {
            'depths': (3, 4, 14),
            'channels': (64, 128, 256)
        },
        'ir_lite': {
            'depths': (1, 2, 2),
            'channels': (24, 48, 128),
            'stem_channels': 16,
            'stem_stride': 2
        }
    }

    def __init__(self,
                 arch: Union[str, dict] = 'ir50',
                 in_channels: int = 3,
                 out_indices: Union[int, Sequence[int]] = -1,
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 channels_last: bool = False,
                 norm_cfg: dict = dict(type='BN'),
                 with_cp: bool = False,
                 init_cfg: Optional[Union[dict, List[dict]]] = [
                     dict(type='Kaiming', layer='Conv2d'),
                     dict(
                         type='Constant',
                         layer=['_BatchNorm', 'GroupNorm'],
                         val=1.),
                 ]):
        super().__init__(init_cfg=init_cfg)
        if not isinstance(arch, dict):
            if arch not in self.arch_settings:
                raise ValueError(f"unavailable arch '{arch}', choose from "
                                 f'{list(self.arch_settings)} or pass a dict')
            arch = self.arch_settings[arch]
        unknown = set(arch) - {*self.arch_settings['ir_lite'], 'strides'}
        if unknown:
            raise ValueError(f'arch has unknown keys: {sorted(unknown)}')
        self.depths = tuple(arch['depths'])
        self.channels = tuple(arch['channels'])
        num_stages = len(self.depths)
        self.strides = tuple(arch.get('strides', (2, ) * num_stages))
        if not len(self.channels) == len(self.strides) == num_stages:
            raise ValueError(
                f"'depths' {self.depths}, 'channels' {self.channels} and "
                f"'strides' {self.strides} should be of the same length")
        self.out_indices = stage_indices(out_indices, num_stages)
        if not -1 <= frozen_stages <= num_stages:
            raise ValueError(f'frozen_stages should be from -1 to {num_stages}'
                             f', but got {frozen_stages}')
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.channels_last = channels_last
        self.with_cp = with_cp

        channels = arch.get('stem_channels', self.channels[0])
        stride = arch.get('stem_stride', 1)
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False),
            build_norm_layer(norm_cfg, channels)[1], PReLU(channels))
        self.stages = ModuleList()
        for depth, out_channels, stride in zip(self.depths, self.channels,
                                               self.strides):
            units = [
                _IRUnit(channels, out_channels, stride, norm_cfg, with_cp)
            ]
            channels = out_channels
            units += [
                _IRUnit(channels, channels, 1, norm_cfg, with_cp)
                for _ in range(depth - 1)
            ]
            self.stages.append(Sequential(*units))
        self._freeze_stages()

    def forward(self, x: torch.Tensor) -> Maps:
        """Maps of the chosen stages, from images (B, C, H, W)."""
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        if self.with_cp:
            x = keep_convolutions(self.stem, self.stem, x)
        else:
            x = self.stem(x)
        outs = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def _freeze_stages(self):
        frozen = [self.stem, *self.stages][:self.frozen_stages + 1]
        for module in frozen:
            module.eval().requires_grad_(False)

    def train(self, mode: bool = True):
        """Switch the mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def get_layer_depth(self,
                        param_name: str,
                        prefix: str = '') -> Tuple[int, int]:
        """Depth of a parameter, as of mmpretrain's backbones.

        Args:
            param_name (str): The name of the parameter.
            prefix (str): The prefix of this network's parameters.

        Returns:
            tuple[int, int]: The depth, which grows by one with each unit, and
            the number of layers.
        """
        return layer_depth(self.stages, param_name, prefix)
