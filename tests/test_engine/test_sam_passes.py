# Copyright (c) orsa contributors. All rights reserved.
"""The loss scale of SAM, and which of its passes speaks to the ranks.

The scale is for float16 and a GPU; torch has the same class for a CPU, and
takes its place here.
"""
import warnings

import numpy as np
import pytest
import torch
import torch.nn as nn

from orsa.engine import SAMOptimWrapper
from orsa.registry import OPTIM_WRAPPERS


@pytest.fixture
def half(monkeypatch):
    """Builds wrappers as on a GPU, with a scaler that works on a CPU."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    scaler = torch.amp.GradScaler
    monkeypatch.setattr(torch.amp, 'GradScaler',
                        lambda device, **kwargs: scaler('cpu', **kwargs))

    def build(p, **kwargs):
        return SAMOptimWrapper(
            torch.optim.SGD([p], lr=.5), rho=.25, dtype='float16', **kwargs)

    return build


def steps(wrapper, p, number=3, slope=(3., 4.)):
    """Steps on a parabola; what the weights are, up and after each."""
    path = []
    for _ in range(number):
        wrapper.backward_ascent((p**2 * torch.tensor(slope)).sum())
        wrapper.perturb()
        path.append(p.detach().clone())
        wrapper.update_params((p**2 * torch.tensor(slope)).sum())
        path.append(p.detach().clone())
    return torch.stack(path)


@pytest.mark.parametrize('scale', [1024., 64, dict(init_scale=256.)])
@pytest.mark.parametrize('clip', [None, dict(max_norm=.5)])
def test_a_scale_changes_no_step(half, scale, clip):
    path = []
    for scaled in (True, False):
        p = nn.Parameter(torch.tensor([1., 2.]))
        wrapper = half(
            p, loss_scale=scale,
            clip_grad=clip) if scaled else (SAMOptimWrapper(
                torch.optim.SGD([p], lr=.5), rho=.25, clip_grad=clip))
        path.append(steps(wrapper, p))
    # powers of two change no digit
    assert torch.allclose(path[0], path[1], rtol=1e-6)
    assert not torch.equal(path[0][0], path[0][1])


def test_scales_fixed_and_dynamic(half):
    p = nn.Parameter(torch.tensor([1., 2.]))
    for scale, start in ((1024, 1024.), (8., 8.), (dict(init_scale=4.), 4.),
                         (''.join(['dyna', 'mic']), 2.**16)):
        wrapper = half(p, loss_scale=scale)
        assert wrapper.loss_scaler.get_scale() == start
    fixed = half(p, loss_scale=8.)
    dynamic = half(p, loss_scale=dict(init_scale=8., growth_interval=2))
    for wrapper, after in ((fixed, 8.), (dynamic, 16.)):
        steps(wrapper, p, 2)
        assert wrapper.loss_scaler.get_scale() == after
    with pytest.raises(ValueError, match="loss_scale should be .*'static'"):
        half(p, loss_scale='static')


def test_an_overflow_leaves_the_step_out_and_lowers_the_scale(half):
    p = nn.Parameter(torch.tensor([1., 2.]))
    wrapper = half(p, loss_scale=dict(init_scale=8.))
    path = steps(wrapper, p, 1, slope=(float('inf'), 1.))
    assert torch.equal(path, torch.tensor([[1., 2.]] * 2))
    assert wrapper.loss_scaler.get_scale() == 4
    assert not wrapper.perturbed


def test_the_scale_is_in_the_state(half):
    p = nn.Parameter(torch.tensor([1., 2.]))
    wrapper = half(p, loss_scale=dict(init_scale=8., growth_interval=1))
    steps(wrapper, p, 2)
    state = wrapper.state_dict()
    fresh = half(p)
    fresh.load_state_dict(state)
    assert fresh.loss_scaler.get_scale() == 32
    assert state.keys() == wrapper.state_dict().keys()
    # in float32 there is no scale, and none is asked for
    plain = SAMOptimWrapper(torch.optim.SGD([p], lr=.5))
    plain.load_state_dict(state)
    assert 'loss_scaler' not in plain.state_dict()
    fresh.load_state_dict(plain.state_dict())
    assert fresh.loss_scaler.get_scale() == 32


def test_half_precision_needs_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    build = dict(type='orsa.SAMOptimWrapper')
    for dtype, cast in ((None, None), ('float32', None), ('bfloat16',
                                                          torch.bfloat16)):
        optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.)
        wrapper = OPTIM_WRAPPERS.build(
            dict(build, dtype=dtype, optimizer=optimizer))
        assert wrapper.cast_dtype is cast and wrapper.loss_scaler is None
    with pytest.raises(ValueError, match="needs a GPU.*dtype='bfloat16'"):
        OPTIM_WRAPPERS.build(dict(build, dtype='float16', optimizer=optimizer))


class Wrapped(nn.Module):
    """Counts what DDP would be told."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))


