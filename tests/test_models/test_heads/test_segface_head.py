# Copyright (c) orsa contributors. All rights reserved.
"""SegFace's decoder: parity with the published outputs, training, errors."""
import importlib.util
import json
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData

from orsa.apis.model import load_config
from orsa.models.priors import build_wrapped
from orsa.prepare import convert as converting
from orsa.prepare import weights as convert
from orsa.registry import MODELS

SEGFACE = 'orsa::_base_/models/segface_lapa.py'
TINY = dict(
    type='orsa.SegFaceHead',
    in_channels=(4, 8),
    channels=16,
    num_classes=5,
    num_heads=2,
    feedforward_channels=24)
MAPS = ((4, 8, 6), (8, 4, 3))


def build(**kwargs):
    return MODELS.build(dict(TINY, **kwargs))


def maps(batch=2):
    return [torch.randn(batch, *shape) for shape in MAPS]


def tiny_segmentor(**head):
    return dict(
        type='mmseg.EncoderDecoder',
        backbone=dict(
            type='orsa.IRNet',
            arch=dict(depths=(1, 1), channels=(4, 8), stem_stride=2),
            out_indices=(0, 1)),
        decode_head=dict(TINY, **head))


# Without the published weights


def test_masks_are_four_times_as_large_as_the_first_map():
    for kwargs in (dict(), dict(num_classes=37), dict(num_layers=3),
                   dict(attn_ratio=1), dict(num_heads=4)):
        head = build(**kwargs)
        out = head(maps())
        assert out.shape == (2, kwargs.get('num_classes', 5), 32, 24)
    assert not hasattr(head, 'conv_seg')


def test_each_image_and_each_mask_stands_for_itself():
    head, x = build().eval(), maps(3)
    out = head(x)
    for i in range(3):
        alone = head([m[i:i + 1] for m in x])
        assert torch.allclose(alone, out[i:i + 1], atol=1e-5)
    # tokens in another order are masks in another order
    order = torch.tensor([3, 1, 4, 0, 2])
    head.class_tokens.data = head.class_tokens.data[order]
    assert torch.allclose(head(x), out[:, order], atol=1e-5)


def test_the_attention_knows_places():
    """Without a position code, a flipped map would give flipped masks."""
    head, x = build(in_channels=(4, )).eval(), torch.randn(1, 4, 4, 4)

    def cells(maps, flip):
        # a place of the map becomes 4x4 pixels, which a flip does not turn
        out = head([maps]).unflatten(3, (4, 4)).unflatten(2, (4, 4))
        return out.flip(4) if flip else out

    assert not torch.allclose(
        cells(x, False), cells(x.flip(3), True), atol=1e-3)
    head.frequencies.zero_()
    assert torch.allclose(cells(x, False), cells(x.flip(3), True), atol=1e-5)


def test_position_code_by_hand():
    head = build()
    code = head._place_code(2, 5)
    assert code.shape == (10, 16)
    x, y = 2 * 3.5 / 5 - 1, 2 * 1.5 / 2 - 1  # row 1, column 3
    phase = 2 * np.pi * (head.frequencies.T @ torch.tensor([x, y]))
    expected = torch.cat([phase.sin(), phase.cos()])
    assert torch.allclose(code[1 * 5 + 3], expected, atol=1e-5)


def test_two_way_layer_by_hand():
    """The first layer forgets what the tokens were, the second adds."""
    first, second = build().layers
    tokens, places = torch.randn(1, 3, 16), torch.randn(1, 7, 16)
    token_code, place_code = torch.randn(1, 3, 16), torch.randn(7, 16)
    for layer in (first, second):
        out, out_places = layer(tokens, places, token_code, place_code)
        if layer is first:
            t = layer.self_attn(tokens, tokens, tokens)
        else:
            coded = tokens + token_code
            t = tokens + layer.self_attn(coded, coded, tokens)
        t = layer.norm1(t)
        keys = places + place_code
        t = layer.norm2(t + layer.token_attn(t + token_code, keys, places))
        t = layer.norm3(t + layer.mlp(t))
        p = layer.norm4(places + layer.map_attn(keys, t + token_code, t))
        assert torch.allclose(out, t, atol=1e-6)
        assert torch.allclose(out_places, p, atol=1e-6)


