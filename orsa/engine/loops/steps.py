# Copyright (c) orsa contributors. All rights reserved.
"""Steps of several batches: where one begins, and whether one is open."""
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner


def step_is_open(runner: Runner) -> bool:
    """Whether a step is half done: it has seen some of its batches.

    What they gave is in no checkpoint, and the next batches belong to them.

    Args:
        runner (Runner): Between two iterations. Its loop is asked
            (``step_is_open``), or else its optimizer wrapper.
    """
    loop, wrapper = runner.train_loop, runner.optim_wrapper
    if hasattr(loop, 'step_is_open'):
        return loop.step_is_open
    # wrappers of several optimizers count nothing
    return hasattr(wrapper, '_inner_count') and not wrapper.should_update()


def begin_epoch(wrapper: OptimWrapper, batches: int) -> None:
    """Let an epoch begin and end with a step.

    MMEngine counts the batches of a step on over the end of an epoch, where
    a checkpoint is saved that has not their gradients. Here the last step of
    an epoch has the batches that remain, and is the mean over these.

    Args:
        wrapper (OptimWrapper): What counts them.
        batches (int): How many are still to come in this epoch.
    """
    steps = getattr(wrapper, '_accumulative_counts', 1)
    if steps > 1:
        wrapper._inner_count = 0
        wrapper._max_counts = batches
        wrapper._remainder_counts = batches % steps
