# Copyright (c) orsa contributors. All rights reserved.
"""The checkpoint that a training goes on from."""
import logging
import os
import os.path as osp
import re
from typing import Any, Iterator, Optional, Tuple

import torch
from mmengine.logging import print_log

from orsa.utils.checkpoint import check_finite, load_checkpoint_file
from orsa.utils.checkpoint_records import CheckpointError


def latest_checkpoint(work_dir: str) -> Optional[str]:
    """The last complete checkpoint of a training.

    The one that ``last_checkpoint`` names, or, if it is damaged, missing or
    not finite, the complete one of most iterations; what is passed over is
    logged.

    Args:
        work_dir (str): The work dir.

    Returns:
        str: A path, None if there is no checkpoint at all.

    Raises:
        CheckpointError: If there are some, and none is complete.
    """
    names = [
        name for name in (os.listdir(work_dir) if osp.isdir(work_dir) else ())
        if re.fullmatch(r'(epoch|iter|preempted_iter)_\d+\.pth', name)
    ]
    pointer, first, found, reasons = osp.join(work_dir,
                                              'last_checkpoint'), '', [], []
    if osp.isfile(pointer):
        with open(pointer, encoding='utf-8', errors='replace') as file:
            first = osp.basename(file.read().strip())
    for name in dict.fromkeys(([first] if first else []) + sorted(names)):
        path = osp.join(work_dir, name)
        try:
            found.append((_iteration(path), path))
            if name == first:
                return path
        except (OSError, ValueError) as error:
            reasons.append(str(error))
    if not names and not found:
        return None
    if not found:
        raise CheckpointError(
            f"no checkpoint in '{work_dir}' is complete: {'; '.join(reasons)}."
            ' Start without --resume, or remove them')
    best = max(found)[1]
    if reasons:
        print_log(
            f"{'; '.join(reasons)}. The training goes on from the last "
            f"complete one, '{best}'",
            logger='current',
            level=logging.WARNING)
    return best


def _iteration(path: str) -> int:
    """The iteration of a checkpoint that a training can go on from.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is damaged, incomplete or not finite.
    """
    content = load_checkpoint_file(path)
    for key in ('state_dict', 'optimizer', 'message_hub', 'meta'):
        if not isinstance(content.get(key), dict):
            raise ValueError(f"'{path}' is no complete training: it has no "
                             f'{key}')
    place = [content['meta'].get(key) for key in ('epoch', 'iter')]
    if not all(isinstance(n, int) for n in place):
        raise ValueError(f"'{path}' has no epoch and iteration")
    for key in ('optimizer', 'ema_state_dict'):  # it goes on with these
        check_finite(dict(_named_tensors(content.get(key), key)), path)
    return place[1]


def _named_tensors(content: Any,
                   name: str) -> Iterator[Tuple[str, torch.Tensor]]:
    """All tensors in dicts and lists, by the keys that lead to them."""
    if isinstance(content, torch.Tensor):
        yield name, content
    elif isinstance(content, (dict, list, tuple)):
        items = (
            content.items()
            if isinstance(content, dict) else enumerate(content))
        for key, value in items:
            yield from _named_tensors(value, f'{name}.{key}')