@pytest.mark.parametrize('kwargs, numbers', [
    (dict(channels=12), ('multiple of 8', '12')),
    (dict(num_heads=3), ('multiple of 6', '16')),
    (dict(num_heads=16), ('multiple of 32', '16')),
])
def test_widths_that_do_not_fit_are_refused_when_built(kwargs, numbers):
    with pytest.raises(ValueError) as error:
        build(**kwargs)
    assert all(n in str(error.value) for n in numbers), error.value


def test_maps_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r'in_channels=\[4, 9\].*\[4, 8\]'):
        build(in_channels=(4, 9))(maps())
    with pytest.raises(ValueError, match=r'inputs \(0, 1\).*gives 1'):
        build()(maps()[:1])
    x = torch.randn(1, 3, 6, 6), *maps()
    assert build(in_index=(1, 2))(x).shape == (2, 5, 32, 24)


def test_found_by_name_from_mmseg_and_not_before():
    code = ('import sys; from orsa.utils.compat import setup_stack;'
            'setup_stack(); from orsa.registry import MODELS;'
            'MODELS.get("orsa.DAREHead");'
            'assert "mmseg.models" not in sys.modules;'
            'from mmengine.registry import init_default_scope;'
            'init_default_scope("mmseg");'
            'from mmseg.registry import MODELS;'
            'print(MODELS.get("orsa.SegFaceHead").__name__,'
            ' MODELS.get("orsa.NoSuchHead"))')
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code],
                          capture_output=True,
                          text=True)
    assert done.stdout.strip().endswith('SegFaceHead None'), done.stderr


def test_one_step_reaches_every_parameter():
    model = build_wrapped(tiny_segmentor())
    labels = torch.randint(0, 5, (2, 1, 32, 32))
    labels[:, :, :4] = 255
    samples = [
        SimpleNamespace(gt_sem_seg=PixelData(data=label)) for label in labels
    ]
    x = torch.randn(2, 3, 32, 32)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = [model.loss(x, samples)['decode.loss_ce']]
    losses[0].backward()
    for name, param in model.decode_head.named_parameters():
        assert param.grad is not None, name
        # a bias of the keys moves all products alike
        assert param.grad.abs().max() > 0 or name.endswith('.k.bias'), name
    assert all(p.grad is not None for p in model.backbone.parameters())
    optimizer.step()
    with torch.no_grad():
        losses.append(model.loss(x, samples)['decode.loss_ce'])
    assert losses[1] < losses[0]
    assert 'frequencies' in model.decode_head.state_dict()


def test_as_a_frozen_prior():
    prior = MODELS.build(
        dict(
            type='orsa.ParsingPrior',
            output='probs',
            num_classes=5,
            model=tiny_segmentor()))
    probs = prior(torch.rand(2, 3, 32, 32))
    assert probs.shape == (2, 5, 32, 32) and not probs.requires_grad
    assert torch.allclose(probs.sum(1), torch.ones(2, 32, 32), atol=1e-5)


# With weights under the published names


