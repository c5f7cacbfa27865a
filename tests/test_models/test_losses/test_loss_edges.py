# Copyright (c) orsa contributors. All rights reserved.
"""Defaults, limits and what is refused."""
import pytest
import torch
import torch.nn.functional as F

from orsa.models.losses import AffinityLoss, DARELoss, PartitionLoss
from orsa.registry import MODELS


def test_defaults_are_those_of_the_docstrings():
    torch.manual_seed(0)
    feature, label = torch.randn(5, 4), torch.tensor([0, 1, 1, 0, 1])
    loss = MODELS.build(
        dict(type='orsa.AffinityLoss', num_classes=2, feat_channels=4))
    centres = loss.centers.detach()
    expected = F.mse_loss(
        feature, centres[label], reduction='sum') / 5 / centres.var(0).sum()
    assert torch.allclose(loss(feature, label), expected)
    # of one sample, too
    assert MODELS.build(dict(type='orsa.PartitionLoss'))(torch.tensor(
        [[[0.],
          [2.]]])).item() == pytest.approx(torch.tensor(2.).log().item())
    logits = torch.randn(3, 5)
    ignored = DARELoss()(logits, torch.tensor([1, -100, 4]))
    kept = DARELoss()(logits[[0, 2]], torch.tensor([1, 4]))
    assert torch.allclose(ignored, kept)


@pytest.mark.parametrize('shape', [(4, ), (2, 4, 1), (4, 3)])
def test_features_of_another_shape_are_refused(shape):
    # (4, 3): as many samples as the centres have channels
    loss = AffinityLoss(num_classes=3, feat_channels=4)
    label = torch.zeros(shape[0], dtype=torch.long)
    with pytest.raises(ValueError, match=r'needs features \(N, 4\)'):
        loss(torch.zeros(shape), label)
    for label in (torch.zeros(2, 1, dtype=torch.long), torch.zeros(2)):
        with pytest.raises(ValueError, match='class indices'):
            loss(torch.zeros(2, 4), label)


@pytest.mark.parametrize('shape', [(5, ), (2, 3), (2, 3, 4, 1), (2, 1, 4)])
def test_heads_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match='at least two heads'):
        PartitionLoss()(torch.zeros(shape))


@pytest.mark.parametrize('shape', [(5, ), (2, 3, 1), (2, 1)])
def test_logits_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r'\(N, C\) with at least two'):
        DARELoss()(torch.zeros(shape), torch.tensor([0]))


@pytest.mark.parametrize('num_classes', [2, 3, 4, 7, 8])
def test_labels_out_of_range_are_refused(num_classes):
    logits = torch.zeros(2, num_classes)
    assert DARELoss()(logits, torch.tensor([0, num_classes - 1])) > 0
    for wrong in (-1, num_classes, -99):
        with pytest.raises(RuntimeError, match='Class values'):
            DARELoss()(logits, torch.tensor([wrong, wrong]))


def test_the_factor_divides_the_mean_alone():
    logits, target = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    each = DARELoss(reduction='none')(logits, target)
    # a string that is equal and not the same object, as from a command line
    mean = ''.join(['me', 'an'])
    for loss in (DARELoss(), DARELoss(reduction=mean)):
        assert torch.allclose(
            loss(logits, target, avg_factor=8),
            each.sum() / 8)
    for reduction, expected in (('sum', each.sum()), ('none', each)):
        loss = DARELoss(reduction=reduction)
        assert torch.allclose(loss(logits, target, avg_factor=8), expected)


def test_ignored_samples_have_no_gradient():
    # the class that stands in for the ignored label is looked at, not learnt
    logits = torch.zeros(2, 2, requires_grad=True)
    loss = DARELoss(reduction='none')(logits, torch.tensor([-100, 1]))
    loss.sum().backward()
    assert loss[0] == 0 and loss[1] > 0
    assert not logits.grad[0].any() and logits.grad[1].all()
