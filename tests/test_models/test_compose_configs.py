# Copyright (c) orsa contributors. All rights reserved.
"""configs/compose and docs/compose.md: every file trains and predicts."""
import argparse
import copy
import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, DefaultScope
from mmpretrain.registry import MODELS as PRETRAIN_MODELS
from mmpretrain.structures import DataSample

from orsa.apis.model import load_config
from orsa.apis.training import (add_train_arguments, build_runner, cut_short,
                                merge_train_arguments)
from orsa.models.priors import FrozenPrior

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / 'configs/compose'
CONFIGS = sorted(
    path.stem for path in FOLDER.glob('*.py') if not path.stem.startswith('_'))
BATCH, ITERS = 2, 2
SAMPLES = BATCH * ITERS


@pytest.fixture(autouse=True)
def _unformatted(monkeypatch):
    """Formatting what a Runner logs and dumps takes longer than training."""
    monkeypatch.setattr(Config, 'pretty_text', property(repr))


@pytest.fixture
def cifar10(tmp_path, monkeypatch) -> Path:
    """Ten noise images in each file of CIFAR-10's layout."""
    from mmpretrain.datasets import CIFAR10
    folder = tmp_path / 'cifar10' / CIFAR10.base_folder
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, _ in CIFAR10.train_list + CIFAR10.test_list:
        data = dict(
            data=rng.integers(0, 256, (10, 3072), np.uint8),
            labels=list(range(10)))
        (folder / name).write_bytes(pickle.dumps(data))
    for field in ('train_list', 'test_list'):  # without their sums
        files = [[name, None] for name, _ in getattr(CIFAR10, field)]
        monkeypatch.setattr(CIFAR10, field, files)
    return folder.parent


def shrink(cfg: Config, cifar: Path) -> Config:
    """A handful of small samples in this process; the model stays."""
    for name in ('train', 'val', 'test'):
        loader = cfg[f'{name}_dataloader']
        loader.update(
            batch_size=BATCH, num_workers=0, persistent_workers=False)
        dataset = loader.dataset
        if dataset.type == 'CIFAR10':
            dataset.data_root = str(cifar)
        if dataset.type == 'orsa.SyntheticFaces':
            dataset.size = 64
        dataset.indices = SAMPLES if name == 'train' else BATCH
    # a Runner without a seed draws one: with some a heatmap of two iterations
    # has no peak above 0 yet, which mmpose decodes as a place outside
    cfg.randomness = dict(seed=0)
    hooks = cfg.setdefault('default_hooks', {})
    hooks['checkpoint'] = None  # hundreds of megabytes
    return cfg


class Watch(Hook):
    """Keeps the first weights, what each step logs and what is predicted."""

    def __init__(self):
        self.losses, self.predictions = [], []

    def before_train(self, runner):
        state = runner.model.state_dict()
        self.weights = {k: v.clone() for k, v in state.items()}

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        self.losses.append({
            k: torch.as_tensor(v).item()
            for k, v in outputs.items()
        })

    def after_test_iter(self, runner, batch_idx, data_batch, outputs):
        self.predictions += outputs


def run(config, work_dir, cifar):
    """``tools/train.py CONFIG`` for two iterations, then the test data."""
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    args = parser.parse_args(
        ['CONFIG', '--work-dir',
         str(work_dir), '--no-validate'])
    cfg = shrink(load_config(config), cifar)
    runner = build_runner(merge_train_arguments(cfg, args))
    watch = Watch()
    runner.register_hook(watch)
    cut_short(runner, ITERS)
    runner.train()
    return runner, watch, runner.test()


def check_prediction(scope: str, sample) -> None:
    """Shape and meaning of one sample's prediction."""
    if scope == 'mmpretrain':
        classes = 10 if sample.num_classes == 10 else 7
        assert sample.pred_score.shape == (classes, )
        assert sample.pred_score.sum().item() == pytest.approx(1, abs=1e-5)
        assert int(sample.pred_label) == int(sample.pred_score.argmax())
    elif scope == 'mmseg':
        assert sample.seg_logits.data.shape == (11, 64, 64)
        labels = sample.pred_sem_seg.data
        assert torch.equal(labels, sample.seg_logits.data.argmax(0, True))
        assert sample.gt_sem_seg.data.shape == labels.shape
    else:
        points = sample.pred_instances.keypoints
        assert points.shape == (1, 68, 2)
        # the picture is the box: a heatmap has no peak outside
        assert (points > -4).all() and (points < 68).all()


