# Copyright (c) orsa contributors. All rights reserved.
"""Several maps of a frozen landmark network."""
import pytest
import torch

from orsa.models.priors import LandmarkPyramid
from orsa.models.utils.same_batch import provide
from orsa.registry import MODELS

ESTIMATOR = dict(
    type='mmpose.TopdownPoseEstimator',
    backbone=dict(
        type='orsa.IRNet',
        arch=dict(depths=(1, 1), channels=(8, 16), stem_stride=2),
        out_indices=(0, 1)),
    head=dict(
        type='HeatmapHead',
        in_channels=16,
        out_channels=5,
        deconv_out_channels=None))


def build(**kwargs) -> LandmarkPyramid:
    return MODELS.build(
        dict(
            type='orsa.LandmarkPyramid',
            model=ESTIMATOR,
            input_size=32,
            **kwargs))


def test_maps_are_the_backbones_and_the_head_still_locates():
    prior = build(out_channels=(8, 16))
    x = torch.rand(2, 3, 32, 32)
    maps = prior(x)
    assert [tuple(m.shape[1:]) for m in maps] == [(8, 8, 8), (16, 4, 4)]
    for ours, theirs in zip(maps, prior.model.backbone(x)):
        assert torch.equal(ours, theirs) and not ours.requires_grad
    one = MODELS.build(
        dict(type='orsa.LandmarkPrior', model=ESTIMATOR, input_size=32))
    one.load_state_dict(prior.state_dict())
    assert torch.equal(one(x), maps[-1])
    assert torch.equal(one.locate(x), prior.locate(x))


def test_a_map_from_the_disk_is_not_mistaken_for_all():
    prior, x = build(), torch.rand(2, 3, 32, 32)
    assert len(prior(provide(x, prior_landmarks=torch.rand(2, 16, 4, 4)))) == 2


def test_what_cannot_be_had_is_refused_when_built():
    with pytest.raises(ValueError, match=r'\(8, 20\).*gives \(8, 16\)'):
        build(out_channels=(8, 20))
    with pytest.raises(ValueError, match='fold_checkpoints'):
        build(fold_checkpoints=['a.pth', 'b.pth'])
    with pytest.raises(ValueError, match="but got 'keypoints'"):
        build(output='keypoints')
