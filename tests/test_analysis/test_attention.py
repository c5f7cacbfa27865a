# Copyright (c) orsa contributors. All rights reserved.
"""Attention maps have the weights of torch, at their positions."""
import cv2
import numpy as np
import pytest
import torch
import torch.nn as nn

from orsa.analysis.attention import attention_weights, cross_attention
from orsa.models.backbones.orsanet import TokenAdapter
from orsa.models.necks.cross_interaction import MultiScaleCrossInteraction
from orsa.models.utils.attention import multi_head_attention
from orsa.visualization.grids import draw_attention_grid


class Tiny(nn.Module):
    """A map of 2 x 3 places as both streams."""

    def __init__(self, layout='space', tokens=6, grid=(2, 3)):
        super().__init__()
        self.adapter = TokenAdapter((3, 4, 6), 16, grid, layout)
        self.other = nn.Conv2d(3, 16, 2, 2)
        self.neck = MultiScaleCrossInteraction(
            16, tokens, depth=2, num_scales=2, num_heads=2)

    def forward(self, x, mode='tensor'):
        return self.neck((self.adapter(x), self.other(x)))[0]


def test_weights_are_those_of_torch():
    """They give what the fused attention gives, head by head."""
    query, key, value = torch.randn(3, 2, 5, 8)
    weights = attention_weights(query, key, 2)
    assert weights.shape == (2, 2, 5, 5)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 2, 5))
    values = value.unflatten(2, (2, 4)).transpose(1, 2)
    found = (weights @ values).transpose(1, 2).flatten(2)
    expected = multi_head_attention(query, key, value, 2)
    assert torch.allclose(found, expected, atol=1e-6)
    # and of torch's own module, which can give them out
    module = nn.MultiheadAttention(8, 2, bias=False, batch_first=True)
    with torch.no_grad():
        module.in_proj_weight.copy_(torch.eye(8).repeat(3, 1))
        _, other = module(query, key, value)
    assert torch.allclose(weights.mean(1), other, atol=1e-6)


def test_a_token_that_is_looked_at_is_where_it_lies():
    model = Tiny().eval()
    fusion = model.neck.levels[0].fusions[0]
    inputs = torch.zeros(2, 3, 4, 6)
    # all landmark tokens ask for one thing, which image 1 has at (1, 2)
    with torch.no_grad():
        model.neck.pos_embed.zero_()
        model.adapter.proj.bias.copy_(torch.arange(16) % 2)
        model.adapter.proj.weight.zero_()
        model.adapter.proj.weight[:8] = 1.
        model.other.weight.zero_()
        model.other.bias.copy_(torch.arange(16) < 8)
        fusion.kv.weight.zero_()
        fusion.kv.weight[:16] = 4 * torch.eye(16)
        fusion.kv.bias.zero_()
        inputs[1, :, 2:, 4:] = 5.
    found = cross_attention(model, inputs)
    assert found.weights.shape == (2, 6, 2, 3)
    total = found.weights.sum((2, 3)) + found.mean_weight
    assert torch.allclose(total, torch.ones(2, 6))
    assert torch.allclose(found.weights[0], torch.full((6, 2, 3), 1 / 7))
    assert (found.weights[1].flatten(1).argmax(1) == 5).all()
    with torch.no_grad():
        assert torch.equal(found.logits, model(inputs))
    assert not fusion._forward_pre_hooks


def test_models_without_attention_maps_are_refused():
    with pytest.raises(ValueError, match="token_layout='memory'"):
        cross_attention(Tiny('memory'), torch.rand(1, 3, 4, 6))
    with pytest.raises(ValueError, match='MultiScaleCrossInteraction.*Lin'):
        model = nn.Module()
        model.neck = nn.Linear(2, 2)
        cross_attention(model, torch.rand(1, 3, 4, 6))
    model = Tiny()
    del model.adapter
    with pytest.raises(ValueError, match='6 image tokens'):
        cross_attention(model, torch.rand(1, 3, 4, 6))


def test_sheet_shows_where(tmp_path):
    weights = np.full((4, 2, 2), .1)
    weights[:2, 0, 1] = .5  # those of the upper half look there
    face = np.full((32, 32, 3), 128, np.uint8)
    out = tmp_path / 'sheet.png'
    draw_attention_grid([(face, 'a', 'b', .5, weights)] * 3, str(out))
    sheet = cv2.imread(str(out))[:172, :560].astype(int)
    drawn = [sheet[6:134, 6 + 140 * i:134 + 140 * i] for i in range(4)]
    assert (drawn[0] == 128).all()
    # cividis ends in yellow (little blue, much red) and begins in blue
    yellow = [(d[..., 2] - d[..., 0])[[20, 110], [110, 20]] for d in drawn]
    assert yellow[2][0] > 50 and yellow[2][1] < 0
    assert yellow[1][0] < yellow[2][0]
    assert (yellow[3] < 0).all()
    # three faces in two columns: the last place is empty
    whole = cv2.imread(str(out))
    assert (whole[172:, 576:] == 255).all() and len(whole) == 344
    with pytest.raises(ValueError, match='no face'):
        draw_attention_grid([], str(out))
