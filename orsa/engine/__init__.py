# Copyright (c) orsa contributors. All rights reserved.
"""Training: hooks, loops, optimizers, and what several processes need."""
from importlib import import_module


def __getattr__(name: str):
    # imported when first used: they import OpenMMLab's models
    for room in ('hooks', 'loops', 'optimizers'):
        module = import_module(f'{__name__}.{room}')
        if name in module.__all__:
            return getattr(module, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
