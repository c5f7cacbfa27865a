# Copyright (c) orsa contributors. All rights reserved.
"""Resizing of images that are tensors already."""
from typing import Tuple, Union

import torch
import torch.nn.functional as F
from mmengine.utils import to_2tuple


def resize_images(x: torch.Tensor,
                  size: Union[int, Tuple[int, int]],
                  mode: str = 'nearest') -> torch.Tensor:
    """Resize a batch of images, by plain striding where that is the same.

    Args:
        x (Tensor): Images of shape (B, C, H, W).
        size (int | tuple[int, int]): Height and width wanted, in pixels.
        mode (str): 'nearest' or 'bilinear' (antialiased).

    Returns:
        Tensor: Images of shape (B, C, *size); ``x`` itself if it fits.

    Raises:
        ValueError: For another mode.
    """
    if mode not in ('nearest', 'bilinear'):
        raise ValueError("resize_mode should be 'nearest' or 'bilinear', but "
                         f"is '{mode}'")
    size = tuple(to_2tuple(size))
    height, width = x.shape[-2:]
    if (height, width) == size:
        return x
    if mode == 'bilinear':
        return F.interpolate(
            x, size, mode='bilinear', align_corners=False, antialias=True)
    if height % size[0] == 0 and width % size[1] == 0:
        # every n-th pixel: what the nearest resize picks, without its cost
        return x[:, :, ::height // size[0], ::width // size[1]]
    return F.interpolate(x, size, mode='nearest')
