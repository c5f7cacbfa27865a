# Copyright (c) orsa contributors. All rights reserved.
"""Whether a checkpoint is of the model that it is loaded into."""
from typing import Dict, List

import torch
import torch.nn as nn


def bare_keys(state: Dict[str, torch.Tensor]) -> Dict[str, torch.Tensor]:
    """A state dict without the prefix of a model wrapper."""
    return {k.removeprefix('module.'): v for k, v in state.items()}


def misfits(model: nn.Module,
            state: Dict[str, torch.Tensor],
            unknown: bool = True) -> List[str]:
    """In what a state dict differs from that of a model.

    Args:
        model (nn.Module): The model.
        state (dict): The state dict, without a wrapper's prefix.
        unknown (bool): Whether what the model does not have counts.
            Defaults to True.

    Returns:
        list[str]: Parts of a sentence, each with the first names; empty if
        the state dict fits.
    """
    own = model.state_dict()
    wrong = [
        f'{k} {tuple(state[k].shape)} instead of {tuple(v.shape)}'
        for k, v in own.items()
        if k in state and tuple(state[k].shape) != tuple(v.shape)
    ]
    missing = [k for k in own if k not in state]
    # What a data preprocessor keeps is in the config, not in checkpoints.
    more = [
        k for k in state
        if k not in own and not k.startswith('data_preprocessor.')
    ] if unknown else []
    return [
        f'{len(keys)} {what}: {", ".join(keys[:4])}'
        f'{", ..." if len(keys) > 4 else ""}'
        for what, keys in (('of another shape', wrong), ('missing', missing),
                           ('unknown', more)) if keys
    ]
