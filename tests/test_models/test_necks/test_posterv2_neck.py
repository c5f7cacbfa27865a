# Copyright (c) orsa contributors. All rights reserved.
"""POSTER++'s fusion against its description, and its errors."""
import pytest
import torch
import torch.nn as nn
from mmpretrain.models.utils import WindowMSA

from orsa.models.necks import PosterV2Neck
from orsa.models.necks.posterv2_neck import (WindowCrossAttention,
                                             WindowCrossFusion)

SMALL = dict(
    image_channels=(6, 12),
    landmark_channels=(6, 20),
    grid=2,
    window_sizes=(2, 2),
    num_heads=(2, 3),
    embed_dims=16,
    depth=1,
    vit_heads=4)


def build(**kwargs) -> PosterV2Neck:
    model = PosterV2Neck(**{**SMALL, **kwargs})
    model.init_weights()
    return model


def maps(neck: PosterV2Neck, batch=2, landmark_side=5):
    image = [
        torch.randn(batch, c, *(s * neck.stride for s in size))
        for c, size in zip(neck.image_channels, neck.sizes)
    ]
    return (*image, *(torch.randn(batch, c, landmark_side, landmark_side)
                      for c in neck.landmark_channels))


def test_attention_in_a_window_is_mmpretrains():
    # asked by its own projected tokens, a window answers as in Swin
    size, dims, heads = 3, 12, 4
    ours = WindowCrossAttention(dims, heads, size)
    theirs = WindowMSA(dims, (size, size), heads)
    nn.init.normal_(theirs.relative_position_bias_table)
    with torch.no_grad():
        ours.position_bias.copy_(theirs.relative_position_bias_table.T)
        ours.attn.kv.weight.copy_(theirs.qkv.weight[dims:])
        ours.attn.kv.bias.copy_(theirs.qkv.bias[dims:])
    ours.attn.proj.load_state_dict(theirs.proj.state_dict())
    x = torch.randn(2, size, size, dims)
    query = x @ theirs.qkv.weight[:dims].T + theirs.qkv.bias[:dims]
    out = ours(x, query.permute(0, 3, 1, 2))
    assert torch.allclose(
        out.flatten(1, 2), theirs(x.flatten(1, 2)), atol=1e-6)


def test_windows_by_hand():
    size, dims, heads = 2, 8, 2
    attn = WindowCrossAttention(dims, heads, size)
    attn.init_weights()
    image = torch.randn(3, 2 * size, 3 * size, dims)
    landmark = torch.randn(3, dims, 2 * size, 2 * size)
    out = attn(image, landmark)
    assert out.shape == image.shape
    bias = attn.position_bias[:, attn.offsets]
    for one in range(3):
        # means of 2x2 places, row by row
        query = torch.stack([
            landmark[one, :, y:y + 2, x:x + 2].mean((1, 2)) for y in (0, 2)
            for x in (0, 2)
        ])
        for y in range(0, 2 * size, size):
            for x in range(0, 3 * size, size):
                window = image[one, y:y + size, x:x + size].reshape(-1, dims)
                expected = attn.attn(query[None], window[None], bias)
                expected = expected.reshape(size, size, dims)
                assert torch.allclose(
                    out[one, y:y + size, x:x + size], expected, atol=1e-6)


def test_a_window_does_not_reach_another():
    fusion = WindowCrossFusion(8, 2, 3, 2., 0., 1.).eval()
    image, landmark = torch.randn(2, 8, 6, 9), torch.randn(2, 8, 5, 5)
    before = fusion(image, landmark)
    changed = image.clone()
    changed[0, :, 4,
            7] = torch.randn(8)  # in the window of rows 3 to 5, columns 6 to 8
    moved = (fusion(changed, landmark) != before).any(dim=1)
    assert moved[0, 3:, 6:].all()
    moved[0, 3:, 6:] = False
    assert not moved.any()
    # the landmarks ask everywhere, of their own image
    landmark[1] = torch.randn(8, 5, 5)
    moved = (fusion(image, landmark) != before).any(dim=1)
    assert moved[1].all() and not moved[0].any()


