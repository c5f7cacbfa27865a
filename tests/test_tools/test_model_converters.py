# Copyright (c) orsa contributors. All rights reserved.
"""Published files through the converters, against the published outputs."""
import importlib.util
import json
import runpy
import sys

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

from orsa.apis import init_model
from orsa.apis.model import build_model, load_config
from orsa.models.backbones import IRNet, MobileFaceNet
from orsa.prepare import convert as converting
from orsa.prepare import weights as convert
from orsa.registry import MODELS

RAFDB = ('surprise', 'fear', 'disgust', 'happiness', 'sadness', 'anger',
         'neutral')
LARGE = 'orsa::_base_/models/orsanet_large.py'
INTEGERS = ('num_batches_tracked', 'relative_position_index')


@pytest.fixture
def files(tmp_path):
    """Two paths; what is there is removed at once, it is half a gigabyte."""
    paths = [tmp_path / 'published.pth', tmp_path / 'ours.pth']
    yield [str(p) for p in paths]
    for path in paths:
        path.unlink(missing_ok=True)


@pytest.fixture(scope='module')
def fill(parity_dir):
    spec = importlib.util.spec_from_file_location('parity_fill',
                                                  parity_dir / 'fill.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def weights(fill, parity_dir, name, seed, prefix=''):
    shapes = json.loads((parity_dir / f'{name}_keys.json').read_text())
    shapes = {
        k: s
        for k, s in shapes.items()
        if k.startswith(prefix) and not k.endswith(INTEGERS)
    }
    return fill.fill_state_dict(shapes, seed)


def check_parity(model, x, expected):
    """Every published output, from the images on."""
    features = {}
    with torch.no_grad():
        backbone, neck = model.backbone, model.neck
        features['ir50'] = backbone.image_encoder(x[:, :, ::2, ::2])[-1]
        image, parsing, landmark = backbone(x)
        features.update(parsing=parsing, landmark=landmark)
        features['guided'] = neck.semantic_guidance((image, parsing))[0]
        fused = neck((image, parsing, landmark))
        vectors = dict(
            fused_feature=fused[-1],
            gated_feature=model.head.pre_logits(fused))
        logits = model(x, mode='tensor').numpy()
    assert np.abs(logits - expected['logits']).max() < 1e-4
    for name, value in vectors.items():
        error = np.abs(value.numpy() - expected[name]).max()
        assert error < 1e-4 * expected[name].std(), name
    for name, value in features.items():
        name = f'{name}_feature'
        assert tuple(value.shape) == tuple(expected[f'{name}_shape']), name
        flat = value.flatten(1)
        std = expected[f'{name}_std']
        head = flat[:, ::flat.size(1) // 256][:, :256].numpy()
        assert (np.abs(head - expected[f'{name}_head'])
                < 1e-4 * std[:, None]).all(), name
        assert np.abs(flat.mean(1).numpy() -
                      expected[f'{name}_mean']).max() < 1e-4 * std.min()
        assert np.allclose(flat.std(1).numpy(), std, rtol=1e-4)


def test_small_from_file_to_file(fill, parity_dir, files):
    state = weights(fill, parity_dir, 'small7', 0)
    # an official file has counters and index tables too
    state['ir_back.body.0.res_layer.0.num_batches_tracked'] = torch.tensor(3)
    src, dst = files
    torch.save(
        dict(
            iter=1,
            model_state_dict={
                f'module.{k}': v
                for k, v in state.items()
            },
            optimizer_state_dict={}), src)
    report = converting.convert_official(src, dst, RAFDB)
    assert not report.missed and not report.wrong
    # what REFERENCE.md names as unused, and nothing else
    unused = ('ir_back.output_layer.', 'pyramid_fuse.cls_token',
              'face_landback.output_layer.', 'face_segment.face_decoder.',
              'face_segment.linear_c.', 'face_segment.linear_fuse.',
              'face_segment.pe_layer.', 'face_segment.backbone.1.')
    assert set(report.dropped) == {k for k in state if k.startswith(unused)}
    assert torch.load(dst)['meta'] == dict(dataset_meta=dict(classes=RAFDB))

    cfg = load_config(LARGE)
    cfg.model.neck.cross_interaction.depth = 4
    model = init_model(cfg, dst)
    assert model.dataset_meta['classes'] == RAFDB
    check_parity(model, fill.images(2, 224, 0),
                 np.load(parity_dir / 'small7.npz'))
    counter = model.backbone.image_encoder.stages[0][0].norm1
    assert counter.num_batches_tracked == 3


def test_large_with_eight_classes(fill, parity_dir):
    state, dropped = convert.convert_official(
        weights(fill, parity_dir, 'large8', 1))
    cfg = load_config(LARGE)
    cfg.model.head.num_classes = 8
    model = build_model(cfg, pretrained=False)
    convert.fit(state, dropped, model)
    model.load_state_dict(state)
    check_parity(model.eval(), fill.images(2, 224, 1),
                 np.load(parity_dir / 'large8.npz'))


@pytest.fixture(scope='module')
def ir50(fill, parity_dir):
    state = weights(fill, parity_dir, 'small7', 0, 'ir_back.')
    return {k.removeprefix('ir_back.'): v for k, v in state.items()}


def test_ir50_file(ir50, files):
    src, dst = files
    stage4 = {'body.21.res_layer.1.weight': torch.zeros(512, 256, 3, 3)}
    wholes = []
    for content in (ir50, dict(state_dict=ir50), {
            f'module.{k}': v
            for k, v in {
                **ir50,
                **stage4
            }.items()
    }):
        torch.save(content, src)
        report = converting.convert_ir50(src, dst)
        wholes.append(torch.load(dst)['state_dict'])
    assert 'body.21.res_layer.1.weight' in report.dropped
    model = IRNet()
    for state in wholes:
        model.load_state_dict(state)  # strict: all, and nothing else
    assert torch.equal(model.stages[2][13].conv2.weight,
                       ir50['body.20.res_layer.3.weight'])
    assert torch.equal(model.stages[1][0].shortcut[0].weight,
                       ir50['body.3.shortcut_layer.0.weight'])


def test_mobilefacenet_file_keeps_its_head(fill, parity_dir, tmp_path):
    state = weights(fill, parity_dir, 'small7', 0, 'face_landback.')
    state = {k.removeprefix('face_landback.'): v for k, v in state.items()}
    src, dst = str(tmp_path / 'in.pth.tar'), str(tmp_path / 'out.pth')
    torch.save(dict(state_dict=state), src)
    converting.convert_mobilefacenet(src, dst)
    converted = torch.load(dst)['state_dict']
    model = MobileFaceNet(with_head=True)
    model.load_state_dict(converted)
    assert torch.equal(model.head.fc.weight,
                       state['output_layer.linear.weight'])
    # the prior takes the file although it has no use for the head
    prior = MODELS.build(
        dict(
            type='orsa.LandmarkPrior',
            model=dict(type='orsa.MobileFaceNet'),
            checkpoint=dst))
    prior.init_weights()
    x = torch.rand(1, 3, 112, 112)
    assert torch.equal(prior(x), model.eval()(x)[0])


def test_segface_file(fill, parity_dir, files):
    state = weights(fill, parity_dir, 'segface', 2)
    src, dst = files
    torch.save(dict(epoch=1, iteration=1, state_dict_backbone=state), src)
    converting.convert_segface(src, dst)
    cfg = load_config(LARGE).model.backbone.parsing_prior
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        prior = MODELS.build(dict(cfg, checkpoint=dst))
    prior.init_weights()
    out = prior(fill.images(1, 224, 2))
    expected = float(np.load(parity_dir / 'segface.npz')['stage_std'][-1])
    assert float(out.std()) == pytest.approx(expected, rel=1e-5)


def test_patch_merging_order():
    """Merging by either rule gives the same for the converted weights."""
    channels, x = 3, torch.randn(2, 4, 4, 3)
    weight = torch.randn(5, 4 * channels)
    # torchvision: the four neighbours one after the other, columns last
    theirs = torch.cat([x[:, r::2, c::2] for c in (0, 1) for r in (0, 1)], -1)
    ours = torch.nn.functional.unfold(x.permute(0, 3, 1, 2), 2, stride=2)
    assert torch.allclose(
        theirs.flatten(1, 2) @ weight.T,
        ours.transpose(1, 2) @ convert._unfold_order(weight).T,
        atol=1e-5)


@pytest.mark.parametrize('spoil, message', [
    (lambda s: s.pop('body.5.res_layer.1.weight'), 'stages.1.2.conv1.weight'),
    (lambda s: s.update({'input_layer.0.weight': torch.zeros(64, 3, 5, 5)}),
     r'stem\.0\.weight \(64, 3, 5, 5\) instead of \(64, 3, 3, 3\)'),
])
def test_what_is_missing_or_of_another_shape_is_an_error(
        ir50, tmp_path, spoil, message):
    state = dict(ir50)
    spoil(state)
    src, dst = str(tmp_path / 'in.pth'), tmp_path / 'out.pth'
    torch.save(state, src)
    with pytest.raises(convert.ConversionError, match=message):
        converting.convert_ir50(src, str(dst))
    assert not dst.exists()


def test_a_file_without_an_ending(tmp_path):
    path = str(tmp_path / 'weights')
    convert.write_state({'a': torch.ones(2)}, path, RAFDB)
    found = torch.load(path)
    assert found['state_dict']['a'].tolist() == [1, 1]
    assert found['meta']['dataset_meta']['classes'] == RAFDB


def test_files_of_another_kind_and_wrong_classes(tmp_path):
    src, dst = str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth')
    torch.save(dict(epoch=3), src)
    with pytest.raises(convert.ConversionError, match='no weights'):
        converting.convert_official(src, dst)
    torch.save({'some.weight': torch.zeros(1)}, src)
    with pytest.raises(convert.ConversionError, match='ORSANet'):
        converting.convert_official(src, dst)
    torch.save({'head.linear.weight': torch.zeros(8, 512)}, src)
    with pytest.raises(convert.ConversionError, match='7 names.* 8'):
        converting.convert_official(src, dst, RAFDB)


@pytest.mark.parametrize('content', [None, b'not a checkpoint'])
def test_command_fails_with_one_line(repo_root, tmp_path, monkeypatch, capsys,
                                     content):
    src, dst = tmp_path / 'in.pth', tmp_path / 'out.pth'
    if content:
        src.write_bytes(content)
    tool = str(repo_root / 'tools/model_converters/ir50.py')
    monkeypatch.setattr(sys, 'argv', [tool, str(src), str(dst)])
    with pytest.raises(SystemExit, match='2'):
        runpy.run_path(tool, run_name='__main__')
    line, = capsys.readouterr().err.strip().splitlines()
    assert str(src) in line
    assert not dst.exists()
