# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.utils import to_2tuple

from orsa.models.utils.inputs import check_map
from orsa.registry import MODELS


def _conv_stack(in_channels: int, hidden: int, out_channels: int,
                halvings: int) -> nn.Sequential:
    """3x3 convolutions that halve the size ``halvings`` times."""
    layers, width = [], in_channels
    for _ in range(halvings):
        layers += [
            nn.Conv2d(width, hidden, 3, 2, padding=1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True)
        ]
        width = hidden
    return nn.Sequential(*layers, nn.Conv2d(width, out_channels, 1))


@MODELS.register_module()
class MapEncoder(BaseModule):
    """Turns class probability maps or feature maps into a grid of features.

    Symbols: B images, K maps, C features, gh x gw the grid.

    Args:
        in_channels (int): K.
        out_channels (int): C.
        grid (int | tuple[int, int]): gh and gw.
        hidden_channels (int): Width of the convolutions.
        halvings (int): Strided convolutions: the maps are averaged to
            ``grid * 2**halvings`` first.
        norm_input (bool): Whether to normalise each map over the batch first:
            features, unlike probabilities, have no scale of their own.
        init_cfg (dict, optional): Initialisation.

    Raises:
        ValueError: If the input has another number of maps.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 grid: Union[int, Tuple[int, int]] = 7,
                 hidden_channels: int = 32,
                 halvings: int = 2,
                 norm_input: bool = False,
                 init_cfg: Optional[dict] = None):
        super().__init__(init_cfg=init_cfg)
        self.in_channels = in_channels
        self.out_channels = out_channels
        grid = to_2tuple(grid)
        self.num_tokens = grid[0] * grid[1]
        self.norm = nn.BatchNorm2d(in_channels) if norm_input else None
        self.size = tuple(side * 2**halvings for side in grid)
        self.layers = _conv_stack(in_channels, hidden_channels, out_channels,
                                  halvings)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, K, H, W) of any size to (B, C, gh, gw)."""
        check_map('the input of MapEncoder', maps, self.in_channels)
        if maps.shape[2:] != self.size:
            maps = F.adaptive_avg_pool2d(maps, self.size)
        if self.norm is not None:
            maps = self.norm(maps)
        return self.layers(maps)


@MODELS.register_module()
class KeypointEncoder(BaseModule):
    """Turns landmarks into a grid of features.

    Each landmark is drawn as a Gaussian on a map of its own, weighted by its
    confidence, and convolved. An MLP of all coordinates, centred and scaled
    to the face, is added at every place: the shape of the face as a whole.
    Symbols: B images, K landmarks, C features, gh x gw the grid.

    Args:
        num_keypoints (int): K.
        out_channels (int): C.
        grid (int | tuple[int, int]): gh and gw.
        hidden_channels (int): Width of convolutions and MLP.
        halvings (int): Strided convolutions: landmarks are drawn at
            ``grid * 2**halvings``.
        sigma (float): Of the Gaussians, in pixels of that map.
        dropout (float): Of the coordinates' MLP.
        init_cfg (dict, optional): Initialisation.

    Raises:
        ValueError: If the input has another number of landmarks.
    """

    def __init__(self,
                 num_keypoints: int,
                 out_channels: int,
                 grid: Union[int, Tuple[int, int]] = 7,
                 hidden_channels: int = 64,
                 halvings: int = 2,
                 sigma: float = 1.,
                 dropout: float = 0.,
                 init_cfg: Optional[dict] = None):
        super().__init__(init_cfg=init_cfg)
        self.num_keypoints = num_keypoints
        self.out_channels = out_channels
        grid = to_2tuple(grid)
        self.num_tokens = grid[0] * grid[1]
        self.sigma = sigma
        self.size = tuple(side * 2**halvings for side in grid)
        self.layers = _conv_stack(num_keypoints, hidden_channels, out_channels,
                                  halvings)
        self.shape_mlp = nn.Sequential(
            nn.Linear(3 * num_keypoints, 2 * hidden_channels),
            nn.LayerNorm(2 * hidden_channels), nn.ReLU(inplace=True),
            nn.Dropout(dropout), nn.Linear(2 * hidden_channels, out_channels))

    def draw(self, keypoints: torch.Tensor) -> torch.Tensor:
        """Gaussians of the landmarks, (B, K, 3) to (B, K, h, w)."""
        axes = []
        for axis, side in ((0, self.size[1]), (1, self.size[0])):
            centres = torch.arange(side, device=keypoints.device) + 0.5
            offset = centres - keypoints[..., axis, None] * side
            axes.append(torch.exp(-0.5 * (offset / self.sigma)**2))
        confidence = keypoints[..., 2, None, None]
        return confidence * axes[1][..., :, None] * axes[0][..., None, :]

    @staticmethod
    def normalise(keypoints: torch.Tensor) -> torch.Tensor:
        """Centre the landmarks and scale them to the face, by confidence."""
        points, confidence = keypoints[..., :2], keypoints[..., 2:]
        total = confidence.sum(dim=1, keepdim=True).clamp(min=1e-3)
        points = points - (points * confidence).sum(1, keepdim=True) / total
        spread = (points.pow(2) * confidence).sum((1, 2), keepdim=True)
        points = points / (spread / total).clamp(min=1e-6).sqrt()
        return torch.cat([points, confidence], dim=-1)

    def forward(self, keypoints: torch.Tensor) -> torch.Tensor:
        """(B, K, 3), x and y in [0, 1] and confidence, to (B, C, gh, gw)."""
        if keypoints.ndim != 3 or keypoints.shape[1:] != (self.num_keypoints,
                                                          3):
            raise ValueError(
                f'KeypointEncoder expects {self.num_keypoints} landmarks (x, '
                f'y, confidence), but got shape {tuple(keypoints.shape)}')
        maps = self.layers(self.draw(keypoints))
        shape = self.shape_mlp(self.normalise(keypoints).flatten(1))
        return maps + shape[..., None, None]
