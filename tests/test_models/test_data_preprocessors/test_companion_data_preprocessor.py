# Copyright (c) orsa contributors. All rights reserved.
"""Auxiliary inputs reach the model with their images, or are refused."""
import numpy as np
import pytest
import torch
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.structures import DataSample

from orsa.models.data_preprocessors import CompanionDataPreprocessor
from orsa.models.utils.same_batch import provided
from orsa.registry import MODELS

NORM = dict(mean=[100., 110., 120.], std=[50., 60., 70.], to_rgb=True)


def build(**kwargs) -> CompanionDataPreprocessor:
    return MODELS.build(
        dict(type='orsa.CompanionDataPreprocessor', **NORM, **kwargs))


def batch(**columns) -> dict:
    """Three images; a column has a value for each, None for a lack."""
    samples = []
    for i in range(3):
        sample = DataSample(metainfo=dict(sample_idx=i)).set_gt_label(i)
        for key, values in columns.items():
            if isinstance(values[i], torch.Tensor):
                sample.set_field(values[i], key)
            elif values[i] is not None:
                sample.set_field(values[i], key, field_type='metainfo')
        samples.append(sample)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(
        0, 256, (3, 3, 8, 8), generator=generator, dtype=torch.uint8)
    return dict(inputs=list(images), data_samples=samples)


@pytest.mark.parametrize('training', [False, True])
def test_images_are_as_without(training):
    out = build()(batch(fold=[2, 0, -1]), training)
    plain = ClsDataPreprocessor(**NORM)(batch(), training)
    assert torch.equal(out['inputs'], plain['inputs'])
    assert [s.gt_label.item() for s in out['data_samples']] == [0, 1, 2]
    assert out['inputs'].shape == (3, 3, 8, 8)


def test_numbers_and_maps_are_stacked_in_order():
    maps = [torch.full((2, 4, 4), float(i)) for i in range(3)]
    points = [np.full((68, 3), i, np.float32) for i in range(3)]
    inputs = build()(batch(
        fold=[2, 0, -1], prior_parsing=maps, prior_landmarks=points))['inputs']
    fold = provided(inputs, 'fold')
    assert fold.tolist() == [2, 0, -1] and fold.dtype == torch.int64
    assert torch.equal(provided(inputs, 'prior_parsing'), torch.stack(maps))
    landmarks = provided(inputs, 'prior_landmarks')
    assert landmarks.shape == (3, 68, 3) and landmarks[2].eq(2).all()


def test_what_nobody_has_is_passed_over():
    inputs = build()(batch(fold=[0, 1, 1], mood=[1, 2, 3]))['inputs']
    assert provided(inputs, 'prior_parsing') is None
    assert provided(inputs, 'mood') is None
    inputs = build(auxiliary_inputs=['mood'])(batch(
        fold=[0, 1, 1], mood=[1, 2, 3]))['inputs']
    assert provided(inputs, 'mood').tolist() == [1, 2, 3]
    assert provided(inputs, 'fold') is None
    # an inferencer's batch has no samples at all
    images = dict(inputs=batch()['inputs'])
    assert provided(build()(images)['inputs'], 'fold') is None


def test_the_old_name_of_the_key_goes_on_working():
    with pytest.warns(DeprecationWarning, match='auxiliary_inputs'):
        preprocessor = build(companions=['mood'])
    assert preprocessor.auxiliary_inputs == ('mood', )


def test_what_only_some_have_is_refused():
    with pytest.raises(ValueError, match="1 of 3 .* no 'fold'"):
        build()(batch(fold=[0, None, 1]))


def test_mixed_images_are_refused():
    mixing = build(
        num_classes=3,
        batch_augments=dict(augments=dict(type='Mixup', alpha=1.)))
    with pytest.raises(ValueError, match=r"batch_augments .*\['fold'\]"):
        mixing(batch(fold=[0, 1, 2]), training=True)
    # mixing alone is fine, and so are folds where nothing is mixed
    assert mixing(batch(), training=True)['inputs'].shape == (3, 3, 8, 8)
    inputs = mixing(batch(fold=[0, 1, 2]))['inputs']
    assert provided(inputs, 'fold').tolist() == [0, 1, 2]


def test_a_prior_deep_in_the_classifier_is_told():
    seen = []

    class Listener(torch.nn.Module):

        def forward(self, x):
            seen.append(provided(x, 'fold'))
            return (x.mean((2, 3)), )

    model = MODELS.build(
        dict(
            type='mmpretrain.ImageClassifier',
            backbone=dict(
                type='orsa.IRNet', arch=dict(depths=(1, ), channels=(4, ))),
            head=dict(
                type='mmpretrain.LinearClsHead', num_classes=3, in_channels=3),
            data_preprocessor=dict(
                type='orsa.CompanionDataPreprocessor', **NORM)))
    model.backbone = Listener()
    model.test_step(batch(fold=[1, -1, 0]))
    assert seen[0].tolist() == [1, -1, 0]
    data = model.data_preprocessor(batch(fold=[0, 0, 1]), training=True)
    assert model(**data, mode='loss')['loss'].isfinite()
    assert seen[1].tolist() == [0, 0, 1]
