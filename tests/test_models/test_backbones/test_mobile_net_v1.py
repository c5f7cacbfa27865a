# Copyright (c) orsa contributors. All rights reserved.
import pytest
import torch

from orsa.models import MobileNetV1


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
        kept = first.clone(), second.clone()
        again = model(images)[0]
    assert torch.equal(images, before)
    assert torch.equal(first, kept[0]) and torch.equal(first, again)
