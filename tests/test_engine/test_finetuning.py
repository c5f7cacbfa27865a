# Copyright (c) orsa contributors. All rights reserved.
"""A training that begins from weights."""
import logging

import pytest
import torch
from mmengine.registry import MODELS
from test_resume import make_faces, plain_config
from test_start import content_of, train

from orsa.apis import build_model, load_config
from orsa.engine.state_fit import class_axes, fit_classes
from orsa.utils.checkpoint import load_checkpoint_file
from orsa.utils.classes import RAFDB_CLASSES

LITE = 'orsa://orsanet_lite.pth'
ALPHABET = sorted(RAFDB_CLASSES)
HEADS = [
    dict(type='orsa.DAREHead', num_classes=7, in_channels=32),
    dict(type='orsa.DANHead', num_classes=7, in_channels=32),
    dict(type='mmpretrain.LinearClsHead', num_classes=7, in_channels=32),
    dict(
        type='mmpretrain.StackedLinearClsHead',
        num_classes=7,
        in_channels=32,
        mid_channels=[7]),
    dict(
        type='mmpretrain.VisionTransformerClsHead',
        num_classes=7,
        in_channels=32)
]


@pytest.mark.parametrize('cfg', HEADS, ids=lambda c: c['type'])
def test_rows_of_every_head(cfg):
    """With its rows reordered a head says the same of every name."""
    old, new = (MODELS.build(dict(cfg)).eval() for _ in range(2))
    for head in (old, new):
        for value in head.state_dict().values():
            if value.is_floating_point():
                value.uniform_(.1, 1)  # running statistics as well
    state = {f'module.{k}': v.clone() for k, v in old.state_dict().items()}
    random = torch.get_rng_state()
    axes = class_axes(new, cfg)
    assert torch.equal(torch.get_rng_state(), random)
    done = fit_classes(state, axes, 7, RAFDB_CLASSES, ALPHABET)
    assert 'reordered by name' in done and all(key in done for key in axes)
    new.load_state_dict({k[7:]: v for k, v in state.items()})
    feats = torch.rand(4, 32, 7, 7) if 'DAN' in cfg['type'] else torch.rand(
        4, 32)
    feats = ([None, feats], ) if 'Vision' in cfg['type'] else (feats, )
    order = [RAFDB_CLASSES.index(name) for name in ALPHABET]
    torch.testing.assert_close(
        new(feats), old(feats)[:, order], rtol=1e-5, atol=1e-5)
    if 'DAN' in cfg['type']:
        torch.testing.assert_close(new.affinity_loss.centers,
                                   old.affinity_loss.centers[order])


@pytest.mark.parametrize('saved, count, wanted', [
    (RAFDB_CLASSES, 5, ALPHABET[:5]),
    (None, 5, ALPHABET[:5]),
    (RAFDB_CLASSES, 7, [f'class {i}' for i in range(7)]),
])
def test_other_classes_are_left_out(saved, count, wanted):
    state = {'head.fc.weight': torch.rand(7, 3), 'neck.weight': torch.rand(7)}
    axes = {'head.fc.weight': 0, 'head.fc.bias': 0}
    done = fit_classes(state, axes, count, saved, wanted)
    assert list(state) == ['neck.weight']
    assert done.startswith('has 7 classes') and '(head.fc.weight)' in done
    assert f'the data {len(wanted)} ({wanted[0]}, ' in done


def test_nothing_to_do():
    axes = {'head.fc.weight': 0}
    state = {'head.fc.weight': torch.rand(7, 3)}
    assert fit_classes(state, axes, 7, RAFDB_CLASSES, RAFDB_CLASSES) is None
    assert fit_classes(state, axes, 7, None, RAFDB_CLASSES) is None
    assert fit_classes({}, axes, 7, RAFDB_CLASSES, ALPHABET) is None
    assert len(state) == 1


def same_as_file(model, prefix):
    file = load_checkpoint_file(LITE)['state_dict']
    return {
        key
        for key, value in model.state_dict().items() if key.startswith(prefix)
        and not torch.equal(value, file[key].to(value.dtype))
    } == set()


@pytest.fixture
def quiet():
    """MMEngine logs where every weight is from."""
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


def test_parts_from_a_whole_checkpoint(cases_dir, quiet):
    """The encoder's own file does not overwrite what is named for it."""
    model = build_model(load_config(cases_dir / 'ft_b.py'))
    model.init_weights()
    assert same_as_file(model, ('backbone.', 'neck.'))
    assert not same_as_file(model, 'head.')


