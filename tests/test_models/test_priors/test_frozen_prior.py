# Copyright (c) orsa contributors. All rights reserved.
"""A prior never changes, re-normalises, and loads its file or refuses."""
import copy
from types import SimpleNamespace

import pytest
import torch
import torch.nn as nn
from mmpretrain.engine.hooks import ClassNumCheckHook

from orsa.models.priors import FrozenPrior, skip_pretrained
from orsa.models.utils.same_batch import provide, same_batch
from orsa.registry import MODELS
from orsa.utils.checkpoint_records import CheckpointError

TINY = dict(type='orsa.IRNet', arch=dict(depths=(1, 1), channels=(4, 6)))


def build(**kwargs) -> FrozenPrior:
    cfg = dict(type='orsa.FrozenPrior', model=TINY)
    cfg.update(kwargs)
    return MODELS.build(cfg)


def parent(**kwargs) -> nn.Module:
    return nn.ModuleDict(dict(prior=build(**kwargs), own=nn.BatchNorm2d(3)))


def same(a: dict, b: dict) -> bool:
    return all(torch.equal(a[k], b[k]) for k in a)


def test_nothing_moves_when_the_parent_trains():
    model = parent().train()
    before = copy.deepcopy(model['prior'].state_dict())
    out = model['prior'](torch.randn(4, 3, 32, 32) * 5)
    assert model['own'].training
    assert not any(m.training for m in model['prior'].modules())
    assert not any(p.requires_grad for p in model['prior'].parameters())
    assert not out.requires_grad
    assert same(before, model['prior'].state_dict())


def test_drift_follows_the_parent():
    model = parent(drift=True).train()
    before = copy.deepcopy(model['prior'].state_dict())
    x = torch.randn(4, 3, 32, 32) * 5
    with same_batch():
        outs = [model['prior'](x) for _ in range(2)]
    after = model['prior'].state_dict()
    assert not outs[0].requires_grad
    # both passes of SAM, as in the published implementation
    assert int(after['model.stem.1.num_batches_tracked']) == 2
    assert not torch.equal(before['model.stem.1.running_mean'],
                           after['model.stem.1.running_mean'])
    model.eval()
    before = copy.deepcopy(after)
    model['prior'](x)
    assert same(before, model['prior'].state_dict())


def test_computes_once_per_batch():
    prior, calls = build(), []
    prior.model.register_forward_hook(lambda *args: calls.append(1))
    x = torch.rand(1, 3, 32, 32)
    with same_batch():
        first, second = prior(x), prior(x)
        assert first is second and len(calls) == 1
        prior(x.clone())
        assert len(calls) == 2
    prior(x)
    assert len(calls) == 3


def test_weights_are_part_of_the_parents_checkpoint():
    source, target = parent(), parent()
    assert any(k.startswith('prior.model.stages') for k in source.state_dict())
    target.load_state_dict(source.state_dict())
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(source['prior'](x), target['prior'](x))


@pytest.mark.parametrize('bgr', [False, True])
def test_renormalises_for_its_model(bgr):
    theirs = dict(mean=[127.5, 120., 110.], std=[127.5, 60., 50.])
    ours = dict(input_mean=[100., 90., 80.], input_std=[50., 40., 30.])
    plain = build(**ours)
    prior = build(**theirs, **ours, bgr=bgr)
    prior.load_state_dict(plain.state_dict())
    image = torch.randint(0, 256, (1, 3, 32, 32)).float()  # RGB

    def normalise(mean, std):
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (mean, std))
        return (image - mean) / std

    wanted = normalise(theirs['mean'], theirs['std'])
    expected = prior.model(wanted.flip(1) if bgr else wanted)[-1]
    given = normalise(ours['input_mean'], ours['input_std'])
    assert torch.allclose(prior(given), expected, atol=1e-4)
    # no mean of its own: not a bit is touched
    assert torch.equal(plain(given), plain.model(given)[-1])


def test_input_size_and_index():
    model = dict(TINY, out_indices=(0, 1))
    prior = build(model=model, input_size=16, out_index=0)
    assert prior(torch.rand(1, 3, 32, 32)).shape == (1, 4, 8, 8)


def test_channels_are_checked_when_built():
    build(out_channels=6, input_size=32)
    with pytest.raises(ValueError, match='out_channels=7.*6'):
        build(out_channels=7, input_size=32)
    with pytest.raises(ValueError, match="'probs'"):
        build(output='probs')


def test_loads_its_checkpoint_or_says_where_to_get_it(tmp_path):
    path = str(tmp_path / 'prior.pth')
    source = MODELS.build(TINY)
    cfg = dict(checkpoint=path, source='It is on the shelf')
    with pytest.raises(FileNotFoundError) as error:
        build(**cfg).init_weights()
    assert path in str(error.value) and 'on the shelf' in str(error.value)

    for state in (source.state_dict(), dict(state_dict=source.state_dict())):
        torch.save(state, path)
        prior = build(**cfg)
        prior.init_weights()
        assert same(source.state_dict(), prior.model.state_dict())

    # the model's own init_cfg says the same, with a prefix too
    torch.save({f'net.{k}': v for k, v in source.state_dict().items()}, path)
    init_cfg = dict(type='Pretrained', checkpoint=path, prefix='net.')
    prior = build(model=dict(TINY, init_cfg=init_cfg))
    prior.init_weights()
    assert same(source.state_dict(), prior.model.state_dict())


