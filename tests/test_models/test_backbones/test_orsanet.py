# Copyright (c) orsa contributors. All rights reserved.
"""ORSANet's image map, its priors, and the files that it starts from."""
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

from orsa.models.backbones import ORSANet
from orsa.models.utils.resize import resize_images
from orsa.registry import MODELS
from orsa.utils.checkpoint_records import CheckpointError

ENCODER = dict(type='orsa.IRNet', arch=dict(depths=(1, 1), channels=(8, 12)))


def prior(kind='orsa.ParsingPrior', channels=6, **kwargs):
    return dict(
        type=kind,
        model=dict(
            type='orsa.IRNet', arch=dict(depths=(1, ), channels=(channels, ))),
        **kwargs)


def build(**kwargs):
    cfg = dict(
        type='orsa.ORSANet',
        image_encoder=ENCODER,
        image_size=32,
        embed_dims=16,
        grid=4,
        allow_untrained='quiet')
    cfg.update(kwargs)
    return MODELS.build(cfg)


def test_the_tuple_leaves_out_what_is_absent():
    x = torch.rand(2, 3, 32, 32)
    landmark = prior('orsa.LandmarkPrior', 5)
    both = build(parsing_prior=prior(), landmark_prior=landmark)(x)
    assert [o.shape[1] for o in both] == [16, 6, 5]
    assert [o.shape[1] for o in build(landmark_prior=landmark)(x)] == [16, 5]
    assert [tuple(o.shape) for o in build()(x)] == [(2, 16, 4, 4)]


def test_memory_format_changes_nothing_else():
    plain = build(parsing_prior=prior())
    fast = build(parsing_prior=prior(), channels_last=True)
    fast.load_state_dict(plain.state_dict())
    weights = [p for p in fast.parameters() if p.ndim == 4 and p.size(1) > 1]
    assert weights and all(
        p.is_contiguous(memory_format=torch.channels_last) for p in weights)
    x = torch.rand(2, 3, 32, 32)
    for a, b in zip(plain.eval()(x), fast.eval()(x)):
        assert torch.allclose(a, b, atol=1e-5)


def test_space_layout_is_a_pixel_unshuffle():
    model = build(token_layout='space').eval()
    feature = torch.randn(2, 12, 8, 8)
    tokens = F.pixel_unshuffle(feature, 2).flatten(2).transpose(1, 2)
    expected = model.adapter.proj(tokens).transpose(1, 2).reshape(2, 16, 4, 4)
    assert torch.allclose(model.adapter(feature), expected, atol=1e-6)


def test_memory_layout_cuts_the_memory():
    model = build(token_layout='memory').eval()
    feature = torch.randn(2, 12, 8, 8)
    out = model.adapter(feature)
    for image in range(2):
        memory = feature[image].flatten().tolist()
        for token in (0, 5, 15):
            piece = torch.tensor(memory[token * 48:(token + 1) * 48])
            assert torch.allclose(
                out[image, :, token // 4, token % 4],
                model.adapter.proj(piece),
                atol=1e-6)


@pytest.mark.parametrize('kwargs, numbers', [
    (dict(grid=3), ('8x8', '3x3')),
    (dict(grid=16), ('8x8', '16x16')),
    (dict(grid=7, token_layout='memory'), ('768', '49')),
    (dict(token_layout='line'), ('line', )),
])
def test_sizes_that_do_not_fit_are_refused_when_built(kwargs, numbers):
    with pytest.raises(ValueError) as error:
        build(**kwargs)
    assert all(n in str(error.value) for n in numbers)


def test_encoder_without_a_map_is_refused():
    cfg = dict(
        type='mmpretrain.VisionTransformer', arch='deit-tiny', img_size=32)
    with pytest.raises(ValueError, match='should be a map'):
        build(image_encoder=cfg)


def test_any_registered_encoder():
    model = build(
        image_encoder=dict(type='mmpretrain.ResNet', depth=18),
        image_size=64,
        grid=2)
    assert model(torch.rand(1, 3, 128, 128))[0].shape == (1, 16, 2, 2)


@pytest.mark.parametrize('size', [32, 64, 96, 48])
def test_nearest_resize(size):
    x = torch.rand(1, 3, size, size)
    assert torch.equal(
        resize_images(x, 32), F.interpolate(x, 32, mode='nearest'))


def test_image_encoder_sees_its_own_size_and_priors_the_whole_image():
    model = build(parsing_prior=prior())
    sizes = {}
    for name in ('image_encoder', 'parsing_prior'):
        getattr(model, name).register_forward_pre_hook(
            lambda m, args, name=name: sizes.update({name: args[0].shape[-1]}))
    model(torch.rand(1, 3, 64, 64))
    assert sizes == dict(image_encoder=32, parsing_prior=64)


def test_missing_encoder_file_is_named_with_its_source():
    pretrained = dict(type='Pretrained', checkpoint='nowhere/ir.pth')
    model = build(
        image_encoder=dict(**ENCODER, init_cfg=pretrained),
        image_source='Ask the authors',
        allow_untrained=False)
    with pytest.raises(FileNotFoundError) as error:
        model.init_weights()
    for part in ('nowhere/ir.pth', 'Ask the authors', 'allow_untrained=True'):
        assert part in str(error.value)


def test_encoder_file_is_loaded_or_refused_as_a_whole(tmp_path):
    path = str(tmp_path / 'ir.pth')
    source = MODELS.build(ENCODER)
    nn.init.constant_(source.stem[0].weight, 0.25)
    cfg = dict(
        image_encoder=dict(
            **ENCODER, init_cfg=dict(type='Pretrained', checkpoint=path)),
        allow_untrained=False)
    torch.save(source.state_dict(), path)
    model = build(**cfg)
    model.init_weights()
    for key, value in source.state_dict().items():
        assert torch.equal(model.image_encoder.state_dict()[key], value)

    state = source.state_dict()
    state.pop('stem.0.weight')
    torch.save(dict(state_dict=state), path)
    with pytest.raises(CheckpointError, match=r'stem\.0\.weight'):
        build(**cfg).init_weights()


def test_one_switch_lets_all_parts_do_without_their_files():
    pretrained = dict(type='Pretrained', checkpoint='nowhere/ir.pth')
    model = build(
        image_encoder=dict(**ENCODER, init_cfg=pretrained),
        parsing_prior=prior(checkpoint='nowhere/parsing.pth'),
        landmark_prior=prior('orsa.LandmarkPrior'),
        allow_untrained=True)
    with pytest.warns(UserWarning) as record:
        model.init_weights()
    texts = [str(r.message) for r in record if 'UNTRAINED' in str(r.message)]
    assert len(texts) == 3
    assert any('nowhere/parsing.pth' in t for t in texts)


def test_allow_untrained_takes_three_values():
    with pytest.raises(ValueError, match='maybe'):
        build(allow_untrained='maybe')


def test_layer_depth_is_the_encoders():
    model = build()
    name = 'backbone.image_encoder.stem.0.weight'
    assert model.get_layer_depth(name, 'backbone.') == (0, 4)
    name = 'backbone.adapter.proj.weight'
    assert model.get_layer_depth(name, 'backbone.') == (3, 4)
    assert isinstance(model, ORSANet)
