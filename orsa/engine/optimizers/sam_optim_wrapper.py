# Copyright (c) orsa contributors. All rights reserved.
from contextlib import contextmanager, nullcontext
from typing import Dict, List, Optional, Union

import torch
import torch.nn as nn
from mmengine.dist import get_world_size
from mmengine.optim import OptimWrapper

from orsa.registry import OPTIM_WRAPPERS

_DTYPES = {
    'float16': torch.float16,
    'bfloat16': torch.bfloat16,
}


@OPTIM_WRAPPERS.register_module()
class SAMOptimWrapper(OptimWrapper):
    r"""Sharpness-Aware Minimization around any optimizer of torch.

    A PyTorch implementation of `Sharpness-Aware Minimization for Efficiently
    Improving Generalization <https://arxiv.org/abs/2010.01412>`_, and of its
    scale-invariant form `ASAM <https://arxiv.org/abs/2102.11600>`_. A step
    has two passes on the same batch: the ascent moves the weights :math:`w`
    to :math:`w + \epsilon`,

    .. math::
        \epsilon = \rho \, \frac{g}{\lVert g \rVert_2 + 10^{-12}}, \qquad
        g = \nabla L(w),

    the descent takes :math:`\nabla L(w + \epsilon)`, puts :math:`w` back and
    lets the optimizer step from there. The two passes are run by
    :class:`orsa.SAMTrainLoop` or :class:`orsa.SAMIterBasedTrainLoop`; with
    any other loop the wrapper refuses to work, rather than training without
    SAM in silence.

    Args:
        optimizer (torch.optim.Optimizer): The base optimizer.
        rho (float): Radius of the neighbourhood, at least 0.
            Defaults to 0.05.
        adaptive (bool): Whether to scale the perturbation by the weights
            (ASAM). Defaults to False.
        dtype (str, optional): Precision of both passes under autocast,
            'float16' (GPU, with loss scaling) or 'bfloat16' (CPU and GPU).
            Weights and moments stay in float32. Defaults to None, which
            means float32 throughout.
        loss_scale (str | float | dict): As in MMEngine's
            ``AmpOptimWrapper``; used with 'float16' only.
            Defaults to 'dynamic'.
        sync_perturbation (bool): Under DDP, whether the ascent averages the
            gradient over the ranks, as one process with the whole batch
            would. If False each rank climbs by its own gradient, which saves
            one all-reduce per step. Defaults to True.
        accumulative_counts (int): The number of batches in one step. The
            ascent and the descent both see all of them. Defaults to 1.
        clip_grad (dict, optional): As in MMEngine's ``OptimWrapper``;
            applied to the gradient of the descent. Defaults to None.
        ascent_dtype (str, optional): Precision of the ascent alone, whose
            gradient gives no more than a direction, and of what is frozen,
            which is computed once for both passes. Defaults to None, that of
            ``dtype``.
        step_in_backward (bool): Whether the second backward pass steps each
            parameter as soon as its gradient is there, and frees it: the
            gradients are never held at once. The step is the same; where a
            gradient is not finite, the layers behind it were stepped before
            it is seen. Without ``clip_grad``, accumulation, 'float16' and
            several ranks. Defaults to False.
        perturbation_dtype (str, optional): Precision in which
            :math:`\epsilon` is kept, and taken off again, in the place of a
            copy of :math:`w`: half of its memory in 'bfloat16'. The weights
            come back to a rounding of :math:`w + \epsilon`. Defaults to None:
            :math:`w` is kept, and comes back bit for bit.

    Raises:
        ValueError: If ``rho`` is negative, ``dtype``, ``ascent_dtype`` or
            ``perturbation_dtype`` is unknown, or is 'float16' on a machine
            without a GPU, or ``step_in_backward`` comes with what needs all
            gradients, or several ranks have ``perturbation_dtype`` without
            ``sync_perturbation``.

    Examples:
        >>> optim_wrapper = dict(
        ...     type='orsa.SAMOptimWrapper',
        ...     rho=0.05,
        ...     optimizer=dict(type='Adam', lr=1e-5))
        >>> train_cfg = dict(type='orsa.SAMTrainLoop', max_epochs=400)
    """

    def __init__(self,
                 optimizer: torch.optim.Optimizer,
                 rho: float = 0.05,
                 adaptive: bool = False,
                 dtype: Optional[str] = None,
                 loss_scale: Union[str, float, dict] = 'dynamic',
                 sync_perturbation: bool = True,
                 accumulative_counts: int = 1,
                 clip_grad: Optional[dict] = None,
                 ascent_dtype: Optional[str] = None,
                 step_in_backward: bool = False,
                 perturbation_dtype: Optional[str] = None):
        super().__init__(
            optimizer,
            accumulative_counts=accumulative_counts,
            clip_grad=clip_grad)
        if rho < 0:
            raise ValueError(f'rho should be at least 0, but got {rho}')
        self.rho = rho
        self.adaptive = adaptive
        self.sync_perturbation = sync_perturbation
        self.cast_dtype = self._check_dtype(dtype)
        self.ascent_dtype = self._check_dtype(ascent_dtype or dtype)
        self.perturbation_dtype = self._check_dtype(perturbation_dtype)
        self.loss_scaler = self._build_scaler(loss_scale)
        if (self.perturbation_dtype and not sync_perturbation
                and get_world_size() > 1):
            raise ValueError('perturbation_dtype rounds w otherwise on each '
                             'rank where sync_perturbation=False')
        self._in_ascent = False
        self._one_pass = False
        # w, or epsilon in perturbation_dtype, while the parameters are at
        # w + epsilon
        self._saved: Optional[Dict[nn.Parameter, torch.Tensor]] = None
        self._in_descent = False
        if step_in_backward:
            self._step_in_backward()

    @staticmethod
    def _check_dtype(dtype: Optional[str]) -> Optional[torch.dtype]:
        if dtype is None or dtype == 'float32':
            return None
        if dtype not in _DTYPES:
            raise ValueError(f"dtype should be None, 'float16' or 'bfloat16', "
                             f'but got {dtype!r}')
        if dtype == 'float16' and not torch.cuda.is_available():
            raise ValueError("dtype='float16' needs a GPU; on a CPU use "
                             "dtype='bfloat16'")
        return _DTYPES[dtype]

    def _build_scaler(self, loss_scale):
        if self.cast_dtype is not torch.float16:
            return None
        kwargs = {}
        self._scale_update_param = None
        if isinstance(loss_scale, (int, float)):
            self._scale_update_param = float(loss_scale)
            kwargs['init_scale'] = float(loss_scale)
        elif isinstance(loss_scale, dict):
            kwargs.update(loss_scale)
        elif loss_scale != 'dynamic':
            raise ValueError("loss_scale should be 'dynamic', a number or a "
                             f'dict, but got {loss_scale!r}')
        return torch.amp.GradScaler('cuda', **kwargs)

    def _step_in_backward(self) -> None:
        unfit = {
            'clip_grad': self.clip_grad_kwargs,
            'accumulative_counts above 1': self._accumulative_counts > 1,
            "dtype='float16'": self.loss_scaler,
            'several ranks': get_world_size() > 1
        }
        for name, given in unfit.items():
            if given:
                raise ValueError('step_in_backward frees each gradient before '
                                 f'the next is there, which {name} cannot use')
        for group in self.optimizer.param_groups:
            for p in group['params']:
                if p.requires_grad:
                    p.register_post_accumulate_grad_hook(self._step_one)

    @torch.no_grad()
    def _step_one(self, p: nn.Parameter) -> None:
        """Step a parameter, the only one that has a gradient."""
        if self._in_descent:
            saved = self._saved or {}
            if p in saved:  # the ascent may have had no gradient of it
                self._put_back(p, saved.pop(p))
            self.optimizer.step()
            p.grad = None

    @property
    def perturbed(self) -> bool:
        """bool: Whether the weights are at ``w + epsilon`` now."""
        return self._saved is not None

    def group_complete(self, pending: int) -> bool:
        """Whether ``pending`` batches since the last step make up a step."""
        count = self._inner_count + pending
        return (count % self._accumulative_counts == 0
                or count == self._max_counts)

    @contextmanager
    def optim_context(self, model: nn.Module):
        """Autocast, and no gradient synchronisation before the last batch."""
        device = next(model.parameters()).device.type
        dtype = self.ascent_dtype if self._in_ascent else self.cast_dtype
        precision = (
            torch.autocast(device, dtype=dtype)
            if dtype is not None else nullcontext())
        with super().optim_context(model), precision:
            yield

    @contextmanager
    def ascent(self, model: nn.Module, pending: int = 1):
        """The first pass: gradients that only give the direction to climb.

        Args:
            model (nn.Module): The model, or its DDP wrapper.
            pending (int): Which batch of this step it is, from 1.
                Defaults to 1.
        """
        self._in_ascent = True
        # The descent counts its own backward passes. Here the count is moved
        # for as long as MMEngine's `should_sync` and `scale_loss` look at it.
        self._inner_count += pending - 1
        try:
            with self.optim_context(model):
                yield
        finally:
            self._inner_count -= pending - 1
            self._in_ascent = False

    @contextmanager
    def one_pass(self):
        """Let a step inside have the descent alone, from ``w`` itself."""
        self._one_pass = True
        try:
            yield
        finally:
            self._one_pass = False

    def should_sync(self) -> bool:
        """Whether this pass averages its gradient over the ranks."""
        if self._in_ascent and not self.sync_perturbation:
            return False
        return super().should_sync()

    def backward_ascent(self, loss: torch.Tensor, pending: int = 1) -> None:
        """Add the gradient of one batch to the direction to climb.

        Args:
            loss (Tensor): The batch's loss, a scalar.
            pending (int): Which batch of this step it is, from 1.
                Defaults to 1.
        """
        self._inner_count += pending - 1
        loss = self.scale_loss(loss)
        self._inner_count -= pending - 1
        if self.loss_scaler is not None:
            # g / |g| does not care for the scale: no unscaling is needed.
            loss = self.loss_scaler.scale(loss)
        loss.backward()

    def _params_with_grad(self) -> List[nn.Parameter]:
        return [
            p for group in self.optimizer.param_groups for p in group['params']
            if p.grad is not None
        ]

    @torch.no_grad()
    def perturb(self) -> None:
        """Climb: move the weights to ``w + epsilon`` and clear gradients.

        Where the norm of the gradient is not finite the weights stay at
        ``w``; the descent then meets the same values and says so.
        """
        params = self._params_with_grad()
        grads = [p.grad for p in params]
        if not params:
            raise RuntimeError('SAM found no gradient to climb: the loss does '
                               'not depend on any trained parameter')
        if self.adaptive:
            scaled = [p.abs() * g for p, g in zip(params, grads)]
        else:
            scaled = grads
        norms = torch._foreach_norm(scaled, 2)
        device = norms[0].device
        norm = torch.stack([n.to(device) for n in norms]).norm(p=2)
        scale = self.rho / (norm + 1e-12)
        finite = torch.isfinite(norm)

        self._saved = {}
        steps = grads  # in their own memory: they are not needed again
        if self.adaptive:
            for p, step in zip(params, steps):
                step.mul_(p.pow(2))
        for place in {p.device for p in params}:
            here = [i for i, p in enumerate(params) if p.device == place]
            self._climb([params[i] for i in here], [steps[i] for i in here],
                        scale.to(place), finite.to(place))
        self.optimizer.zero_grad()

    def _climb(self, params: List[torch.Tensor], steps: List[torch.Tensor],
               scale: torch.Tensor, finite: torch.Tensor) -> None:
        torch._foreach_mul_(steps, scale)
        if finite.device.type != 'cpu':
            # not `if finite`: no wait for the device to learn the norm. After
            # the scale, which is NaN if the norm is.
            for step in steps:
                step.masked_fill_(~finite, 0.)
        elif not finite:
            return
        if self.perturbation_dtype is None:
            saved = [p.detach().clone() for p in params]
        else:
            saved = steps = [
                step.to(self.perturbation_dtype) for step in steps
            ]
        self._saved.update(zip(params, saved))
        torch._foreach_add_(params, steps)

    @torch.no_grad()
    def restore(self) -> None:
        """Put the weights back to ``w``."""
        for p, saved in (self._saved or {}).items():
            self._put_back(p, saved)
        self._saved = None

    def _put_back(self, p: nn.Parameter, saved: torch.Tensor) -> None:
        if self.perturbation_dtype is None:
            p.copy_(saved)
        else:
            p.sub_(saved)

    def update_params(self,
                      loss: torch.Tensor,
                      step_kwargs: Optional[Dict] = None,
                      zero_kwargs: Optional[Dict] = None) -> None:
        """The second pass of one batch, and the step after the last one."""
        if not (self.perturbed or self._one_pass):
            raise RuntimeError(
                'orsa.SAMOptimWrapper needs a loop that runs both passes: set '
                "train_cfg=dict(type='orsa.SAMTrainLoop', max_epochs=...) or "
                "dict(type='orsa.SAMIterBasedTrainLoop', max_iters=...); a "
                "config that inherits another loop's needs _delete_=True")
        super().update_params(loss, step_kwargs, zero_kwargs)

    def backward(self, loss: torch.Tensor, **kwargs) -> None:
        """Gradient of the second pass."""
        if self.loss_scaler is not None:
            loss = self.loss_scaler.scale(loss)
        self._in_descent = True
        try:
            super().backward(loss, **kwargs)
        finally:
            self._in_descent = False

    def step(self, **kwargs) -> None:
        """Put the weights back, then let the optimizer step from there."""
        self.restore()
        if self.loss_scaler is None:
            super().step(**kwargs)
            return
        if self.clip_grad_kwargs:
            self.loss_scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update(self._scale_update_param)

    def state_dict(self) -> dict:
        """The optimizer's state, and the loss scale where there is one."""
        state = super().state_dict()
        if self.loss_scaler is not None:
            state['loss_scaler'] = self.loss_scaler.state_dict()
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        """Load what :meth:`state_dict` gave."""
        state_dict = dict(state_dict)
        scale = state_dict.pop('loss_scaler', None)
        if scale is not None and self.loss_scaler is not None:
            self.loss_scaler.load_state_dict(scale)
        super().load_state_dict(state_dict)
