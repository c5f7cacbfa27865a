# Copyright (c) orsa contributors. All rights reserved.
"""With folds each row is predicted by the model that has not seen it."""
import copy

import pytest
import torch
import torch.nn as nn

from orsa.models.priors import FrozenPrior, skip_pretrained
from orsa.models.utils.same_batch import provide, same_batch
from orsa.registry import MODELS
from orsa.utils.checkpoint_records import CheckpointError

BACKBONE = dict(
    type='orsa.IRNet',
    arch=dict(depths=(1, 1), channels=(4, 6), stem_stride=2))
PARSER = dict(
    type='mmseg.EncoderDecoder',
    backbone=BACKBONE,
    decode_head=dict(
        type='FCNHead',
        in_channels=6,
        in_index=0,
        channels=4,
        num_convs=1,
        num_classes=5))
ESTIMATOR = dict(
    type='mmpose.TopdownPoseEstimator',
    backbone=BACKBONE,
    head=dict(
        type='HeatmapHead',
        in_channels=6,
        out_channels=5,
        deconv_out_channels=None))
KINDS = {
    'feature': dict(type='orsa.FrozenPrior', model=BACKBONE),
    'probs': dict(type='orsa.ParsingPrior', model=PARSER, output='probs'),
    'keypoints': dict(
        type='orsa.LandmarkPrior',
        model=dict(
            ESTIMATOR,
            head=dict(
                type='RegressionHead',
                in_channels=6,
                num_joints=5),
            neck=dict(type='GlobalAveragePooling')),
        output='keypoints'),
    'heatmaps': dict(
        type='orsa.LandmarkPrior', model=ESTIMATOR, output='heatmaps')
}  # yapf: disable


def build(kind='feature', **kwargs) -> FrozenPrior:
    return MODELS.build(copy.deepcopy(dict(KINDS[kind], **kwargs)))


@pytest.fixture
def files(tmp_path):
    """Writes the files of a kind: the main one, then those of two folds."""

    def write(kind='feature', std=.3):
        paths = []
        for i in range(3):
            model = build(kind).model
            for param in model.parameters():
                nn.init.normal_(param, std=std)
            paths.append(str(tmp_path / f'{kind}_{i}.pth'))
            torch.save(model.state_dict(), paths[-1])
        return paths

    return write


def loaded(kind, paths, **kwargs) -> FrozenPrior:
    prior = build(
        kind, checkpoint=paths[0], fold_checkpoints=paths[1:], **kwargs)
    prior.init_weights()
    return prior


def alone(kind, path) -> FrozenPrior:
    prior = build(kind, checkpoint=path)
    prior.init_weights()
    return prior


@pytest.mark.parametrize('kind', KINDS)
def test_each_row_is_answered_by_the_model_that_has_not_seen_it(kind, files):
    paths = files(kind)
    prior = loaded(kind, paths)
    models = {k: alone(kind, p) for k, p in zip((-1, 0, 1), paths)}
    x = torch.randn(6, 3, 32, 32)
    folds = [1, -1, 0, 0, -1, 1]
    out = prior(provide(x, fold=torch.tensor(folds)))
    expected = torch.cat([models[k](x[i:i + 1]) for i, k in enumerate(folds)])
    assert out.shape == expected.shape and out.dtype == expected.dtype
    assert torch.allclose(out, expected, atol=1e-6)
    # the models do differ
    assert not torch.allclose(out, models[-1](x), atol=1e-3)
    # without the companion, it is the main model's
    assert torch.equal(prior(x.clone()), models[-1](x))


def test_only_the_models_needed_run_each_once(files):
    prior = loaded('feature', files())
    calls = []
    for name, one in zip('m01', [prior, *prior.folds.copies]):
        one.model.register_forward_hook(
            lambda _, args, __, name=name: calls.append((name, len(args[0]))))
    x = provide(torch.rand(5, 3, 32, 32), fold=torch.tensor([1, -1, 1, 1, -1]))
    with same_batch():
        first, second = prior(x), prior(x)
    assert first is second
    assert sorted(calls) == [('1', 3), ('m', 2)]
    calls.clear()
    prior(provide(torch.rand(2, 3, 32, 32), fold=torch.tensor([0, 0])))
    assert calls == [('0', 2)]
    calls.clear()
    prior(provide(torch.rand(2, 3, 32, 32), fold=torch.tensor([-1, -1])))
    assert calls == [('m', 2)]


