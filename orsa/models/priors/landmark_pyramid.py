# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional, Sequence, Tuple, Union

import torch
import torch.nn as nn

from orsa.registry import MODELS
from .landmark_prior import LandmarkPrior


@MODELS.register_module()
class LandmarkPyramid(LandmarkPrior):
    """A frozen face-landmark model that gives several inner maps.

    For fusions at several scales. The backbone's own ``out_indices`` are the
    maps.

    Args:
        model (dict): Config of the model, as for :class:`LandmarkPrior`.
        out_channels (Sequence[int], optional): Channels of the maps as the
            following parts expect them; checked when built.
        **kwargs: See :class:`FrozenPrior`, without ``fold_checkpoints``.

    Returns:
        tuple[Tensor]: From :meth:`forward`, the maps (B, C, h, w).

    Raises:
        ValueError: If the maps have other channels, or with
            ``fold_checkpoints``.
    """

    outputs = ('feature', )
    cache_key = None  # one map an image is cached

    def __init__(self,
                 model: dict,
                 out_channels: Optional[Sequence[int]] = None,
                 **kwargs):
        if kwargs.get('fold_checkpoints') is not None:
            raise ValueError('LandmarkPyramid gives several maps, and '
                             'fold_checkpoints are for one: use LandmarkPrior')
        super().__init__(model, out_channels=out_channels, **kwargs)

    def _extract(self, model: nn.Module, x: torch.Tensor,
                 output: str) -> Union[torch.Tensor, Tuple[torch.Tensor, ...]]:
        if output != 'feature':
            return super()._extract(model, x, output)
        outs = getattr(model, 'backbone', model)(x)
        return tuple(outs) if isinstance(outs, (tuple, list)) else (outs, )

    def _check_channels(self, expected: Sequence[int]) -> None:
        found = tuple(out.size(1) for out in self.blank_output())
        if found != tuple(expected):
            raise ValueError(
                f'LandmarkPyramid.out_channels={tuple(expected)}, but '
                f'{type(self.model).__name__} gives {found}: see its '
                "backbone's out_indices")
