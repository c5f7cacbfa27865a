# Copyright (c) orsa contributors. All rights reserved.
import contextlib
import io
import math
import os.path as osp
from typing import List, Optional, Tuple

import torch
from mmengine.dist import (all_gather_object, all_reduce, get_rank,
                           get_world_size)
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from orsa.engine.faults.batches import encode_batch, names_of
from orsa.engine.faults.tracing import Origin, find_origin
from orsa.registry import HOOKS
from orsa.utils.fileio import AtomicBackend, dump_json
from ..loops.steps import step_is_open
from .reseed_hook import seed_iteration

ACTIONS = ('stop', 'skip', 'lower_scale')


class NumericalFault(RuntimeError):
    """A loss or a gradient is not finite; the message says where."""


@HOOKS.register_module()
class NumericalFaultHook(Hook):
    """Catch a loss or a gradient that is not finite before it does harm.

    Losses and gradients are looked at right before the optimizer steps, all
    by one number that is read from the device. If it is not finite, the
    weights are still good. The batch is then run again with an eye on every
    part, to say which gave the first NaN or Inf and for which image, and it
    is stored with the state before the step in ``WORK_DIR/faults``, for
    ``tools/replay_step.py``.

    With float16, gradients that overflow are common: the loss scaler leaves
    such a step out and lowers its scale. Only a loss that is not finite
    itself, or ``max_skips`` such steps in a row, are faults then.

    Args:
        action (str): What happens next. 'stop' ends the training with
            :class:`NumericalFault`; 'skip' leaves the step out, and what
            running statistics have seen of the batch; 'lower_scale' does the
            same and halves the loss scale. Defaults to 'stop'.
        max_skips (int): So many steps may be left out one after another.
            Defaults to 10.
        max_stored (int): So many steps are stored in a run, the first ones:
            each has the size of a checkpoint. Defaults to 3.

    Raises:
        ValueError: If ``action`` is unknown.
    """

    # Before RuntimeInfoHook, which would log what is not finite.
    priority = 'HIGHEST'

    def __init__(self,
                 action: str = 'stop',
                 max_skips: int = 10,
                 max_stored: int = 3) -> None:
        if action not in ACTIONS:
            raise ValueError(f'NumericalFaultHook: action should be one of '
                             f'{ACTIONS}, but got {action!r}')
        self.action = action
        self.max_skips = max_skips
        self.max_stored = max_stored
        self.skips = self.stored = 0
        self._handles: list = []
        self._forget()

    def _forget(self) -> None:
        """Begin another step."""
        self._batches: List[Tuple[int, dict]] = []
        self._losses: List[torch.Tensor] = []
        self._stepped = self._bad = False

    def before_train(self, runner: Runner) -> None:
        """Attach to the model's losses and the optimizers' steps."""
        model = runner.model
        self._model = model.module if is_model_wrapper(model) else model
        self._runner = runner
        wrapper = runner.optim_wrapper
        wrappers = list(getattr(wrapper, 'optim_wrappers', {}).values())
        self._scaler = getattr(wrapper, 'loss_scaler', None)
        if self.action == 'lower_scale' and self._scaler is None:
            raise ValueError("NumericalFaultHook: action='lower_scale' needs "
                             'an optimizer wrapper with a loss scale (float16)'
                             f', but got {type(wrapper).__name__}')
        self._handles = [
            self._model.register_forward_hook(self._keep, with_kwargs=True)
        ]
        for each in wrappers or [wrapper]:
            self._handles.append(
                each.optimizer.register_step_pre_hook(self._before_step))
        self._before = [b.clone() for b in self._model.buffers()]

    def after_train(self, runner: Runner) -> None:
        """Let go of both."""
        for handle in self._handles:
            handle.remove()

    def _keep(self, module, args, kwargs, outputs) -> None:
        if kwargs.get('mode') == 'loss' and isinstance(outputs, dict):
            self._losses += [
                v.detach().sum() for k, v in outputs.items()
                if 'loss' in k and isinstance(v, torch.Tensor)
            ]

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch=None) -> None:
        """Keep the batch, and the buffers before the first of a step."""
        if not self._batches:
            for kept, buffer in zip(self._before, self._model.buffers()):
                kept.copy_(buffer)
        self._batches.append((runner.iter, data_batch))

    def _is_finite(self, optimizer: torch.optim.Optimizer) -> bool:
        grads = [
            p.grad for group in optimizer.param_groups for p in group['params']
            if p.grad is not None
        ]
        # the largest element: a sum of squares of finite ones may overflow
        values = torch._foreach_norm(grads, math.inf) if grads else []
        values = [*values, *self._losses]
        if not values:
            return True
        device = values[0].device
        return _on_all_ranks(
            torch.isfinite(
                torch.stack([v.to(device, torch.float32)
                             for v in values])).all())

    def _before_step(self, optimizer, args, kwargs) -> None:
        self._stepped = True
        if self._is_finite(optimizer):
            self.skips = 0
            return
        self._bad = True
        self._handle('the loss or its gradient is not finite')
        for group in optimizer.param_groups:
            for p in group['params']:
                p.grad = None  # an optimizer passes these over

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs: Optional[dict] = None) -> None:
        """Keep what is not finite out of the log; look at the loss scale."""
        if step_is_open(runner):
            _drop_not_finite(outputs)  # looked at when the step is complete
            return
        if not self._stepped and self._scaler is not None:
            self._left_out_by_scaler()
        if self._bad:
            if self.action == 'lower_scale':
                self._scaler.update(self._scaler.get_scale() / 2)
            _drop_not_finite(outputs)
        self._forget()

    def _left_out_by_scaler(self) -> None:
        """float16: gradients overflowed, and no step was made."""
        good = _on_all_ranks(torch.isfinite(torch.stack(self._losses)).all())
        if good:
            self.skips += 1
            if self.skips <= self.max_skips:
                return
            self.skips -= 1
        self._bad = True
        self._handle('the loss is not finite' if not good else
                     f'gradients overflowed {self.max_skips} times in a row')

    def _handle(self, what: str) -> None:
        """Say what happened, store it, then stop or go on."""
        runner = self._runner
        origin, iteration = self.diagnose()
        files = names_at_fault(self._batches, origin, iteration)
        stored = self._store(origin, files)
        self.skips += 1
        where = f'first in {origin}{self._named(origin, files)}'
        if len(self._batches) > 1:
            where += f', in the batch of iteration {iteration}'
        where = f'{where}. {stored}'
        # gradients are averaged: every rank sees what one has caused
        found = {
            rank: text
            for rank, text in enumerate(
                all_gather_object(where if origin else None)) if text
        }
        if get_world_size() > 1:
            found = {r: f'on rank {r} {text}' for r, text in found.items()}
        message = f'iteration {runner.iter}: {what}; ' + (
            ' '.join(found.values())
            or f'running the batch again gave finite numbers. {stored}')
        if self.action == 'stop' or self.skips > self.max_skips:
            if self.action != 'stop':
                message += f' {self.max_skips} steps in a row were left out.'
            raise NumericalFault(message)
        self._restore()
        print_log(
            message + ' The step is left out.', logger='current', level=30)

    @staticmethod
    def _named(origin: Optional[Origin], files: List[str]) -> str:
        if not origin or not files:
            return ''
        whole = '' if origin.rows else 'in a batch of '
        more = f' and {len(files) - 4} more' if len(files) > 4 else ''
        return f', {whole}{", ".join(files[:4])}{more}'

    def _restore(self) -> None:
        with torch.no_grad():
            for kept, buffer in zip(self._before, self._model.buffers()):
                buffer.copy_(kept)

    def diagnose(self) -> Tuple[Optional[Origin], Optional[int]]:
        """Run the batches of the step again and find where it began.

        Returns:
            tuple: The origin and the iteration of its batch; None and None
            if everything is finite this time.
        """
        self._restore()
        runner = self._runner
        with _kept_gradients(self._model):
            return replay(self._model, runner.optim_wrapper, self._batches,
                          runner.seed)

    def _store(self, origin: Optional[Origin], files: List[str]) -> str:
        """Write the batches and the state before the step."""
        runner = self._runner
        self._restore()
        if self.stored >= self.max_stored:
            return (f'It is not stored: {self.stored} before it are '
                    f'(max_stored={self.max_stored}).')
        name = f'iter_{runner.iter}_rank_{get_rank()}'
        path = osp.join(runner.work_dir, 'faults', name + '.pth')
        found = dict(
            phase=origin.phase if origin else None,
            part=origin.part if origin else None,
            files=files)
        try:
            # torch.save itself would hide what the disk says
            buffer = io.BytesIO()
            torch.save(self._content(found), buffer)
            AtomicBackend().put(buffer.getbuffer(), path)
            dump_json(
                dict(found, iter=runner.iter, epoch=runner.epoch),
                path.replace('.pth', '.json'))
        except OSError as error:
            return f"It could not be stored in '{path}' ({error})."
        self.stored += 1
        return f'Look at it with tools/replay_step.py CONFIG {path}'

    def _content(self, found: dict) -> dict:
        """What :func:`orsa.analysis.replay.replay_step` reads."""
        runner = self._runner
        return dict(
            meta=dict(
                epoch=runner.epoch,
                iter=runner.iter,
                seed=runner.seed,
                rank=get_rank()),
            state_dict={
                k: v.cpu()
                for k, v in self._model.state_dict().items()
            },
            optimizer=encode_batch(runner.optim_wrapper.state_dict()),
            fault=dict(
                found,
                batches=[(i, encode_batch(b)) for i, b in self._batches]))


