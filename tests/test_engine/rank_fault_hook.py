# Copyright (c) orsa contributors. All rights reserved.
"""Bring a fault about on one rank of several, as the environment says."""
import os
import signal
import time

import torch
import torch.distributed as dist
from mmcv.transforms import BaseTransform
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, TRANSFORMS


def is_here(kind, when=None):
    """``RANK_FAULT='RANK:KIND:WHEN'``, e.g. '1:raise:7'; notes the time."""
    parts = os.environ.get('RANK_FAULT', '-1:none:0').split(':')
    here = (
        os.environ.get('RANK') == parts[0] and kind == parts[1]
        and when in (None, int(parts[2])))
    if here and 'FAULT_TIME' in os.environ:
        with open(os.environ['FAULT_TIME'], 'w') as file:
            file.write(str(time.time()))
    return here


@TRANSFORMS.register_module()
class FaultyRead(BaseTransform):
    """'read' and 'stuck': an image that is an error, or that never comes."""

    def transform(self, results):
        if is_here('read', results['sample_idx']):
            raise ValueError('this image is the fault')
        if is_here('stuck', results['sample_idx']):
            time.sleep(1000)
        return results


@HOOKS.register_module()
class RankFaultHook(Hook):
    """Faults before an iteration, in a validation and at the end of it."""

    def before_run(self, runner):
        if is_here('start'):
            time.sleep(1000)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        now = runner.iter
        if is_here('raise', now):
            raise ValueError('this iteration is the fault')
        if is_here('kill', now):
            os.kill(os.getpid(), signal.SIGKILL)
        if is_here('exit', now):
            os._exit(3)
        if is_here('stop', now):
            os.kill(os.getpid(), signal.SIGSTOP)
        if is_here('hang', now):
            time.sleep(1000)
        if is_here('extra', now):  # what no other rank sends
            dist.recv(torch.ones(1), src=0)
        if is_here('term', now):
            os.kill(os.getpid(), signal.SIGTERM)
        if is_here('nan', now):
            data_batch['inputs'] = data_batch['inputs'] * float('nan')
        if is_here('slow'):
            time.sleep(1)

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if is_here('val', batch_idx):
            raise ValueError('this validation is the fault')
        if is_here('stuck_val', batch_idx):
            time.sleep(1000)
