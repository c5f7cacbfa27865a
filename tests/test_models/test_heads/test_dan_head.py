# Copyright (c) orsa contributors. All rights reserved.
"""DAN's head against a second implementation, its losses, its errors."""
import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from mmpretrain.structures import DataSample

from orsa.models.heads import DANHead
from orsa.models.losses import AffinityLoss, PartitionLoss
from orsa.registry import MODELS

TERMS = ['loss_ce', 'loss_affinity', 'loss_partition']


def samples(*labels):
    return [DataSample().set_gt_label(i) for i in labels]


def small(**kwargs):
    kwargs = dict(
        num_classes=3,
        in_channels=8,
        num_heads=2,
        channel_reduction=4,
        **kwargs)
    return DANHead(**kwargs)


def test_affinity_by_hand():
    loss = AffinityLoss(num_classes=2, feat_channels=2, loss_weight=0.5)
    loss.centers.data = torch.tensor([[0., 0.], [2., 4.]])
    feature = torch.tensor([[1., 1.], [2., 3.], [4., 4.]])
    # squared distances to the own centres 2, 1, 4; the variances of (0, 2)
    # and (0, 4) are 2 and 8
    value = loss(feature, torch.tensor([0, 1, 1]))
    assert value.item() == pytest.approx(0.5 * (7 / 3) / 10)
    # a change of scale changes nothing
    loss.centers.data *= 3
    assert torch.allclose(loss(feature * 3, torch.tensor([0, 1, 1])), value)


def test_affinity_pulls_together_and_centres_apart():
    loss = AffinityLoss(num_classes=3, feat_channels=4).double()
    feature = torch.randn(2, 4, dtype=torch.double, requires_grad=True)
    label = torch.tensor([1, 1])
    loss(feature, label).backward()
    spread = loss.centers.detach().var(dim=0).sum()
    towards = 2 * (feature - loss.centers[1]).detach() / 2 / spread
    assert torch.allclose(feature.grad, towards)
    # the centres of absent classes leave the middle of all
    step = loss.centers.detach() - 1e-3 * loss.centers.grad
    assert step[[0, 2]].sub(step.mean(0)).square().sum() > (
        loss.centers[[0, 2]].sub(loss.centers.mean(0)).square().sum())
    assert loss.centers.grad.abs().sum(dim=1).gt(0).all()


def test_partition_by_hand():
    heads = torch.tensor([[[0., 1.], [2., 1.], [4., 1.]]])
    # variances over three heads: 4 and 0, on average 2
    value = PartitionLoss(loss_weight=2.)(heads)
    assert value.item() == pytest.approx(2 * math.log(1 + 3 / 2))
    # further apart is better
    assert PartitionLoss(loss_weight=2.)(heads * 2) < value


def test_partition_of_equal_heads_is_finite():
    heads = torch.ones(2, 4, 3, requires_grad=True)
    loss = PartitionLoss()(heads)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(heads.grad).all()


def test_losses_do_not_overflow_in_half_precision():
    # squares and their sums leave float16, which ends at 65504
    x = torch.full((2, 3, 8), 400.).half()
    x[:, 1] = -400
    assert 0 < PartitionLoss()(x) < 1
    value = AffinityLoss(
        num_classes=2, feat_channels=8)(x[:, 0], torch.tensor([0, 1]))
    assert value.dtype == torch.float32 and torch.isfinite(value)


@pytest.mark.parametrize('loss, inputs, message', [
    (AffinityLoss(3, 4), (torch.rand(2, 5), torch.tensor([0, 1])), r'4.*5\)'),
    (AffinityLoss(3, 4), (torch.rand(2, 4), torch.rand(2, 3)), 'Soft targets'),
    (PartitionLoss(), (torch.rand(2, 1, 4), ), r'two heads.*\(2, 1, 4\)'),
])
def test_losses_refuse(loss, inputs, message):
    with pytest.raises(ValueError, match=message):
        loss(*inputs)


def test_affinity_needs_two_classes():
    with pytest.raises(ValueError, match='num_classes=1'):
        AffinityLoss(num_classes=1, feat_channels=4)


def test_one_head_by_the_papers_formulas():
    """Spatial, then channel attention, from the layers' own weights."""
    # in training mode: BN takes the statistics of the batch
    head = small().double().requires_grad_(False)
    x = torch.randn(3, 8, 4, 5, dtype=torch.double)

    def normed(y, norm):
        dims = [0, *range(2, y.ndim)]
        shape = [1, -1] + [1] * (y.ndim - 2)
        mean = y.mean(dims).view(shape)
        var = y.var(dims, unbiased=False).view(shape)
        y = (y - mean) / (var + norm.eps).sqrt()
        return y * norm.weight.view(shape) + norm.bias.view(shape)

    parts = []
    for one in head.heads:
        conv, norm = one.spatial.reduce
        mid = normed(F.conv2d(x, conv.weight, conv.bias), norm)
        total = 0
        for (conv, norm), pad in zip(one.spatial.branches, [(1, 1), (0, 1),
                                                            (1, 0)]):
            y = F.conv2d(mid, conv.weight, conv.bias, padding=pad)
            total = total + normed(y, norm)
        weighted = (x * total.clamp(min=0).sum(1, keepdim=True)).mean((2, 3))
        first, norm, _, second, _ = one.channel.gate
        hidden = normed(weighted @ first.weight.T + first.bias, norm)
        gate = hidden.clamp(min=0) @ second.weight.T + second.bias
        parts.append(weighted / (1 + torch.exp(-gate)))
    v = torch.stack(parts, dim=1)
    expected = v - v.exp().sum(1, keepdim=True).log()
    attended = head.attend(x)
    assert torch.allclose(attended, expected)
    assert torch.allclose(attended.exp().sum(1),
                          torch.ones(3, 8, dtype=torch.double))

    fused = expected.sum(dim=1)
    logits = normed(fused @ head.fc.weight.T + head.fc.bias, head.norm)
    assert torch.allclose(head((None, x)), logits)

    # and the terms of the loss
    losses = head.loss((x, ), samples(0, 2, 2))
    label = torch.tensor([0, 2, 2])
    assert list(losses) == TERMS
    assert torch.allclose(losses['loss_ce'], F.cross_entropy(logits, label))
    centers = head.affinity_loss.centers
    distance = (x.mean((2, 3)) - centers[label]).pow(2).sum() / 3
    assert torch.allclose(losses['loss_affinity'],
                          distance / centers.var(0).sum())
    assert torch.allclose(losses['loss_partition'],
                          (1 + 2 / expected.var(1).mean()).log())


