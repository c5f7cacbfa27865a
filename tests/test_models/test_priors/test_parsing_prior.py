# Copyright (c) orsa contributors. All rights reserved.
"""Probabilities of a segmentor, against mmseg's own."""
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict

from orsa.models.priors import ParsingPrior
from orsa.registry import MODELS

BACKBONE = dict(
    type='orsa.IRNet',
    arch=dict(depths=(1, 1), channels=(8, 16), stem_stride=2))


def segmentor(**head):
    # bare names inside, as a config of mmseg has them
    cfg = dict(
        type='FCNHead',
        in_channels=16,
        in_index=0,
        channels=8,
        num_convs=1,
        num_classes=5)
    cfg.update(head)
    cfg = {k: v for k, v in cfg.items() if v is not None}
    return dict(
        type='mmseg.EncoderDecoder', backbone=BACKBONE, decode_head=cfg)


def build(**kwargs) -> ParsingPrior:
    cfg = dict(type='orsa.ParsingPrior', output='probs')
    cfg.update(kwargs)
    return MODELS.build(cfg)


def test_probabilities_at_the_size_of_the_input():
    prior = build(model=segmentor(), num_classes=5, input_size=32)
    x = torch.rand(2, 3, 64, 64)
    probs = prior(x)
    assert probs.shape == (2, 5, 32, 32)
    assert torch.allclose(probs.sum(1), torch.ones(2, 32, 32), atol=1e-5)
    small = F.interpolate(
        x, 32, mode='bilinear', antialias=True, align_corners=False)
    logits = prior.model.decode_head(prior.model.backbone(small))
    logits = F.interpolate(logits, 32, mode='bilinear', align_corners=False)
    assert torch.allclose(probs, logits.softmax(1), atol=1e-5)


def test_feature_of_the_same_model():
    prior = build(model=segmentor(), output='feature')
    assert prior(torch.rand(1, 3, 32, 32)).shape == (1, 16, 4, 4)


def test_heads_that_read_num_classes_while_asked():
    head = dict(
        type='SegmenterMaskTransformerHead',
        num_convs=None,
        channels=16,
        num_layers=1,
        num_heads=2,
        embed_dims=16)
    prior = build(model=segmentor(**head), num_classes=5)
    assert prior(torch.rand(1, 3, 32, 32)).shape == (1, 5, 32, 32)
    assert not hasattr(prior.model.decode_head, 'num_classes')


def test_binary_segmentor_gives_two_probabilities():
    model = segmentor(num_classes=2, out_channels=1, threshold=0.5)
    prior = build(model=model, num_classes=2)
    probs = prior(torch.rand(1, 3, 32, 32))
    assert probs.shape == (1, 2, 32, 32)
    assert torch.allclose(probs.sum(1), torch.ones(1, 32, 32))
    assert (probs != 1).all()


def test_parses_as_mmseg_does_whatever_the_output():
    # mmseg reads its test_cfg by attributes
    model = ConfigDict(segmentor(), test_cfg=dict(mode='whole'))
    prior = build(
        model=model, output='feature', input_size=32, input_mean=[0.] * 3)
    x = torch.rand(2, 3, 64, 64)
    probs = prior.parse(x)
    small = F.interpolate(
        x, 32, mode='bilinear', antialias=True, align_corners=False)
    for ours, theirs in zip(probs, prior.model.predict(small)):
        expected = theirs.seg_logits.data.softmax(0)
        assert torch.allclose(ours, expected, atol=1e-5)
    assert prior(x).shape == (2, 16, 4, 4)
    same = build(model=model, input_size=32, input_mean=[0.] * 3)
    same.load_state_dict(prior.state_dict())
    assert torch.equal(same(x), same.parse(x))
    assert torch.equal(same(x), probs)
    assert not probs.requires_grad


def test_a_backbone_cannot_parse():
    prior = build(model=BACKBONE, output='feature')
    assert not prior.can_parse
    with pytest.raises(ValueError, match='parse needs a segmentor.*IRNet'):
        prior.parse(torch.rand(1, 3, 32, 32))


def test_another_number_of_classes_is_refused_when_built():
    with pytest.raises(ValueError, match='num_classes=11.*5'):
        build(model=segmentor(), num_classes=11)


def test_a_backbone_has_no_probabilities():
    with pytest.raises(ValueError, match='needs a segmentor'):
        build(model=BACKBONE)
