# Copyright (c) orsa contributors. All rights reserved.
"""POSTER's fusion against its description."""
import math

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

from orsa.models.necks import PosterNeck
from orsa.models.necks.cross_attention import CrossAttention
from orsa.registry import MODELS


def as_torchs(attn: CrossAttention, dims):
    """PyTorch's attention with the same weights; queries stay themselves."""
    theirs = nn.MultiheadAttention(dims, attn.num_heads, batch_first=True)
    theirs = theirs.to(attn.kv.weight.dtype)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(
            torch.cat([torch.eye(dims).to(attn.kv.weight), attn.kv.weight]))
        theirs.in_proj_bias.copy_(
            torch.cat([attn.kv.bias.new_zeros(dims), attn.kv.bias]))
    theirs.out_proj.load_state_dict(attn.proj.state_dict())
    return theirs


@pytest.mark.parametrize('dims, heads, asked', [(12, 3, 5), (8, 1, 2),
                                                (10, 5, 7)])
def test_attention_is_torchs_without_a_projection_of_queries(
        dims, heads, asked):
    attn = CrossAttention(dims, heads).double()
    query = torch.randn(2, asked, dims).double()
    x = torch.randn(2, 7, dims).double()
    theirs = as_torchs(attn, dims)
    assert torch.allclose(
        attn(query, x),
        theirs(query, x, x, need_weights=False)[0])
    bias = torch.randn(heads, asked, 7).double()
    expected = theirs(query, x, x, attn_mask=bias.repeat(2, 1, 1))[0]
    assert torch.allclose(attn(query, x, bias), expected)
    assert not torch.allclose(attn(query, x), expected)


def norm(x, layer):
    """LayerNorm by hand, eps 1e-6."""
    x = x - x.mean(-1, keepdim=True)
    x = x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()
    return x * layer.weight + layer.bias


def encoder_by_hand(block, x, other, heads):
    """One stream, asked by the other, from the description, head by head."""
    dims = x.size(2)
    kv = norm(x, block.norm1) @ block.attn.kv.weight.T + block.attn.kv.bias
    key, value, query = kv[..., :dims], kv[...,
                                           dims:], norm(other, block.norm1)
    size, outs = dims // heads, []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        score = query[..., part] @ key[..., part].transpose(1, 2)
        outs.append((score / math.sqrt(size)).softmax(-1) @ value[..., part])
    proj = block.attn.proj
    x = x + torch.cat(outs, -1) @ proj.weight.T + proj.bias
    first, second = block.mlp[0], block.mlp[2]
    hidden = norm(x, block.norm2) @ first.weight.T + first.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    return x + hidden @ second.weight.T + second.bias


def by_hand(model, image, landmark, heads):
    streams = []
    for x in (image, landmark):
        x = x.flatten(2).transpose(1, 2)
        streams.append(torch.cat([x.mean(1, keepdim=True), x], 1))
    count = streams[0].size(1)
    rows = torch.cat([streams[0] + model.pos_embed, streams[1]], 1)
    scales = [rows] + [
        F.conv1d(rows, d.weight, d.bias, stride=d.weight.size(-1))
        for d in model.downsamples
    ]
    for level in model.levels:
        for i, (block, x) in enumerate(zip(level.fusions, scales)):
            image, landmark = x[:, :count], x[:, count:]
            x = torch.cat([
                encoder_by_hand(block.image, image, landmark, heads),
                encoder_by_hand(block.landmark, landmark, image, heads)
            ], 1)
            scales[i] = torch.einsum('oi,bid->bod', block.mix.weight[..., 0],
                                     x) + block.mix.bias[None, :, None]
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
    model = PosterNeck(
        embed_dims=dims,
        num_tokens=grid[0] * grid[1],
        depth=2,
        num_scales=scales,
        num_heads=heads,
        mlp_ratio=1.5).double().eval()
    model.init_weights()
    for name, param in model.named_parameters():
        if 'norm' in name:
            nn.init.uniform_(param, 0.5, 1.5)
    # small numbers: an eps of 1e-5 would show
    image, landmark = (1e-3 * torch.randn(2, dims, *grid, dtype=torch.double)
                       for _ in range(2))
    out, = model((image, landmark))
    assert out.shape == (2, dims)
    assert torch.allclose(
        out, by_hand(model, image, landmark, heads), rtol=1e-6, atol=1e-9)


def test_parameters_of_the_published_sizes():
    count = {
        depth: sum(p.numel() for p in PosterNeck(depth=depth).parameters())
        for depth in (1, 2)
    }
    # of each width d two streams of attention (3 d^2), MLP (4 d^2) and their
    # biases and norms, and the mixing of 2 x 50 rows; then the upsamplings
    level = sum(14 * d**2 + 20 * d + 100 * 101 for d in (512, 256, 128))
    level += 2 * (2 * 100 * 100 + 100)
    assert count[2] - count[1] == level
    # two downsamplings, positions, last norm
    rest = (2 + 4) * 100 * 100 + 200 + 50 * 512 + 2 * 512
    assert count[1] == level + rest


def test_drop_path_grows_from_zero_over_depth():
    model = PosterNeck(
        embed_dims=16, num_tokens=4, depth=5, num_scales=2, num_heads=2)
    for level, expected in zip(model.levels, [0., 0.025, 0.05, 0.075, 0.1]):
        for fusion in level.fusions:
            for stream in (fusion.image, fusion.landmark):
                rate = getattr(stream.drop_path, 'drop_prob', 0.)
                assert rate == pytest.approx(expected)


def test_every_parameter_learns_from_a_batch_of_one():
    model = PosterNeck(
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


def test_inside_the_neck_of_orsanet():
    neck = MODELS.build(
        dict(
            type='orsa.ORSANetNeck',
            residual=16,
            landmark_encoder=dict(
                type='orsa.MapEncoder',
                in_channels=5,
                out_channels=16,
                halvings=0,
                grid=2),
            cross_interaction=dict(
                type='orsa.PosterNeck',
                embed_dims=16,
                num_tokens=4,
                depth=1,
                num_heads=4)))
    out, = neck((torch.randn(2, 16, 2, 2), torch.randn(2, 5, 4, 4)))
    assert out.shape == (2, 16)


def test_refuses_what_does_not_divide_or_fit():
    with pytest.raises(ValueError, match='num_heads=3'):
        PosterNeck(embed_dims=32, num_heads=3)
    with pytest.raises(ValueError, match='7.5 features'):
        PosterNeck(embed_dims=30, num_heads=1)
    with pytest.raises(ValueError, match='dims=10.*num_heads=4'):
        CrossAttention(10, 4)
    model = PosterNeck(
        embed_dims=16, num_tokens=4, depth=1, num_scales=1, num_heads=2)
    image = torch.randn(1, 16, 2, 2)
    with pytest.raises(ValueError, match='expects 4.*landmark prior gives 9'):
        model((image, torch.randn(1, 16, 3, 3)))
    with pytest.raises(ValueError, match='of 16.*image map gives 4 of 8'):
        model((image[:, :8], image))
