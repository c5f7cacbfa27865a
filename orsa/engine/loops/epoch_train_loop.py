# Copyright (c) orsa contributors. All rights reserved.
from mmengine.runner import EpochBasedTrainLoop

from orsa.registry import LOOPS
from .steps import begin_epoch


class ResumesWithinEpoch:
    """Let a loop by epochs go on in the middle of one.

    Batches that were trained on are read again and passed over: what a
    :class:`orsa.FERDataset` gives depends on seed, epoch and index alone.
    With gradient accumulation the last step of an epoch has the batches that
    remain, so that none is open when it is saved.
    """

    # set by PreemptionHook when a checkpoint was saved within an epoch
    skip_batches = 0

    def run_epoch(self) -> None:
        """Iterate one epoch, or what is left of it."""
        skip, runner = self.skip_batches, self.runner
        batches = len(self.dataloader) - skip
        if 0 < self._max_iters - self._iter < batches:  # --max-iters
            batches = self._max_iters - self._iter
        begin_epoch(runner.optim_wrapper, batches)
        if not skip:
            super().run_epoch()
            return
        runner.call_hook('before_train_epoch')
        self.skip_batches = 0
        runner.model.train()
        for idx, data_batch in enumerate(self.dataloader):
            if idx >= skip:
                self.run_iter(idx, data_batch)
        runner.call_hook('after_train_epoch')
        self._epoch += 1


@LOOPS.register_module()
class EpochTrainLoop(ResumesWithinEpoch, EpochBasedTrainLoop):
    """MMEngine's ``EpochBasedTrainLoop`` that can go on within an epoch.

    For models that are trained without SAM. The arguments are MMEngine's.
    """