def test_the_copies_are_in_no_checkpoint_and_frozen(files):
    paths = files()
    model = nn.ModuleDict(dict(prior=loaded('feature', paths)))
    plain = nn.ModuleDict(dict(prior=alone('feature', paths[0])))
    assert model.state_dict().keys() == plain.state_dict().keys()
    model.load_state_dict(plain.state_dict(), strict=True)
    plain.load_state_dict(model.state_dict(), strict=True)
    assert len(list(model.modules())) == len(list(plain.modules()))

    copies = model['prior'].folds.copies
    before = [copy.deepcopy(one.state_dict()) for one in copies]
    model.train().requires_grad_(True)
    x = torch.randn(4, 3, 32, 32) * 5
    out = model['prior'](provide(x, fold=torch.tensor([0, 1, 1, 0])))
    assert not out.requires_grad
    for one, state in zip(copies, before):
        assert not any(m.training for m in one.modules())
        assert not any(p.requires_grad for p in one.parameters())
        assert all(torch.equal(state[k], v)
                   for k, v in one.state_dict().items())  # yapf: disable


def test_the_copies_follow_to_another_type(files):
    paths = files()
    model = nn.ModuleDict(dict(prior=loaded('feature', paths))).double()
    x = torch.randn(3, 3, 32, 32).double()
    out = model['prior'](provide(x, fold=torch.tensor([0, -1, 1])))
    assert out.dtype == torch.float64
    expected = alone('feature', paths[1]).double()(x[:1])
    assert torch.allclose(out[:1], expected, atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_the_copies_follow_to_a_gpu(files):
    model = nn.ModuleDict(dict(prior=loaded('feature', files())))
    x, folds = torch.randn(3, 3, 32, 32), torch.tensor([0, -1, 1])
    expected = model['prior'](provide(x, fold=folds))
    out = model.cuda()['prior'](provide(x.cuda(), fold=folds.cuda()))
    assert torch.allclose(out.cpu(), expected, atol=1e-3)


def test_the_files_are_needed_even_if_a_checkpoint_follows(files, tmp_path):
    paths = files()
    cfg = dict(KINDS['feature'], checkpoint=paths[0], source='On the shelf')
    cfg['fold_checkpoints'] = [paths[1], 'no1.pth', 'no2.pth']
    prior = MODELS.build(skip_pretrained(cfg))
    assert prior.allow_untrained == 'quiet'
    with pytest.raises(FileNotFoundError) as error:
        prior.init_weights()
    message = str(error.value)
    assert "fold 1: 'no1.pth', fold 2: 'no2.pth'" in message
    assert '2 of 3' in message and 'On the shelf' in message
    state = torch.load(paths[1])
    state.pop('stages.1.0.conv1.weight')
    torch.save(state, paths[1])
    with pytest.raises(CheckpointError, match='(?s)lacks 1 .*, fold 0'):
        loaded('feature', paths)


def test_a_model_built_for_testing_has_the_main_model_alone(files):
    paths = files()
    prior = build(checkpoint='no.pth', fold_checkpoints=['no0.pth', 'no1.pth'])
    prior.load_state_dict(alone('feature', paths[0]).state_dict())
    x = provide(torch.rand(2, 3, 32, 32), fold=torch.tensor([-1, -1]))
    assert torch.equal(prior(x), alone('feature', paths[0])(x))
    with pytest.raises(RuntimeError, match='fold 1.*init_weights.*testing'):
        prior(provide(x, fold=torch.tensor([-1, 1])))


def test_what_does_not_go_together_is_refused(files):
    prior = loaded('feature', files())
    x = torch.rand(2, 3, 32, 32)
    with pytest.raises(ValueError, match='fold 4, but there are 2'):
        prior(provide(x, fold=torch.tensor([0, 4])))
    with pytest.raises(ValueError, match='fold -2, but there are 2'):
        prior(provide(x, fold=torch.tensor([0, -2])))
    with pytest.raises(ValueError, match=r'shape \(B,\), but is \(2, 1\)'):
        prior(provide(x, fold=torch.tensor([[0], [1]])))
    with pytest.raises(ValueError, match='drift=True'):
        build(fold_checkpoints=['a.pth', 'b.pth'], drift=True)
    for wrong in ('a.pth', ['a.pth'], []):
        with pytest.raises(ValueError, match='two or more files'):
            build(fold_checkpoints=wrong)


def test_a_second_initialisation_and_a_copy_of_the_whole(files):
    prior = loaded('feature', files())
    prior.init_weights()
    assert all(one.folds is None for one in prior.folds.copies)
    x = torch.rand(3, 3, 32, 32)
    provide(x, fold=torch.tensor([0, -1, 1]))
    twin = copy.deepcopy(prior)
    assert twin.folds.copies[0] is not prior.folds.copies[0]
    assert torch.equal(twin(x), prior(x))
