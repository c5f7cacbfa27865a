# Copyright (c) orsa contributors. All rights reserved.
"""The POSTER baselines: the published sizes and recipes, and their lite
versions beside ORSANet-lite."""
import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch.utils.flop_counter import FlopCounterMode

from orsa.models.priors import skip_pretrained

# Parameters as the published code builds them, and of these what it never
# calls: IR-50's output layer, the landmark head, a class token.
POSTER = {
    'backbone.image_encoder': (30_459_584, 12_847_616),
    'backbone.adapter': (524_800, 0),
    'backbone.landmark_prior': (1_007_248, 96_016),
    'neck': (39_329_864, 512),
    'head': (528_903, 0),
}
LITE = ('poster_lite', 'posterv2_lite')


def load(repo_root, name):
    return Config.fromfile(repo_root / f'configs/baselines/{name}_rafdb.py')


def build(cfg, quiet=True):
    model = copy.deepcopy(cfg.model)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(skip_pretrained(model) if quiet else model)


def count(module, trained=False):
    return sum(p.numel() for p in module.parameters()
               if p.requires_grad or not trained)


def gmacs(model, size):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.rand(1, 3, size, size), mode='tensor')
    return counter.get_total_flops() / 2e9


def test_poster_has_the_published_parameters(repo_root):
    model = build(load(repo_root, 'poster'))
    for name, (published, unused) in POSTER.items():
        assert count(model.get_submodule(name)) == published - unused, name
    # the paper's 71.8 M, and what of them is here
    assert sum(a for a, _ in POSTER.values()) == pytest.approx(
        71.8e6, rel=0.001)
    assert count(model) == sum(a - b for a, b in POSTER.values()) == 58_906_255
    assert count(model, trained=True) == 57_995_023


def window_fusion(d, window, heads):
    """Of one scale: reduction, norms, attention, table, scales, MLP."""
    return (9 * d * d + d) + 4 * d + (3 * d * d + 3 * d) + heads * (
        2 * window - 1)**2 + 2 * d + (8 * d * d + 5 * d)


def test_posterv2_has_the_published_parameters_and_cost(repo_root):
    model = build(load(repo_root, 'posterv2'))
    width = 768
    neck = sum(
        window_fusion(*scale)
        for scale in ((64, 28, 2), (128, 14, 4), (256, 7, 8)))
    neck += 9 * 512 * 256 + 256  # the last landmark map
    neck += 9 * width * (64 + width + 128) + 256 * width + 4 * width
    neck += 2 * (12 * width**2 + 13 * width) + 2 * width  # the ViT
    neck += (1 + 3 * 49 + 1) * width  # class token and positions
    assert count(model.neck) == neck
    head = 2 * (width**2 + width) + 7 * width + 7
    assert count(model.head) == head
    encoder, landmark = (
        POSTER[f'backbone.{part}']
        for part in ('image_encoder', 'landmark_prior'))
    assert count(model) == (
        encoder[0] - encoder[1] + landmark[0] - landmark[1] + neck + head)
    assert count(model) == pytest.approx(43.7e6, rel=0.002)
    assert count(model, trained=True) == 42_842_709
    # the paper's 8.4 G
    assert gmacs(model, 224) == pytest.approx(8.4, rel=0.01)


