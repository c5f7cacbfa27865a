# Copyright (c) orsa contributors. All rights reserved.
import torch
from mmcv.transforms import BaseTransform

from orsa.registry import TRANSFORMS


@TRANSFORMS.register_module()
class KeepImage(BaseTransform):
    """Keep a copy of the image as it is here.

    Before an occluder, for :class:`orsa.ConsistencyClassifier`.

    **Required Keys:** img (H, W, 3)

    **Added Keys:** the key: Tensor (3, H, W) uint8

    Args:
        key (str): Its name. Defaults to 'clean_img'.
    """

    def __init__(self, key: str = 'clean_img'):
        self.key = key

    def transform(self, results: dict) -> dict:
        """Copy the image."""
        image = results['img'].transpose(2, 0, 1).copy()
        results[self.key] = torch.from_numpy(image)
        return results
