# Copyright (c) orsa contributors. All rights reserved.
"""The model configs: their sizes, and that what they promise holds."""
import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.engine.hooks import ClassNumCheckHook
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch.utils.flop_counter import FlopCounterMode

from orsa.models.priors import skip_pretrained

# Parameters of the published parts, and what is left out of them since it is
# never called: output layer, landmark head, last norm and decoder, class token
PUBLISHED = {
    'backbone.image_encoder': (30_459_584, 12_847_616),
    'backbone.adapter': (524_800, 0),
    'backbone.landmark_prior': (1_007_248, 96_016),
    'backbone.parsing_prior': (91_005_752, 4_262_528 + 2_048),
    'neck.semantic_guidance': (8_785_664, 0),
    'neck.cross_interaction': (19_990_624, 512),
    'head': (528_903, 0),
}
FROZEN = ('backbone.landmark_prior', 'backbone.parsing_prior')


def build(path, **options):
    cfg = Config.fromfile(path).model
    cfg = skip_pretrained(copy.deepcopy(cfg))
    for key, value in options.items():
        part = cfg
        *parents, last = key.split('__')
        for name in parents:
            part = part[name]
        part[last] = value
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(cfg)


def count(module, trained=False):
    return sum(p.numel() for p in module.parameters()
               if p.requires_grad or not trained)


def gmacs(model, size):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.rand(1, 3, size, size), mode='tensor')
    return counter.get_total_flops() / 2e9


def check_classes(model, number):
    dataset = SimpleNamespace(CLASSES=[str(i) for i in range(number)])
    ClassNumCheckHook().before_train(
        SimpleNamespace(
            model=model, train_dataloader=SimpleNamespace(dataset=dataset)))


@pytest.fixture(scope='module')
def large(repo_root):
    return build(str(repo_root / 'configs/_base_/models/orsanet_large.py'))


@pytest.fixture
def lite(repo_root):
    return build(str(repo_root / 'configs/_base_/models/orsanet_lite.py'))


def test_large_has_the_published_parameters(large):
    for name, (published, unused) in PUBLISHED.items():
        part = large.get_submodule(name)
        assert count(part) == published - unused, name
        trained = 0 if name in FROZEN else published - unused
        assert count(part, trained=True) == trained, name
    assert count(large) == sum(a - b for a, b in PUBLISHED.values())
    assert sum(a for a, _ in PUBLISHED.values()) == 152_302_575


def test_large_has_the_published_cost(large):
    # 22.72 counts the products inside attention a little otherwise
    assert gmacs(large, 224) == pytest.approx(22.72, rel=0.005)
    check_classes(large, 7)


@pytest.mark.parametrize('size, depth', [('small', 4), ('base', 6),
                                         ('large', 8)])
def test_sizes_differ_in_depth_alone(repo_root, size, depth):
    folder = repo_root / 'configs/_base_/models'
    models = [
        Config.fromfile(folder / f'orsanet_{name}.py').model
        for name in (size, 'large')
    ]
    assert models[0].neck.cross_interaction.depth == depth
    for model in models:
        model.neck.cross_interaction.pop('depth')
    assert models[0] == models[1]


def test_lite_stays_within_its_budget(lite):
    assert count(lite, trained=True) <= 3e6
    assert gmacs(lite, 112) <= 0.125
    for name in FROZEN:
        assert count(lite.get_submodule(name)) <= 6e5
        assert count(lite.get_submodule(name), trained=True) == 0
    check_classes(lite, 7)


def test_lite_hands_on_the_features_of_its_priors(lite):
    outs = lite.eval().extract_feat(torch.rand(2, 3, 112, 112), 'backbone')
    assert [tuple(o.shape) for o in outs] == [(2, 96, 4, 4), (2, 80, 7, 7),
                                              (2, 104, 7, 7)]


def test_lite_learns_from_a_batch_of_one(lite):
    lite.train()
    sample = [DataSample().set_gt_label(2)]
    losses = lite(torch.randn(1, 3, 64, 64), sample, mode='loss')
    assert set(losses) == {'loss_ce', 'loss_ls'}
    total, _ = lite.parse_losses(losses)
    total.backward()
    for name, param in lite.named_parameters():
        if param.requires_grad:
            assert param.grad is not None, name
        else:
            assert param.grad is None and name.split('.')[1] in (
                'parsing_prior', 'landmark_prior')


def test_number_of_classes_is_changed_in_one_place(repo_root):
    path = str(repo_root / 'configs/_base_/models/orsanet_lite.py')
    model = build(path, head__num_classes=8, data_preprocessor__num_classes=8)
    check_classes(model, 8)
    sample = [DataSample().set_gt_label(7)]
    losses = model(torch.randn(1, 3, 64, 64), sample, mode='loss')
    assert torch.isfinite(losses['loss_ls'])


def test_priors_can_be_trained_from_the_same_files(repo_root):
    folder = repo_root / 'configs/_base_/models'
    for name in ('lite_parsing', 'lite_landmark'):
        cfg = Config.fromfile(folder / f'{name}.py')[name]
        scope = cfg.type.split('.')[0]
        with DefaultScope.overwrite_default_scope(scope):
            model = MODELS.build(cfg)
        assert model.backbone(torch.rand(1, 3, 64, 64))
        head = getattr(model, 'decode_head', None) or model.head
        assert any(p.requires_grad for p in head.parameters())


def test_a_size_that_does_not_fit_is_refused_when_built(repo_root):
    path = str(repo_root / 'configs/_base_/models/orsanet_lite.py')
    with pytest.raises(ValueError, match='6x6.*4x4'):
        build(path, backbone__image_size=96)