def test_fusion_begins_at_the_normalised_map():
    fusion = WindowCrossFusion(8, 2, 2, 4., 0., 1e-5).eval()
    image = torch.randn(2, 8, 4, 4)
    out = fusion(image, torch.randn(2, 8, 4, 4))
    expected = (image - image.mean(1, keepdim=True)) / image.std(
        1, keepdim=True, unbiased=False)
    assert torch.allclose(out, expected, atol=1e-3)
    assert not torch.equal(out, expected)


@pytest.mark.parametrize('kwargs', [
    dict(),
    dict(grid=(3, 2), window_sizes=(1, 1), stride=1),
    dict(grid=(4, 6)),
    dict(embed_dims=20, vit_heads=5, depth=3),
    dict(
        image_channels=(8, ),
        landmark_channels=(3, ),
        window_sizes=(2, ),
        num_heads=(4, )),
    dict(
        image_channels=(4, 4, 6, 8),
        landmark_channels=(4, 5, 6, 8),
        window_sizes=(8, 4, 4, 2),
        num_heads=(1, 2, 3, 4)),
])
def test_any_grid_width_and_number_of_scales(kwargs):
    neck = build(**kwargs)
    seen = []
    neck.layers.register_forward_pre_hook(
        lambda module, args: seen.append(args[0].shape))
    out, = neck(maps(neck))
    assert out.shape == (2, neck.cls_token.size(-1))
    last = neck.sizes[-1]
    assert seen[0][1] == 1 + len(neck.sizes) * last[0] * last[1]


def test_inputs_are_picked():
    neck = build().eval()
    inputs = maps(neck)
    picking = build(in_index=(4, 2, 0, 1)).eval()
    picking.load_state_dict(neck.state_dict())
    given = (inputs[2], inputs[3], inputs[1], None, inputs[0])
    assert torch.equal(picking(given)[0], neck(inputs)[0])


def test_every_parameter_learns_from_a_batch_of_one():
    neck = build(drop_path_rate=0.).train()
    neck(maps(neck, 1))[0].square().sum().backward()
    still = [n for n, p in neck.named_parameters() if not p.grad.any()]
    assert still == []


def test_drop_path_grows_from_zero_over_scales():
    neck = build(
        image_channels=(4, 4, 4),
        landmark_channels=(4, 4, 4),
        window_sizes=(2, 2, 2),
        num_heads=(1, 1, 1))
    rates = [f.drop_path.drop_prob for f in neck.fusions]
    assert rates == pytest.approx([0., 0.125, 0.25])
    assert [f.ffn.dropout_layer.drop_prob for f in neck.fusions] == rates


@pytest.mark.parametrize('kwargs, message', [
    (dict(landmark_channels=(6, )), '2 image_channels.*landmark_channels '
     'should be 2 numbers, but are 1'),
    (dict(num_heads=(2, 3, 4)), 'num_heads should be 2 numbers, but are 3'),
    (dict(in_index=(0, 1)), 'in_index should be 4 numbers, but are 2'),
    (dict(num_heads=(2, 5)), 'dims=12.*num_heads=5'),
    (dict(window_sizes=(3, 2)), 'scale 0.*4x4.*windows of 3'),
    (dict(grid=(2, 3)), 'scale 1.*2x3.*windows of 2'),
    (dict(vit_heads=3), 'embed_dims=16.*vit_heads=3'),
])
def test_what_does_not_fit_is_refused_when_built(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(**kwargs)


def test_refuses_other_maps():
    neck = build()
    inputs = maps(neck)
    with pytest.raises(ValueError, match='backbone gives 3'):
        neck(inputs[:3])
    smaller = (inputs[0][..., :4], *inputs[1:])
    with pytest.raises(ValueError, match=r'map 0.*8x8.*\(2, 6, 8, 4\)'):
        neck(smaller)
    with pytest.raises(ValueError, match='landmark map 1.*20 channels.*6'):
        neck((*inputs[:3], inputs[2]))
