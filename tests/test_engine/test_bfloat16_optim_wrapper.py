# Copyright (c) orsa contributors. All rights reserved.
import torch
import torch.nn as nn
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper

from orsa.apis.training import set_amp
from orsa.registry import OPTIM_WRAPPERS


def step(kind):
    torch.manual_seed(0)
    model, x = nn.Linear(8, 4), torch.randn(16, 8)
    wrapper = OPTIM_WRAPPERS.build(
        dict(
            type=kind,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.5),
            accumulative_counts=2))
    wrapper.initialize_count_status(model, 0, 2)
    for half in x.chunk(2):
        with wrapper.optim_context(model):
            out = model(half)
        wrapper.update_params(out.float().square().mean())
    return out.dtype, model.weight.detach()


def test_computes_in_bfloat16_and_keeps_float32_weights():
    (half, lower), (full, exact) = (
        step(kind) for kind in ('orsa.BFloat16OptimWrapper', OptimWrapper))
    assert half == torch.bfloat16 and full == torch.float32
    assert lower.dtype == torch.float32
    torch.manual_seed(0)
    before = nn.Linear(8, 4).weight.detach()
    # the same step to the digits that bfloat16 has, and not to more
    error = (lower - exact).norm() / (exact - before).norm()
    assert 1e-6 < error < 2**-6


def test_amp_takes_it_without_a_gpu(monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    cfg = ConfigDict(optim_wrapper=dict(type='OptimWrapper'))
    set_amp(cfg)
    assert cfg.optim_wrapper.type == 'orsa.BFloat16OptimWrapper'
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    cfg = ConfigDict(optim_wrapper=dict(type='OptimWrapper'))
    set_amp(cfg)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
