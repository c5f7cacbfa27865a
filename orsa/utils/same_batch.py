# Copyright (c) orsa contributors. All rights reserved.
"""What belongs to one batch: answers of frozen priors that serve several
times, and companions, values that come with the images."""
import contextlib
import threading
from typing import Any, Callable, Optional

import torch

_local = threading.local()


class _Memory:
    """Results of this batch, keyed by who computed and from which tensor."""

    def __init__(self):
        self._items = {}

    def get(self, owner: object, inputs: torch.Tensor,
            compute: Callable[[torch.Tensor], Any]) -> Any:
        # Keyed by identity and version: another tensor, or the same one
        # written to in place, is another input. The tensor is kept with its
        # result, so that its id cannot be given to another one meanwhile.
        key = (id(owner), id(inputs), inputs._version)
        if key not in self._items:
            self._items[key] = (inputs, compute(inputs))
        return self._items[key][1]


def current_memory() -> Optional[_Memory]:
    """The memory of the innermost :func:`same_batch`, or None outside."""
    return getattr(_local, 'memory', None)


@contextlib.contextmanager
def same_batch(memory: Optional[_Memory] = None):
    """Let every frozen prior compute once per input tensor inside.

    SAM runs a model twice on the same batch; what does not learn gives the
    same answer both times. Inside this context a prior remembers its answer
    for an input tensor (the very object, unchanged) and serves it again; on
    leaving, everything is forgotten. A part asks through
    :func:`compute_once`.

    Args:
        memory (object, optional): What an earlier context yielded, to go on
            with its batch: gradient accumulation leaves a batch and comes
            back to it. Defaults to None, an empty memory.

    Yields:
        object: The memory of this context.

    Example:
        >>> with same_batch():
        ...     first = model(inputs, data_samples, mode='loss')
        ...     second = model(inputs, data_samples, mode='loss')
    """
    outer = current_memory()
    _local.memory = _Memory() if memory is None else memory
    try:
        yield _local.memory
    finally:
        _local.memory = outer


def compute_once(owner: object, inputs: torch.Tensor,
                 compute: Callable[[torch.Tensor], Any]) -> Any:
    """Return ``compute(inputs)``, from memory inside :func:`same_batch`.

    Args:
        owner (object): Who computes; part of the key.
        inputs (Tensor): The input, taken by identity.
        compute (Callable): Called with ``inputs`` when not yet remembered.
    """
    memory = current_memory()
    if memory is None:
        return compute(inputs)
    return memory.get(owner, inputs, compute)


def provide(inputs: torch.Tensor, **values: torch.Tensor) -> torch.Tensor:
    """Let values travel with a batch of images, to a part deep in the model.

    A classifier hands its backbone one tensor. What else is known of the
    images (their priors, computed before; the fold that they are in) is
    attached to that very tensor, and asked for by :func:`provided`. Another
    tensor, made from this one, has none of it.

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
    inputs.orsa_companions = {
        **getattr(inputs, 'orsa_companions', {}),
        **values
    }
    return inputs


def provided(inputs: torch.Tensor, key: str) -> Optional[torch.Tensor]:
    """What :func:`provide` attached under ``key``, None if nothing was."""
    return getattr(inputs, 'orsa_companions', {}).get(key)
