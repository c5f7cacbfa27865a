# Copyright (c) orsa contributors. All rights reserved.
"""Another implementation in the benchmarks, as the published code."""
import argparse
import os.path as osp
import sys
from importlib import import_module
from typing import Callable, Dict

import torch
import torch.nn as nn
import torch.nn.functional as F

from .clock import Clock
from .plain import PlainSAM


def add_beside_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--beside``.

    Args:
        parser (argparse.ArgumentParser): Is changed.
    """
    parser.add_argument(
        '--beside',
        metavar='FILE.py:FUNCTION',
        help='time a model of another implementation too, as its reference; '
        'the function returns a module that gives logits for images')


def build_beside(source: str) -> nn.Module:
    """Build a model of another implementation.

    Args:
        source (str): 'FILE.py:FUNCTION'; the function takes nothing and
            returns a module that gives logits (B, C) for images
            (B, 3, H, W). Modules beside the file can be imported in it.

    Returns:
        nn.Module: The model.

    Raises:
        ValueError: If there is no such file or function.
    """
    path, _, function = source.rpartition(':')
    if not osp.isfile(path):
        raise ValueError(f"'{source}' should be FILE.py:FUNCTION, but there "
                         f"is no file '{path}'")
    folder, name = osp.split(osp.abspath(path))
    sys.path.insert(0, folder)
    module = import_module(osp.splitext(name)[0])
    if not hasattr(module, function):
        raise ValueError(f"'{path}' has no function '{function}'")
    torch.manual_seed(0)
    return getattr(module, function)()


def beside_step(source: str,
                batch_size: int,
                size: int,
                rho: float = 0.05) -> Callable:
    """Prepare its SAM step: plain SAM over Adam, the loss of the warm-up.

    Args:
        source (str): See :func:`build_beside`.
        batch_size (int): B.
        size (int): Height and width of the images.
        rho (float): Radius of SAM. Defaults to 0.05.

    Returns:
        Callable: As of :func:`speed.step.make_step`.
    """
    model = build_beside(source).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    sam = PlainSAM(torch.optim.Adam(trained, lr=1e-5), rho)
    clock = Clock()
    clock.wrap(sam, 'perturb', 'optimizer', then='second pass')
    clock.wrap(sam, 'step', 'optimizer')
    images = torch.randn(batch_size, 3, size, size)
    labels = torch.arange(batch_size) % 7

    def work() -> Dict[str, float]:
        with clock.stage('first pass'):
            for then in (sam.perturb, sam.step):
                logits = model(images)
                loss = F.cross_entropy(logits, labels) + 2 * F.cross_entropy(
                    logits, labels, label_smoothing=0.2)
                loss.backward()
                then()
        return clock.read()

    return work


def beside_forward(source: str, batch_size: int, size: int,
                   device: str) -> Callable:
    """Prepare its prediction.

    Args:
        source (str): See :func:`build_beside`.
        batch_size (int): B.
        size (int): Height and width of the images.
        device (str): Device of model and batch.

    Returns:
        Callable: As of :func:`speed.infer.make_forward`.
    """
    model, clock = build_beside(source).to(device).eval(), Clock(device)
    images = torch.randn(batch_size, 3, size, size, device=device)

    def work() -> Dict[str, float]:
        with clock.stage('rest'), torch.no_grad():
            model(images)
        return clock.read()

    return work
