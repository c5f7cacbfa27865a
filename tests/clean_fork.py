# Copyright (c) orsa contributors. All rights reserved.
"""Processes with the slow imports done, in which nothing has been computed.

torch refuses a backward pass in a fork of a process that has had some with
threads, as one of tests may have had.
"""
import gc
import multiprocessing

import mmengine
import torch

from orsa.utils.compat import setup_stack

CONTEXT = multiprocessing.get_context('forkserver')
CONTEXT.set_forkserver_preload([
    'torch.distributed', 'mmpretrain.datasets', 'mmpretrain.models',
    'orsa.datasets', 'orsa.models', 'orsa.evaluation', 'orsa.apis.training',
    __name__
])


def prepare() -> None:
    """Set a new process up as conftest.py does the process of the tests."""
    torch.set_num_threads(1)
    setup_stack()
    mmengine.config.config.FormatCode = lambda text, **kwargs: (text, True)
    gc.freeze()  # MMEngine collects garbage for each dataset
