# Copyright (c) orsa contributors. All rights reserved.
"""Aligned faces in memory get the predictions of a test, in their pixels."""
import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from plain_models import plain_model

from orsa.apis import (align_face, init_model, landmark_locator, load_config,
                       predict_faces)
from orsa.datasets.transforms import RandomFaceAffine
from orsa.faces.points import map_points
from orsa.registry import DATASETS
from orsa.utils.classes import RAFDB_CLASSES
from orsa.utils.face_regions import FACE_CLASSES

LITE = 'orsa::orsanet_lite_rafdb.py'


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    return init_model(LITE)


@pytest.fixture
def crops():
    rng = np.random.default_rng(0)
    return [
        cv2.GaussianBlur(
            rng.integers(0, 255, (*size, 3), np.uint8), (0, 0), size[0] / 16)
        for size in ((64, 64), (128, 128), (200, 160))
    ]


def drawing_model(**changes):
    return plain_model('orsa.DrawSyntheticFace', **changes)


def test_the_same_as_over_the_data_set(faces_dir, model):
    cfg = load_config(LITE).test_dataloader.dataset
    dataset = DATASETS.build(dict(cfg, data_root=str(faces_dir)))
    chosen = [0, 17, 200, 351]
    with torch.no_grad():
        expected = model.test_step(
            default_collate([dataset[i] for i in chosen]))
    crops = [cv2.imread(dataset.get_data_info(i)['img_path']) for i in chosen]
    found = predict_faces(model, crops, batch_size=3)
    assert len(found) == 4
    for ours, theirs in zip(found, expected):
        assert tuple(ours.scores) == RAFDB_CLASSES
        np.testing.assert_allclose(
            list(ours.scores.values()), theirs.pred_score, atol=1e-5)
        assert ours.expression == RAFDB_CLASSES[theirs.pred_label.item()]


def test_sizes_and_ranges(model, crops):
    for crop, found in zip(crops, predict_faces(model, crops, batch_size=2)):
        assert sum(found.scores.values()) == pytest.approx(1, abs=1e-5)
        assert found.parsing.shape == crop.shape[:2]
        assert found.parsing.dtype == np.uint8
        assert found.parsing.max() < len(FACE_CLASSES)
        assert found.landmarks.shape == (68, 3)
        points, (height, width) = found.landmarks, crop.shape[:2]
        assert (points[:, :2] >= -.5).all()
        assert (points[:, :2] <= (width, height)).all()
        assert ((points[:, 2] >= 0) & (points[:, 2] <= 1)).all()
    assert predict_faces(model, []) == []


def test_landmarks_are_where_the_estimator_was_told(model, crops, monkeypatch):
    """The way back of what a training does to its labels."""
    truth = np.random.default_rng(1).uniform(20, 140, (1, 68, 2))
    crop = crops[2]
    sample = RandomFaceAffine(
        size=112, flip_prob=0,
        prob=0).transform(dict(img=crop.copy(), gt_keypoints=truth))
    # mmpose's codecs divide pixels of the input by its size
    told = torch.cat(
        [torch.tensor(sample['gt_keypoints']) / 112,
         torch.ones(1, 68, 1)], 2)
    prior = model.backbone.landmark_prior
    monkeypatch.setattr(prior, 'locate', lambda x: told, raising=False)
    found = predict_faces(model, [crop])[0].landmarks
    np.testing.assert_allclose(found[:, :2], truth[0], atol=1e-3)
    share = landmark_locator(model)(crop)
    np.testing.assert_allclose(
        share[:, :2] * crop.shape[1::-1] - .5, truth[0], atol=1e-3)


def test_masks_are_the_parsers(model, crops):
    square = crops[1]
    found = predict_faces(model, [square])[0].parsing
    mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    small = cv2.resize(square, (112, 112), interpolation=cv2.INTER_LINEAR)
    x = torch.tensor((small[..., ::-1] - mean) / std).permute(2, 0, 1)
    parser = model.backbone.parsing_prior.model
    parser.decode_head.num_classes = len(FACE_CLASSES)
    labels = parser.predict(x[None].float())[0].pred_sem_seg.data[0].numpy()
    del parser.decode_head.num_classes
    big = cv2.resize(
        labels.astype(np.uint8), (128, 128), interpolation=cv2.INTER_NEAREST)
    assert len(np.unique(labels)) > 1
    assert (found == big).mean() > .85


def test_a_model_without_priors(crops):
    for found in predict_faces(drawing_model(), crops):
        assert found.parsing is None and found.landmarks is None
        assert found.expression in RAFDB_CLASSES
    assert landmark_locator(drawing_model()) is None


def test_priors_that_are_encoders_alone(crops):
    cfg = load_config(LITE)
    for kind in ('parsing_prior', 'landmark_prior'):
        prior = cfg.model.backbone[kind]
        prior.model = prior.model.backbone
    model = init_model(cfg)
    found = predict_faces(model, crops[:1])[0]
    assert found.parsing is None and found.landmarks is None


def test_aligns_real_faces(faces_dir):
    """With the landmark model that ships, not a made-up one."""
    model = init_model(LITE)
    model.init_weights()
    locate = landmark_locator(model)
    import json
    points = json.loads((faces_dir / 'landmarks68.json').read_text())
    errors = []
    for name in [n for n in points if n.startswith('test')][:120:12]:
        path = faces_dir / 'basic/Image/aligned' / f'{name}_aligned.jpg'
        there = cv2.getRotationMatrix2D((63.5, 63.5), 20, 1.5)
        there[:, 2] += np.array([320, 240]) - 63.5
        photo = np.full((480, 640, 3), 110, np.uint8)
        cv2.warpAffine(
            cv2.imread(str(path)),
            there, (640, 480),
            photo,
            borderMode=cv2.BORDER_TRANSPARENT)
        _, matrix = align_face(photo, (230, 150, 410, 330), locate)
        truth = np.array(points[name])
        back = map_points(map_points(truth, there), matrix)
        errors.append(np.linalg.norm(back - truth, axis=1).mean())
    # of 128 pixels; as it stands in the photograph it is off by more than 15
    assert np.mean(errors) < 5


def test_what_is_refused(model, crops):
    with pytest.raises(TypeError, match=r'crops\[1\]'):
        predict_faces(model, [crops[0], crops[0] / 255.])
    with pytest.raises(ValueError, match='test pipeline'):
        predict_faces(
            drawing_model(
                test_dataloader=dict(dataset=dict(classes=RAFDB_CLASSES))),
            crops)
    with pytest.raises(ValueError, match='batch_size'):
        predict_faces(model, crops, batch_size=0)
    nameless = drawing_model()
    nameless.dataset_meta = {}
    with pytest.raises(ValueError, match='classes'):
        predict_faces(nameless, crops)
