# Copyright (c) orsa contributors. All rights reserved.
"""Which part of a model gave the first number that is not finite."""
import contextlib
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

import torch
import torch.nn as nn


class Origin(NamedTuple):
    """Where NaN or Inf came from.

    Attributes:
        phase (str): 'weights', 'inputs', 'forward', 'loss' or 'backward'.
        part (str): Path of the module or parameter in the model; the name of
            the loss.
        rows (list[int]): The images of the batch that it is in, as far as it
            can be told.
    """
    phase: str
    part: str
    rows: List[int]

    def __str__(self):
        return {
            'weights': f"the weight '{self.part}', before the step",
            'inputs': f"the batch itself ('{self.part}')",
            'forward': f"the output of '{self.part}'",
            'loss': f"the loss '{self.part}'",
            'backward': f"the gradient that comes out of '{self.part}'",
        }[self.phase]


def tensors_of(obj: Any) -> Iterator[torch.Tensor]:
    """The float tensors in nested containers."""
    if isinstance(obj, torch.Tensor):
        if obj.is_floating_point():
            yield obj
    elif isinstance(obj, dict):
        for value in obj.values():
            yield from tensors_of(value)
    elif isinstance(obj, (list, tuple)):
        for value in obj:
            yield from tensors_of(value)


def _finite(obj: Any) -> bool:
    return all(bool(torch.isfinite(t).all()) for t in tensors_of(obj))


def _bad_rows(obj: Any, batch_size: int) -> List[int]:
    """Rows of a batch with a number that is not finite."""
    for tensor in tensors_of(obj):
        if tensor.dim() and len(tensor) == batch_size and not _finite(tensor):
            good = torch.isfinite(tensor.detach()).flatten(1) if (
                tensor.dim() > 1) else torch.isfinite(tensor)[:, None]
            return (~good.all(1)).nonzero().flatten().tolist()
    return []


class _Watch:
    """Hooks on every module of a model, for one forward and backward."""

    def __init__(self, model: nn.Module, batch_size: int):
        self.model, self.batch_size = model, batch_size
        self.origin: Optional[Origin] = None
        self.users: Dict[int, List[str]] = {}
        self.kept: list = []  # so that no id is given to another tensor
        self.backward: List[tuple] = []

    @contextlib.contextmanager
    def __call__(self):
        handles = []
        for name, module in self.model.named_modules():
            handles.append(
                module.register_forward_pre_hook(
                    self._before(name), with_kwargs=True))
            handles.append(module.register_forward_hook(self._after(name)))
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def _found(self, phase: str, name: str, values: Any) -> None:
        if self.origin is None:
            part = name or type(self.model).__name__
            self.origin = Origin(phase, part,
                                 _bad_rows(values, self.batch_size))

    def _before(self, name: str) -> Callable:

        def hook(module, args, kwargs):
            for tensor in tensors_of((args, kwargs)):
                self.kept.append(tensor)
                self.users.setdefault(id(tensor), []).append(name)
            if name and not _finite((args, kwargs)):
                # no part gave it: it was made between two of them
                self._found('forward', name.rpartition('.')[0], (args, kwargs))

        return hook

    def _after(self, name: str) -> Callable:

        def hook(module, args, outputs):
            if not _finite(outputs):
                self._found('forward', name, outputs)
            for tensor in tensors_of(outputs):
                self.kept.append(tensor)
                if tensor.requires_grad and tensor.dim():
                    tensor.register_hook(self._gradient(name, id(tensor)))

        return hook

    def _gradient(self, name: str, key: int) -> Callable:

        def hook(grad):
            good = _finite(grad)
            self.backward.append((name, good))
            if not good and self.origin is None:
                users = [u for u in self.users.get(key, ()) if u != name]
                # the innermost of those that took the tensor
                part = users[-1] if users else name.rpartition('.')[0]
                self._found('backward', part, grad)

        return hook


def find_origin(
        model: nn.Module,
        data: dict,
        backward: Callable[[torch.Tensor], None],
        context: Callable = contextlib.nullcontext) -> Optional[Origin]:
    """Run a batch forward and backward, and say where NaN or Inf began.

    Args:
        model (nn.Module): A model of MMEngine's ``BaseModel`` kind, not in a
            wrapper. Gradients are added to those that it has.
        data (dict): A batch as its data preprocessor gives it.
        backward (Callable): Called with the loss.
        context (Callable): Gives the context of the forward pass, for
            autocast. Defaults to none.

    Returns:
        Origin: None if everything is finite.
    """
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        if not _finite(value):
            return Origin('weights', name, [])
    inputs = data.get('inputs') if isinstance(data, dict) else None
    size = len(inputs) if isinstance(inputs, (torch.Tensor, list)) else 0
    for name, value in (data.items() if isinstance(data, dict) else ()):
        if not _finite(value):
            return Origin('inputs', name, _bad_rows(value, size))
    watch = _Watch(model, size)
    with watch():
        with context():
            losses = model._run_forward(data, mode='loss')
        if watch.origin and watch.origin.part != type(model).__name__:
            return watch.origin
        for name, value in losses.items():
            if not _finite(value):
                return Origin('loss', name, [])
        loss, _ = model.parse_losses(losses)
        if not _finite(loss):
            return Origin('loss', 'loss', [])
        backward(loss)
    if watch.origin is not None:
        return watch.origin
    for name, parameter in reversed(list(model.named_parameters())):
        if parameter.grad is not None and not _finite(parameter.grad):
            return Origin('backward', name, [])
    return None
