# Copyright (c) orsa contributors. All rights reserved.
import contextlib
import logging
import math
from typing import Any, Dict, Iterator, List, Optional, Tuple

import torch
import torch.nn as nn
from mmengine.dist import (all_gather_object, all_reduce, get_rank,
                           get_world_size)
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.func import functional_call

from orsa.registry import HOOKS
from ..loops.steps import step_is_open
from .reseed_hook import seed_iteration


class NumericalFault(RuntimeError):
    """A loss or a gradient is not finite; the message names the place."""


@HOOKS.register_module()
class NumericalFaultHook(Hook):
    """Catch a loss or a gradient that is not finite before it does harm.

    All losses and gradients are reduced to one number, which is read from the
    device right before the optimizer steps. If it is not finite, the weights
    are still good. The batches of the step are then run forward again, to
    name the first module whose output is not finite.

    With float16, gradients that overflow are common: the loss scaler leaves
    such a step out and lowers its scale. Only ``max_skips`` such steps in a
    row are a fault.

    Args:
        action (str): 'stop' ends the training with :class:`NumericalFault`;
            'skip' leaves the step out, and what running statistics have seen
            of it. 'lower_scale' is an older name of 'skip'.
            Defaults to 'stop'.
        max_skips (int): So many steps may be left out one after another.
            Defaults to 10.
        max_stored (int, optional): Without effect, steps are not stored any
            more. Defaults to None.

    Raises:
        ValueError: If ``action`` is unknown.
    """

    # before RuntimeInfoHook, which would log what is not finite
    priority = 'HIGHEST'

    def __init__(self,
                 action: str = 'stop',
                 max_skips: int = 10,
                 max_stored: Optional[int] = None) -> None:
        if action == 'lower_scale' or max_stored is not None:
            print_log(
                "NumericalFaultHook: action='lower_scale' is now 'skip' (the "
                'loss scaler lowers its scale itself), and max_stored has no '
                'effect: steps are not stored any more',
                logger='current',
                level=logging.WARNING)
            action = action.replace('lower_scale', 'skip')
        if action not in ('stop', 'skip'):
            raise ValueError("NumericalFaultHook: action should be 'stop' or "
                             f"'skip', but got {action!r}")
        self.action = action
        self.max_skips = max_skips
        self.skips = 0
        self._new_step()

    def _new_step(self) -> None:
        self._batches: List[Tuple[int, dict]] = []
        self._losses: Dict[str, torch.Tensor] = {}
        self._stepped = self._left_out = False

    def before_train(self, runner: Runner) -> None:
        """Attach to the model's losses and the optimizers' steps."""
        self._runner, model = runner, runner.model
        self._model = model.module if is_model_wrapper(model) else model
        wrapper = runner.optim_wrapper
        wrappers = getattr(wrapper, 'optim_wrappers', {'': wrapper})
        self._handles = [
            self._model.register_forward_hook(
                self._keep_losses, with_kwargs=True),
            *(each.optimizer.register_step_pre_hook(self._before_step)
              for each in wrappers.values())
        ]

    def after_train(self, runner: Runner) -> None:
        """Detach from both."""
        for handle in self._handles:
            handle.remove()

    def _keep_losses(self, module, args, kwargs, outputs) -> None:
        if kwargs.get('mode') == 'loss' and isinstance(outputs, dict):
            for name, value in outputs.items():
                if 'loss' in name and isinstance(value, torch.Tensor):
                    self._losses[f'{name} {len(self._losses)}'] = (
                        value.detach().sum())

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: Any = None) -> None:
        """Keep the batch, and the buffers before the first of a step."""
        if not self._batches and self.action == 'skip':
            self._buffers = [b.clone() for b in self._model.buffers()]
        self._batches.append((runner.iter, data_batch))

    def _before_step(self, optimizer, args, kwargs) -> None:
        # a fused one is called by the loss scaler even if it leaves out
        overflow = getattr(optimizer, 'found_inf', None)
        if overflow is not None and bool(overflow):
            return
        self._stepped = True
        if self._left_out:  # parameters that step one by one
            self._clear(optimizer)
            return
        grads = [
            p.grad for group in optimizer.param_groups for p in group['params']
            if p.grad is not None
        ]
        # the largest element: a sum of squares of finite ones may overflow
        values = [*self._losses.values()]
        values += torch._foreach_norm(grads, math.inf) if grads else []
        if not values:
            return
        finite = torch.isfinite(
            torch.stack([
                v.to(values[0].device, torch.float32) for v in values
            ])).all().float()
        all_reduce(finite, 'min')  # all ranks act, or none
        if not finite:
            self._leave_out('the loss or its gradient is not finite')
            self._clear(optimizer)

    @staticmethod
    def _clear(optimizer) -> None:
        for group in optimizer.param_groups:
            for p in group['params']:
                p.grad = None  # an optimizer passes these over

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: Optional[dict] = None) -> None:
        """Keep what is not finite out of the log; count skips of a scaler."""
        is_open = step_is_open(runner)
        if not is_open and not self._stepped:
            # float16: the loss scaler has left the step out
            self.skips += 1
            if self.skips > self.max_skips:
                raise self._fault('the loss or its gradient is not finite')
        if is_open or self._left_out:
            for key, value in list((outputs or {}).items()):
                if not torch.isfinite(torch.as_tensor(value).detach()).all():
                    del outputs[key]
        if self._left_out:
            # not before: a backward pass that steps reads them
            with torch.no_grad():
                for before, buffer in zip(self._buffers,
                                          self._model.buffers()):
                    buffer.copy_(before)
        if not is_open:
            if self._stepped and not self._left_out:
                self.skips = 0
            self._new_step()

    def _leave_out(self, what: str) -> None:
        """Stop, or note that the step is left out."""
        self._left_out = True
        self.skips += 1
        fault = self._fault(what)
        if self.action == 'stop' or self.skips > self.max_skips:
            raise fault
        print_log(
            f'{fault} The step is left out.',
            logger='current',
            level=logging.WARNING)

    def _fault(self, what: str) -> NumericalFault:
        # gradients are averaged: every rank sees what one has caused
        found = all_gather_object(self._origin())
        where = '; '.join(
            f'rank {rank}: {text}' if get_world_size() > 1 else text
            for rank, text in enumerate(found))
        often = ''
        if self.skips > self.max_skips and (self.action != 'stop'
                                            or not self._stepped):
            often = f' {self.max_skips} steps in a row were left out.'
        return NumericalFault(
            f'iteration {self._runner.iter}: {what} ({where}).{often}')

    def _origin(self) -> str:
        """The losses at fault, and the first module, of the batches at hand.

        They are run forward once more, with the random numbers and weights of
        before the step; in the second pass of SAM the weights were others.
        """
        losses = dict.fromkeys(key.split()[0]
                               for key, value in self._losses.items()
                               if not torch.isfinite(value))
        text = f'{", ".join(losses)} not finite' if losses else 'losses finite'
        for iteration, batch in self._batches:
            seed_iteration(self._runner.seed, iteration, get_rank())
            data = self._model.data_preprocessor(batch, True)
            # copies, as a backward pass that steps needs them as they are
            buffers = {k: b.clone() for k, b in self._model.named_buffers()}
            args, kwargs = ((), data) if isinstance(data, dict) else (data, {})
            with first_not_finite(self._model) as names, torch.no_grad(), \
                    self._runner.optim_wrapper.optim_context(self._model):
                functional_call(self._model, buffers, args,
                                dict(kwargs, mode='loss'))
            if names:
                return (f"{text}, first in the output of '{names[0]}' in the "
                        f'batch of iteration {iteration}')
        for name, p in reversed(list(self._model.named_parameters())):
            if p.grad is not None and not torch.isfinite(p.grad).all():
                return f"{text}, first in the gradient of '{name}'"
        return text


@contextlib.contextmanager
def first_not_finite(model: nn.Module) -> Iterator[List[str]]:
    """Collect modules whose output is not finite, in the order they end.

    Args:
        model (nn.Module): Run it inside.

    Yields:
        list[str]: Names of modules; what is inside another comes first.
    """
    found: List[str] = []

    def check(name: str):

        def hook(module, args, outputs):
            if not _is_finite(outputs):
                found.append(name or type(model).__name__)

        return hook

    handles = [
        module.register_forward_hook(check(name))
        for name, module in model.named_modules()
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _is_finite(outputs: Any) -> bool:
    if isinstance(outputs, torch.Tensor):
        return bool(torch.isfinite(outputs).all())
    if isinstance(outputs, dict):
        outputs = outputs.values()
    elif not isinstance(outputs, (list, tuple)):
        return True
    return all(_is_finite(value) for value in outputs)