def check_training(runner, watch) -> list:
    """Two finite steps; all that is trained moved, and no prior did.

    Returns the names of the priors.
    """
    assert len(watch.losses) == ITERS
    assert all(
        math.isfinite(v) for step in watch.losses for v in step.values())
    frozen = [
        name for name, module in runner.model.named_modules()
        if isinstance(module, FrozenPrior)
    ]
    state = runner.model.state_dict()
    for name, value in state.items():  # BatchNorm's statistics too
        if any(name.startswith(f'{prior}.') for prior in frozen):
            assert torch.equal(value, watch.weights[name]), name
    still = [
        name for name, p in runner.model.named_parameters()
        if p.requires_grad and torch.equal(p, watch.weights[name])
    ]
    assert still == []
    return frozen


def test_the_folder_is_found():
    assert {'mmpretrain', 'mmpose',
            'mmseg'} == {name.split('_')[0]
                         for name in CONFIGS}


@pytest.mark.parametrize('name', CONFIGS)
def test_trains_two_iterations_and_predicts(name, tmp_path, cifar10):
    path = FOLDER / f'{name}.py'
    runner, watch, metrics = run(path, tmp_path, cifar10)
    cfg, scope = runner.cfg, name.split('_')[0]
    assert cfg.default_scope == scope
    assert 'custom_imports' not in cfg and 'orsa.' in path.read_text()
    frozen = check_training(runner, watch)
    assert bool(frozen) == ('_prior' in str(cfg.model))
    sam = 'orsa.SAM' in path.read_text()
    assert all(('sharpness' in step) == sam for step in watch.losses)
    assert len(watch.predictions) == BATCH
    for sample in watch.predictions:
        check_prediction(scope, sample)
    assert metrics and all(np.isfinite(v) for v in metrics.values())
    assert path.name in (ROOT / 'docs/compose.md').read_text()


def test_shipped_priors_are_those_that_train(tmp_path):
    """What is frozen is not what a constructor drew."""
    from mmengine.runner import load_checkpoint
    cfg = load_config(FOLDER / 'mmpretrain_convnext_cross_interaction.py')
    model = PRETRAIN_MODELS.build(cfg.model)
    model.init_weights()
    prior = model.backbone.landmark_prior.model
    file = load_checkpoint(
        copy.deepcopy(prior), str(ROOT / 'orsa/zoo/lite_landmark.pth'))
    state = prior.state_dict()
    for key, value in file['state_dict'].items():
        assert torch.equal(state[key], value.to(state[key].dtype)), key


def python_blocks() -> list:
    text = (ROOT / 'docs/compose.md').read_text()
    blocks = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
    return [block for block in blocks if '_base_' in block]


@pytest.mark.parametrize('index', range(2))
def test_the_lines_of_the_docs_below_a_stock_config(index, tmp_path):
    block = python_blocks()[index]
    assert len(python_blocks()) == 2
    mine = tmp_path / 'mine.py'
    mine.write_text(block)
    try:
        cfg = Config.fromfile(mine)
    except FileNotFoundError:
        pytest.skip('this mmpretrain is installed without its configs')
    stock = Config.fromfile(
        Config._get_cfg_path(block.split("'")[1], str(mine))[0])
    for own, theirs in ((cfg.optim_wrapper.optimizer,
                         stock.optim_wrapper.optimizer),
                        (cfg.param_scheduler, stock.param_scheduler)):
        # the inherited ones also know their scope
        assert {k: v for k, v in own.items() if k != '_scope_'} == theirs

    faces = Config.fromfile(FOLDER / '_faces_mmpretrain.py')
    for name in ('train', 'val', 'test'):
        key = f'{name}_dataloader'
        cfg[key] = faces[key]
    cfg.model.head.num_classes = 7
    if index:  # to be done sooner
        cfg.model.backbone.depth, cfg.model.head.in_channels = 18, 512
    runner, watch, _ = run(cfg, tmp_path, None)
    check_training(runner, watch)
    assert type(runner.train_loop).__name__ == 'SAMTrainLoop'
    names = [{'loss', 'sharpness'},
             {'loss', 'loss_ce', 'loss_dare', 'sharpness'}]
    assert all(set(step) == names[index] for step in watch.losses)


def test_two_lines_are_two_statements():
    """Beside the config that is inherited."""
    import ast
    assert len(ast.parse(python_blocks()[0]).body) == 3