@pytest.mark.parametrize('shared', [True, False])
def test_which_passes_average_over_the_ranks(shared):
    model = Wrapped()
    wrapper = SAMOptimWrapper(
        torch.optim.SGD(model.parameters(), lr=1.),
        sync_perturbation=shared,
        accumulative_counts=3)
    wrapper.initialize_count_status(model, 0, 6)
    for step in range(2):
        for pending in (1, 2, 3):
            with wrapper.ascent(model, pending):
                # with the last batch alone, and only if the climb is shared
                assert wrapper.should_sync() == (shared and pending == 3)
            wrapper.backward_ascent(model.weight.sum(), pending)
            assert wrapper.group_complete(pending) == (pending == 3)
            assert wrapper._inner_count == 3 * step
        # three thirds: the mean over the batches
        assert model.weight.grad.item() == pytest.approx(1)
        wrapper.perturb()
        for last in (False, False, True):
            assert wrapper.should_sync() == last
            assert wrapper.perturbed
            wrapper.update_params(model.weight.sum())
        assert not wrapper.perturbed


def test_an_error_in_the_ascent_leaves_the_wrapper_as_it_was():
    model = Wrapped()
    wrapper = SAMOptimWrapper(
        torch.optim.SGD(model.parameters(), lr=1.), sync_perturbation=False)
    with pytest.raises(KeyError):
        with wrapper.ascent(model, 4):
            raise KeyError
    assert wrapper._inner_count == 0 and wrapper.should_sync()


class OnDevice:
    """What 'the norm is finite' is on a device: a tensor not to wait for."""
    device = torch.device('cuda')

    def __init__(self, value):
        self.value = torch.tensor(value)

    def __invert__(self):
        return ~self.value

    def __bool__(self):
        raise AssertionError('the host has waited for the device')


@pytest.mark.parametrize('kept', [None, 'bfloat16'])
@pytest.mark.parametrize('norm', [2., float('inf'), float('nan')])
def test_on_a_device_the_climb_does_not_wait(norm, kept):
    p = nn.Parameter(torch.tensor([1., 2.]))
    wrapper = SAMOptimWrapper(
        torch.optim.SGD([p], lr=1.), perturbation_dtype=kept)
    wrapper._saved = {}
    gradient = torch.tensor([norm, 1.])
    scale = torch.tensor(.5) / gradient.norm()
    with torch.no_grad():
        wrapper._climb([p], [gradient.clone()], scale,
                       OnDevice(np.isfinite(norm).item()))
    if np.isfinite(norm):
        step = p.detach() - torch.tensor([1., 2.])
        torch.testing.assert_close(
            step, scale * gradient, rtol=2**-8 if kept else 1e-6, atol=1e-6)
    else:
        assert torch.equal(p.detach(), torch.tensor([1., 2.]))
    if kept:
        wrapper.restore()
        torch.testing.assert_close(p.detach(), torch.tensor([1., 2.]))


@pytest.mark.parametrize('value', [float('inf'), float('nan')])
def test_a_gradient_that_is_not_finite_is_not_climbed(value):
    p = nn.Parameter(torch.tensor([1., 2.]))
    wrapper = SAMOptimWrapper(torch.optim.SGD([p], lr=1.))
    p.grad = torch.tensor([value, 1.])
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        wrapper.perturb()
    assert torch.equal(p.detach(), torch.tensor([1., 2.]))
    assert wrapper.perturbed and p.grad is None
    wrapper.restore()
    assert not wrapper.perturbed
    with pytest.raises(RuntimeError, match='no gradient to climb'):
        wrapper.perturb()
