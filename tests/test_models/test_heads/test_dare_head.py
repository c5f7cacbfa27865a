# Copyright (c) orsa contributors. All rights reserved.
"""Gate, loss terms and soft targets of the DARE head."""
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from mmpretrain.engine.hooks import SwitchRecipeHook
from mmpretrain.structures import DataSample

from orsa.models.heads import DAREHead
from orsa.registry import MODELS

DYNAMIC = dict(
    type='orsa.CompositeLoss',
    losses=dict(
        loss_ce=dict(type='mmpretrain.CrossEntropyLoss'),
        loss_dare=dict(type='orsa.DARELoss', loss_weight=0.1)))


def samples(*labels):
    return [DataSample().set_gt_label(i) for i in labels]


def test_gate_is_a_weighting_of_the_feature():
    head = DAREHead(num_classes=3, in_channels=4).double()
    x = torch.randn(2, 4, dtype=torch.double)
    first, second = head.gate[0], head.gate[2]
    hidden = (x @ first.weight.T + first.bias).clamp(min=0)
    gate = 1 / (1 + torch.exp(-(hidden @ second.weight.T + second.bias)))
    assert torch.allclose(head.pre_logits((x, )), x * gate)
    expected = (x * gate) @ head.fc.weight.T + head.fc.bias
    assert torch.allclose(head((None, x)), expected)


def test_parameters():
    head = DAREHead(num_classes=7, in_channels=512)
    assert sum(p.numel() for p in head.parameters()) == 528_903


def test_without_gate_it_is_linear():
    head = DAREHead(num_classes=3, in_channels=4, gate=False)
    x = torch.randn(2, 4)
    assert torch.equal(head.pre_logits((x, )), x)


def test_one_loss_and_several():
    head = DAREHead(num_classes=3, in_channels=4)
    x, labels = torch.randn(2, 4), samples(0, 2)
    losses = head.loss((x, ), labels)
    assert list(losses) == ['loss']
    expected = F.cross_entropy(head((x, )), torch.tensor([0, 2]))
    assert torch.allclose(losses['loss'], expected)

    head = DAREHead(num_classes=3, in_channels=4, loss=DYNAMIC, cal_acc=True)
    losses = head.loss((x, ), labels)
    assert set(losses) == {'loss_ce', 'loss_dare', 'accuracy_top-1'}


def test_switch_recipe_hook_brings_the_dynamic_loss():
    head = DAREHead(num_classes=3, in_channels=4)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        hook = SwitchRecipeHook(schedule=[dict(action_epoch=2, loss=DYNAMIC)])
        runner = SimpleNamespace(
            model=SimpleNamespace(head=head),
            epoch=0,
            logger=SimpleNamespace(info=lambda *args: None))
        x, names = (torch.randn(1, 4), ), []
        for runner.epoch in range(2):
            hook.before_train_epoch(runner)
            names.append(sorted(head.loss(x, samples(1))))
    assert names == [['loss'], ['loss_ce', 'loss_dare']]


def test_losses_that_are_not_told_take_the_heads_classes():
    loss = dict(
        type='orsa.CompositeLoss',
        losses=dict(
            loss_ls=dict(
                type='mmpretrain.LabelSmoothLoss', label_smooth_val=0.2)))
    head = DAREHead(num_classes=5, in_channels=4, loss=loss)
    assert head.loss_module.losses.loss_ls.num_classes == 5


def test_maps_are_averaged_and_other_widths_refused():
    head = DAREHead(num_classes=3, in_channels=4)
    x = torch.randn(2, 4, 3, 3)
    assert torch.allclose(head((x, )), head((x.mean((2, 3)), )))
    with pytest.raises(ValueError, match=r'4 channels.*\(2, 6\)'):
        head((torch.randn(2, 6), ))
    with pytest.raises(ValueError, match='num_classes=0'):
        DAREHead(num_classes=0, in_channels=4)


def test_soft_targets_are_refused_by_the_dynamic_loss():
    head = MODELS.build(
        dict(type='orsa.DAREHead', num_classes=3, in_channels=4, loss=DYNAMIC))
    sample = DataSample().set_gt_score(torch.tensor([.5, .5, 0]))
    with pytest.raises(ValueError, match='Soft targets'):
        head.loss((torch.randn(1, 4), ), [sample])


def test_votes_for_the_cross_entropy_and_the_index_for_dare():
    head = DAREHead(
        num_classes=3, in_channels=4, gate=False, loss=DYNAMIC, cal_acc=True)
    x, label = torch.randn(2, 4), torch.tensor([1, 0])
    votes = torch.tensor([[.2, .5, .3], [1., 0, 0]])
    found = head.loss((x, ), [
        DataSample().set_gt_label(i).set_gt_score(v)
        for i, v in zip(label, votes)
    ])
    z = head((x, ))
    expected = -(votes * z.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(found['loss_ce'], expected)
    dare = MODELS.build(DYNAMIC['losses']['loss_dare'])
    torch.testing.assert_close(found['loss_dare'], dare(z, label))
    right = (z.argmax(1) == label).float().mean() * 100
    assert float(found['accuracy_top-1'][0]) == float(right)
    # one loss alone is asked in the same way
    head.loss_module = dare
    alone = head.loss((x, ), [
        DataSample().set_gt_label(i).set_gt_score(v)
        for i, v in zip(label, votes)
    ])
    torch.testing.assert_close(alone['loss'], found['loss_dare'])


def test_mixed_pictures_are_refused_where_an_index_is_needed():
    preprocessor = MODELS.build(
        dict(
            type='mmpretrain.ClsDataPreprocessor',
            num_classes=3,
            batch_augments=dict(augments=dict(type='Mixup', alpha=.8))))
    head = DAREHead(num_classes=3, in_channels=4, loss=DYNAMIC)
    with pytest.raises(ValueError, match='in [12] samples gt_label.*Mixup'):
        for _ in range(50):  # as soon as the other picture weighs more
            batch = preprocessor(
                dict(
                    inputs=torch.zeros(2, 3, 4, 4), data_samples=samples(0,
                                                                         1)),
                training=True)
            head.loss((torch.randn(2, 4), ), batch['data_samples'])


def test_predict():
    head = DAREHead(num_classes=3, in_channels=4)
    x = torch.randn(2, 4)
    for sample, logits in zip(head.predict((x, )), head((x, ))):
        assert torch.allclose(sample.pred_score, logits.softmax(0))
        assert int(sample.pred_label) == int(logits.argmax())
