# Copyright (c) orsa contributors. All rights reserved.
"""Shapes, parameters, freezing and depth of IR-Net, and what it refuses."""
import pytest
import torch
import torch.nn as nn
from mmpretrain.registry import MODELS as PRETRAIN_MODELS

from orsa.models.backbones import IRNet
from orsa.registry import MODELS

TINY = dict(depths=(1, 2), channels=(8, 16), stem_channels=4, stem_stride=2)


def test_ir50_maps_and_parameters():
    model = IRNet('ir50', out_indices=(0, 1, 2)).eval()
    with torch.no_grad():
        shapes = [tuple(m.shape) for m in model(torch.rand(1, 3, 112, 112))]
    assert shapes == [(1, 64, 56, 56), (1, 128, 28, 28), (1, 256, 14, 14)]
    # the published network less its output layer, which is never called
    count = sum(p.numel() for p in model.parameters())
    assert count == 30_459_584 - 12_847_616


def test_strides_of_the_stages():
    model = IRNet(dict(TINY, strides=(1, 2)), out_indices=(0, 1)).eval()
    shapes = [tuple(m.shape[1:]) for m in model(torch.rand(1, 3, 64, 64))]
    assert shapes == [(8, 32, 32), (16, 16, 16)]
    with pytest.raises(ValueError, match="'strides' \\(1,\\)"):
        IRNet(dict(TINY, strides=(1, )))


def test_channels_last_computes_the_same():
    model, images = IRNet(TINY).eval(), torch.rand(2, 3, 64, 64)
    other = IRNet(TINY, channels_last=True).eval()
    other.load_state_dict(model.state_dict())
    one, two = model(images)[0], other(images)[0]
    assert torch.allclose(one, two, atol=1e-5)
    assert two.is_contiguous(memory_format=torch.channels_last)


def test_checkpointing_changes_no_gradient_and_no_statistic():
    kept, images = IRNet(TINY), torch.rand(2, 3, 64, 64)
    again = IRNet(TINY, with_cp=True)
    again.load_state_dict(kept.state_dict())
    calls = []
    again.stages[0][0].norm1.register_forward_hook(lambda *_: calls.append(1))
    for model in (kept, again):
        model(images)[0].square().mean().backward()
    assert len(calls) == 2  # once more in the backward pass
    for one, two in zip(kept.parameters(), again.parameters()):
        assert torch.equal(one.grad, two.grad)
    for (name, one), two in zip(kept.named_buffers(), again.buffers()):
        assert torch.equal(one, two), name
    with torch.no_grad():
        assert torch.equal(again(images)[0], kept(images)[0])
    assert len(calls) == 3


def test_unit_follows_the_text():
    unit = IRNet(TINY).stages[1][1].double().eval()
    nn.init.uniform_(unit.norm1.running_mean)
    nn.init.uniform_(unit.norm2.running_var, 0.5, 1.5)
    x = torch.randn(2, 16, 6, 6, dtype=torch.double)

    def norm(x, bn):
        mean, var = (
            v.view(-1, 1, 1) for v in (bn.running_mean, bn.running_var))
        return (x - mean) / (var + 1e-5).sqrt() * bn.weight.view(
            -1, 1, 1) + bn.bias.view(-1, 1, 1)

    out = nn.functional.conv2d(
        norm(x, unit.norm1), unit.conv1.weight, None, 1, 1)
    out = torch.where(out > 0, out, out * unit.act.weight.view(-1, 1, 1))
    out = nn.functional.conv2d(out, unit.conv2.weight, None, 1, 1)
    assert torch.allclose(unit(x), norm(out, unit.norm2) + x)


def test_shortcut_of_a_stride_is_every_second_pixel():
    arch = dict(depths=(1, ), channels=(8, ), stem_channels=8)
    unit = IRNet(arch).stages[0][0].eval()
    nn.init.zeros_(unit.norm2.weight)
    nn.init.zeros_(unit.norm2.bias)
    x = torch.randn(1, 8, 8, 8)
    assert torch.equal(unit(x), x[:, :, ::2, ::2])


def test_indices_from_the_end_and_custom_arch():
    model = IRNet(TINY, out_indices=(-2, 1))
    outs = model(torch.rand(2, 3, 32, 32))
    assert [tuple(o.shape) for o in outs] == [(2, 8, 8, 8), (2, 16, 4, 4)]


@pytest.mark.parametrize('kwargs, message', [
    (dict(arch='ir51'), 'ir51'),
    (dict(arch=dict(depths=(1, 2), channels=(8, ))), 'same length'),
    (dict(arch=dict(TINY, stride=2)), 'stride'),
    (dict(arch=TINY, out_indices=2), '2 stages'),
    (dict(arch=TINY, frozen_stages=3), '-1 to 2'),
])
def test_refuses_what_is_no_network(kwargs, message):
    with pytest.raises(ValueError, match=message):
        IRNet(**kwargs)


def test_frozen_stages_stay_frozen_in_training():
    model = IRNet(TINY, frozen_stages=1)
    model.train()
    frozen = [model.stem, model.stages[0]]
    for module in frozen:
        assert not any(m.training for m in module.modules())
        assert not any(p.requires_grad for p in module.parameters())
    assert model.stages[1].training
    assert all(p.requires_grad for p in model.stages[1].parameters())
    assert all(p.requires_grad for p in IRNet(TINY).parameters())


def test_norm_eval_keeps_statistics():
    model = IRNet(TINY, norm_eval=True).train()
    before = model.stem[1].running_mean.clone()
    model(torch.rand(4, 3, 32, 32))
    assert torch.equal(before, model.stem[1].running_mean)
    plain = IRNet(TINY).train()
    plain(torch.rand(4, 3, 32, 32))
    assert not torch.equal(before, plain.stem[1].running_mean)


def test_layer_depth_grows_from_stem_to_head():
    model = IRNet(TINY)
    depths = [
        model.get_layer_depth(f'backbone.{name}', 'backbone.')
        for name in ('stem.0.weight', 'stages.0.0.conv1.weight',
                     'stages.1.0.conv1.weight', 'stages.1.1.conv1.weight')
    ]
    assert depths == [(0, 5), (1, 5), (2, 5), (3, 5)]
    assert model.get_layer_depth('head.fc.weight', 'backbone.') == (4, 5)


def test_is_a_plain_backbone_of_mmpretrain():
    cfg = dict(
        type='ImageClassifier',
        backbone=dict(type='orsa.IRNet', arch=TINY),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=16))
    model = PRETRAIN_MODELS.build(cfg)
    assert model(torch.rand(2, 3, 32, 32), mode='tensor').shape == (2, 3)
    assert isinstance(model.backbone, MODELS.get('IRNet'))
