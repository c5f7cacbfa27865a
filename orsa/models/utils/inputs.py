# Copyright (c) orsa contributors. All rights reserved.
"""Checks of what a backbone gives to a neck or a head."""
from typing import List, Optional, Sequence, Tuple, Union

import torch

# what a backbone gives and a neck takes and returns
Maps = Tuple[torch.Tensor, ...]


def stage_indices(out_indices: Union[int, Sequence[int]],
                  num_stages: int) -> Tuple[int, ...]:
    """``out_indices`` of a backbone, counted from 0.

    Raises:
        ValueError: If there is no such stage.
    """
    indices = [out_indices] if isinstance(out_indices, int) else out_indices
    wrong = [i for i in indices if not -num_stages <= i < num_stages]
    if wrong:
        raise ValueError(f'out_indices {wrong} do not exist in a network of '
                         f'{num_stages} stages')
    return tuple(i % num_stages for i in indices)


def pick_inputs(name: str, inputs: Sequence[torch.Tensor],
                in_index: Sequence[int]) -> List[torch.Tensor]:
    """The outputs ``in_index`` of a backbone, for the part ``name``.

    Raises:
        ValueError: If there are not so many.
    """
    if any(not -len(inputs) <= i < len(inputs) for i in in_index):
        raise ValueError(f'{name} takes inputs {tuple(in_index)}, but the '
                         f'backbone gives {len(inputs)}')
    return [inputs[i] for i in in_index]


def check_map(name: str,
              x: torch.Tensor,
              channels: int,
              size: Optional[Tuple[int, int]] = None) -> None:
    """Require the input ``name`` to be a map (B, C, h, w).

    Raises:
        ValueError: If it has other channels or, if given, another size.
    """
    if (x.ndim != 4 or x.size(1) != channels
            or size is not None and tuple(x.shape[2:]) != tuple(size)):
        expected = f'{channels} channels' + ('' if size is None else
                                             f' and size {size[0]}x{size[1]}')
        raise ValueError(f'{name} should be a map of {expected}, but has '
                         f'shape {tuple(x.shape)}')
