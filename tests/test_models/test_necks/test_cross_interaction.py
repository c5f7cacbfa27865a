# Copyright (c) orsa contributors. All rights reserved.
"""The cross-interaction against its description, and its errors."""
import math

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.registry import MODELS

from orsa.models.necks import MultiScaleCrossInteraction
from orsa.models.necks.cross_interaction import CrossFusion


def norm(x, layer):
    """LayerNorm by hand, eps 1e-6 at every place."""
    x = x - x.mean(-1, keepdim=True)
    x = x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()
    return x * layer.weight + layer.bias


def fusion_by_hand(block: CrossFusion, rows, heads):
    """One cross-fusion, from the description, head by head."""
    count, dims = rows.size(1) // 2, rows.size(2)
    image, landmark = rows[:, :count], rows[:, count:]
    seen = norm(rows, block.norm1)
    kv = seen[:, :count] @ block.kv.weight.T + block.kv.bias
    key, value, query = kv[..., :dims], kv[..., dims:], seen[:, count:]
    size, outs = dims // heads, []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        score = query[..., part] @ key[..., part].transpose(1, 2)
        score = (score / math.sqrt(size)).softmax(-1)
        outs.append(score @ value[..., part])
    image = image + (
        torch.cat(outs, -1) @ block.proj.weight.T + block.proj.bias)
    first, second = block.mlp[0], block.mlp[2]
    hidden = norm(image, block.norm2) @ first.weight.T + first.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    image = image + hidden @ second.weight.T + second.bias
    joined = torch.cat([image, landmark * block.landmark_scale], 1)
    return torch.einsum('oi,bid->bod', block.mix.weight[..., 0],
                        joined) + block.mix.bias[None, :, None]


def by_hand(model, image, landmark, heads):
    streams = []
    for x in (image, landmark):
        x = x.flatten(2).transpose(1, 2)
        streams.append(torch.cat([x.mean(1, keepdim=True), x], 1))
    rows = torch.cat([streams[0] + model.pos_embed, streams[1]], 1)
    scales = [rows] + [
        F.conv1d(rows, d.weight, d.bias, stride=d.weight.size(-1))
        for d in model.downsamples
    ]
    for level in model.levels:
        scales = [
            fusion_by_hand(b, s, heads) for b, s in zip(level.fusions, scales)
        ]
        for i in reversed(range(len(scales) - 1)):
            up = level.upsamples[i]
            scales[i] = scales[i] + F.conv_transpose1d(
                scales[i + 1], up.weight, up.bias, stride=2)
    return norm(scales[0], model.norm)[:, 0]


@pytest.mark.parametrize('dims, scales, heads, grid', [
    (32, 3, 4, (2, 3)),
    (24, 1, 3, (3, 3)),
    (32, 4, 2, (1, 4)),
])
def test_follows_the_description(dims, scales, heads, grid):
    model = MultiScaleCrossInteraction(
        embed_dims=dims,
        num_tokens=grid[0] * grid[1],
        depth=2,
        num_scales=scales,
        num_heads=heads,
        mlp_ratio=1.5).double().eval()
    model.init_weights()
    for name, param in model.named_parameters():
        if name.endswith('landmark_scale') or 'norm' in name:
            nn.init.uniform_(param, 0.5, 1.5)
    # small numbers: an eps of 1e-5 would show
    image, landmark = (1e-3 * torch.randn(2, dims, *grid, dtype=torch.double)
                       for _ in range(2))
    out, = model((image, landmark))
    assert torch.allclose(
        out, by_hand(model, image, landmark, heads), rtol=1e-6, atol=1e-9)


def test_parameters_of_the_published_sizes():
    count = {
        depth:
        sum(p.numel()
            for p in MultiScaleCrossInteraction(depth=depth).parameters())
        for depth in (4, 8)
    }
    assert (count[8] - count[4]) // 4 == 2_487_911
    # the published one has a class token that is never used
    assert count[8] == 19_990_624 - 512


def test_drop_path_grows_from_zero_over_depth():
    model = MultiScaleCrossInteraction(
        embed_dims=16, num_tokens=4, depth=5, num_scales=2, num_heads=2)
    rates = [[getattr(f.drop_path, 'drop_prob', 0.) for f in level.fusions]
             for level in model.levels]
    expected = [0., 0.025, 0.05, 0.075, 0.1]
    for level, rate in zip(rates, expected):
        assert level == pytest.approx([rate] * 2)


def test_every_parameter_learns_from_a_batch_of_one():
    model = MultiScaleCrossInteraction(
        embed_dims=16,
        num_tokens=4,
        depth=2,
        num_scales=2,
        num_heads=2,
        drop_path_rate=0.).train()
    model.init_weights()
    image, landmark = torch.randn(1, 16, 2, 2), torch.randn(1, 16, 2, 2)
    model((image, landmark))[0].square().sum().backward()
    still = [n for n, p in model.named_parameters() if not p.grad.any()]
    assert still == []


@pytest.mark.parametrize('name', ['MultiScaleCrossInteraction', 'PosterNeck'])
def test_a_file_of_the_neck_stays(tmp_path, name):
    sizes = dict(embed_dims=16, num_tokens=4, depth=1, num_scales=2)
    neck = MODELS.get(f'orsa.{name}')(num_heads=2, **sizes)
    neck.init_weights()
    assert neck.pos_embed.std() > 0
    for value in neck.parameters():
        nn.init.constant_(value, .5)
    torch.save(neck.state_dict(), tmp_path / 'neck.pth')
    again = type(neck)(
        num_heads=2,
        init_cfg=dict(
            type='Pretrained', checkpoint=str(tmp_path / 'neck.pth')),
        **sizes)
    again.init_weights()
    assert all((value == .5).all() for value in again.parameters())


def test_tokens_instead_of_maps_and_other_indices():
    model = MultiScaleCrossInteraction(
        embed_dims=16,
        num_tokens=4,
        depth=1,
        num_scales=2,
        num_heads=2,
        in_index=(2, 0)).eval()
    image, landmark = torch.randn(1, 16, 2, 2), torch.randn(1, 16, 2, 2)
    tokens = landmark.flatten(2).transpose(1, 2)
    assert torch.equal(
        model((landmark, None, image))[0],
        model((tokens, None, image))[0])


def test_refuses_what_does_not_divide_or_fit():
    with pytest.raises(ValueError, match='num_heads=3'):
        MultiScaleCrossInteraction(embed_dims=32, num_heads=3)
    with pytest.raises(ValueError, match='7.5 features'):
        MultiScaleCrossInteraction(embed_dims=30, num_heads=1)
    model = MultiScaleCrossInteraction(
        embed_dims=16, num_tokens=4, depth=1, num_scales=1, num_heads=2)
    image = torch.randn(1, 16, 2, 2)
    with pytest.raises(ValueError, match='landmark prior gives 9'):
        model((image, torch.randn(1, 16, 3, 3)))
    with pytest.raises(ValueError, match='gives 1'):
        model((image, ))
