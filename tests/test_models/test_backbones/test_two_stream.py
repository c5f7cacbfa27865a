# Copyright (c) orsa contributors. All rights reserved.
"""TwoStream gives every map of its encoder and of its landmark network."""
import pytest
import torch

from orsa.models.backbones import MobileFaceNet
from orsa.models.utils.same_batch import same_batch
from orsa.registry import MODELS


def ir_net(*channels, **kwargs):
    return dict(
        type='orsa.IRNet',
        arch=dict(depths=(1, ) * len(channels), channels=channels),
        out_indices=tuple(range(len(channels))),
        **kwargs)


def build(prior=None, **kwargs):
    cfg = dict(
        type='orsa.TwoStream',
        image_encoder=ir_net(8, 12),
        landmark_prior=prior
        or dict(type='orsa.LandmarkPyramid', model=ir_net(4, 6, 10)),
        image_size=16,
        allow_untrained='quiet')
    cfg.update(kwargs)
    return MODELS.build(cfg)


def test_all_maps_of_both_streams():
    outs = build()(torch.rand(2, 3, 32, 32))
    assert [tuple(o.shape[1:]) for o in outs] == [
        # the image encoder works at 16, the landmark network at 32
        (8, 8, 8),
        (12, 4, 4),
        (4, 16, 16),
        (6, 8, 8),
        (10, 4, 4)
    ]


def test_one_map_each():
    prior = dict(type='orsa.LandmarkPrior', model=ir_net(4, 6))
    model = build(prior, image_encoder=dict(ir_net(8, 12), out_indices=1))
    outs = model(torch.rand(2, 3, 32, 32))
    assert [o.size(1) for o in outs] == [12, 6]


def test_landmarks_are_frozen_and_computed_once():
    model, calls = build().train(), []
    model.landmark_prior.model.register_forward_hook(
        lambda *args: calls.append(1))
    assert not model.landmark_prior.training and model.image_encoder.training
    x = torch.rand(2, 3, 32, 32)
    with same_batch():
        first, second = model(x), model(x)
    assert len(calls) == 1 and first[-1] is second[-1]
    assert [o.requires_grad for o in first] == [True] * 2 + [False] * 3


def test_pretrained_files_are_loaded_or_named(tmp_path):
    path = str(tmp_path / 'ir.pth')
    source = MODELS.build(ir_net(8, 12))
    torch.save(source.state_dict(), path)
    prior_path = str(tmp_path / 'landmarks.pth')
    landmarks = MODELS.build(ir_net(4, 6, 10))
    torch.save(landmarks.state_dict(), prior_path)

    def files(image, landmark):
        return build(
            dict(
                type='orsa.LandmarkPyramid',
                model=ir_net(4, 6, 10),
                checkpoint=landmark),
            image_encoder=ir_net(
                8, 12, init_cfg=dict(type='Pretrained', checkpoint=image)),
            image_source='Ask the authors',
            allow_untrained=False)

    model = files(path, prior_path)
    model.init_weights()
    for part, expected in ((model.image_encoder, source),
                           (model.landmark_prior.model, landmarks)):
        for key, value in expected.state_dict().items():
            assert torch.equal(part.state_dict()[key], value), key
    with pytest.raises(FileNotFoundError, match='a.pth.*Ask the authors'):
        files('nowhere/a.pth', prior_path).init_weights()
    with pytest.raises(FileNotFoundError, match='b.pth'):
        files(path, 'nowhere/b.pth').init_weights()


def test_memory_format_changes_nothing_else():
    plain, fast = build().eval(), build(channels_last=True).eval()
    fast.load_state_dict(plain.state_dict())
    x = torch.rand(2, 3, 32, 32)
    for a, b in zip(plain(x), fast(x)):
        assert torch.allclose(a, b, atol=1e-5)


def test_layer_depth_is_the_encoders():
    model = build()
    name = 'backbone.image_encoder.stem.0.weight'
    assert model.get_layer_depth(name, 'backbone.') == (0, 4)
    assert model.get_layer_depth('neck.norm.weight', 'backbone.') == (3, 4)


def test_maps_of_mobile_facenet():
    x = torch.rand(1, 3, 112, 112)
    model = MobileFaceNet(with_head=True, out_indices=(0, 1, 2)).eval()
    maps = model(x)
    assert [tuple(m.shape[1:]) for m in maps] == [(64, 28, 28), (128, 14, 14),
                                                  (512, 7, 7)]
    # each is what the stages before it make
    y = model.stages[1](model.stages[0](model.stem(x)))
    assert torch.equal(maps[1], y)
    last = MobileFaceNet(with_head=True).eval()
    last.load_state_dict(model.state_dict())
    assert torch.equal(last(x)[0], maps[-1])
    first = MobileFaceNet(with_head=True, out_indices=0).eval()
    first.load_state_dict(model.state_dict())
    assert torch.equal(first(x)[0], maps[0])
    assert torch.equal(first.predict_landmarks(x), last.predict_landmarks(x))
    with pytest.raises(ValueError, match=r'\[3\] do not exist.*3 stages'):
        MobileFaceNet(out_indices=(0, 3))