@pytest.fixture(scope='module')
def fill(parity_dir):
    spec = importlib.util.spec_from_file_location('parity_fill',
                                                  parity_dir / 'fill.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def published(fill, parity_dir):
    shapes = json.loads((parity_dir / 'segface_keys.json').read_text())
    return fill.fill_state_dict(
        {
            k: s
            for k, s in shapes.items()
            if not k.endswith('relative_position_index')
        }, 2)


@pytest.fixture(scope='module')
def prior(published, tmp_path_factory):
    """The prior of the config, through the converter and a file."""
    folder = tmp_path_factory.mktemp('segface')
    src, dst = folder / 'model_299.pt', folder / 'ours.pth'
    content = dict(
        epoch=1,
        iteration=1,
        state_dict_backbone=published,
        # as PyTorch's MultiStepLR keeps them
        scheduler=dict(milestones=Counter([80, 200])))
    torch.save(content, src)
    report = converting.convert_segface(str(src), str(dst), with_decoder=True)
    src.unlink()
    assert not report.missed and not report.wrong
    assert set(report.dropped) == {'backbone.1.weight', 'backbone.1.bias'}
    cfg = load_config(SEGFACE).parsing_prior
    model = MODELS.build(dict(cfg, checkpoint=str(dst)))
    model.init_weights()
    dst.unlink()
    return model


def test_parity(prior, fill, parity_dir):
    expected = np.load(parity_dir / 'segface.npz')
    x, seen = fill.images(1, 224, 2), {}
    model = prior.model
    handle = model.decode_head.fuse.register_forward_hook(
        lambda module, args, out: seen.update(fused=out))
    with torch.no_grad():
        stages = model.backbone(x)
        logits = model.decode_head(stages)
    handle.remove()
    assert [tuple(s.shape[1:])
            for s in stages] == [(128, 56, 56), (256, 28, 28), (512, 14, 14),
                                 (1024, 7, 7)]
    stds = [float(s.std()) for s in stages]
    assert np.allclose(stds, expected['stage_std'], rtol=1e-5)
    assert float(seen['fused'].std()) == pytest.approx(
        float(expected['fused_std']), rel=1e-5)
    assert logits.shape == (1, 11, 224, 224)
    part = expected['logits_stride7']
    error = np.abs(logits[:, :, ::7, ::7].numpy() - part).max()
    assert error < 2e-5 * part.std()
    # 183 pixels have a rival within 4e-6: a few may fall to it
    counts = torch.bincount(logits.argmax(1).flatten(), minlength=11)
    assert np.abs(counts.numpy() - expected['argmax_counts']).sum() <= 40

    probs = prior(x)
    assert torch.allclose(probs, logits.softmax(1), atol=1e-6)


def test_published_parameters(prior):
    model = prior.model
    assert sum(p.numel() for p in model.parameters()) + 2048 == 91_005_752
    # the frequencies are no parameters, neither here nor there
    assert sum(p.numel() for p in model.decode_head.parameters()) == 4_262_528


def test_backbone_of_the_whole_file(prior, tmp_path):
    """One file serves both: the feature is a prefix away."""
    path = str(tmp_path / 'whole.pth')
    convert.write_state(prior.model.state_dict(), path)
    cfg = load_config('orsa::_base_/models/orsanet_large.py')
    cfg = cfg.model.backbone.parsing_prior
    cfg.pop('checkpoint')
    cfg.model.init_cfg = dict(
        type='Pretrained', checkpoint=path, prefix='backbone.')
    feature = MODELS.build(cfg)
    feature.init_weights()
    x = torch.randn(1, 3, 224, 224)
    expected = prior.model.backbone(x)[-1]
    # it is prepared, and equal up to rounding
    assert (feature(x) - expected).abs().max() < 1e-5 * expected.std()


@pytest.mark.parametrize('spoil, message', [
    (lambda s: s.pop('linear_c.2.proj.weight'),
     r'decode_head\.projections\.2\.weight'),
    (lambda s: s.pop('backbone.0.1.0.norm1.weight'),
     r'backbone\.stages\.0\.blocks\.0\.norm1\.weight'),
    (lambda s: s.update({'linear_fuse.weight': torch.zeros(256, 512, 1, 1)}),
     r'fuse\.weight \(256, 512, 1, 1\) instead of \(256, 1024, 1, 1\)'),
    (lambda s: s.update({'face_decoder.iou_head.weight': torch.zeros(4)}),
     r'no place for.*face_decoder\.iou_head\.weight'),
    (lambda s: s.update({'backbone.2.weight': torch.zeros(4)}),
     r'unknown to SegFace.*backbone\.2\.weight'),
    (lambda s: s.update({'backbone.0.1.2.norm1.weight': torch.zeros(128)}),
     r'no place for.*stages\.0\.blocks\.2'),
    (lambda s: s.update(
        {'face_decoder.neck_token.weight': s.pop('face_decoder.'
                                                 'hair_token.weight')}),
     r"\['hair'\] are missing.*\['neck'\] are unknown"),
    (lambda s: [s.pop(k) for k in list(s) if 'decoder' in k],
     'no mask decoder of SegFace for LaPa'),
])  # yapf: disable
def test_what_is_missing_or_unknown_is_an_error(published, tmp_path,
                                                monkeypatch, spoil, message):
    state = dict(published)
    spoil(state)
    monkeypatch.setattr(convert, 'read_state', lambda *args: state)
    dst = tmp_path / 'ours.pth'
    with pytest.raises(convert.ConversionError, match=message):
        converting.convert_segface('model.pt', str(dst), with_decoder=True)
    assert not dst.exists()


@pytest.mark.parametrize('flags, chosen', [([], False),
                                           (['--with-decoder'], True)])
def test_the_command_chooses_what_is_written(monkeypatch, flags, chosen):
    asked = {}
    monkeypatch.setattr(sys, 'argv',
                        ['segface.py', 'in.pt', 'out.pth', *flags])

    def run(src, dst, with_decoder=False):
        asked.update(src=src, dst=dst, with_decoder=with_decoder)

    converting.main(run, '')
    assert asked == dict(src='in.pt', dst='out.pth', with_decoder=chosen)
