# Copyright (c) orsa contributors. All rights reserved.
"""The baselines: sizes against the published ones, and equal conditions."""
import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import TRANSFORMS, DefaultScope
from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from orsa.models.priors import skip_pretrained

# Published parameters, those of a classifier or head that is not ours, and of
# what is ours alone: a classifier of seven classes, DAN's centres.
PUBLISHED = {
    # mmpretrain's model zoo, in units of 0.01 M, for 1000 classes
    'resnet18': (11_690_000, 512 * 1000 + 1000, 512 * 7 + 7),
    'resnet50': (25_560_000, 2048 * 1000 + 1000, 2048 * 7 + 7),
    'swin-tiny': (28_290_000, 768 * 1000 + 1000, 768 * 7 + 7),
    # as ORSANet's authors count them, IR-50 with its last stage and output,
    # MobileFaceNet with its landmark head
    'ir50_ce': (30_459_584, 12_847_616, 256 * 7 + 7),
    'mobilefacenet': (1_007_248, 96_016, 512 * 7 + 7),
    # the paper's 19.72 M; its centres belong to the loss and do not count
    'dan': (19_720_000, 0, 7 * 512),
}
LITE = ('resnet18_lite', 'ir_lite_ce', 'dan_lite')
SIZES = dict(ir50_ce=112, mobilefacenet=112)


def load(repo_root, name):
    return Config.fromfile(repo_root / f'configs/baselines/{name}_rafdb.py')


def build(cfg, quiet=True):
    model = copy.deepcopy(cfg.model)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(skip_pretrained(model) if quiet else model)


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_parameters(repo_root, name):
    published, absent, ours = PUBLISHED[name]
    model = build(load(repo_root, name))
    count = sum(p.numel() for p in model.parameters())
    assert count == pytest.approx(published - absent + ours, abs=5_000)


@pytest.mark.parametrize('name', [*PUBLISHED, *LITE])
def test_config_is_short_and_trains(repo_root, name):
    path = repo_root / f'configs/baselines/{name}_rafdb.py'
    assert len(path.read_text().splitlines()) <= 30
    cfg = load(repo_root, name)
    size = 64 if name in LITE else SIZES.get(name, 224)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        for loader in (cfg.train_dataloader, cfg.test_dataloader):
            # what comes before and after the faces' files
            pipeline = [TRANSFORMS.build(t) for t in loader.dataset.pipeline]
            face = dict(
                img=torch.randint(256, (100, 100, 3)).byte().numpy(),
                img_shape=(100, 100),
                gt_label=torch.tensor([2]).numpy())
            face = Compose(pipeline[1:])(face)
            assert face['inputs'].shape == (3, size, size)
    if size > 64:
        return  # two steps of these are for machines that have the time
    model = build(cfg)
    data = dict(inputs=[face['inputs']] * 2, data_samples=[DataSample()] * 2)
    for sample, label in zip(data['data_samples'], (0, 6)):
        sample.set_gt_label(label)
    data = model.data_preprocessor(data, training=True)
    losses = model(**data, mode='loss')
    sum(losses.values()).backward()
    for key, param in model.named_parameters():
        assert param.grad is not None, key


def test_lite_baselines_see_what_orsanet_lite_sees(repo_root):
    """At 64x64, as its image encoder, which makes its 112x112 smaller."""
    reference = Config.fromfile(repo_root / 'configs/orsanet_lite_rafdb.py')
    assert reference.model.backbone.image_size == 64
    for split in ('train', 'val', 'test'):
        affine, = (
            t for t in reference[f'{split}_dataloader'].dataset.pipeline
            if t.type == 'orsa.RandomFaceAffine')
        assert affine.size == 112
        affine.size = 64
    for name in LITE:
        cfg = load(repo_root, name)
        for part in ('train_dataloader', 'val_dataloader', 'test_dataloader',
                     'val_evaluator', 'test_evaluator', 'default_hooks',
                     'randomness', 'auto_scale_lr'):
            assert cfg[part] == reference[part], (name, part)
        for part in ('mean', 'std', 'to_rgb', 'num_classes'):
            assert cfg.model.data_preprocessor[part] == (
                reference.model.data_preprocessor[part]), (name, part)
        optim = reference.optim_wrapper
        assert cfg.optim_wrapper.optimizer == optim.optimizer
        assert cfg.optim_wrapper.paramwise_cfg == optim.paramwise_cfg
        assert cfg.optim_wrapper.type == 'OptimWrapper'


def test_lite_passes_are_those_of_sam(repo_root):
    """SAM takes two passes a step, these take one."""
    reference = Config.fromfile(repo_root / 'configs/orsanet_lite_rafdb.py')
    for name in ('ir_lite_ce', 'dan_lite'):
        cfg = load(repo_root, name)
        assert cfg.train_cfg.max_epochs == 2 * reference.train_cfg.max_epochs
    # ResNet-18 has the epochs that fit into the same time, as measured
    study = Config.fromfile(repo_root / 'configs/ablations/resnet18.py')
    cfg = load(repo_root, 'resnet18_lite')
    assert cfg.train_cfg == study.train_cfg
    assert cfg.optim_wrapper == study.optim_wrapper


def test_lite_encoders_start_from_the_landmark_model(repo_root):
    state = CheckpointLoader.load_checkpoint('orsa://lite_landmark.pth', 'cpu')
    state = state.get('state_dict', state)
    for name in ('ir_lite_ce', 'dan_lite'):
        model = build(load(repo_root, name), quiet=False)
        model.init_weights()
        for key, value in model.backbone.state_dict().items():
            assert torch.equal(value, state[f'backbone.{key}'].to(value)), key


def test_full_size_baselines_name_their_files(repo_root, monkeypatch):
    monkeypatch.setenv('ORSA_PRETRAINED', '/nowhere/')
    for name in ('ir50_ce', 'mobilefacenet', 'dan'):
        backbone = MODELS.build(load(repo_root, name).model.backbone)
        with pytest.raises(FileNotFoundError, match='/nowhere/.*pth'):
            backbone.init_weights()
    for name, kind in (('resnet18', 'resnet18_8xb32_in1k'),
                       ('resnet50', 'resnet50_8xb32_in1k'), ('swin-tiny',
                                                             'swin_tiny_224')):
        init = load(repo_root, name).model.backbone.init_cfg
        assert init.type == 'Pretrained' and init.prefix == 'backbone'
        assert init.checkpoint.startswith('https://download.openmmlab.com/')
        assert kind in init.checkpoint


def test_dan_has_the_papers_recipe(repo_root):
    cfg = load(repo_root, 'dan')
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.momentum,
            optimizer.weight_decay) == ('SGD', 0.1, 0.9, 1e-4)
    assert not optimizer.nesterov
    assert cfg.train_dataloader.batch_size == 256
    assert cfg.train_dataloader.sampler == dict(
        type='DefaultSampler', shuffle=True)
    assert cfg.train_cfg.max_epochs == 40
    scheduler, = cfg.param_scheduler
    assert (scheduler.step_size, scheduler.gamma) == (10, 0.1)
    assert cfg.model.neck is None and cfg.model.head.get('num_heads', 4) == 4
