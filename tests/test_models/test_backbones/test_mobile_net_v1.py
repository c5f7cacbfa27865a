# Copyright (c) orsa contributors. All rights reserved.
import pytest
import torch

from orsa.models import MobileNetV1, ORSANet
from orsa.models.utils.same_batch import same_batch


def test_trains_in_bfloat16_as_in_float32():
    torch.manual_seed(0)
    # of more stages rounding adds up
    model = MobileNetV1(out_indices=1, norm=True, channels_last=True)
    images = torch.randn(8, 3, 112, 112)
    grads = []
    for low in (False, True):
        model.zero_grad()
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=low):
            out, = model(images)
        out[:, :100].float().square().sum().backward()
        grads.append([p.grad.flatten() for p in model.parameters()])
    full, half = map(torch.cat, grads)
    # of unrelated directions in so many dimensions it is 0
    assert torch.cosine_similarity(full, half, 0) > .99
    assert float(half.norm()) == pytest.approx(float(full.norm()), rel=.02)


def test_maps_given_out_are_not_written_over():
    """ReLU6 works in place, on what is its own."""
    model = MobileNetV1(out_indices=(0, 1, 2), frozen_stages=0).eval()
    images = torch.randn(1, 3, 32, 32) * 60
    before = images.clone()
    with torch.no_grad():
        first, second, _ = model(images)
        expected = model.stages[0](images)
        assert torch.equal(first, expected)
        assert torch.equal(second, model.stages[1](expected.clone()))
    assert torch.equal(images, before)


@pytest.mark.parametrize('size', [64, [64, 64], 32])
def test_frozen_stages_are_computed_once_for_both_passes(size, monkeypatch):
    model = ORSANet(
        dict(type='orsa.MobileNetV1', frozen_stages=1),
        image_size=size,
        grid=1)
    count = []
    frozen = MobileNetV1._frozen_maps
    monkeypatch.setattr(MobileNetV1, '_frozen_maps', lambda self, x:
                        (count.append(0), frozen(self, x))[1])
    images = torch.randn(1, 3, 64, 64)
    with same_batch():
        first, second = model(images), model(images)
    assert len(count) == 1
    assert torch.equal(first[0], second[0])


def test_learning_rates_decay_by_layer(repo_root):
    """mmpretrain's constructor, over all of the model that ships."""
    from mmpretrain.engine import LearningRateDecayOptimWrapperConstructor

    from orsa.apis.model import build_model, load_config
    model = build_model(load_config('orsa::orsanet_face.py'), pretrained=False)
    build = LearningRateDecayOptimWrapperConstructor(
        dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=1., weight_decay=.1)),
        dict(layer_decay_rate=.5))
    groups = build(model).optimizer.param_groups
    rates = {
        name: g['lr']
        for name, parameter in model.named_parameters()
        for g in groups if any(p is parameter for p in g['params'])
    }
    encoder = 'backbone.image_encoder.stages'
    first, second, last = (
        next(rates[n] for n in rates if n.startswith(f'{encoder}.{place}.'))
        for place in ('0.0', '0.1', '4.1'))
    assert second == 2 * first and last > second
    assert rates['head.fc.weight'] == 1. >= last
