# Copyright (c) orsa contributors. All rights reserved.
import json
import os.path as osp
import socket
import zlib
from typing import Any, Dict, List, Optional

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from orsa.engine.ranks.data_workers import loader_of
from orsa.engine.ranks.rank_guard import beat, tell_place
from orsa.registry import HOOKS


@HOOKS.register_module()
class RankCheckHook(Hook):
    """Let several processes compare what they are about to work with.

    On ranks that have another copy of a list, another config or other
    weights, a training hangs or goes wrong without a word. At the start the
    ranks compare the lengths of the data, the samples' names and labels, the
    batches of an epoch, the settings, and before the first iteration weights
    and place. It is an error where they differ, on all of them, with each
    rank's own figure. Settings that are paths may differ, which is logged: a
    disk may have another name on another machine.

    What evaluates has to be divided among the ranks: a sampler that gives all
    of it to each would have samples counted twice.

    With one process it does nothing.

    Raises:
        ValueError: If the ranks disagree; what each has is named.
    """

    # Before what costs time, and before anything waits for other ranks.
    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Compare data and settings."""
        tell_place(lambda: f'epoch {runner.epoch + 1}, '
                   f'iteration {runner.iter + 1}')
        if get_world_size() == 1:
            return
        self._compare_settings(runner)
        for name, loop in (('training', runner._train_loop),
                           ('validation',
                            runner._val_loop), ('test', runner._test_loop)):
            loader = loader_of(loop)
            if isinstance(loader, DataLoader):
                self._compare_data(name, loader)

    def before_train(self, runner: Runner) -> None:
        """Compare where the training begins, and with which weights."""
        if get_world_size() == 1:
            return
        place = dict(
            epoch=runner.epoch,
            iteration=runner.iter,
            batches_to_pass_over=getattr(runner.train_loop, 'skip_batches', 0))
        compare(
            'where the training begins', place,
            'They found other checkpoints: put the work dir on a disk that '
            'all share, or name one with --resume FILE')
        self._compare_weights(runner)

    def before_test(self, runner: Runner) -> None:
        """Compare the weights."""
        if get_world_size() > 1:
            self._compare_weights(runner)

    def before_iter(self, *args, **kwargs) -> None:
        """Tell the guard of the ranks that this one goes on."""
        beat()

    after_iter = before_iter

    @staticmethod
    def _compare_data(name: str, loader: DataLoader) -> None:
        dataset, sampler = loader.dataset, loader.sampler
        compare(
            f'the length of the {name} data', dict(samples=len(dataset)),
            'A list or a folder is older or incomplete on some machine: give '
            f'all the same{_sources(dataset)}')
        _compare_samples(name, dataset)
        if name == 'training':
            compare(
                'the batches of an epoch', dict(batches=len(loader)),
                'The ranks would wait for each other at its end: use a '
                'sampler that gives each as many (round_up=True)')
            return
        if not hasattr(sampler, '__len__'):
            return
        parts = all_gather_object(len(sampler))
        whole = len(dataset)
        if not whole <= sum(parts) < whole + len(parts):
            raise ValueError(
                f'the {name} data have {whole} samples, and '
                f'{type(sampler).__name__} gives the ranks {parts}: samples '
                'would be left out or counted twice. Use '
                "sampler=dict(type='DefaultSampler', shuffle=False)")

    @staticmethod
    def _compare_settings(runner: Runner) -> None:
        settings = _flat(runner.cfg.to_dict())
        text = json.dumps(settings, sort_keys=True)
        if len(set(all_gather_object(zlib.crc32(text.encode())))) == 1:
            return
        everyone = all_gather_object(settings)
        wrong, paths = [], []
        for key in sorted(set().union(*everyone)):
            values = [s.get(key, 'missing') for s in everyone]
            if len(set(values)) == 1:
                continue
            by_path = all('/' in v for v in values)
            if key.strip("'") == 'load_from':
                by_path = by_path and len(set(map(osp.basename, values))) == 1
            (paths if by_path else wrong).append(f'{key}: {_by_rank(values)}')
        if paths:
            runner.logger.warning('the ranks have different paths. ' +
                                  '; '.join(paths[:5]))
        if wrong:
            raise ValueError(
                'the ranks do not agree on the settings. ' +
                '; '.join(wrong[:5]) +
                '. Start all of them with the same config and arguments')

    @staticmethod
    def _compare_weights(runner: Runner) -> None:
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        sums = {
            name: zlib.crc32(_bytes(value))
            for name, value in model.state_dict().items()
        }
        compare(
            'the weights to begin with', sums,
            'A file of weights is another one on some machine, or a part '
            'draws its own random numbers')


def compare(what: str, mine: Dict[str, Any], remedy: str) -> None:
    """Compare figures of all ranks.

    Args:
        what (str): What they are about.
        mine (dict): This rank's, by name.
        remedy (str): What to do if they differ.

    Raises:
        ValueError: On every rank, if they are not all the same.
    """
    text = json.dumps(mine, sort_keys=True)
    everyone = all_gather_object((socket.gethostname(), text))
    if len({other for _, other in everyone}) == 1:
        return
    hosts = [host for host, _ in everyone]
    figures = [json.loads(other) for _, other in everyone]
    for key in sorted(set().union(*figures)):
        values = [str(f.get(key, 'missing')) for f in figures]
        if len(set(values)) > 1:
            break
    label = key.replace('_', ' ')
    raise ValueError(f'the ranks do not agree on {what} ({label}): '
                     f'{_by_rank(values, hosts)}. {remedy}')


def _by_rank(values: List[str], hosts: Optional[List[str]] = None) -> str:
    """'rank 0 has 5, ranks 1, 2 have 6', with the machine's name."""
    ranks: Dict[str, List[int]] = {}
    for rank, value in enumerate(values):
        ranks.setdefault(value, []).append(rank)
    parts = []
    for value, those in ranks.items():
        word = 'rank' if len(those) == 1 else 'ranks'
        names = sorted({hosts[r] for r in those}) if hosts else []
        where = f' ({", ".join(names[:3])})' if names else ''
        parts.append(f'{word} {", ".join(map(str, those))}{where}: {value}')
    return '; '.join(parts)