def test_a_file_that_does_not_fit_is_refused(tmp_path):
    path = str(tmp_path / 'prior.pth')
    state = MODELS.build(TINY).state_dict()
    torch.save(dict(state, **{'stem.0.weight': torch.zeros(4, 3, 5, 5)}), path)
    with pytest.raises(
            CheckpointError, match=r'(?s)prior\.pth.*stem\.0\.weight'):
        build(checkpoint=path).init_weights()
    state.pop('stages.1.0.conv1.weight')
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r'lacks 1 of .*stages\.1\.0'):
        build(checkpoint=path).init_weights()


def test_untrained_only_if_allowed():
    with pytest.raises(FileNotFoundError, match='no checkpoint is given'):
        build().init_weights()
    with pytest.warns(UserWarning, match='UNTRAINED'):
        build(allow_untrained=True).init_weights()


@pytest.mark.filterwarnings('error')
def test_nothing_is_asked_for_when_a_whole_checkpoint_follows():
    missing = dict(type='Pretrained', checkpoint='nowhere.pth')
    cfg = dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(
            type='orsa.ORSANet',
            image_size=32,
            grid=8,
            embed_dims=8,
            image_encoder=dict(TINY, init_cfg=missing),
            parsing_prior=dict(
                type='orsa.ParsingPrior', model=TINY, checkpoint='no.pth'),
            landmark_prior=dict(
                type='orsa.LandmarkPrior', model=dict(TINY,
                                                      init_cfg=missing))),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(type='orsa.DAREHead', num_classes=3, in_channels=8))
    skip_pretrained(cfg)
    MODELS.build(cfg).init_weights()


def test_a_plain_backbones_file_is_skipped_too():
    cfg = dict(
        backbone=dict(
            TINY, init_cfg=dict(type='Pretrained', checkpoint='no.pth')))
    MODELS.build(skip_pretrained(cfg)['backbone']).init_weights()


def test_heirs_are_known_to_skip_pretrained():

    @MODELS.register_module()
    class HeirPrior(FrozenPrior):

        def __init__(self, **kwargs):
            super().__init__(**kwargs)

    try:
        for kind in ('orsa.HeirPrior', 'HeirPrior', HeirPrior):
            cfg = skip_pretrained(dict(part=[dict(type=kind)]))
            assert cfg['part'][0]['allow_untrained'] == 'quiet'
    finally:
        MODELS.module_dict.pop('HeirPrior')
    assert skip_pretrained(dict(type='orsa.IRNet')) == dict(type='orsa.IRNet')


def test_class_num_check_hook_passes_with_a_parser_inside():
    segmentor = dict(
        type='mmseg.EncoderDecoder',
        backbone=dict(TINY),
        decode_head=dict(
            type='FCNHead',
            in_channels=6,
            in_index=0,
            channels=4,
            num_convs=1,
            num_classes=11))
    prior = build(
        type='orsa.ParsingPrior',
        model=segmentor,
        output='probs',
        num_classes=11)
    head = MODELS.build(
        dict(type='orsa.DAREHead', num_classes=7, in_channels=4))
    dataset = SimpleNamespace(CLASSES=tuple('abcdefg'))
    runner = SimpleNamespace(
        model=nn.ModuleDict(dict(prior=prior, head=head)),
        train_dataloader=SimpleNamespace(dataset=dataset))
    hook = ClassNumCheckHook()
    hook.before_train(runner)
    prior(torch.rand(1, 3, 32, 32))  # asking it puts nothing back
    hook.before_train(runner)
    # the same parser, not hidden, is what the hook trips over
    runner.model['prior'] = nn.ModuleDict(dict(head=prior.model))
    with prior.hidden_num_classes.shown():
        with pytest.raises(AssertionError, match='11'):
            hook.before_train(runner)


@pytest.mark.parametrize('kind, key', [('ParsingPrior', 'prior_parsing'),
                                       ('LandmarkPrior', 'prior_landmarks')])
def test_what_came_with_the_images_is_handed_on(kind, key):
    prior, x = build(type=f'orsa.{kind}'), torch.rand(2, 3, 32, 32)
    shape = prior(x).shape
    given = torch.rand(shape).half()
    provide(x, **{key: given})
    with same_batch():
        out = prior(x)
    assert out.dtype == x.dtype and torch.equal(out.half(), given)
    # of the other prior's it takes no notice
    other = dict(prior_parsing='prior_landmarks').get(key, 'prior_parsing')
    y = provide(torch.rand(2, 3, 32, 32), **{other: given})
    assert torch.equal(prior(y), prior(y.clone()))
    # nor does a prior of no kind
    assert build().cache_key is None
    for wrong in (given[:, 1:], given[..., 1:]):
        with pytest.raises(ValueError, match=rf"'{key}'.*gives \(6, 8, 8\)"):
            prior(provide(torch.rand(2, 3, 32, 32), **{key: wrong}))
