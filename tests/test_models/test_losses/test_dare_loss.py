# Copyright (c) orsa contributors. All rights reserved.
"""The DARE loss against its formula, its gradients and its errors."""
import math

import pytest
import torch
from mmpretrain.models.losses import CrossEntropyLoss, LabelSmoothLoss

from orsa.models.losses import DARELoss

# logits, targets, CE, label smoothing 0.2, DARE at T = 1, 0 and 2
TABLE = [
    ([[2, 1,
       0.1]], [0], 0.41702995, 0.61036330, 0.41697714, 0.31326166, 0.54673380),
    ([[.5, -1, 2, 0],
      [1, 1, 0,
       -1]], [0,
              1], 1.37996268, 1.46746266, 1.73560238, 1.19728029, 2.34390163),
    ([[.3, -.7, 1.2, 0, 2.5, -1.1, .4], [-2, 0, .5, 3, .1, .2, -.3], [0] * 7],
     [4, 2, 6], 1.73532069, 1.89627326, 1.67300498, 1.17101514, 2.24547911),
]


@pytest.mark.parametrize('row', TABLE)
def test_published_numbers(row):
    logits, target = torch.tensor(row[0]).float(), torch.tensor(row[1])
    losses = [
        CrossEntropyLoss(),
        LabelSmoothLoss(0.2, num_classes=logits.size(1)),
        DARELoss(),
        DARELoss(temperature=0),
        DARELoss(temperature=2)
    ]
    for loss, expected in zip(losses, row[2:]):
        for factor in (None, len(target)):
            value = float(loss(logits, target, avg_factor=factor))
            assert value == pytest.approx(expected, abs=1e-6)


def test_published_gradient():
    logits = torch.tensor([[2, 1, 0.1]], requires_grad=True)
    DARELoss()(logits, torch.tensor([0])).backward()
    expected = torch.tensor([[-0.34096402, 0.34096402, 0]])
    assert torch.allclose(logits.grad, expected, atol=1e-6)


def test_gradients_reach_target_and_first_rival_only():
    logits = torch.tensor([[0., 3., 1., 3.], [1., 1., 1., 1.]],
                          requires_grad=True)
    DARELoss(reduction='sum')(logits, torch.tensor([2, 0])).backward()
    reached = logits.grad != 0
    assert reached.tolist() == [[False, True, True, False],
                                [True, True, False, False]]
    assert torch.allclose(logits.grad.sum(1), torch.zeros(2), atol=1e-7)


def test_ignored_samples_count_nowhere():
    logits = torch.randn(4, 5, requires_grad=True)
    target = torch.tensor([1, 255, 3, 255])
    loss = DARELoss(ignore_index=255)(logits, target)
    expected = DARELoss()(logits[[0, 2]], target[[0, 2]])
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    loss.backward()
    assert not logits.grad[[1, 3]].any()
    assert logits.grad[[0, 2]].any()
    nothing = DARELoss(ignore_index=255)(logits, torch.full((4, ), 255))
    assert nothing.item() == 0


def test_reduction_weight_and_factor():
    logits, target = torch.randn(3, 4), torch.tensor([0, 1, 2])
    each = DARELoss(reduction='none')(logits, target)
    assert each.shape == (3, )
    assert torch.allclose(
        DARELoss(reduction='sum', loss_weight=0.1)(logits, target),
        each.sum() * 0.1)
    weight = torch.tensor([1., 0., 2.])
    assert torch.allclose(DARELoss()(logits, target, weight, avg_factor=6),
                          (each * weight).sum() / 6)
    assert torch.allclose(DARELoss()(logits, target, reduction_override='sum'),
                          each.sum())


def test_large_logits_stay_finite():
    logits = torch.tensor([[-1e4, 1e4], [1e4, -1e4]])
    loss = DARELoss(reduction='none')(logits, torch.tensor([0, 0]))
    assert loss[0] == pytest.approx(2e4 + 1)
    assert loss[1] == pytest.approx(0)
    assert math.isfinite(float(loss.sum()))


@pytest.mark.parametrize('label, message', [
    (torch.full((2, 3), 1 / 3), 'Soft targets'),
    (torch.tensor([0., 1.]), 'class indices'),
])
def test_refuses_what_has_no_rival(label, message):
    with pytest.raises(ValueError, match=message):
        DARELoss()(torch.randn(2, 3), label)


def test_refuses_one_class():
    with pytest.raises(ValueError, match='two classes'):
        DARELoss()(torch.randn(2, 1), torch.tensor([0, 0]))
