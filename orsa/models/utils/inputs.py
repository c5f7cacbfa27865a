# Copyright (c) orsa contributors. All rights reserved.
"""Checks of what a backbone gives to a neck or a head."""
from typing import List, Optional, Sequence, Tuple

import torch


def pick_inputs(name: str, inputs: Sequence[torch.Tensor],
                in_index: Sequence[int]) -> List[torch.Tensor]:
    """Pick some of a backbone's outputs.

    Args:
        name (str): Of the part, for the message.
        inputs (Sequence[Tensor]): The outputs.
        in_index (Sequence[int]): Which.

    Raises:
        ValueError: If there are not so many.
    """
    if max(in_index) >= len(inputs):
        raise ValueError(f'{name} takes inputs {tuple(in_index)}, but the '
                         f'backbone gives {len(inputs)}')
    return [inputs[i] for i in in_index]


def check_map(name: str,
              x: torch.Tensor,
              channels: int,
              size: Optional[Tuple[int, int]] = None) -> None:
    """Require a map (B, C, h, w).

    Args:
        name (str): Of the input, for the message.
        x (Tensor): The input.
        channels (int): C.
        size (tuple[int, int], optional): h and w. Defaults to None, any.

    Raises:
        ValueError: If it is another.
    """
    if (x.ndim != 4 or x.size(1) != channels
            or size is not None and tuple(x.shape[2:]) != tuple(size)):
        expected = f'{channels} channels' + ('' if size is None else
                                             f' and size {size[0]}x{size[1]}')
        raise ValueError(f'{name} should be a map of {expected}, but has '
                         f'shape {tuple(x.shape)}')
