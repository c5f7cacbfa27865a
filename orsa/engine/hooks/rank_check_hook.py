# Copyright (c) orsa contributors. All rights reserved.
import json
import os.path as osp
import socket
import zlib
from typing import Any, Dict, Iterator, Tuple

import torch
from mmengine.dist import all_gather_object, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset

from orsa.registry import HOOKS
from ..distributed import loader_of


@HOOKS.register_module()
class RankCheckHook(Hook):
    """Let several processes compare what they are about to work with.

    On ranks that have another copy of a list, another config or other
    weights, a training hangs or goes wrong without a message. At the start
    the ranks compare lengths, names and labels of the data, the batches of an
    epoch, the settings (paths apart, a disk may have another name on another
    machine), and before the first iteration its place and the weights.

    What evaluates has to be divided among the ranks: with a sampler that
    gives all of it to each, samples would be counted twice.

    With one process it does nothing.

    Raises:
        ValueError: On every rank, if they disagree; what each has is named.
    """

    # before what costs time, and before anything waits for other ranks
    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Compare settings and data."""
        if get_world_size() == 1:
            return
        compare(dict(_settings(runner.cfg.to_dict())))
        for name, loop in (('training', runner._train_loop),
                           ('validation',
                            runner._val_loop), ('test', runner._test_loop)):
            loader = loader_of(loop)
            if not isinstance(loader, DataLoader):
                continue
            compare({f'the length of the {name} data': len(loader.dataset)})
            compare({
                f'names and labels of the {name} data (check sum)':
                _sum_of(loader.dataset)
            })
            if name == 'training':
                compare({'the batches of an epoch': len(loader)})
            elif hasattr(loader.sampler, '__len__'):
                _check_division(name, loader)

    def before_train(self, runner: Runner) -> None:
        """Compare where the training begins, and with which weights."""
        if get_world_size() == 1:
            return
        skip = getattr(runner.train_loop, 'skip_batches', 0)
        compare({
            'epoch, iteration and batches to pass over':
            (runner.epoch, runner.iter, skip)
        })
        self.before_test(runner)

    def before_test(self, runner: Runner) -> None:
        """Compare the weights."""
        if get_world_size() == 1:
            return
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        compare({
            f'the weight {name} (check sum)': _sum(value)
            for name, value in model.state_dict().items()
        })


def compare(mine: Dict[str, Any]) -> None:
    """Compare facts of all ranks.

    Args:
        mine (dict): This rank's, by name.

    Raises:
        ValueError: On every rank, if they are not all the same: the first
            fact that differs, by rank and machine.
    """
    facts = json.loads(json.dumps(mine))
    everyone = all_gather_object((socket.gethostname(), facts))
    if all(other == everyone[0][1] for _, other in everyone):
        return
    for key in sorted(set().union(*(other for _, other in everyone))):
        values = [other.get(key, 'missing') for _, other in everyone]
        if any(value != values[0] for value in values):
            break
    by_rank = '; '.join(f'rank {rank} ({host}): {value}'
                        for rank, ((host, _),
                                   value) in enumerate(zip(everyone, values)))
    raise ValueError(f'the ranks do not agree on {key}: {by_rank}. Start all '
                     'with the same config, checkpoint and data')


def _settings(value: Any, name: str = 'setting') -> Iterator[Tuple[str, str]]:
    """The leaves of nested dicts and lists; of paths the name alone."""
    if isinstance(value, (dict, list, tuple)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in items:
            yield from _settings(each, f'{name}.{key}')
    elif not (isinstance(value, str) and '/' in value):
        yield name, repr(value)
    elif name == 'setting.load_from':
        yield name, osp.basename(value)


def _sum(value: Any) -> int:
    if not isinstance(value, torch.Tensor):
        return zlib.crc32(repr(value).encode())
    value = value.detach().cpu().contiguous().reshape(-1)
    return zlib.crc32(value.view(torch.uint8).numpy())


def _sum_of(dataset: Dataset) -> int:
    """Of names and labels, where a dataset has them."""
    found = 0
    if hasattr(dataset, 'get_data_info'):
        for i in range(len(dataset)):
            info = dataset.get_data_info(i)
            name = info.get('name') or osp.basename(info.get('img_path') or '')
            found = zlib.crc32(f'{name} {info.get("gt_label")}\n'.encode(),
                               found)
    return found


def _check_division(name: str, loader: DataLoader) -> None:
    counts, total = all_gather_object(len(loader.sampler)), len(loader.dataset)
    if not total <= sum(counts) < total + len(counts):
        raise ValueError(
            f'the {name} data have {total} samples, and '
            f'{type(loader.sampler).__name__} gives the ranks {counts}: '
            'samples would be left out or counted twice. Use '
            "sampler=dict(type='DefaultSampler', shuffle=False)")
