# Copyright (c) orsa contributors. All rights reserved.
"""Landmarks and their visibility: the head, and the prior that uses it."""
import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample

from orsa.models import LandmarkPrior
from orsa.registry import MODELS


@pytest.fixture(scope='module')
def cfg(repo_root):
    return Config.fromfile(
        repo_root / 'configs/_base_/models/face_landmark.py').face_landmark


@pytest.fixture(scope='module')
def model(cfg):
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(cfg))
    model.init_weights()
    return model.eval()


def test_the_points_are_those_of_mmposes_head(model):
    feats = (torch.randn(2, 104, 7, 7), )
    (x, y), visible = model.head(feats)
    want = model.head.pose_head(feats)
    assert torch.equal(x, want[0]) and torch.equal(y, want[1])
    assert visible.shape == (2, 68)
    assert ((visible > 0) & (visible < 1)).all()


def test_the_prior_hands_the_visibility_on(model, cfg):
    prior = LandmarkPrior(
        copy.deepcopy(cfg), 'keypoints', num_keypoints=68, input_size=112)
    prior.model.load_state_dict(model.state_dict(), strict=False)
    images = torch.randn(2, 3, 112, 112)
    points = prior(images)
    (x, y), visible = model.head(model.backbone(images))
    assert torch.allclose(points[..., 2], visible)
    assert torch.equal(points[..., 0], x.argmax(2) / 224)
    assert torch.equal(points[..., 1], y.argmax(2) / 224)


def sample(weights):
    labels = InstanceData()
    labels.keypoint_weights = torch.tensor([weights])
    labels.keypoint_x_labels = torch.rand(1, 68, 224)
    labels.keypoint_y_labels = torch.rand(1, 68, 224)
    one = PoseDataSample()
    one.gt_instance_labels = labels
    return one


def test_occluded_points_are_trained_and_told_apart(model):
    """The visibility is 1 where the weight is, the loss is BCE's."""
    head = copy.deepcopy(model.head)
    feats = (torch.randn(2, 104, 7, 7), )
    weights = [[1.] * 60 + [.8] * 8, [.5] * 68]
    losses = head.loss(feats, [sample(w) for w in weights])
    target = (torch.tensor(weights) == 1).float()
    logits = head.vis_forward(feats)
    want = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
    assert torch.allclose(losses['loss_vis'], 0.1 * want)
    assert torch.allclose(losses['acc_vis'],
                          ((logits > 0) == target.bool()).float().mean())
    losses['loss_kpt'].backward()
    assert head.pose_head.cls_x.weight.grad.abs().sum() > 0


def test_only_around_rtmposes_head():
    pose_cfg = dict(
        type='mmpose.RegressionHead',
        in_channels=8,
        num_joints=68,
        loss=dict(type='mmpose.SmoothL1Loss'))
    with pytest.raises(TypeError, match='RTMCCHead.*RegressionHead'):
        MODELS.build(dict(type='orsa.VisibilityHead', pose_cfg=pose_cfg))