def _drop_not_finite(outputs: Optional[dict]) -> None:
    """Take out what would be logged."""
    for key, value in list((outputs or {}).items()):
        if not torch.isfinite(torch.as_tensor(value).detach()).all():
            del outputs[key]


def _on_all_ranks(good: torch.Tensor) -> bool:
    """Whether something holds on all ranks: they act together, or not."""
    good = good.float()
    all_reduce(good, 'min')
    return bool(good)


@contextlib.contextmanager
def _kept_gradients(model: torch.nn.Module):
    """Take the gradients away inside, and give them back."""
    kept = [p.grad for p in model.parameters()]
    for p in model.parameters():
        p.grad = None
    try:
        yield
    finally:
        for p, grad in zip(model.parameters(), kept):
            p.grad = grad


def names_at_fault(batches: List[Tuple[int, dict]], origin: Optional[Origin],
                   iteration: Optional[int]) -> List[str]:
    """The images that a fault is about, as far as it is known.

    Args:
        batches (list): Iteration and batch of the step.
        origin (Origin, optional): As of :func:`replay`.
        iteration (int, optional): As of :func:`replay`; None is all.
    """
    names = [
        n for i, batch in batches if iteration in (None, i)
        for n in names_of(batch)
    ]
    if origin and origin.rows and max(origin.rows) < len(names):
        return [names[i] for i in origin.rows]
    return names


