# Copyright (c) orsa contributors. All rights reserved.
"""Every term of a composite loss is computed and named."""
import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel

from orsa.registry import MODELS

WARM_UP = dict(
    type='orsa.CompositeLoss',
    losses=dict(
        loss_ce=dict(type='mmpretrain.CrossEntropyLoss'),
        loss_ls=dict(
            type='mmpretrain.LabelSmoothLoss',
            label_smooth_val=0.2,
            num_classes=3,
            loss_weight=2.)))


def test_terms_by_name():
    logits, target = torch.tensor([[2, 1, 0.1]]), torch.tensor([0])
    terms = MODELS.build(WARM_UP)(logits, target, avg_factor=1)
    assert list(terms) == ['loss_ce', 'loss_ls']
    # from the published table
    assert float(terms['loss_ce']) == pytest.approx(0.41702995, abs=1e-6)
    assert float(terms['loss_ls']) == pytest.approx(2 * 0.6103633, abs=1e-6)
    total, logs = BaseModel.parse_losses(None, terms)
    assert float(total) == pytest.approx(0.41702995 + 2 * 0.6103633, abs=1e-5)
    assert set(logs) == {'loss', 'loss_ce', 'loss_ls'}


def test_avg_factor_reaches_every_term():
    logits, target = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    loss = MODELS.build(WARM_UP)
    one, two = (loss(logits, target, avg_factor=f) for f in (4, 8))
    assert torch.allclose(one['loss_ce'], F.cross_entropy(logits, target))
    for name in one:
        assert torch.allclose(one[name], 2 * two[name])


@pytest.mark.parametrize('losses',
                         [{},
                          dict(ce=dict(type='mmpretrain.CrossEntropyLoss')),
                          dict(loss=dict(type='mmpretrain.CrossEntropyLoss'))])
def test_names_that_would_not_be_summed_are_refused(losses):
    with pytest.raises(ValueError, match="contain 'loss'"):
        MODELS.build(dict(type='orsa.CompositeLoss', losses=losses))


def test_indices_for_those_that_need_them():
    losses = dict(
        loss_ce=dict(type='mmpretrain.CrossEntropyLoss'),
        loss_dare=dict(type='orsa.DARELoss'))
    loss = MODELS.build(dict(type='orsa.CompositeLoss', losses=losses))
    assert loss.needs_index and not MODELS.build(WARM_UP).needs_index
    logits, label = torch.randn(2, 3), torch.tensor([2, 0])
    soft = torch.tensor([[.3, .2, .5], [.6, .4, 0.]])
    terms = loss(logits, soft, gt_label=label)
    assert torch.allclose(terms['loss_ce'], F.cross_entropy(logits, soft))
    assert torch.equal(terms['loss_dare'], loss(logits, label)['loss_dare'])
