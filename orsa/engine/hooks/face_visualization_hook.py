# Copyright (c) orsa contributors. All rights reserved.
from typing import Sequence

from mmpretrain.engine.hooks import VisualizationHook
from mmpretrain.structures import DataSample

from orsa.registry import HOOKS


@HOOKS.register_module()
class FaceVisualizationHook(VisualizationHook):
    """Draw predictions, as ``tools/test.py --show-dir`` does.

    mmpretrain's ``VisualizationHook`` takes BGR for RGB, fails on the views of
    test-time augmentation, and its text covers a small face. Here the last
    view is drawn.

    Args:
        resize (int): Shorter side of the image that is drawn, in pixels.
            Defaults to 320.
        **kwargs: As of ``VisualizationHook``.
    """

    def __init__(self, resize: int = 320, **kwargs):
        super().__init__(resize=resize, **kwargs)

    def _draw_samples(self,
                      batch_idx: int,
                      data_batch: dict,
                      data_samples: Sequence[DataSample],
                      step: int = 0) -> None:
        if not self.enable:
            return
        images = data_batch['inputs']
        if getattr(images[0], 'ndim', None) != 3:  # views of batches
            images = images[-1]
        super()._draw_samples(batch_idx,
                              dict(inputs=[image.flip(0) for image in images]),
                              data_samples, step)