def test_mmpretrains_own_head_does_not_take_several_losses():
    """The docs name this message."""
    cfg = dict(
        type='ImageClassifier',
        backbone=dict(
            type='orsa.IRNet', arch=dict(depths=(1, ), channels=(8, ))),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            num_classes=3,
            in_channels=8,
            loss=dict(
                type='orsa.CompositeLoss',
                losses=dict(loss_dare=dict(type='orsa.DARELoss')))))
    model = PRETRAIN_MODELS.build(cfg)
    losses = model(
        torch.rand(1, 3, 16, 16), [DataSample().set_gt_label(1)], mode='loss')
    with pytest.raises(
            TypeError, match='loss is not a tensor or list of tensors'):
        model.parse_losses(losses)
    cfg['head'].update(type='orsa.DAREHead')
    model = PRETRAIN_MODELS.build(cfg)
    losses = model(
        torch.rand(1, 3, 16, 16), [DataSample().set_gt_label(1)], mode='loss')
    assert model.parse_losses(losses)[0].ndim == 0


def face_pipeline(name: str, keep: tuple, **changes) -> list:
    """Transforms of a data config's test and training pipelines, by name."""
    cfg = Config.fromfile(FOLDER / f'_faces_{name}.py')
    found = {
        t['type'].split('.')[-1]: t
        for t in cfg.train_pipeline + cfg.test_pipeline
    }
    return [dict(found[k], **changes.get(k, {})) for k in keep]


