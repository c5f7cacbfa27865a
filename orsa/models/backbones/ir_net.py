# Copyright (c) orsa contributors. All rights reserved.
from itertools import chain
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
import torch.nn as nn
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule, ModuleList, Sequential
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm

from orsa.registry import MODELS


class IRUnit(BaseModule):
    """The improved residual unit: BN, conv, PReLU, conv, BN.

    Args:
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the output.
        stride (int): Stride of the second convolution and the shortcut.
        norm_cfg (dict): Config of the normalisation layers.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int,
                 norm_cfg: dict):
        super().__init__()
        self.norm1 = build_norm_layer(norm_cfg, in_channels)[1]
        self.conv1 = nn.Conv2d(
            in_channels, out_channels, 3, padding=1, bias=False)
        self.act = nn.PReLU(out_channels)
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

            Every stage halves the map. Defaults to 'ir50'.
        in_channels (int): Channels of the input. Defaults to 3.
        out_indices (Sequence[int] | int): Stages whose maps are returned,
            counted from 0, or from the end if negative. Defaults to -1.
        frozen_stages (int): Stages without training: -1 for none, 0 for the
            stem alone, n for the stem and the first n. Defaults to -1.
        norm_eval (bool): Keep batch normalisation in eval mode.
            Defaults to False.
        norm_cfg (dict): Config of the normalisation layers.
            Defaults to ``dict(type='BN')``.
        init_cfg (dict | list[dict], optional): Initialisation.
            Defaults to Kaiming's for convolutions.

    Raises:
        ValueError: If ``arch``, ``out_indices`` or ``frozen_stages`` do not
            describe a network.

    Examples:
        >>> model = IRNet('ir50')
        >>> [m.shape for m in model(torch.rand(1, 3, 112, 112))]
        [torch.Size([1, 256, 14, 14])]
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
                 norm_cfg: dict = dict(type='BN'),
                 init_cfg: Optional[Union[dict, List[dict]]] = [
                     dict(type='Kaiming', layer='Conv2d'),
                     dict(
                         type='Constant',
                         layer=['_BatchNorm', 'GroupNorm'],
                         val=1.),
                 ]):
        super().__init__(init_cfg=init_cfg)
        arch = self._parse_arch(arch)
        self.depths = tuple(arch['depths'])
        self.channels = tuple(arch['channels'])
        self.num_stages = len(self.depths)
        self.out_indices = self._parse_indices(out_indices)
        if not -1 <= frozen_stages <= self.num_stages:
            raise ValueError(
                f'frozen_stages should be from -1 to {self.num_stages}, but '
                f'got {frozen_stages}')
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

        channels = arch.get('stem_channels', self.channels[0])
        self.stem = nn.Sequential(
            nn.Conv2d(
                in_channels,
                channels,
                3,
                arch.get('stem_stride', 1),
                padding=1,
                bias=False),
            build_norm_layer(norm_cfg, channels)[1], nn.PReLU(channels))
        self.stages = ModuleList()
        for depth, out_channels in zip(self.depths, self.channels):
            units = []
            for i in range(depth):
                units.append(
                    IRUnit(channels, out_channels, 2 if i == 0 else 1,
                           norm_cfg))
                channels = out_channels
            self.stages.append(Sequential(*units))
        self._freeze_stages()

    def _parse_arch(self, arch: Union[str, dict]) -> dict:
        if isinstance(arch, str):
            if arch not in self.arch_settings:
                raise ValueError(f"unavailable arch '{arch}', choose from "
                                 f'{list(self.arch_settings)} or pass a dict')
            return self.arch_settings[arch]
        required = {'depths', 'channels'}
        allowed = required | {'stem_channels', 'stem_stride'}
        if not required <= set(arch) <= allowed:
            raise ValueError(f'arch should be a dict of {sorted(allowed)}, of '
                             f"which 'depths' and 'channels' are required, "
                             f'but has {list(arch)}')
        if len(arch['depths']) != len(arch['channels']):
            raise ValueError(
                f"'depths' {arch['depths']} and 'channels' "
                f"{arch['channels']} should be of the same length")
        return arch

    def _parse_indices(self, indices) -> Tuple[int, ...]:
        if isinstance(indices, int):
            indices = (indices, )
        n = self.num_stages
        wrong = [i for i in indices if not -n <= i < n]
        if wrong:
            raise ValueError(f'out_indices {wrong} do not exist in a network '
                             f'of {n} stages')
        return tuple(i % n for i in indices)

    def forward(self, x: torch.Tensor) -> Tuple[torch.Tensor, ...]:
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
            module.eval()
        for param in chain(*(m.parameters() for m in frozen)):
            param.requires_grad = False

    def train(self, mode: bool = True):
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
        """Get the layer-wise depth of a parameter.

        Args:
            param_name (str): The name of the parameter.
            prefix (str): The prefix of this network's parameters.
                Defaults to an empty string.

        Returns:
            Tuple[int, int]: The depth, from 0 for the stem over one per unit
            to ``num_layers - 1`` for all that follows this network, and the
            number of layers.
        """
        num_layers = sum(self.depths) + 2
        if not param_name.startswith(prefix):
            return num_layers - 1, num_layers
        name = param_name[len(prefix):].split('.')
        if name[0] == 'stem':
            return 0, num_layers
        if name[0] == 'stages':
            stage, unit = int(name[1]), int(name[2])
            return sum(self.depths[:stage]) + unit + 1, num_layers
        return num_layers - 1, num_layers
