# Copyright (c) orsa contributors. All rights reserved.
"""Several ranks compare what they work with, and name one that hangs."""
import logging
import os
import time
from datetime import timedelta
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
from orsa.engine.ranks import rank_guard
from orsa.engine.ranks.dist import rank_timeout
from orsa.engine.ranks.rank_faults import fault_board, lost_a_peer

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
    """What a data set imports, once and not in every rank."""
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
    (3, other_length, 'the length of the training data (samples): ranks 0, 1 '
     '(HOST): 9; rank 2 (HOST): 7. A list'),
    (2, other_label, 'validation data: 1 of 9 samples differ, the first is '
     'sample 4. rank 0: 4 labelled 1; rank 1: 4 labelled 4'),
    (2, uneven, 'an epoch (batches): rank 0 (HOST): 3; rank 1 (HOST): 2. The '
     'ranks would wait'),
    (2, undivided, 'the validation data have 9 samples, and SequentialSampler '
     'gives the ranks [9, 9]'),
    (2, other_setting, 'settings. optim.lr.1: rank 0: 0.2; rank 1: 1.2.'),
    (2, other_checkpoint, "load_from: rank 0: '/disk/epoch_3.pth'; rank 1"),
    (2, other_place, '(batches to pass over): rank 0 (HOST): 0; rank 1'),
    (2, other_weights, 'the weights to begin with (bias): rank 0'),
])
def test_ranks_that_disagree_are_told_so(tmp_path, world, case, expected):
    said = on_ranks(case, world, tmp_path, errors=True)
    assert len(said) == world
    for text in said:
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


def wait_in_vain(rank, world, kind):
    """Rank 1 hangs, is stopped or waits elsewhere; who is to blame?"""
    torch.distributed.barrier()  # both are there
    ended = []
    rank_guard._exit = lambda: ended.append(time.monotonic())
    if not (rank and kind == 'stopped'):
        rank_guard.watch_ranks(2.)
    began, board = time.monotonic(), fault_board()
    rank_guard.tell_place(lambda: f'iteration {rank + 5}')
    try:
        if rank and kind != 'elsewhere':
            # one that hangs asks nobody, or it would be found at asking
            while not (ended or kind == 'stopped' and
                       board.read('cause')) and time.monotonic() - began < 15:
                time.sleep(0.05)
        elif rank:
            torch.distributed.recv(torch.ones(1), src=0, tag=5)
        else:
            torch.distributed.monitored_barrier(timeout=timedelta(seconds=8))
    except RuntimeError as error:
        assert lost_a_peer(error), error
    while not board.read('cause') and time.monotonic() - began < 15:
        time.sleep(0.05)
    time.sleep(0.5)  # the other guard reads it, too
    return board.read('cause'), time.monotonic() - began


@pytest.mark.parametrize('kind', ['hangs', 'stopped', 'elsewhere'])
def test_the_guard_names_who_hangs(kind):
    if kind != 'hangs' and 'ORSA_STRESS' not in os.environ:
        pytest.skip('one of three in the ordinary suite')
    (cause, seconds), _ = on_ranks(wait_in_vain, 2, kind)
    assert seconds < 20
    if kind == 'elsewhere':
        assert cause['rank'] is None and 'different places' in cause['summary']
        return
    assert cause['rank'] == 1 and cause['hangs']
    if kind == 'hangs':
        assert 'wait_in_vain (iteration 6)' in cause['summary']
        assert 'rank 0: waiting at' in cause['detail']
        assert 'time.sleep(0.05)' in cause['detail']
    else:
        assert cause['summary'].startswith('does not answer')


@pytest.mark.parametrize('timeout', [0, -1, '600', True, float('inf')])
def test_a_timeout_that_is_none(timeout):
    cfg = Config(dict(env_cfg=dict(dist_cfg=dict(timeout=timeout))))
    with pytest.raises(ValueError, match='dist_cfg.timeout'):
        rank_timeout(cfg)


def test_the_timeout_of_the_default_runtime(repo_root):
    path = repo_root / 'configs/_base_/default_runtime.py'
    assert rank_timeout(Config.fromfile(path)) == 600
    assert rank_timeout(Config()) == 600