def test_mmpose_keeps_the_points_right_under_occluders():
    """Where a point is said to be in sight, the picture is the clean one."""
    with DefaultScope.overwrite_default_scope('mmpose'):
        front = ('DrawSyntheticFace', 'AsPoseSample')
        back = ('GetBBoxCenterScale', 'RandomFlip', 'TopdownAffine',
                'GenerateTarget', 'PackPoseInputs')
        flip = dict(prob=1.)
        faces = [
            DATASETS.build(
                dict(
                    type='orsa.FaceLandmarkDataset',
                    faces=dict(
                        type='orsa.SyntheticFaces', num_samples=12, size=64),
                    pipeline=face_pipeline(
                        'mmpose',
                        keep,
                        RandomFlip=flip,
                        OccludeFace=dict(severity=4, kinds=['block']))))
            for keep in (front + back, front + ('OccludeFace', ) + back)
        ]
        samples = list(zip(*faces))
    hidden = total = changed = untouched = 0
    for clean, covered in samples:
        gt = covered['data_samples'].gt_instances
        seen = gt.keypoints_visible[0] > 0
        weights = covered['data_samples'].gt_instance_labels.keypoint_weights
        assert torch.equal(weights[0] > 0, torch.from_numpy(seen))
        own = clean['data_samples']
        assert own.gt_instances.keypoints_visible.min() == 1
        points = gt.keypoints[0]
        np.testing.assert_allclose(points, own.gt_instances.keypoints[0])
        # the box is the picture: heatmaps are a quarter of it
        heatmaps = covered['data_samples'].gt_fields.heatmaps
        peaks = heatmaps.flatten(1).argmax(1)[seen]
        peaks = np.stack([peaks % 16, peaks // 16], 1) * 4
        assert np.abs(peaks - points[seen]).max() < 4
        at = points.round().astype(int).clip(0, 63)
        rise = (covered['inputs'].int() - clean['inputs'].int()).abs().sum(0)
        differs = (rise > 12).numpy()[at[:, 1], at[:, 0]]
        hidden, total = hidden + (~seen).sum(), total + seen.size
        changed += differs[~seen].sum()
        untouched += (~differs[seen]).sum()
    assert 0.1 < hidden / total < 0.8
    assert changed >= 0.9 * hidden
    assert untouched >= 0.9 * (total - hidden)


def test_mmseg_flip_exchanges_left_and_right():
    with DefaultScope.overwrite_default_scope('mmseg'):
        keep = ('DrawSyntheticFace', 'AsSegSample', 'RandomFlip')
        maps = [
            DATASETS.build(
                dict(
                    type='orsa.FaceParsingDataset',
                    faces=dict(
                        type='orsa.SyntheticFaces', num_samples=1, size=64),
                    pipeline=face_pipeline(
                        'mmseg', keep,
                        RandomFlip=dict(prob=prob))))[0]['gt_seg_map']
            for prob in (0., 1.)
        ]
    for left, right in ((2, 3), (4, 5)):  # the subject's left is at the right
        for parsing in maps:
            where = [np.nonzero(parsing == k)[1].mean() for k in (left, right)]
            assert where[0] > where[1] + 5
    assert (maps[0] != maps[1]).any()


def fusion(dims, grid, heads, scales, **changes) -> dict:
    """ORSANet of any width, grid, number of heads and of scales."""
    tokens = grid[0] * grid[1]
    irnet = dict(type='orsa.IRNet', arch=dict(depths=(1, ), channels=(8, )))
    cfg = dict(
        type='ImageClassifier',
        backbone=dict(
            type='orsa.ORSANet',
            image_size=(8 * grid[0], 8 * grid[1]),
            image_encoder=irnet,
            embed_dims=dims,
            grid=grid,
            parsing_prior=dict(type='orsa.ParsingPrior', model=irnet),
            landmark_prior=dict(type='orsa.LandmarkPrior', model=irnet)),
        neck=dict(
            type='orsa.ORSANetNeck',
            parsing_encoder=dict(
                type='orsa.MapEncoder',
                in_channels=8,
                out_channels=6,
                grid=grid),
            landmark_encoder=dict(
                type='orsa.MapEncoder',
                in_channels=8,
                out_channels=dims,
                grid=grid),
            semantic_guidance=dict(
                type='orsa.SemanticGuidance',
                in_channels=dims,
                condition_channels=6),
            cross_interaction=dict(
                type='orsa.MultiScaleCrossInteraction',
                embed_dims=dims,
                num_tokens=tokens,
                num_heads=heads,
                num_scales=scales,
                depth=1)),
        head=dict(type='orsa.DAREHead', num_classes=5, in_channels=dims))
    for key, value in changes.items():
        part = cfg
        *owners, last = key.split('__')
        for owner in owners:
            part = part[owner]
        part[last] = value
    return cfg


@pytest.mark.parametrize('dims, grid, heads, scales', [
    (24, (5, 4), 3, 2),
    (40, (3, 7), 5, 4),
    (18, (1, 2), 9, 1),
    (64, (4, 4), 1, 5),
])
def test_any_width_grid_heads_and_scales(dims, grid, heads, scales):
    model = PRETRAIN_MODELS.build(fusion(dims, grid, heads, scales))
    x = torch.randn(2, 3, 8 * grid[0], 8 * grid[1])
    image, *_ = model.backbone(x)
    assert image.shape == (2, dims, *grid)
    assert model.extract_feat(x)[0].shape == (2, dims)
    loss = model(
        x, [DataSample().set_gt_label(i) for i in (1, 4)], mode='loss')['loss']
    loss.backward()
    grad = model.backbone.image_encoder.stem[0].weight.grad
    assert grad.isfinite().all() and grad.any()
    assert model.eval()(x, mode='tensor').shape == (2, 5)


@pytest.mark.parametrize('changes, numbers', [
    (dict(neck__cross_interaction__num_heads=5), ('12', 'num_heads=5')),
    (dict(neck__cross_interaction__num_scales=5), ('1.5', 'num_heads=3')),
    (dict(neck__cross_interaction__num_tokens=49), ('20', '49')),
    (dict(neck__landmark_encoder__out_channels=32), ('32', '24')),
    (dict(neck__semantic_guidance__condition_channels=7), ('6', '7')),
    (dict(backbone__grid=(3, 4)), ('20x16', '3x4')),
    (dict(backbone__parsing_prior__out_channels=9), ('9', '8')),
    (dict(head__num_classes=0), ('num_classes=0', 'positive')),
])
def test_what_does_not_fit_is_refused_when_built(changes, numbers):
    with pytest.raises(ValueError) as error:
        PRETRAIN_MODELS.build(fusion(24, (5, 4), 3, 2, **changes))
    for number in numbers:
        assert re.search(rf'(?<![\d.]){re.escape(number)}(?![\d])',
                         str(error.value)), (number, str(error.value))


def test_the_new_style_is_the_same_experiment():
    """Classes in place of names: the same parts, weights and settings."""

    def named(value):
        if isinstance(value, dict):
            return {k: named(v) for k, v in value.items()}
        return getattr(value, '__name__', value)

    old = load_config(FOLDER / 'mmpretrain_resnet50_dare_head.py')
    new = load_config(FOLDER / 'mmpretrain_new_style.py')
    for key in ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg',
                'train_dataloader', 'test_dataloader', 'default_scope'):
        names = re.sub(r'orsa\.', '', repr(named(old[key])))
        assert re.sub(r'orsa\.', '', repr(named(new[key]))) == names, key
    torch.manual_seed(0)
    first = PRETRAIN_MODELS.build(old.model).state_dict()
    torch.manual_seed(0)
    second = PRETRAIN_MODELS.build(new.model).state_dict()
    assert list(first) == list(second)
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_a_prior_takes_a_class_for_its_model():
    """As a config in the new style has it, with names inside."""
    from mmseg.models import EncoderDecoder

    from orsa.models.priors.wrapped_model import build_wrapped
    cfg = dict(
        type='mmseg.EncoderDecoder',
        backbone=dict(type='ResNetV1c', depth=18),
        decode_head=dict(
            type='FCNHead', in_channels=512, channels=8, num_classes=4))
    named = build_wrapped(copy.deepcopy(cfg)).state_dict()
    by_class = build_wrapped(dict(cfg, type=EncoderDecoder)).state_dict()
    assert list(named) == list(by_class)
