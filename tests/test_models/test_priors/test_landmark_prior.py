# Copyright (c) orsa contributors. All rights reserved.
"""Landmarks of every kind of head, against mmpose's own decoding."""
import numpy as np
import pytest
import torch

from orsa.models.priors import LandmarkPrior, keypoints_from_heatmaps
from orsa.models.priors.landmark_prior import _keypoints_from_simcc
from orsa.registry import MODELS

BACKBONE = dict(
    type='orsa.IRNet',
    arch=dict(depths=(1, 1), channels=(8, 16), stem_stride=2))
HEATMAP = dict(
    type='HeatmapHead',
    in_channels=16,
    out_channels=5,
    deconv_out_channels=(8, ),
    deconv_kernel_sizes=(4, ))
SIMCC = dict(
    type='RTMCCHead',
    in_channels=16,
    out_channels=5,
    input_size=(32, 48),
    in_featuremap_size=(4, 6),
    gau_cfg=dict(
        hidden_dims=16,
        s=8,
        expansion_factor=2,
        dropout_rate=0.,
        drop_path=0.,
        act_fn='SiLU',
        use_rel_bias=False,
        pos_enc=False))
REGRESSION = dict(type='RegressionHead', in_channels=16, num_joints=5)
RLE = dict(type='RLEHead', in_channels=16, num_joints=5)
DSNT = dict(
    type='DSNTHead',
    in_channels=16,
    in_featuremap_size=(4, 6),
    num_joints=5,
    deconv_out_channels=None,
    deconv_kernel_sizes=None)


def build(head, output='keypoints', **kwargs) -> LandmarkPrior:
    model = dict(
        type='mmpose.TopdownPoseEstimator', backbone=BACKBONE, head=head)
    if head is REGRESSION or head is RLE:
        model['neck'] = dict(type='GlobalAveragePooling')
    return MODELS.build(
        dict(
            type='orsa.LandmarkPrior',
            model=model,
            output=output,
            input_size=(48, 32),
            **kwargs))


@pytest.mark.parametrize('head', [HEATMAP, SIMCC, REGRESSION, RLE, DSNT])
def test_every_kind_of_head_gives_keypoints(head):
    prior = build(head, num_keypoints=5)
    points = prior(torch.rand(2, 3, 48, 32))
    assert points.shape == (2, 5, 3)
    assert ((points >= 0) & (points <= 1)).all()


@pytest.mark.parametrize('head, codec', [
    (HEATMAP,
     dict(
         type='MSRAHeatmap',
         input_size=(32, 48),
         heatmap_size=(8, 12),
         sigma=2)),
    (SIMCC, dict(type='SimCCLabel', input_size=(32, 48), sigma=3.)),
])
def test_agrees_with_mmposes_decoder(head, codec):
    from mmengine.structures import InstanceData
    from mmpose.structures import PoseDataSample
    prior = build(dict(head, decoder=codec))
    for param in prior.model.head.parameters():
        torch.nn.init.normal_(param, std=0.3)
    x = torch.randn(4, 3, 48, 32)
    points = prior(x).numpy()
    asked = build(head, 'feature')
    asked.load_state_dict(prior.state_dict())
    assert np.array_equal(asked.locate(x), points)
    samples = []
    for _ in range(len(x)):
        sample = PoseDataSample(
            metainfo=dict(
                input_size=(32, 48),
                input_center=np.array([16., 24.]),
                input_scale=np.array([32., 48.])))
        sample.gt_instances = InstanceData(
            bboxes=np.array([[0, 0, 32, 48]]),
            bbox_scores=np.ones(1, dtype=np.float32))
        samples.append(sample)
    theirs = prior.model.predict(x, samples)
    for ours, sample in zip(points, theirs):
        decoded = sample.pred_instances
        found = decoded.keypoint_scores[0] > 0
        assert found.any()
        expected = decoded.keypoints[0] / [32, 48]
        assert np.allclose(ours[found, :2], expected[found], atol=1e-5)
        assert np.allclose(
            ours[:, 2], decoded.keypoint_scores[0].clip(0, 1), atol=1e-5)


def test_heatmaps():
    prior = build(HEATMAP, 'heatmaps')
    x = torch.rand(2, 3, 48, 32)
    maps = prior(x)
    assert torch.equal(maps, prior.model.head(prior.model.backbone(x)))
    assert maps.shape == (2, 5, 12, 8)


def test_feature_of_the_same_model():
    assert build(HEATMAP, 'feature')(torch.rand(1, 3, 48,
                                                32)).shape == (1, 16, 6, 4)


def test_peaks_of_known_gaussians():
    centres = torch.tensor([[[5.3, 3.8], [10.2, 7.9]]])
    ys, xs = torch.meshgrid(
        torch.arange(12.), torch.arange(16.), indexing='ij')
    maps = torch.exp(-((xs - centres[..., 0, None, None])**2 +
                       (ys - centres[..., 1, None, None])**2) / 4)
    points = keypoints_from_heatmaps(maps)
    offset = points[..., :2] * torch.tensor([16, 12]) - centres
    assert offset.abs().max() <= 0.25
    corners = keypoints_from_heatmaps(maps, align_corners=True)
    assert torch.allclose(
        corners[..., :2] * torch.tensor([15, 11]),
        points[..., :2] * torch.tensor([16, 12]),
        atol=1e-5)


def test_maxima_of_known_codes():
    x, y = torch.zeros(1, 1, 40), torch.zeros(1, 1, 20)
    x[..., 10], y[..., 15] = 0.9, 3.
    assert torch.allclose(
        _keypoints_from_simcc(x, y), torch.tensor([[[0.25, 0.75, 0.9]]]))


def test_mobile_facenet_with_its_head():
    cfg = dict(
        type='orsa.LandmarkPrior',
        model=dict(type='orsa.MobileFaceNet', with_head=True),
        output='keypoints',
        input_size=112,
        num_keypoints=68)
    prior = MODELS.build(cfg)
    x = torch.rand(1, 3, 112, 112)
    assert torch.equal(
        prior(x)[..., :2],
        prior.model.predict_landmarks(x).clamp(0, 1))


def test_locates_whatever_the_output():
    for head in (HEATMAP, SIMCC, REGRESSION, RLE, DSNT):
        prior, x = build(head, 'feature'), torch.rand(2, 3, 48, 32)
        points = prior.locate(x)
        assert prior.can_locate and points.shape == (2, 5, 3)
        same = build(head)
        same.load_state_dict(prior.state_dict())
        assert torch.equal(same(x), points)
        assert not points.requires_grad


@pytest.mark.parametrize('model, message', [
    (BACKBONE, 'got IRNet$'),
    (dict(type='orsa.MobileFaceNet'), 'got MobileFaceNet without its head'),
])
def test_a_backbone_cannot_locate(model, message):
    prior = MODELS.build(
        dict(type='orsa.LandmarkPrior', model=model, input_size=112))
    assert not prior.can_locate
    with pytest.raises(ValueError, match=f'locate needs an.*{message}'):
        prior.locate(torch.rand(1, 3, 112, 112))


def test_what_cannot_be_had_is_refused_when_built():
    with pytest.raises(ValueError, match='num_keypoints=68.*5'):
        build(HEATMAP, num_keypoints=68)
    with pytest.raises(ValueError, match="RTMCCHead; use 'keypoints'"):
        build(SIMCC, 'heatmaps')
    with pytest.raises(ValueError, match='needs an estimator'):
        MODELS.build(
            dict(
                type='orsa.LandmarkPrior', model=BACKBONE, output='keypoints'))
