# Copyright (c) orsa contributors. All rights reserved.
"""SPADE guidance: spectral norm, parameters, errors."""
import copy

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS as PRETRAIN_MODELS
from mmpretrain.structures import DataSample

from orsa.models.necks import SemanticGuidance


def small(**kwargs):
    cfg = dict(in_channels=6, condition_channels=5, hidden_channels=4)
    cfg.update(kwargs)
    return SemanticGuidance(**cfg)


def test_follows_the_description():
    model = small(embed_channels=3).double().eval()
    x = torch.randn(2, 6, 4, 4, dtype=torch.double)
    condition = torch.randn(2, 5, 4, 4, dtype=torch.double)

    def spade(x, s, layer):
        mean = x.mean((2, 3), keepdim=True)
        var = (x - mean).square().mean((2, 3), keepdim=True)
        shared = F.conv2d(
            s, layer.shared[0].weight, layer.shared[0].bias,
            padding=1).clamp(min=0)
        gamma, beta = (
            F.conv2d(shared, c.weight, c.bias, padding=1)
            for c in (layer.gamma, layer.beta))
        return (x - mean) / (var + 1e-5).sqrt() * (1 + gamma) + beta

    def conv(x, layer):
        params = layer.parametrizations.weight
        weight = params.original
        flat = weight.flatten(1)
        sigma = params[0]._u @ flat @ params[0]._v
        return F.conv2d(x, weight / sigma, layer.bias, padding=1)

    s = F.conv2d(condition, model.embed.weight, model.embed.bias)
    h = conv(F.leaky_relu(spade(x, s, model.spade0), 0.2), model.conv0)
    h = conv(F.leaky_relu(spade(h, s, model.spade1), 0.2), model.conv1)
    out, = model((x, condition))
    assert torch.allclose(out, x + h, rtol=1e-9, atol=1e-9)


def test_parameters():
    model = SemanticGuidance(512, 1024, embed_channels=512)
    assert sum(p.numel() for p in model.parameters()) == 8_785_664


def test_spectral_norm_is_kept_in_training_and_still_in_eval():
    model = small().train()
    with torch.no_grad():
        model.conv0.parametrizations.weight.original.mul_(9)
    x, condition = torch.randn(1, 6, 4, 4), torch.randn(1, 5, 4, 4)
    for _ in range(20):
        model((x, condition))
    values = torch.linalg.svdvals(model.eval().conv0.weight.flatten(1))
    assert values[0].item() == pytest.approx(1, abs=1e-2)
    before = copy.deepcopy(model.state_dict())
    model((x, condition))
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])


def test_condition_of_another_size_and_other_places():
    model = small(in_index=2, condition_index=0, keep_condition=True)
    x, other = torch.randn(2, 6, 4, 4), torch.randn(2, 1)
    condition = torch.randn(2, 5, 9, 9)
    outs = model((condition, other, x))
    assert len(outs) == 3
    assert outs[0] is condition and outs[1] is other
    assert outs[2].shape == x.shape and not torch.equal(outs[2], x)


@pytest.mark.parametrize('inputs, message', [
    ((torch.randn(1, 6, 4, 4), ), 'gives 1'),
    ((torch.randn(1, 7, 4, 4), torch.randn(1, 5, 4, 4)), '6 channels.*7'),
    ((torch.randn(1, 6, 4, 4), torch.randn(1, 4, 4, 4)), '5 channels.*4'),
])
def test_refuses_inputs_that_do_not_fit(inputs, message):
    with pytest.raises(ValueError, match=message):
        small()(inputs)


def test_stands_between_any_backbone_and_any_head():
    cfg = dict(
        type='ImageClassifier',
        backbone=dict(
            type='ResNet', depth=18, out_indices=(2, 3), style='pytorch'),
        neck=dict(
            type='orsa.SemanticGuidance',
            in_channels=512,
            condition_channels=256,
            hidden_channels=8,
            in_index=1,
            condition_index=0),
        head=dict(type='orsa.DAREHead', num_classes=3, in_channels=512))
    model = PRETRAIN_MODELS.build(cfg).train()
    x, sample = torch.randn(1, 3, 64, 64), DataSample().set_gt_label(1)
    model.loss(x, [sample])['loss'].backward()
    assert model.neck.embed is None
    assert model.neck.spade0.gamma.weight.grad.any()
    assert model.backbone.conv1.weight.grad.any()