@pytest.mark.parametrize('name, batch, lr, epochs', [
    ('poster', 200, 4e-5, 300),
    ('posterv2', 144, 3.5e-5, 200),
])
def test_published_recipe(repo_root, monkeypatch, name, batch, lr, epochs):
    monkeypatch.setenv('ORSA_PRETRAINED', '/nowhere/')
    cfg = load(repo_root, name)
    assert cfg.train_dataloader.batch_size == batch
    assert cfg.train_dataloader.sampler == dict(
        type='DefaultSampler', shuffle=True)
    assert cfg.auto_scale_lr.base_batch_size == batch
    optim = cfg.optim_wrapper
    assert (optim.type, optim.rho, optim.optimizer.type,
            optim.optimizer.lr) == ('orsa.SAMOptimWrapper', 0.05, 'Adam', lr)
    assert optim.optimizer.weight_decay == 0
    assert cfg.param_scheduler.gamma == 0.98
    assert (cfg.train_cfg.type,
            cfg.train_cfg.max_epochs) == ('orsa.SAMTrainLoop', epochs)
    assert cfg.custom_hooks == []  # the loss is never switched
    backbone = MODELS.build(cfg.model.backbone)
    with pytest.raises(FileNotFoundError, match='/nowhere/ir50.pth'):
        backbone.init_weights()
    prior = cfg.model.backbone.landmark_prior
    assert prior.checkpoint == '/nowhere/mobilefacenet.pth'


def test_published_losses(repo_root):
    sample = [DataSample().set_gt_label(3)]
    feature = torch.randn(1, 512)
    head = MODELS.build(load(repo_root, 'poster').model.head)
    loss = head.loss((feature, ), sample)
    smooth = torch.full((7, ), 0.2 / 7)
    smooth[3] += 0.8
    log_prob = head((feature, )).log_softmax(-1)[0]
    assert loss['loss_ce'].item() == pytest.approx(-log_prob[3].item())
    assert loss['loss_ls'].item() == pytest.approx(
        -2 * (smooth * log_prob).sum().item())
    cfg = load(repo_root, 'posterv2').model.head
    assert cfg.loss == dict(type='mmpretrain.CrossEntropyLoss')


@pytest.mark.parametrize('name', LITE)
def test_lite_differs_from_orsanet_lite_in_the_model_alone(repo_root, name):
    reference = Config.fromfile(repo_root / 'configs/orsanet_lite_rafdb.py')
    cfg = load(repo_root, name)
    assert cfg.custom_hooks == []
    for key in reference:
        if key not in ('model', 'custom_hooks'):
            assert cfg[key] == reference[key], key
    for part in ('head', 'data_preprocessor'):
        assert cfg.model[part] == reference.model[part]


def test_lite_is_no_larger_than_orsanet_lite(repo_root):
    reference = build(
        Config.fromfile(repo_root / 'configs/orsanet_lite_rafdb.py'))
    limits = count(reference, trained=True), gmacs(reference, 112)
    for name in LITE:
        model = build(load(repo_root, name))
        assert count(model, trained=True) < limits[0], name
        assert gmacs(model, 112) < limits[1], name


@pytest.mark.parametrize('name', LITE)
def test_lite_starts_from_the_landmark_model_and_learns(repo_root, name):
    model = build(load(repo_root, name), quiet=False)
    model.init_weights()
    prior = model.backbone.landmark_prior.model
    # POSTER++ fuses maps of equal sizes, and has the same network twice
    name = 'face_landmark' if name == 'poster_lite' else 'lite_landmark'
    for part, file in ((model.backbone.image_encoder, 'lite_landmark'),
                       (getattr(prior, 'backbone', prior), name)):
        state = CheckpointLoader.load_checkpoint(f'orsa://{file}.pth', 'cpu')
        state = state.get('state_dict', state)
        for key, value in part.state_dict().items():
            assert torch.equal(value, state[f'backbone.{key}'].to(value)), key

    model.train()
    inputs = torch.randn(14, 3, 64, 64)
    samples = [DataSample().set_gt_label(i % 7) for i in range(14)]
    frozen = copy.deepcopy(model.backbone.landmark_prior.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    losses = []
    for _ in range(8):
        loss, _ = model.parse_losses(model(inputs, samples, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    for key, param in model.named_parameters():
        if not key.startswith('backbone.landmark_prior.'):
            assert param.grad is not None, key
    for key, value in model.backbone.landmark_prior.state_dict().items():
        assert torch.equal(value, frozen[key]), key
