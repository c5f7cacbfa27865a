# Copyright (c) orsa contributors. All rights reserved.
from typing import List

import torch
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from orsa.models.utils.same_batch import same_batch
from orsa.registry import LOOPS
from .epoch_train_loop import ResumesWithinEpoch


class _SAMStep:
    """What the two loops share: one SAM step on one or several batches."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._pending: List[tuple] = []

    def run(self):
        """Launch training, after a look at the optimizer wrapper."""
        wrapper = self.runner.optim_wrapper
        if not hasattr(wrapper, 'perturb'):
            raise TypeError(
                f'{type(self).__name__} needs optim_wrapper.type='
                f"'orsa.SAMOptimWrapper', but got {type(wrapper).__name__}")
        return super().run()

    @property
    def step_is_open(self) -> bool:
        """bool: Whether batches wait for others of the same step."""
        return bool(
            self._pending) or not self.runner.optim_wrapper.should_update()

    def sam_step(self, data_batch) -> dict:
        """Both passes on a batch.

        The batch is preprocessed once, so that batch augmentations are not
        drawn anew and frozen priors find the same tensor. With gradient
        accumulation the first passes of all batches of a step come before
        their second passes, and the batches are kept until then.

        Returns:
            dict: What is logged: the losses of the first pass, that is at
            the weights themselves, and after a step ``sharpness``, the rise
            of the loss between the passes (mean over the batches).
        """
        wrapper = self.runner.optim_wrapper
        count = wrapper._inner_count
        try:
            return self._both_passes(data_batch)
        except BaseException:
            # whoever catches it goes on from w, with a new step
            wrapper.restore()
            wrapper.zero_grad()
            wrapper._inner_count = count
            self._pending.clear()
            raise

    def _both_passes(self, data_batch) -> dict:
        model, wrapper = self.runner.model, self.runner.optim_wrapper
        module = model.module if is_model_wrapper(model) else model
        data = module.data_preprocessor(data_batch, True)
        pending = len(self._pending) + 1

        with same_batch() as memory:
            with wrapper.ascent(model, pending):
                losses = model._run_forward(data, mode='loss')
            loss, log_vars = module.parse_losses(losses)
            wrapper.backward_ascent(loss, pending)
        self._pending.append((data, memory, loss.detach()))
        if not wrapper.group_complete(pending):
            return log_vars

        wrapper.perturb()
        rises = []
        for data, memory, first in self._pending:
            with same_batch(memory):
                with wrapper.optim_context(model):
                    losses = model._run_forward(data, mode='loss')
                loss, _ = module.parse_losses(losses)
                wrapper.update_params(loss)
            rises.append(loss.detach() - first)
        self._pending.clear()
        log_vars['sharpness'] = torch.stack(rises).mean()
        return log_vars

    def run_iter(self, idx: int, data_batch) -> None:
        """One iteration: hooks around :meth:`sam_step`."""
        self.runner.call_hook(
            'before_train_iter', batch_idx=idx, data_batch=data_batch)
        outputs = self.sam_step(data_batch)
        self.runner.call_hook(
            'after_train_iter',
            batch_idx=idx,
            data_batch=data_batch,
            outputs=outputs)
        self._iter += 1


@LOOPS.register_module()
class SAMTrainLoop(_SAMStep, ResumesWithinEpoch, EpochBasedTrainLoop):
    """Epoch-based training with the two passes of SAM.

    To be used with :class:`orsa.SAMOptimWrapper`; the arguments are those of
    MMEngine's ``EpochBasedTrainLoop``. Any model of MMEngine's ``BaseModel``
    kind can be trained, alone or in ``MMDistributedDataParallel``.

    Args:
        runner (Runner): The runner.
        dataloader (DataLoader | dict): The training data.
        max_epochs (int): Number of epochs.
        val_begin (int): The epoch from which to validate. Defaults to 1.
        val_interval (int): Epochs between validations. Defaults to 1.
        sam_begin (int): The epoch, counted from 1, from which a step has two
            passes; those before have one and take half the time. A few epochs
            at the end can be as good as all, see `Sharpness-Aware
            Minimization Efficiently Selects Flatter Minima Late in Training
            <https://arxiv.org/abs/2410.10373>`_. Defaults to 1.
    """

    def __init__(self, *args, sam_begin: int = 1, **kwargs):
        super().__init__(*args, **kwargs)
        self.sam_begin = sam_begin

    def sam_step(self, data_batch) -> dict:
        """Both passes on a batch, or the only one before ``sam_begin``."""
        if self.epoch + 1 >= self.sam_begin:
            return super().sam_step(data_batch)
        wrapper = self.runner.optim_wrapper
        with wrapper.one_pass():
            return self.runner.model.train_step(
                data_batch, optim_wrapper=wrapper)


@LOOPS.register_module()
class SAMIterBasedTrainLoop(_SAMStep, IterBasedTrainLoop):
    """Iteration-based training with the two passes of SAM.

    As :class:`orsa.SAMTrainLoop`, for schedules counted in iterations, which
    mmsegmentation's configs use.

    Args:
        runner (Runner): The runner.
        dataloader (DataLoader | dict): The training data.
        max_iters (int): Number of iterations.
        val_begin (int): The iteration from which to validate.
            Defaults to 1.
        val_interval (int): Iterations between validations.
            Defaults to 1000.
    """

    def run_iter(self, data_batch) -> None:
        """One iteration: hooks around :meth:`sam_step`."""
        super().run_iter(self._iter, data_batch)
