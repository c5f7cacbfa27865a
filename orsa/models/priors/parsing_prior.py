# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional

import torch
import torch.nn as nn
import torch.nn.functional as F

from orsa.registry import MODELS
from orsa.utils.face_regions import FACE_CLASSES, OCCLUDER
from .frozen_prior import FrozenPrior


@MODELS.register_module()
class ParsingPrior(FrozenPrior):
    """A frozen face-parsing model, or its backbone.

    Args:
        model (dict): Config of an mmseg segmentor
            (``type='mmseg.EncoderDecoder'``) or of any backbone.
        output (str): 'feature', a map (B, C, h, w) of the backbone; 'probs',
            the probabilities (B, K, H, W) of K classes at the size of the
            model's input; or 'feature+visible', the feature and as channel
            C + 1 the probability that no occluder is there, of a segmentor
            that has the twelve ``FACE_CLASSES``.
        num_classes (int, optional): K as the following parts expect it;
            checked when built. Defaults to None, not checked.
        **kwargs: See :class:`FrozenPrior`.

    Raises:
        ValueError: If the segmentor has another number of classes, or there
            is no segmentor to give probabilities.
    """

    outputs = ('feature', 'probs', 'feature+visible')
    cache_key = 'prior_parsing'

    def __init__(self,
                 model: dict,
                 output: str = 'feature',
                 num_classes: Optional[int] = None,
                 **kwargs):
        super().__init__(model, output, **kwargs)
        if output == 'feature':
            return
        self._check(f"ParsingPrior.output='{output}'")
        classes = max(self.model.out_channels, 2)
        if output == 'feature+visible' and classes != len(FACE_CLASSES):
            raise ValueError(
                f"ParsingPrior.output='{output}' needs the classes "
                f'{FACE_CLASSES}, but {type(self.model).__name__} has '
                f'{classes}')
        if num_classes not in (None, classes):
            raise ValueError(f'ParsingPrior.num_classes={num_classes}, but '
                             f'{type(self.model).__name__} has {classes}')

    @property
    def can_parse(self) -> bool:
        """Whether the model is a segmentor, whatever ``output`` is."""
        return hasattr(self.model, 'encode_decode')

    def _check(self, what: str) -> None:
        if not self.can_parse:
            raise ValueError(
                f'{what} needs a segmentor such as mmseg.EncoderDecoder, but '
                f'got {type(self.model).__name__}')

    def parse(self, x: torch.Tensor) -> torch.Tensor:
        """Predict masks, whatever ``output`` is; folds do not count.

        Args:
            x (Tensor): Images (B, 3, H, W) as the classifier gets them.

        Returns:
            Tensor: Probabilities (B, K, h, w) of K classes at the size of the
            model's input (``input_size``, or H and W), without gradients.

        Raises:
            ValueError: If the model is no segmentor.
        """
        self._check('ParsingPrior.parse')
        return self.predict(x, 'probs')

    def _extract(self, model: nn.Module, x: torch.Tensor,
                 output: str) -> torch.Tensor:
        if output == 'feature':
            return super()._extract(model, x, output)
        if output == 'feature+visible':
            return self._with_visible(model, x)
        meta = dict(img_shape=tuple(x.shape[2:]))
        # the first one is read; a graph should not fix how many there are
        count = 1 if torch.compiler.is_compiling() else x.size(0)
        logits = model.encode_decode(x, [meta] * count)
        if logits.size(1) == 1:  # a binary segmentor's one sigmoid output
            foreground = logits.sigmoid()
            return torch.cat([1 - foreground, foreground], dim=1)
        return _probabilities(logits)

    def _with_visible(self, model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        maps = model.backbone(x)
        feature = maps[self.out_index]
        maps = model.neck(maps) if model.with_neck else maps
        probabilities = _probabilities(model.decode_head(maps))
        occluder = probabilities[:, OCCLUDER:OCCLUDER + 1]
        visible = F.adaptive_avg_pool2d(1 - occluder, feature.shape[2:])
        return torch.cat([feature, visible], dim=1)


def _probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Softmax over the classes of a map (B, K, h, w)."""
    if not torch.compiler.is_compiling():
        return logits.softmax(dim=1)
    # onnxruntime's own transposes the map twice: 4 times as long
    weights = (logits - logits.amax(1, keepdim=True)).exp()
    return weights / weights.sum(1, keepdim=True)
