# Copyright (c) orsa contributors. All rights reserved.
"""Linear layers by oneDNN: torch's results and gradients."""
import pytest
import torch
import torch.nn.functional as F

from orsa.models.utils import linear as orsa_linear
from orsa.models.utils.linear import Linear, linear, linear_gelu

needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason='torch without oneDNN')


@pytest.fixture(autouse=True)
def small_enough(monkeypatch):
    monkeypatch.setattr(orsa_linear, 'MIN_PRODUCTS', 1)


@needs_onednn
@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('shape', [(5, 12), (2, 7, 12), (2, 3, 4, 12)])
def test_equals_torchs_with_its_gradients(shape, bias):
    layer = Linear(12, 9, bias=bias)
    # of a layout that is not contiguous
    x = torch.randn(*shape[::-1]).permute(*reversed(range(len(shape))))
    x.requires_grad_()
    inputs = [x, *layer.parameters()]
    out, expected = layer(x), F.linear(x, layer.weight, layer.bias)
    assert out.grad_fn.name() == '_LinearFunctionBackward'
    torch.testing.assert_close(out, expected)
    grad = torch.randn_like(out)
    for own, theirs in zip(
            torch.autograd.grad(out, inputs, grad),
            torch.autograd.grad(expected, inputs, grad)):
        torch.testing.assert_close(own, theirs)


@needs_onednn
def test_only_the_gradients_that_are_needed():
    layer = Linear(4, 3)
    x = torch.randn(2, 4)
    layer(x).sum().backward()
    torch.testing.assert_close(layer.bias.grad, torch.full((3, ), 2.))
    layer.requires_grad_(False)
    assert not layer(x).requires_grad


def test_gelu_behind_it():
    x, weight, bias = torch.randn(6, 8), torch.randn(5, 8), torch.randn(5)
    with torch.no_grad():
        torch.testing.assert_close(
            linear_gelu(x, weight, bias), F.gelu(F.linear(x, weight, bias)))


def test_leaves_to_torch_what_is_not_its_own():
    x, weight = torch.randn(6, 8), torch.randn(5, 8)
    with torch.autocast('cpu', torch.bfloat16):
        assert linear(x, weight).dtype is torch.bfloat16
        assert not orsa_linear.takes(x, weight)
    assert linear(x.double(), weight.double()).dtype is torch.float64
    assert not orsa_linear.takes(x[0], weight)
    traced = torch.jit.trace(Linear(8, 5), (x, ))
    assert 'aten::linear' in str(traced.inlined_graph)


def test_small_products_are_left_to_torch(monkeypatch):
    monkeypatch.setattr(orsa_linear, 'MIN_PRODUCTS', 6 * 8 * 5 + 1)
    assert not orsa_linear.takes(torch.randn(6, 8), torch.randn(5, 8))


def test_is_a_linear_layer():
    layer, theirs = Linear(3, 2), torch.nn.Linear(3, 2)
    layer.load_state_dict(theirs.state_dict())
    assert isinstance(layer, torch.nn.Linear)
