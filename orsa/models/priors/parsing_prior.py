# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional

import torch

from orsa.registry import MODELS
from .frozen_prior import FrozenPrior


@MODELS.register_module()
class ParsingPrior(FrozenPrior):
    """A frozen face-parsing model, or its backbone.

    Args:
        model (dict): Config of an mmseg segmentor
            (``type='mmseg.EncoderDecoder'``) or of any backbone.
        output (str): 'feature', a map (B, C, h, w) of the backbone, or
            'probs', the probabilities (B, K, H, W) of K classes at the size
            of the model's input. Defaults to 'feature'.
        num_classes (int, optional): K as the parts behind expect it; checked
            when built. Defaults to None, not checked.
        **kwargs: See :class:`FrozenPrior`.

    Raises:
        ValueError: If the segmentor has another number of classes, or there
            is no segmentor to give probabilities.
    """

    outputs = ('feature', 'probs')
    cache_key = 'prior_parsing'

    def __init__(self,
                 model: dict,
                 output: str = 'feature',
                 num_classes: Optional[int] = None,
                 **kwargs):
        super().__init__(model, output, **kwargs)
        if output != 'probs':
            return
        if not hasattr(self.model, 'encode_decode'):
            raise ValueError(
                "ParsingPrior.output='probs' needs a segmentor such as "
                f'mmseg.EncoderDecoder, but got {type(self.model).__name__}')
        classes = max(self.model.out_channels, 2)
        if num_classes is not None and classes != num_classes:
            raise ValueError(
                f'ParsingPrior was asked for {num_classes} classes, but '
                f'{type(self.model).__name__} has {classes}')

    def _extract(self, x: torch.Tensor) -> torch.Tensor:
        if self.output == 'feature':
            return self._feature(x)
        meta = dict(img_shape=tuple(x.shape[2:]))
        logits = self.model.encode_decode(x, [meta] * x.size(0))
        if logits.size(1) == 1:  # a binary segmentor's one sigmoid output
            foreground = logits.sigmoid()
            return torch.cat([1 - foreground, foreground], dim=1)
        return logits.softmax(dim=1)
