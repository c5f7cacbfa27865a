# Copyright (c) orsa contributors. All rights reserved.
"""Ranks compare what they work with; an error says what each has."""
import logging
import os
from types import SimpleNamespace

import pytest
import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from ranks import on_ranks
from torch.utils.data import DataLoader, Dataset, SequentialSampler

from orsa.datasets import FERDataset
from orsa.engine import RankCheckHook
from orsa.engine.distributed import TIMEOUT, prepare_distribution

NAMES = ('happiness', 'fear', 'anger')


def write_list(root, length, odd=None):
    root.mkdir(exist_ok=True)
    lines = [f'{i}.png {NAMES[i % 3]}' for i in range(length)]
    if odd is not None:
        lines[odd] = f'{odd}.png sadness'
    (root / 'list.txt').write_text('\n'.join(lines))


def fer_dataset(root):
    return FERDataset(
        data_root=str(root), ann_file='list.txt', pipeline=[], test_mode=True)


@pytest.fixture(scope='module', autouse=True)
def _imported(tmp_path_factory):
    """What a dataset imports, once and not in every rank."""
    root = tmp_path_factory.mktemp('imported')
    write_list(root, 3)
    assert len(fer_dataset(root)) == 3


class Plain(Dataset):
    """Tells nothing but its length."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length


def fake_runner(train=None, val=None, settings=None, model=None, **place):
    runner = SimpleNamespace(
        cfg=Config(settings or {}),
        logger=logging.getLogger('test'),
        epoch=0,
        iter=0,
        _test_loop=None,
        model=model or nn.Linear(2, 2))
    runner._train_loop = SimpleNamespace(dataloader=train) if train else None
    runner._val_loop = SimpleNamespace(dataloader=val) if val else None
    runner.train_loop = SimpleNamespace(**place)
    return runner


def loader(dataset, sampler=DefaultSampler, **kwargs):
    return DataLoader(
        dataset, 2, sampler=sampler(dataset, shuffle=False, **kwargs))


def start(runner):
    hook = RankCheckHook()
    hook.before_run(runner)
    hook.before_train(runner)


def other_length(rank, world, root):
    write_list(root / str(rank), 9 if rank < 2 else 7)
    start(fake_runner(loader(fer_dataset(root / str(rank)))))


def other_label(rank, world, root):
    write_list(root / str(rank), 9, odd=4 if rank == 1 else None)
    start(fake_runner(val=loader(fer_dataset(root / str(rank)))))


def uneven(rank, world, root):
    # 9 samples: batches of 2 for two ranks are 3 and 2
    start(fake_runner(loader(Plain(9), round_up=False)))


def undivided(rank, world, root):
    start(
        fake_runner(
            val=loader(
                Plain(9), lambda data, shuffle: SequentialSampler(data))))


def other_setting(rank, world, root):
    start(
        fake_runner(
            settings=dict(optim=dict(lr=[0.1, 0.2 +
                                         rank]), path=f'/{rank}/x')))


def other_checkpoint(rank, world, root):
    load_from = f'/disk/epoch_{rank + 3}.pth'
    start(fake_runner(settings=dict(load_from=load_from)))


def other_place(rank, world, root):
    start(fake_runner(skip_batches=rank))


def other_weights(rank, world, root):
    model = nn.Linear(2, 2)
    model.load_state_dict(dict(weight=torch.eye(2), bias=torch.zeros(2)))
    model.bias.data[0] = rank
    start(fake_runner(model=model))


@pytest.mark.parametrize('world, case, expected', [
    (3, other_length, 'the length of the training data: rank 0 (HOST): 9; '
     'rank 1 (HOST): 9; rank 2 (HOST): 7.'),
    (2, other_label, 'names and labels of the validation data'),
    (2, uneven, 'the batches of an epoch: rank 0 (HOST): 3; rank 1 (HOST): 2'),
    (2, undivided, 'the validation data have 9 samples, and SequentialSampler '
     'gives the ranks [9, 9]'),
    (2, other_setting, 'setting.optim.lr.1: rank 0 (HOST): 0.2; rank 1'),
    (2, other_checkpoint, 'setting.load_from: rank 0 (HOST): epoch_3.pth;'),
    (2, other_place, 'batches to pass over: rank 0 (HOST): [0, 0, 0]; rank 1'),
    (2, other_weights, 'the weight bias (check sum): rank 0'),
])
def test_ranks_that_disagree_are_told_so(tmp_path, world, case, expected):
    texts = on_ranks(case, world, tmp_path, errors=True)
    assert len(texts) == world
    for text in texts:
        assert text.startswith('ValueError')
        assert expected.replace('HOST', os.uname()[1]) in text, text


def agree(rank, world, root):
    torch.manual_seed(0)  # the same weights
    # the same data on disks of other names, which no rank minds
    write_list(root / str(rank), 9)
    data = fer_dataset(root / str(rank))
    settings = dict(data_root=str(root / str(rank)), lr=0.1)
    start(
        fake_runner(
            loader(data), loader(data, round_up=False), settings=settings))
    return True


def test_ranks_that_agree(tmp_path):
    assert on_ranks(agree, 2, tmp_path) == [True, True]
    assert on_ranks(agree, 1, tmp_path) == [True]


@pytest.mark.parametrize('timeout', [0, -1, '600', True, float('inf')])
def test_a_timeout_that_is_none(timeout):
    cfg = Config(
        dict(launcher='pytorch', env_cfg=dict(dist_cfg=dict(timeout=timeout))))
    with pytest.raises(ValueError, match='dist_cfg.timeout'):
        prepare_distribution(cfg)


def test_the_timeout_of_the_default_runtime(repo_root, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    path = repo_root / 'configs/_base_/robust_runtime.py'
    assert Config.fromfile(path).env_cfg.dist_cfg.timeout == TIMEOUT
    cfg = Config(dict(launcher='pytorch'))
    prepare_distribution(cfg)
    assert cfg.env_cfg.dist_cfg.timeout == TIMEOUT
