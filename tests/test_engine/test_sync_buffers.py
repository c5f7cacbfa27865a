# Copyright (c) orsa contributors. All rights reserved.
"""Several processes hold one model: that of the checkpoint."""
import types

import torch
import torch.nn as nn
from ranks import on_ranks
from torch.nn.utils.parametrizations import spectral_norm

from orsa.engine.hooks.sync_buffers_hook import (SyncBuffersHook,
                                                 running_statistics)


def statistics(rank, world):
    """The buffers of a model after one iteration."""
    frozen = nn.BatchNorm1d(2).eval()
    frozen.running_mean.fill_(rank)
    model = nn.ModuleDict(
        dict(
            norm=nn.BatchNorm1d(2, momentum=0.5),
            frozen=frozen,
            none=nn.LayerNorm(2)))
    model['norm'](torch.tensor([[0., 1], [2, 4]]) * (rank + 1))
    SyncBuffersHook().after_train_iter(types.SimpleNamespace(model=model), 0)
    return {k: v.tolist() for k, v in model.state_dict().items()}


def spectral(rank, world):
    """A vector of spectral normalization before and after an iteration."""
    torch.manual_seed(rank)
    model = spectral_norm(nn.Linear(4, 4))
    vector = model.parametrizations.weight[0]._u
    own = vector.tolist()
    wrapper = types.SimpleNamespace(sync_perturbation=False)
    SyncBuffersHook().after_train_iter(
        types.SimpleNamespace(model=model, optim_wrapper=wrapper), 0)
    return own, vector.tolist()


def test_vectors_of_spectral_norm_are_those_of_the_first():
    (first, kept), (second, given) = on_ranks(spectral, 2)
    assert first != second
    assert kept == first and given == first


def test_ranks_agree():
    # By hand: the batch of rank r has means (1, 2.5) * r and variances
    # (2, 4.5) * r ** 2, of which a half goes in; r is 1.5 on average, its
    # square 2.5.
    for rank, state in enumerate(on_ranks(statistics, 2)):
        torch.testing.assert_close(state['norm.running_mean'], [.75, 1.875])
        torch.testing.assert_close(state['norm.running_var'],
                                   [.5 + 1 * 2.5, .5 + 2.25 * 2.5])
        assert state['norm.num_batches_tracked'] == 1
        # what is not trained is left as it is
        assert state['frozen.running_mean'] == [rank, rank]


def test_one_process_changes_nothing():
    model = nn.Sequential(
        nn.BatchNorm1d(2), nn.BatchNorm1d(2, track_running_stats=False))
    assert len(list(running_statistics(model))) == 2
    model(torch.randn(4, 2))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    SyncBuffersHook().after_train_iter(types.SimpleNamespace(model=model), 0)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
