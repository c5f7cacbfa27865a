# Copyright (c) orsa contributors. All rights reserved.
import sys

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from orsa.registry import HOOKS


@HOOKS.register_module()
class HostMemoryHook(Hook):
    """Log the peak memory of the process on machines without a GPU.

    MMEngine logs ``memory`` for GPUs only. Here it is the peak resident set
    of the main process so far, in MB; workers are not counted.
    """

    # Before LoggerHook (BELOW_NORMAL).
    priority = 'NORMAL'

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs=None) -> None:
        """Hand the number to MMEngine's log."""
        if torch.cuda.is_available() or sys.platform == 'win32':
            return
        import resource
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak /= 2**20 if sys.platform == 'darwin' else 2**10
        runner.message_hub.update_scalar('train/memory', int(peak))