def _flat(settings: Any, prefix: str = '') -> Dict[str, str]:
    """Nested dicts and lists as one dict of texts."""
    if isinstance(settings, dict):
        items = settings.items()
    elif isinstance(settings, (list, tuple)):
        items = enumerate(settings)
    else:
        return {prefix: repr(settings)}
    flat = {}
    for key, value in items:
        flat.update(_flat(value, f'{prefix}.{key}' if prefix else str(key)))
    return flat


def _bytes(value: Any) -> bytes:
    if not isinstance(value, torch.Tensor):
        return repr(value).encode()
    value = value.detach().cpu().contiguous()
    return value.reshape(-1).view(torch.uint8).numpy()


def _inner(dataset) -> list:
    """The datasets at the bottom of wrappers."""
    inner = list(getattr(dataset, 'datasets', None) or ())
    if not inner and hasattr(dataset, 'dataset'):
        inner = [dataset.dataset]
    return [d for each in inner for d in _inner(each)] or [dataset]


def _sources(dataset) -> str:
    places = [
        str(getattr(d, field)) for d in _inner(dataset)
        for field in ('ann_file', 'data_root') if getattr(d, field, None)
    ]
    return f" ('{places[0]}')" if places else ''


def _compare_samples(name: str, dataset) -> None:
    """Compare names and labels, where a dataset can tell them."""
    whole = 0
    for each in _inner(dataset):
        kept = getattr(each, 'data_bytes', None)
        if not isinstance(kept, np.ndarray) or not kept.size:
            whole = None
            break
        whole = zlib.crc32(kept, whole)
    seen = all_gather_object(whole)
    if None not in seen and len(set(seen)) == 1:
        return
    # in pieces: paths of another disk make no other sample
    able = hasattr(dataset, 'get_data_info')
    mine = [_sample(dataset, i) for i in range(len(dataset))] if able else []
    sums = np.array([zlib.crc32(s.encode()) for s in mine], np.uint32)
    everyone = all_gather_object(sums)
    if any(len(other) != len(everyone[0]) for other in everyone):
        return
    differ = np.flatnonzero(
        np.any([other != everyone[0] for other in everyone], axis=0))
    if not len(differ):
        return
    index = int(differ[0])
    values = all_gather_object(mine[index])
    raise ValueError(
        f'the ranks do not agree on the {name} data: {len(differ)} of '
        f'{len(mine)} samples differ, the first is sample {index}. '
        f'{_by_rank(values)}. A list or a folder is another one on some '
        f'machine{_sources(dataset)}')


def _sample(dataset, index: int) -> str:
    info = dataset.get_data_info(index)
    path = info.get('img_path')
    name = info.get('name') or (osp.basename(path) if path else '')
    return f"{name} labelled {info.get('gt_label')}"
