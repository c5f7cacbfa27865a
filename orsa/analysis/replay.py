# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/replay_step.py`` does: a step that went wrong, again."""
import argparse
import contextlib
from typing import Iterator, Optional, Tuple, Union

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS

from orsa.apis.model import build_model, load_config
from orsa.engine.faults.batches import decode_batch
from orsa.engine.faults.tracing import Origin
from orsa.engine.hooks.numerical_fault_hook import names_at_fault, replay
from orsa.utils.checkpoint import load_checkpoint_file
from orsa.utils.configs import OptionsAction, scope_of, type_name


def _switch_losses(model, cfg: Config, epoch: int) -> None:
    """Give the head the loss that it had in an epoch, counted from 0."""
    for hook in cfg.get('custom_hooks') or []:
        if type_name(hook) != 'SwitchRecipeHook':
            continue
        for item in sorted(hook.schedule, key=lambda i: i.action_epoch):
            if item.action_epoch <= epoch + 1 and item.get('loss'):
                with scope_of(cfg):
                    model.head.loss_module = MODELS.build(item.loss)


def _check_stored(content: dict, fault: str) -> None:
    """See that a file holds all of a stored step.

    Raises:
        ValueError: If not; the message says what of it is missing or wrong.
    """
    stored = content.get('fault')
    if not isinstance(stored, dict) or 'batches' not in stored:
        raise ValueError(f"'{fault}' is no stored step of training: they are "
                         'in the folder faults of the work dir')
    meta, batches = content.get('meta') or {}, stored['batches']
    wrong = [
        f'its {key} is missing or no dict'
        for key in ('state_dict', 'optimizer')
        if not isinstance(content.get(key), dict)
    ]
    wrong += [
        f'its meta.{key} is missing or no whole number'
        for key in ('epoch', 'seed', 'rank')
        if not isinstance(meta.get(key), int)
    ]
    if not isinstance(batches, (list, tuple)) or not batches or not all(
            isinstance(item, (list, tuple)) and len(item) == 2
            and isinstance(item[0], int) and isinstance(item[1], dict)
            for item in batches):
        wrong.append('its fault.batches are not pairs of an iteration and a '
                     'batch')
    if wrong:
        raise ValueError(f"the stored step '{fault}' is damaged: {wrong[0]}. "
                         'Take another one of its folder')


@contextlib.contextmanager
def _named(fault: str, what: str) -> Iterator[None]:
    """Say of which file and part of it an error is."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError,
            ValueError) as error:
        raise ValueError(f"{what} of the stored step '{fault}' cannot be "
                         'used: it is damaged, or of another kind '
                         f'({type(error).__name__}: {error})') from error


def replay_step(
    config: Union[str, Config],
    fault: str,
    device: Union[str, torch.device] = 'cpu',
    cfg_options: Optional[dict] = None
) -> Tuple[Optional[Origin], Optional[int], list]:
    """Run a stored step again: its batch, weights and random numbers.

    Args:
        config (str | Config): The config of the training.
        fault (str): A file of ``WORK_DIR/faults``; it is read as safely as
            any checkpoint.
        device (str | torch.device): Where to run it. Defaults to 'cpu'.
        cfg_options (dict, optional): Settings that the training was run
            with. Defaults to None.

    Returns:
        tuple: Where the first number that is not finite came from
        (:class:`orsa.engine.faults.tracing.Origin`), the iteration of its
        batch, and the names of the images; None and None if all is finite.

    Raises:
        ValueError: If the file is no stored step, a damaged one, or of
            another model.
    """
    cfg = load_config(config)
    if cfg_options:
        cfg.merge_from_dict(cfg_options)
    content = load_checkpoint_file(fault, finite=False)
    _check_stored(content, fault)
    meta = content['meta']
    model = build_model(cfg, pretrained=False)
    _switch_losses(model, cfg, meta['epoch'])
    try:
        model.load_state_dict(content['state_dict'])
    except RuntimeError as error:
        raise ValueError(f"'{fault}' is of another model than that of the "
                         f'config: {error}') from error
    model.to(device)
    with scope_of(cfg):
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    with _named(fault, 'the optimizer'):
        wrapper.load_state_dict(content['optimizer'])
    with _named(fault, 'a batch'):
        batches = [(i, decode_batch(batch))
                   for i, batch in content['fault']['batches']]
    origin, iteration = replay(model, wrapper, batches, meta['seed'],
                               meta['rank'])
    return origin, iteration, names_at_fault(batches, origin, iteration)


def main() -> None:
    """The command line of ``tools/replay_step.py``."""
    parser = argparse.ArgumentParser(
        description='Run a step of training again whose loss or gradient was '
        'not finite, and say which part gave the first NaN or Inf')
    parser.add_argument('config', help='config file of the training')
    parser.add_argument('fault', help='a file of WORK_DIR/faults')
    parser.add_argument('--device', default='cpu')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        help='as for training')
    args = parser.parse_args()
    origin, iteration, names = replay_step(args.config, args.fault,
                                           args.device, args.cfg_options)
    if origin is None:
        print('all numbers are finite here')
        return
    print(f'iteration {iteration}: first in {origin}')
    for name in names:
        print(f'  {name}')
