# Copyright (c) orsa contributors. All rights reserved.
"""A fast copy predicts the same, and the original stays as it is."""
import copy

import pytest
import torch
import torch.nn as nn
from mmpretrain.models.backbones import SwinTransformer
from torch.nn.utils.parametrizations import spectral_norm

from orsa.models.backbones import IRNet, MobileFaceNet, MobileNetV1
from orsa.models.utils.fast_copy import TOLERANCE, fast_copy, relative_error


def lively(model: nn.Module) -> nn.Module:
    """Weights and statistics of which none could be left out unseen."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if 'running_var' in name:
                value.uniform_(0.5, 2, generator=generator)
            elif value.is_floating_point() and value.ndim < 3:
                value.normal_(0.3, 0.3, generator=generator)
    model.eval()
    return model


@pytest.mark.parametrize('size', [56, (56, 84), 60])
def test_swin(size):
    """Windows that fill the map, and 60, whose maps have to be padded."""
    torch.manual_seed(0)
    model = lively(
        SwinTransformer(
            dict(embed_dims=16, depths=[2, 2], num_heads=[2, 4]),
            out_indices=(0, 1),
            pad_small_map=True))
    size = size if isinstance(size, tuple) else (size, size)
    x = torch.randn(3, 3, *size)
    twin = fast_copy(model)
    with torch.no_grad():
        for own, theirs in zip(twin(x), model(x)):
            assert own.shape == theirs.shape
            assert (own - theirs).abs().max() <= 1e-5 * theirs.abs().max()
    kinds = {type(m).__name__ for m in twin.modules()}
    assert {'_FastShiftWindowMSA', '_FastPatchMerging', '_FastFFN'} <= kinds
    assert not any('_Fast' in type(m).__name__ for m in model.modules())


@pytest.mark.parametrize('model', [
    IRNet(dict(depths=(2, 1), channels=(8, 12))),
    MobileFaceNet(),
    MobileNetV1(norm=True),
])
def test_folds_normalisation(model):
    lively(model)
    before = copy.deepcopy(model.state_dict())
    twin = fast_copy(model)
    x = torch.randn(2, 3, 112, 112)
    with torch.no_grad():
        own, theirs = twin(x)[-1], model(x)[-1]
    assert (own - theirs).abs().max() <= 1e-5 * theirs.abs().max()
    # the BN in front of IRNet's convolutions stays: they pad with zeros
    left = sum(isinstance(m, nn.BatchNorm2d) for m in twin.modules())
    assert left == (3 if isinstance(model, IRNet) else 0)
    after = model.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_a_norm_behind_an_activation_stays():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.GELU(), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1),
        nn.BatchNorm2d(4)).eval()
    lively(model)
    twin, x = fast_copy(model), torch.randn(2, 3, 5, 5)
    with torch.no_grad():
        torch.testing.assert_close(twin(x), model(x), rtol=1e-4, atol=1e-5)
    assert isinstance(twin[2], nn.BatchNorm2d)
    assert isinstance(twin[4], nn.Identity)


def test_spectral_norm_is_computed_once_and_stays_in_the_original():
    model = nn.Sequential(spectral_norm(nn.Conv2d(3, 4, 3)), nn.ReLU()).eval()
    x = torch.randn(1, 3, 8, 8)
    twin = fast_copy(model)
    assert list(twin.state_dict()) == ['0.bias', '0.weight']
    torch.testing.assert_close(twin(x), model(x))
    assert model[0].parametrizations.weight.original.requires_grad


def test_shares_memory_but_no_gradients():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)).train()
    twin = fast_copy(model)
    assert twin[0].weight.data_ptr() == model[0].weight.data_ptr()
    assert model.training and not twin.training
    assert model[0].weight.requires_grad
    assert not any(p.requires_grad for p in twin.parameters())
    low = fast_copy(model, torch.bfloat16)
    assert low[0].weight.dtype is torch.bfloat16
    assert model[0].weight.dtype is torch.float32


def test_relative_error():
    ones, nan = torch.ones(3), torch.tensor([1., float('nan'), 1])
    assert relative_error(torch.tensor([4., 0]), torch.tensor([4.,
                                                               -1])) == 0.25
    # of several, the worst; the size of each counts for itself
    assert relative_error((ones, torch.tensor([90.])),
                          (ones, torch.tensor([100.]))) == pytest.approx(0.1)
    for given in ((ones, nan), (nan, ones)):
        assert not relative_error(given, (ones, ones)) <= TOLERANCE
    with pytest.raises(ValueError):
        relative_error((ones, ), (ones, ones))
