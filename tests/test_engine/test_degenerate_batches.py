# Copyright (c) orsa contributors. All rights reserved.
"""Batches that are less than a training expects: what is defined of them."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from orsa.apis.model import build_model, load_config
from orsa.datasets import FERDataset
from orsa.datasets.samplers import ClassBalancedSampler

LOSSES = {
    'dare': dict(type='orsa.DARELoss'),
    'composite': dict(
        type='orsa.CompositeLoss',
        losses=dict(
            loss_ce=dict(type='mmpretrain.CrossEntropyLoss'),
            loss_dare=dict(type='orsa.DARELoss'))),
}  # yapf: disable


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize('labels', [[3], [2, 2, 2, 2], [0, 1, 0, 1]])
def test_losses(name, labels):
    """Of one image, of one class only, with classes that are absent."""
    loss = MODELS.build(LOSSES[name])
    scores = torch.randn(len(labels), 7, requires_grad=True)
    found = loss(scores, torch.tensor(labels))
    total = sum(found.values()) if isinstance(found, dict) else found
    total.backward()
    assert total.isfinite() and scores.grad.isfinite().all()
    assert scores.grad.abs().sum() > 0
    # classes that are absent are only what the scores say of them
    wide = torch.cat([scores.detach(), torch.full((len(labels), 1), -80.)], 1)
    again = loss(wide, torch.tensor(labels))
    again = sum(again.values()) if isinstance(again, dict) else again
    torch.testing.assert_close(again, total.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('batch_size', [1, 2])
def test_a_training_batch_of_one(batch_size):
    """What an epoch ends with where the data do not divide."""
    cfg = load_config('orsa::orsanet_lite_rafdb.py')
    cfg.model.backbone.allow_untrained = True
    model = build_model(cfg, pretrained=False).train()
    size = cfg.model.backbone.image_size
    samples = [DataSample().set_gt_label(1) for _ in range(batch_size)]
    losses = model(torch.randn(batch_size, 3, size, size), samples, 'loss')
    sum(losses.values()).backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert grads and all(g.isfinite().all() for g in grads)


class Labelled:

    def __init__(self, labels):
        self.labels = labels

    def get_gt_labels(self):
        return np.array(self.labels)

    def __len__(self):
        return len(self.labels)


def test_sampler_with_an_absent_class():
    drawn = list(ClassBalancedSampler(Labelled([0, 0, 0, 5]), seed=0))
    assert len(drawn) == 4 and set(drawn) <= {0, 1, 2, 3}
    assert set(ClassBalancedSampler(Labelled([4, 4]), seed=0)) <= {0, 1}


def test_all_images_skipped(tmp_path):
    """It is an error that says so, not an epoch of nothing."""
    (tmp_path / 'list.txt').write_text('a.png fear\nb.png anger\n')
    for name in 'ab':
        (tmp_path / f'{name}.png').write_bytes(b'no picture')
    with pytest.raises(ValueError, match='no sample is left.*unreadable 2'):
        FERDataset(
            data_root=str(tmp_path), ann_file='list.txt', skip_unreadable=True)


def test_an_empty_loader_is_refused(tmp_path):
    """drop_last with fewer images than a batch."""
    from orsa.apis.training import check_batches
    cfg = Config(dict(train_dataloader=dict(batch_size=8, drop_last=True)))
    with pytest.raises(ValueError, match='5 samples.*batch_size=8'):
        check_batches(cfg, num_samples=5, num_batches=0)
    check_batches(cfg, num_samples=16, num_batches=2)
