# Copyright (c) orsa contributors. All rights reserved.
"""The priors at 112x112: their size, and that the files that ship work."""
import copy

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch.utils.flop_counter import FlopCounterMode

from orsa.datasets import Face300WDataset, RandomFaceAffine
from orsa.registry import MODELS
from orsa.utils.face_regions import FACE_CLASSES

MEAN = np.array([123.675, 116.28, 103.53], np.float32)
STD = np.array([58.395, 57.12, 57.375], np.float32)


@pytest.fixture(scope='module')
def cfg(repo_root):
    return Config.fromfile(repo_root / 'configs/_base_/models/face_priors.py')


def build(cfg, name, output):
    prior = MODELS.build(
        dict(copy.deepcopy(cfg[name]), output=output, out_channels=None))
    prior.init_weights()
    return prior


def as_input(images):
    """BGR uint8 images of 112 pixels, normalised as for a classifier."""
    rgb = np.stack(images)[..., ::-1].astype(np.float32)
    return torch.from_numpy(((rgb - MEAN) / STD).transpose(0, 3, 1, 2).copy())


@pytest.mark.parametrize('name, output, shape',
                         [('face_parsing_prior', 'probs', (1, 12, 112, 112)),
                          ('face_landmark_prior', 'keypoints', (1, 68, 3))])
def test_sizes(cfg, name, output, shape):
    prior = build(cfg, name, output)
    assert sum(p.numel() for p in prior.parameters()) <= 1.0e6
    with FlopCounterMode(display=False) as counter:
        out = prior(torch.rand(1, 3, 112, 112))
    assert out.shape == shape
    assert counter.get_total_flops() / 2 <= 60e6


def test_landmarks_of_people_and_their_visibility(cfg, face300w_dir):
    """Points lie where annotators put them; those under a patch are told."""
    # every tenth was held out
    dataset = Face300WDataset(
        str(face300w_dir),
        folders=['afw', 'helen/trainset'],
        indices=range(0, 1207, 50))
    crop = RandomFaceAffine(112, 0, prob=0, region='landmarks')
    faces = [
        crop(dict(dataset[i], img=cv2.imread(dataset[i]['img_path'])))
        for i in range(len(dataset))
    ]
    prior = build(cfg, 'face_landmark_prior', 'keypoints')
    points = prior(as_input([face['img'] for face in faces])).numpy()
    truth = np.concatenate([face['gt_keypoints'] for face in faces])
    unit = np.linalg.norm(truth[:, 36] - truth[:, 45], axis=1)
    error = np.linalg.norm(points[..., :2] * 112 - truth, axis=2).mean(1)
    assert np.median(error / unit) < .05
    covered, seen = [], []
    for face, one in zip(faces, truth):
        image = face['img'].copy()
        low, high = one[48:60].min(0) - 8, one[48:60].max(0) + 8
        cv2.rectangle(image, *(tuple(map(int, p)) for p in (low, high)),
                      (60, 90, 40), -1)
        found = prior(as_input([image]))[0].numpy()
        covered.append(found[48:68, 2].mean())
        seen.append(found[36:48, 2].mean())
    assert np.mean(covered) < .4 and np.mean(seen) > .7


def test_skin_and_hair_of_photographs(cfg, mask_folders):
    """On LFW's validation split, whose hats and hands are background."""
    folder = mask_folders / 'lfw_parts'
    names = (folder / 'validation.txt').read_text().split()[:40]
    images = [
        cv2.resize(
            cv2.imread(str(folder / f'images/{name}.jpg')), (112, 112),
            interpolation=cv2.INTER_AREA) for name in names
    ]
    truth = np.stack([
        cv2.resize(
            cv2.imread(
                str(folder / f'masks/{name}.png'), cv2.IMREAD_UNCHANGED),
            (112, 112),
            interpolation=cv2.INTER_NEAREST) for name in names
    ])
    prior = build(cfg, 'face_parsing_prior', 'probs')
    probs = prior(as_input(images))
    assert torch.allclose(probs.sum(1), torch.ones(1), atol=1e-5)
    label = np.full(12, 1)
    label[[0, FACE_CLASSES.index('occluder')]] = 0
    label[FACE_CLASSES.index('hair')] = 2
    found = label[probs.argmax(1).numpy()]
    assert (found == truth).mean() > .9
    assert ((found == 2) & (truth == 2)).sum() / (truth == 2).sum() > .6


def test_a_patch_on_a_face_is_an_occluder(cfg, mask_folders):
    folder = mask_folders / 'fasseg'
    names = (folder / 'train.txt').read_text().split()[:8]
    prior = build(cfg, 'face_parsing_prior', 'probs')
    for name in names:
        path = next((folder / 'images').glob(f'{name}.*'))
        image = cv2.resize(
            cv2.imread(str(path)), (112, 112), interpolation=cv2.INTER_AREA)
        occluder = FACE_CLASSES.index('occluder')
        before = prior(as_input([image]))[0, occluder]
        cv2.rectangle(image, (35, 62), (85, 112), (90, 120, 60), -1)
        after = prior(as_input([image]))[0, occluder]
        assert before[66:90, 40:80].mean() < .2
        assert after[66:90, 40:80].mean() > .6


def test_the_feature_with_what_is_visible(cfg):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (112, 112, 3), np.uint8) for _ in range(2)]
    prior = build(cfg, 'face_parsing_prior', 'feature+visible')
    out = prior(as_input(images))
    assert out.shape == (2, 81, 7, 7)
    assert torch.equal(out[:, :-1], prior.predict(as_input(images), 'feature'))
    probs = prior.parse(as_input(images))[:, FACE_CLASSES.index('occluder')]
    # averaged at the size of the head's output, half of that of the masks
    visible = 1 - probs.reshape(2, 7, 16, 7, 16).mean((2, 4))
    assert torch.allclose(out[:, -1], visible, atol=.15)
    pair = torch.stack([out[:, -1].flatten(), visible.flatten()])
    assert torch.corrcoef(pair)[0, 1] > .98


def test_without_the_class_nothing_is_known_visible(repo_root):
    path = repo_root / 'configs/_base_/models/lite_parsing.py'
    model = Config.fromfile(path).lite_parsing
    with pytest.raises(ValueError, match='occluder.*has 11'):
        MODELS.build(
            dict(
                type='orsa.ParsingPrior',
                output='feature+visible',
                model=model))


@pytest.mark.parametrize('name', ['parsing', 'landmark'])
def test_every_normalisation_gives_the_same(repo_root, name):
    """Of a classifier that takes pixels less a mean, as of ImageNet's."""
    images = torch.rand(2, 3, 112, 112) * 255
    found = []
    for path in ('face_priors', 'orsanet_face'):
        cfg = Config.fromfile(
            str(repo_root / f'configs/_base_/models/{path}.py'))
        prior = cfg[f'face_{name}_prior'] if path == 'face_priors' else (
            cfg.model.backbone[f'{name}_prior'])
        built = MODELS.build(prior)
        built.init_weights()
        mean, std = (
            torch.tensor(v).view(1, 3, 1, 1)
            for v in (built.input_mean, built.input_std))
        found.append(built((images - mean) / std))
    assert torch.allclose(*found, atol=1e-3 * found[0].abs().max().item())


def test_images_that_are_not_normalised_are_refused(cfg):
    prior = copy.deepcopy(cfg.face_parsing_prior)
    del prior['mean'], prior['std']
    prior.update(input_std=[1., 1., 1.])
    with pytest.raises(ValueError, match=r'std=\(58.*set std'):
        MODELS.build(prior)
