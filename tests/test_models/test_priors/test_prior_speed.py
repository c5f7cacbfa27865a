# Copyright (c) orsa contributors. All rights reserved.
"""A prepared prior predicts the same, at its precision, with new weights."""
import copy

import pytest
import torch
import torch.nn as nn
from torch.utils.flop_counter import FlopCounterMode

from orsa.registry import MODELS

TINY = dict(type='orsa.IRNet', arch=dict(depths=(1, 1), channels=(8, 12)))


def build(**kwargs):
    torch.manual_seed(0)
    prior = MODELS.build(dict(type='orsa.FrozenPrior', model=TINY, **kwargs))
    for name, value in prior.named_buffers():
        if 'running' in name:
            value.uniform_(0.5, 2)
    return prior


def image() -> torch.Tensor:
    return torch.randn(
        2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def close(a, b, tolerance=1e-5) -> bool:
    return bool((a - b).abs().max() <= tolerance * b.abs().max())


def copies(prior) -> list:
    return [c for c in prior.speed._copies.values() if c is not None]


def test_prepared_gives_the_same_and_has_the_same_keys():
    plain, prior = build(), build(prepare='fuse')
    assert close(prior(image()), plain(image()))
    assert len(copies(prior)) == 1 and not copies(plain)
    assert list(prior.state_dict()) == list(plain.state_dict())
    assert len(list(prior.modules())) == len(list(plain.modules()))
    assert len(list(prior.parameters())) == len(list(plain.parameters()))


def test_new_weights_are_seen():
    plain, prior = build(), build(prepare='fuse')
    before = prior(image())
    with torch.no_grad():
        for one in (plain, prior):
            one.model.stages[0][0].norm2.running_mean.add_(1.)
    assert close(prior(image()), plain(image()))
    assert not close(prior(image()), before, 1e-3)
    state = {k: v * 1.1 for k, v in plain.state_dict().items()}
    for one in (plain, prior):
        one.load_state_dict(state)
    assert close(prior(image()), plain(image()))
    for one in (plain, prior):
        one.double()
    assert prior.model.stem[0].weight.dtype is torch.float64


def test_weights_written_past_autograd_are_seen_when_modes_change():
    """As mmengine's EMA hook swaps them, before the model is set to eval."""
    plain, prior = build().train(), build(prepare='fuse').train()
    prior(image())
    copied = prior.speed._copies
    prior.train()  # as loops by iterations do before each batch
    prior(image())
    assert copied and prior.speed._copies is copied
    for one in (plain, prior):
        one.model.stages[0][0].norm2.weight.data.mul_(3.)
        one.eval()
    assert close(prior(image()), plain(image()))


def test_copies_and_hooks():
    plain, prior = build(), build(prepare='fuse')
    prior(image())
    twin = copy.deepcopy(prior)
    with torch.no_grad():
        twin.model.stem[0].weight.mul_(2.)
    assert close(prior(image()), plain(image()))
    assert not close(twin(image()), plain(image()), 1e-2)
    # who looks inside is shown the network itself
    seen = []
    prior.model.stem.register_forward_hook(lambda *args: seen.append(1))
    assert torch.equal(prior(image()), plain(image())) and seen


def test_the_old_name_of_the_option_goes_on_working():
    with pytest.warns(DeprecationWarning, match="'fuse'"):
        prior = build(prepare='fold')
    assert torch.equal(prior(image()), build(prepare='fuse')(image()))


def test_who_counts_or_traces_meets_the_network_itself():
    plain, prior = build(), build(prepare='fuse')
    counts = []
    for one in (plain, prior):
        with FlopCounterMode(display=False) as counter:
            one(image())
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0
    torch.jit.trace(prior, (image(), ), check_trace=False)
    assert not copies(prior)


class _OutOfOrder(nn.Module):
    """Registers a BN behind a convolution that it does not follow."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x):
        return self.conv(self.norm(x))


def test_what_would_change_is_left_out(monkeypatch):
    monkeypatch.setitem(MODELS.module_dict, 'OutOfOrder', _OutOfOrder)
    torch.manual_seed(0)
    prior = MODELS.build(
        dict(
            type='orsa.FrozenPrior',
            model=dict(type='orsa.OutOfOrder'),
            prepare='fuse'))
    prior.model.norm.running_mean.fill_(0.5)
    with pytest.warns(UserWarning, match="prepare='fuse' would change"):
        out = prior(image())
    assert torch.equal(out, prior.model(image()))


@pytest.mark.parametrize('prepare', [None, 'fuse'])
def test_precision_of_its_own(prepare):
    exact, low = build()(image()), build(prepare=prepare, dtype='bfloat16')
    out = low(image())
    assert out.dtype is torch.float32
    assert not close(out, exact, 1e-4) and close(out, exact, 0.05)
    assert low.model.stem[0].weight.dtype is torch.float32
    with torch.autocast('cpu', torch.bfloat16):
        full = build(prepare=prepare, dtype='float32')(image())
        follows = build(prepare=prepare)(image())
    assert close(full, exact)
    assert not close(follows.float(), exact, 1e-4)
    assert close(follows.float(), exact, 0.05)


def test_weights_at_that_precision_alone():
    usual = build(prepare='fuse', dtype='bfloat16')
    prior = build(prepare='fuse', dtype='bfloat16', half_weights=True)
    for _ in range(2):  # also after weights in float32 were loaded
        assert close(prior(image()), usual(image()), 0.02)
        for module in prior.model.modules():
            if isinstance(module, nn.Conv2d):
                assert module.weight.dtype is torch.bfloat16
        state = {k: v * 1.1 for k, v in usual.state_dict().items()}
        prior.load_state_dict(state)
        usual.load_state_dict(state)
    handle = prior.model.stages[0].register_forward_hook(lambda *_: None)
    assert close(prior(image()), usual(image()), 0.05)  # by the network itself
    handle.remove()


@pytest.mark.parametrize('dtype', [None, 'float32'])
def test_half_weights_of_a_prior_in_float32(dtype):
    model = dict(
        type='mmpretrain.SwinTransformer',
        arch=dict(embed_dims=16, depths=[2, 2], num_heads=[2, 4]),
        out_indices=(1, ))

    def swin(**kwargs):
        torch.manual_seed(0)
        return MODELS.build(
            dict(type='orsa.FrozenPrior', model=model, **kwargs))

    x = torch.randn(2, 3, 56, 56)
    rounded, prior = swin(), swin(
        prepare='fuse', dtype=dtype, half_weights=True)
    for _ in range(2):  # also after weights in float32 were loaded
        for module in rounded.modules():
            if isinstance(module, nn.Linear):
                module.weight.data = module.weight.data.bfloat16().float()
        assert close(prior(x), rounded(x), 1e-4)
        for module in prior.modules():
            if isinstance(module, nn.Linear):
                assert module.weight.dtype is torch.bfloat16
            if isinstance(module, nn.Conv2d):
                assert module.weight.dtype is torch.float32
        state = {
            k: v * 1.1 if v.is_floating_point() else v
            for k, v in swin().state_dict().items()
        }
        prior.load_state_dict(state)
        rounded.load_state_dict(state)
    handle = prior.model.stages[0].register_forward_hook(lambda *_: None)
    assert close(prior(x), rounded(x), 0.05)  # by the network itself
    handle.remove()


@pytest.mark.parametrize('kwargs, message', [
    (dict(dtype='bfloat16', half_weights=True), 'half_weights needs'),
    (dict(prepare='magic'), "prepare should be None or 'fuse'.*'magic'"),
    (dict(dtype='int8'), "dtype should be None or one of.*'int8'"),
    (dict(prepare='fuse', drift=True), "drift=True.*prepare"),
])
def test_refuses(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(**kwargs)
