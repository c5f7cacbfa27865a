# Copyright (c) orsa contributors. All rights reserved.
from typing import List, Optional, Sequence, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule, ModuleList, Sequential

from orsa.models.utils.inputs import Maps, stage_indices
from orsa.models.utils.layer_depth import layer_depth
from orsa.models.utils.same_batch import compute_once
from orsa.registry import MODELS


class _Conv(nn.Conv2d):
    """A convolution with TensorFlow's 'same' padding, then ReLU6.

    What does not divide evenly is padded at the end: with stride 2 an even
    side gets its row of zeros below and at the right. With ``norm`` batch
    normalisation comes before the ReLU6.
    """

    def __init__(self, *args, norm: bool = False, **kwargs):
        super().__init__(*args, **kwargs)
        self.norm = nn.BatchNorm2d(self.out_channels) if norm else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kernel_size[0] > 1 and self.stride[0] > 1:
            x = F.pad(x, (*self._around(x.size(3)), *self._around(x.size(2))))
        if (self.groups > 1 and self.stride[0] > 1
                and self.weight.requires_grad and x.device.type == 'cpu'):
            # oneDNN's gradient of it in bfloat16 takes 25 times as long
            with torch.autocast('cpu', enabled=False):
                x = super().forward(x.to(self.weight.dtype))
        else:
            x = super().forward(x)
        x = x if self.norm is None else self.norm(x)
        return F.relu6(x, inplace=True)

    def _around(self, side: int) -> tuple:
        stride, kernel = self.stride[0], self.kernel_size[0]
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        return total // 2, total - total // 2


def _separable(in_channels: int, out_channels: int, stride: int,
               norm: bool) -> Sequential:
    return Sequential(
        _Conv(
            in_channels,
            in_channels,
            3,
            stride,
            padding=int(stride == 1),
            groups=in_channels,
            norm=norm), _Conv(in_channels, out_channels, 1, norm=norm))


@MODELS.register_module()
class MobileNetV1(BaseModule):
    """MobileNet without its batch normalisation, which is in its weights.

    From `MobileNets <https://arxiv.org/abs/1704.04861>`_, with the padding of
    TensorFlow. The published weights of `HSE_FaceRec_tf
    <https://github.com/HSE-asavchenko/HSE_FaceRec_tf>`_, trained to recognise
    the 9,000 people of VGGFace2, have statistics of batch normalisation folded
    into them, see ``tools/model_converters/face_start.py``. Converted, they
    take RGB in [0, 255] less (123.68, 116.779, 103.939).

    Args:
        out_indices (Sequence[int] | int): Stages whose maps are returned,
            counted from 0, or from the end if negative: of strides 2, 4, 8, 16
            and 32 with 64, 128, 256, 512 and 1024 channels. Those behind the
            last of them are not built. Defaults to -1.
        frozen_stages (int): Stages without training: -1 for none, n for the
            first n + 1. Defaults to -1.
        channels_last (bool): Compute with the channels last in memory, which
            is faster on CPUs. Defaults to False.
        norm (bool): Whether stages that are trained have a batch normalisation
            of their own. Defaults to False.
        init_cfg (dict | list[dict], optional): Initialisation.
            Defaults to Kaiming's for convolutions.

    Raises:
        ValueError: If ``out_indices`` or ``frozen_stages`` name no stage.
    """

    # channels of the units of each stage, whose first has stride 2
    _STAGES = ((64, ), (128, 128), (256, 256), (512, ) * 6, (1024, 1024))

    def __init__(self,
                 out_indices: Union[int, Sequence[int]] = -1,
                 frozen_stages: int = -1,
                 channels_last: bool = False,
                 norm: bool = False,
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
        self.stages = ModuleList()
        channels = 32
        for i, widths in enumerate(self._STAGES[:count]):
            own = norm and i > frozen_stages
            units = [_Conv(3, channels, 3, 2, norm=own)] if i == 0 else []
            for k, width in enumerate(widths):
                units.append(
                    _separable(channels, width, 2 if i and not k else 1, own))
                channels = width
            self.stages.append(Sequential(*units))
        self._freeze_stages()

    def forward(self, x: torch.Tensor) -> Maps:
        """Maps of the chosen stages, from images (B, 3, H, W)."""
        # the two passes of SAM have the same images
        maps = compute_once(self, x, self._frozen_maps)
        for stage in self.stages[self.frozen_stages + 1:]:
            maps = (*maps, stage(maps[-1]))
        return tuple(out for i, out in enumerate(maps[1:])
                     if i in self.out_indices)

    def _frozen_maps(self, x: torch.Tensor) -> Maps:
        """The images and the maps of the stages that are not trained."""
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        maps = (x, )
        for stage in self.stages[:self.frozen_stages + 1]:
            maps = (*maps, stage(maps[-1]))
        return maps

    def _freeze_stages(self) -> None:
        for stage in self.stages[:self.frozen_stages + 1]:
            stage.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> 'MobileNetV1':
        """Switch the mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        self._freeze_stages()
        return self

    def get_layer_depth(self,
                        param_name: str,
                        prefix: str = '') -> Tuple[int, int]:
        """Depth of a parameter, see :func:`.layer_depth`."""
        return layer_depth(self.stages, param_name, prefix)
