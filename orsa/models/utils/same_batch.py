# Copyright (c) orsa contributors. All rights reserved.
"""What belongs to one batch: outputs of frozen priors that are used several
times, and auxiliary inputs, values that come with the images."""
import contextlib
import threading
from typing import Any, Callable, Optional

import torch

_local = threading.local()


def current_memory() -> Optional[dict]:
    """The memory of the innermost :func:`same_batch`, None outside."""
    return getattr(_local, 'memory', None)


@contextlib.contextmanager
def same_batch(memory: Optional[dict] = None):
    """Let every frozen prior compute once per input tensor inside.

    SAM runs a model twice on the same batch. Inside this context what
    :func:`compute_once` computes for an input tensor (the very object,
    unchanged) is stored and used again.

    Args:
        memory (dict, optional): What an earlier context yielded, to go on
            with its batch (gradient accumulation). Defaults to None, an
            empty memory.

    Yields:
        dict: The memory of this context.

    Example:
        >>> with same_batch():
        ...     first = model(inputs, data_samples, mode='loss')
        ...     second = model(inputs, data_samples, mode='loss')
    """
    outer = current_memory()
    _local.memory = {} if memory is None else memory
    try:
        yield _local.memory
    finally:
        _local.memory = outer


def compute_once(owner: object, inputs: torch.Tensor,
                 compute: Callable[[torch.Tensor], Any]) -> Any:
    """Return ``compute(inputs)``, stored inside :func:`same_batch`.

    Args:
        owner (object): Who computes; part of the key.
        inputs (Tensor): The input, by identity.
        compute (Callable): Called with ``inputs`` when it is not stored yet.
            A tensor, or tuple or list of them; of a pass under autocast they
            are in float32 in one without.
    """
    memory = current_memory()
    if memory is None:
        return compute(inputs)
    # The same tensor written to in place is another input. It is stored with
    # the result, so that its id cannot be given to another one meanwhile.
    key = (id(owner), id(inputs), inputs._version)
    if key not in memory:
        memory[key] = inputs, compute(inputs)
    stored = memory[key][1]
    if torch.is_autocast_enabled(inputs.device.type):
        return stored
    return as_float(stored)


def as_float(values: Any) -> Any:
    """Tensors, or a tuple or list of them, in float32 if less precise."""
    if isinstance(values, (tuple, list)):
        return type(values)(map(as_float, values))
    half = values.dtype in (torch.bfloat16, torch.float16)
    return values.float() if half else values


def provide(inputs: torch.Tensor, **values: torch.Tensor) -> torch.Tensor:
    """Attach auxiliary inputs to a batch of images.

    A classifier hands its backbone one tensor. What else is known of the
    images is attached to that very tensor, and read by :func:`provided`;
    a tensor that is made from it has none.

    Args:
        inputs (Tensor): The images (B, 3, H, W), as the model gets them.
        **values (Tensor): Each of B rows.

    Returns:
        Tensor: The same object.

    Raises:
        ValueError: If a value has another number of rows.
    """
    for key, value in values.items():
        if len(value) != len(inputs):
            raise ValueError(f"'{key}' should have one row for each of the "
                             f'{len(inputs)} images, but has {len(value)}')
    inputs.orsa_auxiliary = {**getattr(inputs, 'orsa_auxiliary', {}), **values}
    return inputs


def provided(inputs: torch.Tensor, key: str) -> Optional[torch.Tensor]:
    """What :func:`provide` attached under ``key``, None if nothing was."""
    return getattr(inputs, 'orsa_auxiliary', {}).get(key)
