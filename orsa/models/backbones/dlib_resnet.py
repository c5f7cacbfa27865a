# Copyright (c) orsa contributors. All rights reserved.
from typing import List, Optional, Sequence, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule, ModuleList, Sequential

from orsa.models.utils.inputs import Maps, stage_indices
from orsa.models.utils.layer_depth import layer_depth
from orsa.registry import MODELS


class _Unit(BaseModule):
    """A residual unit without parameters in its shortcut.

    Where it halves, the shortcut is a mean of 2 x 2, new channels are zero,
    and the branch, whose first convolution has no padding, gets zeros at the
    end where it is smaller.
    """

    def __init__(self, in_channels: int, out_channels: int, halves: bool):
        super().__init__()
        self.halves = halves
        self.new_channels = out_channels - in_channels
        self.conv1 = nn.Conv2d(
            in_channels,
            out_channels,
            3,
            stride=2 if halves else 1,
            padding=0 if halves else 1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.conv2(F.relu(self.conv1(x)))
        if self.halves:
            x = F.avg_pool2d(x, 2)
            x = F.pad(x, (0, 0, 0, 0, 0, self.new_channels))
            high, wide = x.size(2) - out.size(2), x.size(3) - out.size(3)
            out = F.pad(out, (0, wide, 0, high))
        return F.relu(x + out)


@MODELS.register_module()
class DlibResNet(BaseModule):
    """dlib's network of face recognition, 29 convolutions.

    After `Deep Residual Learning <https://arxiv.org/abs/1512.03385>`_, with
    fewer layers and filters: ``dlib_face_recognition_resnet_model_v1``, whose
    weights are in the public domain. Their scale and shift per channel are
    folded into the convolutions by ``tools/model_converters/face_start.py``.
    They take RGB in [0, 255] less (122.782, 117.001, 104.298), divided by 256.

    Args:
        out_indices (Sequence[int] | int): Stages whose maps are returned,
            counted from 0, or from the end if negative: of 32, 64, 128, 256
            and 256 channels, the first at a quarter of the input's size, each
            other at half of the one before. Those behind the last of them are
            not built. Defaults to -1.
        frozen_stages (int): Stages without training: -1 for none, n for the
            first n + 1, the stem with the first. Defaults to -1.
        channels_last (bool): Compute with the channels last in memory, which
            is faster on CPUs. Defaults to False.
        init_cfg (dict | list[dict], optional): Initialisation.
            Defaults to Kaiming's for convolutions.

    Raises:
        ValueError: If ``out_indices`` or ``frozen_stages`` name no stage.
    """

    # channels and units of each stage
    _STAGES = ((32, 3), (64, 4), (128, 3), (256, 3), (256, 1))

    def __init__(self,
                 out_indices: Union[int, Sequence[int]] = -1,
                 frozen_stages: int = -1,
                 channels_last: bool = False,
                 init_cfg: Optional[Union[dict, List[dict]]] = dict(
                     type='Kaiming', layer='Conv2d')):
        super().__init__(init_cfg=init_cfg)
        self.out_indices = stage_indices(out_indices, len(self._STAGES))
        count = max(self.out_indices) + 1
        if not -1 <= frozen_stages < count:
            raise ValueError(f'frozen_stages should be from -1 to {count - 1}'
                             f', but got {frozen_stages}')
        self.frozen_stages = frozen_stages
        self.channels_last = channels_last
        channels = 32
        self.stem = nn.Conv2d(3, channels, 7, stride=2)
        self.stages = ModuleList()
        for i, (width, depth) in enumerate(self._STAGES[:count]):
            units = []
            for k in range(depth):
                units.append(_Unit(channels, width, halves=i > 0 and k == 0))
                channels = width
            self.stages.append(Sequential(*units))
        self._freeze_stages()

    def forward(self, x: torch.Tensor) -> Maps:
        """Maps of the chosen stages, from images (B, 3, H, W)."""
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        x = F.max_pool2d(F.relu(self.stem(x)), 3, 2)
        outs = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def _freeze_stages(self) -> None:
        if self.frozen_stages >= 0:
            self.stem.eval().requires_grad_(False)
        for stage in self.stages[:self.frozen_stages + 1]:
            stage.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> 'DlibResNet':
        """Switch the mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        self._freeze_stages()
        return self

    def get_layer_depth(self,
                        param_name: str,
                        prefix: str = '') -> Tuple[int, int]:
        """Depth of a parameter, see :func:`.layer_depth`."""
        return layer_depth(self.stages, param_name, prefix)
