# Copyright (c) orsa contributors. All rights reserved.
"""The plain fusion: shapes, learning, errors."""
import pytest
import torch

from orsa.models.necks import ConcatFusion


def inputs():
    torch.manual_seed(0)
    return (torch.randn(3, 8, 4, 4), torch.randn(3, 5, 8,
                                                 8), torch.randn(3, 6, 4, 4))


def test_by_hand_for_one_input():
    """Alone, an input is normalised, projected, mixed and averaged."""
    neck = ConcatFusion([8], 16).eval()
    x = inputs()[0]
    for norm in (neck.projections[0][0], neck.mix[0], neck.mix[3]):
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)

    def scaled(y, norm):
        shape = (1, -1, 1, 1)
        return ((y - norm.running_mean.view(shape)) /
                (norm.running_var.view(shape) + norm.eps).sqrt())

    conv = neck.projections[0][1]
    y = torch.einsum('oc,bchw->bohw', conv.weight[..., 0, 0],
                     scaled(x, neck.projections[0][0]))
    y = scaled(y + conv.bias.view(1, -1, 1, 1), neck.mix[0]).clamp(min=0)
    y = torch.einsum('oc,bchw->bohw', neck.mix[2].weight[..., 0, 0], y)
    y = scaled(y, neck.mix[3]).clamp(min=0).mean((2, 3))
    out, = neck((x, ))
    assert torch.allclose(out, y, atol=1e-5)


def test_every_input_has_its_say_and_its_gradient():
    neck = ConcatFusion([8, 5, 6], 16)
    maps = [x.requires_grad_() for x in inputs()]
    neck(maps)[0].square().sum().backward()
    assert all(x.grad.abs().sum() > 0 for x in maps)


def test_in_index_picks():
    neck = ConcatFusion([8, 6], 16, in_index=[0, 2]).eval()
    image, parsing, landmark = inputs()
    out, = neck((image, parsing, landmark))
    assert out.shape == (3, 16)
    assert torch.equal(out, neck((image, parsing * 0, landmark))[0])
    assert not torch.equal(out, neck((image, parsing, landmark * 0))[0])


@pytest.mark.parametrize('kwargs,maps,match', [
    (dict(in_channels=[8, 5], in_index=[0]), None, '2 in_channels, but 1'),
    (dict(in_channels=[8, 7]), inputs(), 'map of 7 channels.*8, 8'),
    (dict(in_channels=[8], in_index=[3]), inputs(), 'backbone gives 3'),
])
def test_what_does_not_fit_is_refused(kwargs, maps, match):
    with pytest.raises(ValueError, match=match):
        ConcatFusion(out_channels=4, **kwargs)(maps)


def test_larger_maps_are_averaged():
    neck = ConcatFusion([8, 5], 16).eval()
    image, parsing = torch.randn(3, 8, 4, 4), torch.randn(3, 5, 8, 8)
    small = parsing.reshape(3, 5, 4, 2, 4, 2).mean((3, 5))
    # a convolution of 1x1 and a mean may change places
    torch.testing.assert_close(
        neck((image, parsing))[0], neck((image, small))[0], atol=1e-5, rtol=0)