def test_the_outer_file_wins(tmp_path, quiet):
    cfg = load_config('orsa::orsanet_lite_rafdb.py')
    torch.save(load_checkpoint_file(LITE), tmp_path / 'a.pth')
    pretrained = dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'))
    for owner in (cfg.model, cfg.model.backbone):
        each = build_model(cfg)
        each.init_weights()
        # alone, the encoder begins from the landmark model
        assert not same_as_file(each, 'backbone.image_encoder')
        owner.init_cfg = [
            dict(type='Constant', layer='BatchNorm2d', val=3.), pretrained
            if owner is cfg.model else dict(pretrained, prefix='backbone.')
        ]
        each = build_model(cfg)
        each.init_weights()
        assert same_as_file(each, '' if owner is cfg.model else 'backbone.')
        owner.pop('init_cfg')


def test_two_streams(tmp_path):
    encoder = dict(type='orsa.IRNet', arch=dict(depths=(1, ), channels=(8, )))
    cfg = dict(
        type='orsa.TwoStream',
        image_encoder=encoder,
        landmark_prior=dict(type='orsa.LandmarkPrior', model=encoder),
        allow_untrained='quiet')
    whole = MODELS.build(cfg)
    torch.save(whole.state_dict(), tmp_path / 'whole.pth')
    other = MODELS.build(dict(encoder))
    torch.save(other.state_dict(), tmp_path / 'encoder.pth')
    model = MODELS.build(
        dict(
            cfg,
            image_encoder=dict(
                encoder,
                init_cfg=dict(
                    type='Pretrained',
                    checkpoint=str(tmp_path / 'encoder.pth'))),
            init_cfg=dict(
                type='Pretrained', checkpoint=str(tmp_path / 'whole.pth'))))
    model.init_weights()
    for key, value in whole.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), key


@pytest.fixture(scope='module')
def base(tmp_path_factory):
    root = tmp_path_factory.mktemp('finetuning')
    make_faces(root)
    (root / 'config.py').write_text(plain_config(root))
    train(root / 'config.py', root / 'first', '--max-iters', 1)
    return root


# nothing is learned, so that it ends as it begins
STILL = """
_base_ = 'config.py'
optim_wrapper = dict(optimizer=dict(lr=0.))
train_dataloader = dict(dataset=dict(classes={classes}))
val_dataloader = train_dataloader
model = dict(data_preprocessor=dict(num_classes={num}),
             head=dict(num_classes={num}))
"""


def begin(base, work_dir, classes, *options):
    path = base / 'still.py'
    path.write_text(
        STILL.replace('{classes}',
                      repr(list(classes))).replace('{num}', str(len(classes))))
    runner = train(path, work_dir, '--no-validate', '--max-iters', 1,
                   '--cfg-options', 'default_hooks.checkpoint.save_best=None',
                   *options)
    log = next((work_dir / runner.timestamp).glob('*.log')).read_text()
    old = content_of(base / 'first/epoch_1.pth')['state_dict']
    return old, content_of(work_dir / 'epoch_1.pth'), ' '.join(log.split())


@pytest.mark.parametrize('way', ['load_from', 'model.init_cfg'])
def test_training_in_another_order(base, tmp_path, way):
    path = str(base / 'first/epoch_1.pth')
    options = [f'load_from={path}'] if way == 'load_from' else [
        'model.init_cfg.type=Pretrained', f'model.init_cfg.checkpoint={path}'
    ]
    old, new, log = begin(base, tmp_path, ALPHABET, *options)
    order = [RAFDB_CLASSES.index(name) for name in ALPHABET]
    for key in ('head.fc.weight', 'head.fc.bias'):
        assert torch.equal(new['state_dict'][key], old[key][order])
    key = 'backbone.adapter.proj.weight'
    assert torch.equal(new['state_dict'][key], old[key])
    assert list(new['meta']['dataset_meta']['classes']) == ALPHABET
    assert f"'{path}' has the classes of the data in another order" in log


def test_training_on_fewer_classes(base, tmp_path):
    path = str(base / 'first/epoch_1.pth')
    three = ['fear', 'happiness', 'surprise']
    old, new, log = begin(base, tmp_path, three, f'load_from={path}')
    assert new['state_dict']['head.fc.weight'].shape[0] == 3
    for key in ('head.gate.0.weight', 'backbone.adapter.proj.weight'):
        assert torch.equal(new['state_dict'][key], old[key])
    assert f"'{path}' has 7 classes (surprise, " in log
    assert 'the data 3 (fear, happiness, surprise): the classification' in log


def test_going_on_with_other_classes_is_refused(base, tmp_path):
    (tmp_path / 'epoch_1.pth').write_bytes(
        (base / 'first/epoch_1.pth').read_bytes())
    path = base / 'other.py'
    path.write_text(
        STILL.replace('{classes}', repr(ALPHABET)).replace('{num}', '7'))
    with pytest.raises(ValueError, match='classes in another order'):
        train(path, tmp_path, '--resume')
