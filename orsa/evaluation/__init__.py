# Copyright (c) orsa contributors. All rights reserved.
"""Metrics, calibration, and the reading of predictions."""
from importlib import import_module


def __getattr__(name: str):
    # imported when first used: they import torch, and calibration needs none
    metrics = import_module(f'{__name__}.metrics')
    if name in metrics.__all__:
        return getattr(metrics, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
