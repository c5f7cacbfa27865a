# Copyright (c) orsa contributors. All rights reserved.
"""The marginal loss: cross entropy, with labels that stand for several."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from orsa.datasets import EncodeLabelSets
from orsa.models.losses import MarginalLoss
from orsa.registry import MODELS
from orsa.utils.face_regions import IGNORED

LOGITS = torch.randn(2, 12, 5, 6, generator=torch.Generator().manual_seed(0))


def encode(labels, sets):
    results = EncodeLabelSets()(
        dict(gt_seg_map=np.array(labels, np.uint8), label_sets=sets))
    return torch.from_numpy(results['gt_seg_map'])


def test_labels_of_one_class_are_cross_entropy():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 12, (2, 5, 6))
    labels[0, 0, :3] = IGNORED
    target = encode(labels, [(c, ) for c in range(12)])
    want = F.cross_entropy(LOGITS, target, ignore_index=IGNORED)
    assert torch.allclose(MarginalLoss()(LOGITS, target), want)
    # and mmseg builds it as any other loss
    built = MODELS.build(dict(type='orsa.MarginalLoss', loss_weight=2.))
    assert built.loss_name == 'loss_marginal'
    assert torch.allclose(built(LOGITS, target, ignore_index=255), 2 * want)


def test_a_set_counts_the_sum_of_its_probabilities():
    sets = [(0, 11), (1, 2, 3), (10, )]
    labels = np.random.default_rng(2).integers(0, 3, (2, 5, 6))
    probs = LOGITS.softmax(1).numpy()
    want = np.mean([
        -np.log(sum(probs[b, c, y, x] for c in sets[label]))
        for (b, y, x), label in np.ndenumerate(labels)
    ])
    loss = MarginalLoss()(LOGITS, encode(labels, sets))
    assert np.isclose(loss.item(), want, rtol=1e-5)
    # whichever class of the set the model prefers
    swapped = LOGITS.clone()
    swapped[:, [1, 2, 3]] = LOGITS[:, [3, 1, 2]]
    assert torch.allclose(MarginalLoss()(swapped, encode(labels, sets)), loss)


def test_weights_of_classes_and_pixels():
    sets, weights = [(0, ), (1, 2)], [1., 3., 2.] + [9.] * 9
    target = encode([[[0, 1]]], sets)
    logits = torch.zeros(1, 12, 1, 2)
    want = (np.log(12) + 2 * np.log(6)) / 2
    loss = MarginalLoss(class_weight=weights)(logits, target)
    assert np.isclose(loss.item(), want)
    pixels = torch.tensor([[[1., 0.]]])
    loss = MarginalLoss()(logits, target, weight=pixels)
    assert np.isclose(loss.item(), np.log(12) / 2)


def test_gradient_is_finite_and_nothing_is_learnt_of_ignored_pixels():
    logits = (LOGITS * 100).requires_grad_()
    labels = np.random.default_rng(3).integers(0, 2, (2, 5, 6))
    labels[:, 2] = IGNORED
    MarginalLoss()(logits, encode(labels, [(4, ), (5, 6)])).backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[:, :, 2] == 0).all()
    assert (logits.grad[:, :, 1] != 0).any()
    nothing = torch.full((2, 5, 6), IGNORED)
    assert MarginalLoss()(LOGITS, nothing) == 0


@pytest.mark.parametrize('value', [12, 200, 256, 256 + 2**12, -1])
def test_a_target_that_is_none_of_the_classes_is_refused(value):
    with pytest.raises(ValueError, match=str(value)):
        MarginalLoss()(LOGITS, torch.full((2, 5, 6), value))