def replay(
        model: torch.nn.Module,
        wrapper,
        batches: List[Tuple[int, dict]],
        seed: int,
        rank: Optional[int] = None) -> Tuple[Optional[Origin], Optional[int]]:
    """Run the batches of one step forward and backward, without the step.

    With SAM both passes are run, and the weights put back.

    Args:
        model (nn.Module): The model, not in a wrapper.
        wrapper (OptimWrapper): Its optimizer wrapper.
        batches (list): Iteration and batch, as of the dataloader.
        seed (int): The run's.
        rank (int, optional): Whose random numbers. Defaults to this one's.

    Returns:
        tuple: Origin and iteration of the first number that is not finite, or
        None twice.
    """
    rank = get_rank() if rank is None else rank
    scaler = getattr(wrapper, 'loss_scaler', None)
    scale = scaler.get_scale() if scaler is not None else 1.

    def run(data):
        return find_origin(model, data, lambda loss: (loss * scale).backward(),
                           lambda: wrapper.optim_context(model))

    model.train()
    ready = []
    for iteration, batch in batches:
        seed_iteration(seed, iteration, rank)
        data = model.data_preprocessor(batch, True)
        ready.append((iteration, data))
        origin = run(data)
        if origin:
            return origin, iteration
    if not hasattr(wrapper, 'perturb'):
        return None, None
    wrapper.perturb()
    try:
        for iteration, data in ready:
            origin = run(data)
            if origin:
                return origin, iteration
    finally:
        wrapper.restore()
    return None, None
