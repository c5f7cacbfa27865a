# Copyright (c) orsa contributors. All rights reserved.
"""Whether a checkpoint is of the model that it is loaded into."""
import copy
from typing import Dict, List, Optional, Sequence

import torch
import torch.nn as nn
from mmengine.registry import MODELS


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


def _with_classes(cfg, count: int, new: int):
    if isinstance(cfg, dict):
        return type(cfg)({
            k:
            new if k == 'num_classes' and v == count else _with_classes(
                v, count, new)
            for k, v in cfg.items()
        })
    if isinstance(cfg, (list, tuple)):
        return type(cfg)(_with_classes(v, count, new) for v in cfg)
    return copy.deepcopy(cfg)


def class_axes(head: nn.Module, cfg: dict) -> Dict[str, int]:
    """Which entries of a head have a row for each class.

    A head of one class more is built: what is longer in it is by class, the
    classification layer as well as norms or centres behind it.

    Args:
        head (nn.Module): A head with ``num_classes``.
        cfg (dict): What it was built from.

    Returns:
        dict[str, int]: Names in its state dict, and the dimension of the
        classes.
    """
    count = head.num_classes
    with torch.random.fork_rng(devices=[]):
        other = MODELS.build(_with_classes(cfg, count, count + 1))
    longer = other.state_dict()
    return {
        key: axis
        for key, value in head.state_dict().items()
        for axis, size in enumerate(value.shape)
        if longer[key].shape[axis] != size
    }


def fit_classes(state: Dict[str, torch.Tensor], axes: Dict[str, int],
                count: int, saved: Optional[Sequence[str]],
                wanted: Sequence[str]) -> Optional[str]:
    """Bring what a state dict has by class to the classes of a training.

    The same names in another order are reordered. What is of other names, or
    of another number of them, is left out, to be trained from scratch.

    Args:
        state (dict): The state dict; is changed.
        axes (dict): Names of entries, and the dimension of the classes.
        count (int): Number of classes of the model.
        saved (Sequence[str], optional): Names by index in the checkpoint, if
            it has them.
        wanted (Sequence[str]): Names by index in the data.

    Returns:
        str | None: What was done, a sentence about the checkpoint; None if
        there was nothing to do.
    """
    keys = {key.removeprefix('module.'): key for key in state}
    found = {keys[name]: axis for name, axis in axes.items() if name in keys}
    sizes = [state[key].size(axis) for key, axis in found.items()]
    if not found or (set(sizes) == {count} and
                     (saved is None or list(saved) == list(wanted))):
        return None
    entries = ', '.join(key.removeprefix('module.') for key in found)
    if set(sizes) == {count} and sorted(saved) == sorted(wanted):
        order = [list(saved).index(name) for name in wanted]
        for key, axis in found.items():
            state[key] = state[key].index_select(
                axis, torch.tensor(order, device=state[key].device))
        return ('has the classes of the data in another order: what it has by '
                f'class ({entries}) is reordered by name')
    for key in found:
        del state[key]
    names = f' ({", ".join(saved)})' if saved else ''
    return (f'has {sizes[0]} classes{names}, the data {len(wanted)} '
            f'({", ".join(wanted)}): the classification layer of the head '
            f'({entries}) is left out and begins from random weights')
