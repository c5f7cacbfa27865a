# Copyright (c) orsa contributors. All rights reserved.
"""Several processes hold one model: that of the checkpoint."""
import subprocess
import sys
import types

import torch
import torch.nn as nn

from orsa.engine.hooks.sync_buffers_hook import (SyncBuffersHook,
                                                 running_statistics)

WORKER = """
import sys, types
import torch, torch.distributed as dist, torch.nn as nn
from orsa.engine import SyncBuffersHook
from orsa.engine.distributed import leave_group
rank, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group('gloo', init_method=f'file://{store}', rank=rank,
                        world_size=2)
frozen = nn.BatchNorm1d(2).eval()
frozen.running_mean.fill_(rank)
model = nn.ModuleDict(dict(norm=nn.BatchNorm1d(2, momentum=0.5),
                           frozen=frozen, none=nn.LayerNorm(2)))
model['norm'](torch.tensor([[0., 1], [2, 4]]) * (rank + 1))
SyncBuffersHook().after_train_iter(types.SimpleNamespace(model=model), 0)
torch.save(model.state_dict(), f'{out}.{rank}')
dist.barrier()
leave_group()
"""
SPECTRAL = """
import sys, types
import torch, torch.distributed as dist, torch.nn as nn
from torch.nn.utils.parametrizations import spectral_norm
from orsa.engine import SyncBuffersHook
from orsa.engine.distributed import leave_group
rank, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group('gloo', init_method=f'file://{store}', rank=rank,
                        world_size=2)
torch.manual_seed(rank)
model = spectral_norm(nn.Linear(4, 4))
vector = model.parametrizations.weight[0]._u
own = vector.clone()
wrapper = types.SimpleNamespace(sync_perturbation=False)
SyncBuffersHook().after_train_iter(
    types.SimpleNamespace(model=model, optim_wrapper=wrapper), 0)
torch.save((own, vector), f'{out}.{rank}')
dist.barrier()
leave_group()
"""


def on_two_ranks(worker, tmp_path):
    ranks = [
        subprocess.Popen([
            sys.executable, '-c', worker,
            str(rank),
            str(tmp_path / 'store'),
            str(tmp_path / 'out')
        ]) for rank in range(2)
    ]
    assert [process.wait(300) for process in ranks] == [0, 0]


def test_vectors_of_spectral_norm_are_those_of_the_first(tmp_path):
    on_two_ranks(SPECTRAL, tmp_path)
    (first, kept), (second, given) = (
        torch.load(tmp_path / f'out.{rank}') for rank in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(kept, first) and torch.equal(given, first)


def test_ranks_agree(tmp_path):
    on_two_ranks(WORKER, tmp_path)
    # By hand: the batch of rank r has means (1, 2.5) * r and variances
    # (2, 4.5) * r ** 2, of which a half goes in; r is 1.5 on average, its
    # square 2.5.
    for rank in range(2):
        state = torch.load(tmp_path / f'out.{rank}', weights_only=True)
        torch.testing.assert_close(state['norm.running_mean'],
                                   torch.tensor([.75, 1.875]))
        torch.testing.assert_close(state['norm.running_var'],
                                   0.5 + torch.tensor([1., 2.25]) * 2.5)
        assert state['norm.num_batches_tracked'] == 1
        # what is not trained is left as it is
        assert state['frozen.running_mean'].tolist() == [rank, rank]


def test_one_process_changes_nothing():
    model = nn.Sequential(
        nn.BatchNorm1d(2), nn.BatchNorm1d(2, track_running_stats=False))
    assert len(list(running_statistics(model))) == 2
    model(torch.randn(4, 2))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    SyncBuffersHook().after_train_iter(types.SimpleNamespace(model=model), 0)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
