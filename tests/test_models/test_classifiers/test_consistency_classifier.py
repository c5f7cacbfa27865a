# Copyright (c) orsa contributors. All rights reserved.
"""Consistency: by a calculation of its own, through a pipeline, under SAM."""
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample

from orsa.models.utils.same_batch import provide, provided, same_batch
from orsa.registry import MODELS

MEAN, STD = [120., 110., 100.], [60., 50., 40.]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='orsa.ConsistencyClassifier',
            consistency_weight=2.,
            data_preprocessor=dict(
                type='orsa.CompanionDataPreprocessor',
                auxiliary_inputs=['clean_img'],
                mean=MEAN,
                std=STD,
                to_rgb=True,
                num_classes=7),
            backbone=dict(
                type='orsa.IRNet',
                arch=dict(depths=(1, ), channels=(8, )),
                norm_cfg=dict(type='GN', num_groups=1)),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=7, in_channels=8)))


def batch(model):
    """Faces, three of them, and what they were."""
    clean = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    occluded = clean.clone()
    occluded[1:, :, 4:12] = 0
    samples = [DataSample().set_gt_label(i) for i in range(3)]
    for sample, image in zip(samples, clean):
        sample.set_field(image, 'clean_img')
    return clean, model.data_preprocessor(
        dict(inputs=list(occluded), data_samples=samples), True)


def normalised(images):
    rgb = images.flip(1).float()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (rgb - mean) / std


def by_hand(model, clean, inputs):
    """The sum of p log(p / q) over classes, its mean over faces."""
    with torch.no_grad():
        p = model(normalised(clean)).softmax(1)
    q = model(inputs).softmax(1)
    return (p * (p.log() - q.log())).sum(1).mean()


def test_the_divergence_and_its_gradient(model):
    clean, data = batch(model)
    losses = model(**data, mode='loss')
    expected = 2 * by_hand(model, clean, data['inputs'])
    assert losses['loss_consistency'] > 1e-4
    assert torch.allclose(losses['loss_consistency'], expected, rtol=1e-4)
    plain = model.head.loss(
        model.extract_feat(data['inputs']), data['data_samples'])
    assert torch.equal(losses['loss'], plain['loss'])
    weights = list(model.parameters())
    found = torch.autograd.grad(losses['loss_consistency'], weights)
    wanted = torch.autograd.grad(expected, weights)
    for one, other in zip(found, wanted):
        assert torch.allclose(one, other, atol=1e-6)
    assert model.training and model.backbone.training


def test_nothing_is_asked_where_nothing_is_occluded(model):
    clean = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    inputs = provide(normalised(clean), clean_img=clean)
    samples = [DataSample().set_gt_label(i) for i in range(2)]
    losses = model(inputs, samples, mode='loss')
    assert abs(losses['loss_consistency']) < 1e-6


def test_the_second_pass_of_sam_asks_for_the_scores_of_the_first(model):
    clean, data = batch(model)
    with same_batch():
        model(**data, mode='loss')
        first = model(normalised(clean)).softmax(1).detach()
        with torch.no_grad():
            model.head.fc.weight.mul_(3)
        second = model(**data, mode='loss')['loss_consistency']
    q = model(data['inputs']).softmax(1)
    expected = 2 * (first * (first.log() - q.log())).sum(1).mean()
    assert torch.allclose(second, expected, rtol=1e-4)


def test_what_is_frozen_stays_so(model):
    model.backbone.stem.eval()  # as FreezeHook does
    modes = {name: m.training for name, m in model.named_modules()}
    _, data = batch(model)
    model(**data, mode='loss')
    assert modes == {name: m.training for name, m in model.named_modules()}
    assert not model.backbone.stem.training and model.head.training


def test_priors_that_have_not_seen_a_face_predict_it_clean_too(
        model, monkeypatch):
    clean, data = batch(model)
    inputs = provide(
        data['inputs'], clean_img=clean, fold=torch.tensor([0, 1, 0]))
    seen = []
    extract = model.extract_feat

    def look(images, *args, **kwargs):
        seen.append(provided(images, 'fold'))
        return extract(images, *args, **kwargs)

    monkeypatch.setattr(model, 'extract_feat', look)
    model(inputs, data['data_samples'], mode='loss')
    assert len(seen) == 2
    assert all(fold.tolist() == [0, 1, 0] for fold in seen)


def test_through_a_pipeline(model):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        pipeline = Compose([
            dict(type='orsa.RandomFaceAffine', size=64),
            dict(type='orsa.KeepImage'),
            dict(type='orsa.RandomOccluder', prob=1.),
            dict(type='PackInputs', algorithm_keys=['clean_img'])
        ])
    image = np.full((80, 80, 3), (10, 60, 200), np.uint8)
    data = pseudo_collate(
        [pipeline(dict(img=image, gt_label=i)) for i in (1, 2)])
    for sample in data['data_samples']:
        assert sample.clean_img.shape == (3, 64, 64)
        centre = sample.clean_img[:, 24:40, 24:40].flatten(1).float().mean(1)
        assert centre.tolist() == [10, 60, 200]
    occluded = [(one != sample.clean_img).any().item()
                for one, sample in zip(data['inputs'], data['data_samples'])]
    assert all(occluded)
    data = model.data_preprocessor(data, True)
    losses = model(**data, mode='loss')
    assert 0 < losses['loss_consistency'] < 100


def test_without_clean_faces_it_says_what_to_do(model):
    with pytest.raises(ValueError, match='orsa.KeepImage in the pipeline'):
        model(
            torch.zeros(1, 3, 16, 16), [DataSample().set_gt_label(0)],
            mode='loss')