def test_parameters_of_the_published_head():
    head = DANHead(num_classes=7, in_channels=512)
    one = (512 * 256 + 256 + 512) + 15 * 256 * 512 + 3 * (512 + 1024)
    one += 512 * 32 + 32 + 64 + 32 * 512 + 512
    expected = 4 * one + (512 * 7 + 7) + 14 + 7 * 512
    assert sum(p.numel() for p in head.parameters()) == expected


def test_every_term_is_summed_and_every_parameter_used():
    """DDP needs all gradients, also where a batch has one class alone."""
    head = small(cal_acc=True)
    losses = head.loss((torch.randn(4, 8, 3, 3), ), samples(1, 1, 1, 1))
    assert set(losses) == {*TERMS, 'accuracy_top-1'}
    total, logs = BaseModel.parse_losses(None, losses)
    assert torch.allclose(total, sum(losses[name] for name in TERMS))
    assert set(TERMS) < set(logs)
    total.backward()
    for name, param in head.named_parameters():
        assert param.grad is not None and torch.isfinite(param.grad).all(), (
            name)


def test_terms_can_be_left_out_and_other_losses_keep_their_names():
    x = (torch.randn(4, 8, 3, 3), )
    labels = samples(0, 1, 2, 0)
    assert list(small(partition_loss=None).loss(x, labels)) == TERMS[:2]
    one = DANHead(num_classes=3, in_channels=16, num_heads=1)
    assert list(one.loss((torch.randn(4, 16, 3, 3), ), labels)) == TERMS[:2]
    loss = dict(
        type='orsa.CompositeLoss',
        losses=dict(
            loss_a=dict(type='mmpretrain.CrossEntropyLoss'),
            loss_b=dict(type='orsa.DARELoss')))
    losses = small(affinity_loss=None, loss=loss).loss(x, labels)
    assert set(losses) == {'loss_a', 'loss_b', 'loss_partition'}


def test_learns_and_predicts_in_mmpretrains_classifier():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MMPRETRAIN_MODELS.build(
            dict(
                type='ImageClassifier',
                backbone=dict(
                    type='orsa.IRNet',
                    arch=dict(depths=(1, 1), channels=(8, 16))),
                head=dict(
                    type='orsa.DANHead',
                    num_classes=3,
                    in_channels=16,
                    num_heads=3)))
    model.init_weights()
    x = torch.randn(6, 3, 16, 16)
    labels = samples(0, 1, 2, 0, 1, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    history = []
    for _ in range(15):
        losses = model(x, labels, mode='loss')
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append({k: v.item() for k, v in losses.items()})
    for name in ('loss_ce', 'loss_affinity'):
        assert history[-1][name] < history[0][name], name
    predictions = model.eval()(x[:1], mode='predict')
    assert predictions[0].pred_score.shape == (3, )


def test_half_precision_agrees_with_single():
    head = small().eval()
    x = torch.randn(4, 8, 3, 3)
    expected = head.attend(x)
    with torch.autocast('cpu', torch.bfloat16):
        attended = head.attend(x)
        losses = head.loss((x, ), samples(0, 1, 2, 0))
    assert attended.dtype == torch.float32
    assert torch.allclose(attended, expected, rtol=0.1, atol=0.1)
    assert losses['loss_affinity'].dtype == torch.float32
    assert losses['loss_partition'].dtype == torch.float32


def test_what_does_not_fit_is_refused():
    head = small()
    with pytest.raises(ValueError, match=r'N, 8, h, w.*\(2, 8\).*neck'):
        head((torch.rand(2, 8), ))
    with pytest.raises(ValueError, match=r'N, 8, h, w.*\(2, 6, 3, 3\)'):
        head((torch.rand(2, 6, 3, 3), ))
    with pytest.raises(ValueError, match='drop_last'):
        head((torch.rand(1, 8, 3, 3), ))
    assert head.eval()((torch.rand(1, 8, 3, 3), )).shape == (1, 3)
    soft = [DataSample().set_gt_score(torch.tensor([.5, .5, 0]))] * 2
    with pytest.raises(ValueError, match='Soft targets'):
        small().loss((torch.rand(2, 8, 3, 3), ), soft)
    # votes are soft targets with an index
    votes = [
        DataSample().set_gt_score(torch.tensor([.4, .6, 0])).set_gt_label(1)
    ] * 2
    losses = small().loss((torch.rand(2, 8, 3, 3), ), votes)
    assert losses['loss_affinity'].isfinite()
    for name in ('num_classes', 'num_heads', 'spatial_reduction'):
        with pytest.raises(ValueError, match=f'{name}=0'):
            DANHead(**{**dict(num_classes=3, in_channels=16), name: 0})
    with pytest.raises(ValueError, match='in_channels=8.*reduction=16'):
        MODELS.build(dict(type='orsa.DANHead', num_classes=3, in_channels=8))
