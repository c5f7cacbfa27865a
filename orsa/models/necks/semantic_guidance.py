# Copyright (c) orsa contributors. All rights reserved.
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch.nn.utils.parametrizations import spectral_norm

from orsa.models.utils.inputs import Maps, check_map, pick_inputs
from orsa.registry import MODELS


class SPADE(nn.Module):
    """Spatially-adaptive normalisation: a map scaled and shifted by another.

    From `Semantic Image Synthesis with Spatially-Adaptive Normalization
    <https://arxiv.org/abs/1903.07291>`_.

    Args:
        channels (int): Channels C of the map.
        condition_channels (int): Channels S of the condition.
        hidden_channels (int): Width between them.
    """

    def __init__(self,
                 channels: int,
                 condition_channels: int,
                 hidden_channels: int = 128):
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels, affine=False)
        self.shared = nn.Sequential(
            nn.Conv2d(condition_channels, hidden_channels, 3, padding=1),
            nn.ReLU())
        self.gamma = nn.Conv2d(hidden_channels, channels, 3, padding=1)
        self.beta = nn.Conv2d(hidden_channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor,
                condition: torch.Tensor) -> torch.Tensor:
        # (B, C, h, w) and (B, S, h, w) -> (B, C, h, w)
        shared = self.shared(condition)
        return self.norm(x) * (1 + self.gamma(shared)) + self.beta(shared)


@MODELS.register_module()
class SemanticGuidance(BaseModule):
    """Lets a parsing prior steer a map: one SPADE residual block.

    The semantic guidance of `Rethinking Occlusion in FER: A Semantic-Aware
    Perspective and Go Beyond <https://arxiv.org/abs/2507.15401>`_, as a neck
    that can stand between any backbone and any head. Symbols: B images, C
    channels of the map, S of the condition.

    Args:
        in_channels (int): C.
        condition_channels (int): Channels of the condition as it comes.
        embed_channels (int, optional): S, to which a trained 1x1 convolution
            takes the condition first; None leaves it as it comes.
        hidden_channels (int): Width inside SPADE.
        in_index (int): Which of the inputs is the map.
        condition_index (int): Which is the condition (B, S, h, w); another
            size than the map's is resized.
        keep_condition (bool): Whether the output tuple still has the
            condition.
        init_cfg (dict, optional): Initialisation.

    Raises:
        ValueError: If the inputs lack an index or have other channels.
    """

    def __init__(self,
                 in_channels: int,
                 condition_channels: int,
                 embed_channels: int = None,
                 hidden_channels: int = 128,
                 in_index: int = 0,
                 condition_index: int = 1,
                 keep_condition: bool = False,
                 init_cfg: dict = None):
        super().__init__(init_cfg=init_cfg)
        if in_index == condition_index:
            raise ValueError('in_index and condition_index should differ, but '
                             f'both are {in_index}')
        self.in_channels = in_channels
        self.condition_channels = condition_channels
        self.in_index = in_index
        self.condition_index = condition_index
        self.keep_condition = keep_condition
        self.embed = None
        if embed_channels is not None:
            self.embed = nn.Conv2d(condition_channels, embed_channels, 1)
        width = embed_channels or condition_channels
        for index in (0, 1):
            self.add_module(f'spade{index}',
                            SPADE(in_channels, width, hidden_channels))
            conv = nn.Conv2d(in_channels, in_channels, 3, padding=1)
            # one power iteration per forward in training, none in eval
            self.add_module(f'conv{index}', spectral_norm(conv))

    def guide(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """The block itself, (B, C, h, w) to (B, C, h, w)."""
        if self.embed is not None:
            condition = self.embed(condition)
        if condition.shape[2:] != x.shape[2:]:
            condition = F.interpolate(
                condition, x.shape[2:], mode='bilinear', align_corners=False)
        h = self.conv0(F.leaky_relu(self.spade0(x, condition), 0.2))
        h = self.conv1(F.leaky_relu(self.spade1(h, condition), 0.2))
        return x + h

    def forward(self, inputs: Maps) -> Maps:
        """Return the inputs with the map replaced by the guided one."""
        outs = list(inputs)
        x, condition = pick_inputs('SemanticGuidance', outs,
                                   (self.in_index, self.condition_index))
        check_map('the map of SemanticGuidance', x, self.in_channels)
        check_map('the condition of SemanticGuidance', condition,
                  self.condition_channels)
        outs[self.in_index] = self.guide(x, condition)
        if not self.keep_condition:
            outs.pop(self.condition_index)
        return tuple(outs)
