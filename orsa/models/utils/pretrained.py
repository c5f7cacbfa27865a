# Copyright (c) orsa contributors. All rights reserved.
"""Pretrained weights of parts: loaded completely, or refused clearly."""
import logging
import warnings
from http.client import HTTPException
from typing import Optional, Union

import torch.nn as nn
from mmengine.logging import print_log

from orsa.utils.checkpoint import (cached_path, is_local, load_checkpoint,
                                   load_checkpoint_file, local_file)
from orsa.utils.checkpoint_records import CheckpointError
from orsa.utils.shipped import zoo_path

# What a part does without its pretrained file: an error (False), a loud
# warning (True), or nothing, as a complete checkpoint follows ('quiet').
AllowUntrained = Union[bool, str]


def check_allow_untrained(value: AllowUntrained) -> AllowUntrained:
    """Return ``value``, one of True, False and 'quiet'.

    Raises:
        ValueError: If it is anything else.
    """
    if value not in (True, False, 'quiet'):
        raise ValueError("allow_untrained should be True, False or 'quiet', "
                         f'but got {value!r}')
    return value


def check_pretrained(checkpoint: Optional[str],
                     name: str,
                     source: Optional[str] = None,
                     allow_untrained: AllowUntrained = False) -> bool:
    """Whether there is a file to load.

    Args:
        checkpoint (str, optional): A path or address, None if none is known.
            With ``allow_untrained`` nothing is downloaded for an address.
        name (str): What the weights are for, part of the messages.
        source (str, optional): Where to get the file, part of the messages.
        allow_untrained (bool | str): What a missing file means: False is an
            error, True a loud warning, 'quiet' nothing at all.

    Raises:
        FileNotFoundError: If there is none and ``allow_untrained`` is False.
    """
    checkpoint = zoo_path(checkpoint) if checkpoint else checkpoint
    if checkpoint and (local_file(checkpoint)
                       or not (is_local(checkpoint) or allow_untrained)):
        return True
    if allow_untrained == 'quiet':
        return False
    fact = 'no checkpoint is given'
    if checkpoint:
        fact = (f"there is no file '{checkpoint}'" if is_local(checkpoint) else
                f"'{checkpoint}' has not been downloaded")
    where = f' {source.rstrip(".")}.' if source else ''
    if not allow_untrained:
        raise FileNotFoundError(
            f'the {name} needs pretrained weights, and {fact}.{where} Put the '
            'file there (ORSA_PRETRAINED, with its trailing slash, names '
            'another folder), or run with random weights: --cfg-options '
            'model.backbone.allow_untrained=True')
    message = (f'THE {name.upper()} IS UNTRAINED: {fact}, and '
               f'allow_untrained=True. Its output is noise.{where}')
    warnings.warn(message)
    print_log(message, logger='current', level=logging.WARNING)
    return False


def load_pretrained(module: nn.Module,
                    checkpoint: str,
                    name: str,
                    prefix: Optional[str] = None) -> None:
    """Load a part's weights, every one of them.

    Entries of the file that the part does not have are logged; entries that
    the part needs must be there, in the right shape.

    Args:
        module (nn.Module): The part.
        checkpoint (str): A path or address.
        name (str): What the weights are for, part of the messages.
        prefix (str, optional): Take only the entries under this prefix, as in
            MMEngine's ``PretrainedInit``.

    Raises:
        ConnectionError: If an address cannot be downloaded.
        CheckpointError: If entries are missing or of another shape.
    """
    checkpoint = zoo_path(checkpoint)
    load = load_checkpoint_file if is_local(checkpoint) else load_checkpoint
    try:
        content = load(checkpoint)
    # urllib's errors are OSErrors, those of a broken connection too
    except (OSError, HTTPException) as error:
        if is_local(checkpoint):
            raise
        raise ConnectionError(
            f"the {name} needs pretrained weights, and '{checkpoint}' cannot "
            f'be downloaded ({error}). Download it by hand and put its path '
            "into the part's checkpoint, or save the file as "
            f"'{cached_path(checkpoint)}'") from error
    state = content.get('state_dict', content)
    if prefix:
        prefix = prefix.rstrip('.') + '.'
        state = {
            key[len(prefix):]: value
            for key, value in state.items() if key.startswith(prefix)
        }
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise CheckpointError(f"'{checkpoint}' does not fit the {name}: "
                              f'{error}') from error
    if missing:
        raise CheckpointError(
            f"'{checkpoint}' lacks {len(missing)} of the "
            f'{len(module.state_dict())} entries that the {name} needs, '
            f'{missing[0]!r} among them. Is it the file of another network, '
            'or one that tools/model_converters/ has not converted?')
    if unexpected:
        print_log(
            f'{len(unexpected)} entries of {checkpoint} are not used by the '
            f'{name}: {unexpected}',
            logger='current')
