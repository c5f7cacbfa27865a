# Copyright (c) orsa contributors. All rights reserved.
"""Maps and landmarks of MobileFaceNet."""
import pytest
import torch

from orsa.models.backbones import MobileFaceNet


def test_map_and_parameters():
    model = MobileFaceNet(with_head=True).eval()
    # the number of the published network, head included
    assert sum(p.numel() for p in model.parameters()) == 1_007_248
    x = torch.rand(2, 3, 112, 112)
    with torch.no_grad():
        out, = model(x)
        points = model.predict_landmarks(x)
    assert out.shape == (2, 512, 7, 7)
    assert points.shape == (2, 68, 2)


def test_the_head_changes_nothing_but_the_landmarks():
    with_head, plain = MobileFaceNet(with_head=True), MobileFaceNet()
    missing, unexpected = plain.load_state_dict(
        with_head.state_dict(), strict=False)
    assert not missing
    assert {k.split('.')[0] for k in unexpected} == {'head'}
    x = torch.rand(1, 3, 112, 112)
    assert torch.equal(with_head.eval()(x)[0], plain.eval()(x)[0])
    with pytest.raises(RuntimeError, match='with_head=True'):
        plain.predict_landmarks(x)
