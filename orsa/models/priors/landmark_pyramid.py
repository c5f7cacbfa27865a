# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional, Sequence, Tuple

import torch

from orsa.registry import MODELS
from .landmark_prior import LandmarkPrior


@MODELS.register_module()
class LandmarkPyramid(LandmarkPrior):
    """A frozen face-landmark model that hands on several inner maps.

    For fusions at several scales. Which maps is said by the backbone's own
    ``out_indices``.

    Args:
        model (dict): Config of the model, as for :class:`LandmarkPrior`.
        out_channels (Sequence[int], optional): Channels of the maps as the
            parts behind expect them; checked when built. Defaults to None,
            not checked.
        **kwargs: See :class:`FrozenPrior`, without ``fold_checkpoints``.

    Returns:
        tuple[Tensor]: From :meth:`forward`, the maps (B, C, h, w), without
        gradients, in the backbone's order.

    Raises:
        ValueError: If the maps have other channels, or folds are asked for.
    """

    outputs = ('feature', )
    # what is kept on disk for an image is one map
    cache_key = None

    def __init__(self,
                 model: dict,
                 out_channels: Optional[Sequence[int]] = None,
                 **kwargs):
        if kwargs.get('fold_checkpoints') is not None:
            raise ValueError('LandmarkPyramid hands on several maps, and '
                             'fold_checkpoints are for one: use LandmarkPrior')
        super().__init__(model, out_channels=out_channels, **kwargs)

    def _feature(self, x: torch.Tensor) -> Tuple[torch.Tensor, ...]:
        outs = getattr(self.model, 'backbone', self.model)(x)
        return tuple(outs) if isinstance(outs, (tuple, list)) else (outs, )

    def _check_channels(self, expected: Sequence[int]) -> None:
        given = tuple(
            out.size(1) for out in self._compute_plainly(self._blank()))
        if given != tuple(expected):
            raise ValueError(
                f'LandmarkPyramid was asked for maps of {tuple(expected)} '
                f'channels, but {type(self.model).__name__} gives {given}: '
                "see its backbone's out_indices")
