# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/deployment/export.py`` does, for use from Python."""
import argparse
import os.path as osp
from typing import Optional, Tuple

import torch
import torch.nn as nn

from orsa.deploy.export import (LIMITS, PRECISIONS, Parity, check_pair,
                                export_model)
from .model import init_model
from .zoo import looks_like_name, resolve_model


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of exporting."""
    parser.add_argument(
        'config',
        help='a model by its name (orsanet_face), a config file, or '
        'orsa::NAME.py')
    parser.add_argument(
        'checkpoint', nargs='?', help='its checkpoint; a name has its own')
    parser.add_argument(
        '--out',
        required=True,
        metavar='FILE',
        help='what to write: .onnx, .pt2 (torch.export) or .pt (TorchScript)')
    parser.add_argument(
        '--precision',
        choices=PRECISIONS,
        default='fp32',
        help='fp16 and int8 are for ONNX (default: %(default)s)')
    parser.add_argument(
        '--with-priors',
        action='store_true',
        help='give embeddings, landmarks and parsing maps too (ONNX)')
    parser.add_argument(
        '--calibration-images',
        metavar='DIR',
        help='aligned faces to calibrate int8 on and to compare with '
        "(default: the config's training split)")
    parser.add_argument(
        '--calibration-samples',
        type=int,
        default=256,
        help='of these, to calibrate int8 (default: %(default)s)')
    parser.add_argument(
        '--check-samples',
        type=int,
        default=64,
        help='others, to compare with PyTorch (default: %(default)s)')
    parser.add_argument(
        '--share-weights',
        action='store_true',
        help='let the file, beside the checkpoint, read its weights from it '
        '(ONNX in fp32)')
    for i, (flag, text) in enumerate(
        (('--tolerance', 'largest difference of logits relative to their '
          'spread'), ('--min-equal', 'smallest fraction of equal '
                      'predictions'))):
        defaults = ', '.join(f'{k} {v[i]:g}' for k, v in LIMITS.items())
        parser.add_argument(
            flag, type=float, help=f'{text} (default: {defaults})')
    parser.add_argument(
        '--allow-untrained',
        action='store_true',
        help='without a checkpoint, export random weights, to measure time')


def load_for_export(
        config: str,
        checkpoint: Optional[str] = None,
        allow_untrained: bool = False) -> Tuple[nn.Module, Optional[str]]:
    """A model and the file of its weights.

    Args:
        config (str): A config file or the name of a model that ships.
        checkpoint (str, optional): Its weights; a name has its own.
            Defaults to None.
        allow_untrained (bool): Whether it may have random weights.
            Defaults to False.

    Raises:
        ValueError: If there is no checkpoint and it may not be untrained.
    """
    if looks_like_name(config):
        config, checkpoint = resolve_model(config, checkpoint)
    if checkpoint is None:
        if not allow_untrained:
            raise ValueError(
                f"'{config}' needs a checkpoint: its weights are random "
                'without. --allow-untrained exports them all the same')
        torch.manual_seed(0)
    return init_model(config, checkpoint), checkpoint


def export(args: argparse.Namespace) -> Parity:
    """Export by parsed arguments, see :func:`add_export_arguments`.

    Returns:
        Parity: How far the file is from the model.

    Raises:
        ParityError: If that is too far.
        ValueError: If an argument is wrong, or a checkpoint is refused.
    """
    for name in ('calibration_samples', 'check_samples'):
        if getattr(args, name) < 1:
            raise ValueError(f'--{name.replace("_", "-")} should be positive, '
                             f'but got {getattr(args, name)}')
    check_pair(args.out, args.precision)
    model, checkpoint = load_for_export(args.config, args.checkpoint,
                                        args.allow_untrained)
    limits = tuple(
        default if given is None else given
        for given, default in zip((args.tolerance,
                                   args.min_equal), LIMITS[args.precision]))
    parity = export_model(model, args.out, args.precision, checkpoint,
                          args.with_priors, args.calibration_images,
                          args.calibration_samples, args.check_samples, limits,
                          args.share_weights)
    print(f'{parity} (allowed: {limits[0]:g} and {limits[1]:.0%})')
    size = osp.getsize(osp.expanduser(args.out)) / 2**20
    print(f'wrote {args.out} ({args.precision}, {size:.2f} MiB)')
    return parity
