# Copyright (c) orsa contributors. All rights reserved.
"""Networks of face recognition from files of TensorFlow.js."""
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from orsa.apis import load_config
from orsa.models import DlibResNet, MobileNetV1
from orsa.models.utils.same_batch import same_batch
from orsa.prepare.convert import convert_face_start
from orsa.prepare.start_norm import add_norm
from orsa.prepare.tfjs_weights import read_tfjs
from orsa.utils.shipped import zoo_path

RNG = np.random.default_rng(0)


def write(folder, tensors, kinds, as_model=True):
    """Write tensors as TensorFlow.js does, quantised as ``kinds`` say."""
    data, weights, stored = b'', [], {}
    for name, value in tensors.items():
        value, kind = np.asarray(value, np.float32), kinds(name)
        row = dict(name=name, shape=list(value.shape), dtype='float32')
        if kind == 'float16':
            code = value.astype(np.float16)
            row['quantization'] = dict(dtype=kind, original_dtype='float32')
            stored[name] = code.astype(np.float64)
        elif kind == 'uint8':
            low, scale = float(value.min()), float(np.ptp(value) / 255) or 1.
            code = np.rint((value - low) / scale).astype(np.uint8)
            row['quantization'] = dict(dtype=kind, scale=scale, min=low)
            stored[name] = code.astype(np.float64) * scale + low
        else:
            code = stored[name] = value
        data += code.tobytes()
        weights.append(row)
    groups = [dict(paths=['part1.bin', 'part2.bin'], weights=weights)]
    (folder / 'part1.bin').write_bytes(data[:1001])
    (folder / 'part2.bin').write_bytes(data[1001:])
    path = folder / 'model.json'
    path.write_text(
        json.dumps(dict(weightsManifest=groups) if as_model else groups))
    return str(path), stored


def conv(*shape):
    fan = np.prod(shape[:3]) if shape[3] > 1 else np.prod(shape[:2])
    return RNG.normal(0, (2 / fan)**.5, shape)


MOBILENET = [(32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2),
             (256, 256, 1), (256, 512, 2), *[(512, 512, 1)] * 5,
             (512, 1024, 2), (1024, 1024, 1)]


def mobilenet_tensors():
    tensors = {
        'feats/kernel': RNG.normal(size=(4, 4)),
        'conv1/convolution/merged_input': conv(3, 3, 3, 32),
        'conv1_bn/batchnorm_1/sub': RNG.normal(0, .1, 32)
    }
    for i, (a, b, _) in enumerate(MOBILENET, 1):
        tensors.update({
            f'conv_dw_{i}/depthwise_kernel':
            conv(3, 3, a, 1),
            f'conv_dw_{i}_bn/batchnorm_1/mul':
            RNG.uniform(.5, 1.5, a),
            f'conv_dw_{i}_bn/batchnorm_1/sub':
            RNG.normal(0, .1, a),
            f'conv_pw_{i}/convolution/merged_input':
            conv(1, 1, a, b),
            f'conv_pw_{i}_bn/batchnorm_1/sub':
            RNG.normal(0, .1, b)
        })
    return tensors


def same(x, kernel, stride):
    """TensorFlow's padding: an odd one more at the end."""
    pads = []
    for side in (x.shape[3], x.shape[2]):
        out = int(np.ceil(side / stride))
        total = max((out - 1) * stride + kernel - side, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


def as_torch(value):
    return torch.tensor(np.asarray(value))


@pytest.mark.parametrize('side', [64, 75])
def test_mobilenet_as_its_graph_computes(tmp_path, side):
    path, t = write(tmp_path, mobilenet_tensors(), lambda name: 'float16')
    report = convert_face_start(path, str(tmp_path / 'out.pth'))
    assert report
    model = MobileNetV1(
        out_indices=(3, 4),
        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'out.pth')))
    model.init_weights()
    x = image = torch.randn(2, 3, side, side, dtype=torch.double)

    def relu6(x):
        return x.clip(0, 6)

    def row(name):
        return as_torch(t[name])[:, None, None]

    x = F.conv2d(
        same(x, 3, 2),
        as_torch(t['conv1/convolution/merged_input']).permute(3, 2, 0, 1),
        stride=2)
    x, maps = relu6(x + row('conv1_bn/batchnorm_1/sub')), []
    for i, (a, b, stride) in enumerate(MOBILENET, 1):
        kernel = as_torch(t[f'conv_dw_{i}/depthwise_kernel'])
        x = F.conv2d(
            same(x, 3, stride),
            kernel.permute(2, 3, 0, 1),
            stride=stride,
            groups=a)
        x = x * row(f'conv_dw_{i}_bn/batchnorm_1/mul')
        x = relu6(x + row(f'conv_dw_{i}_bn/batchnorm_1/sub'))
        kernel = as_torch(t[f'conv_pw_{i}/convolution/merged_input'])
        x = torch.einsum('bchw,cd->bdhw', x, kernel[0, 0])
        x = relu6(x + row(f'conv_pw_{i}_bn/batchnorm_1/sub'))
        maps.append(x)
    # the converted network takes RGB
    found = model.double()(image.flip(1))
    for one, want in zip(found, (maps[10], maps[12]), strict=True):
        assert one.shape == want.shape
        assert torch.allclose(one, want, atol=1e-4)


DLIB = [('conv32_1', 32), ('conv32_2', 32), ('conv32_3', 32),
        ('conv64_down', 64), ('conv64_1', 64), ('conv64_2', 64),
        ('conv64_3', 64), ('conv128_down', 128), ('conv128_1', 128),
        ('conv128_2', 128), ('conv256_down', 256), ('conv256_1', 256),
        ('conv256_2', 256), ('conv256_down_out', 256)]


def dlib_tensors():
    tensors, channels = {}, 3

    def add(name, kernel, a, b):
        tensors.update({
            f'{name}/conv/filters': conv(kernel, kernel, a, b),
            f'{name}/conv/bias': RNG.normal(0, .1, b),
            f'{name}/scale/weights': RNG.uniform(.3, .8, b),
            f'{name}/scale/biases': RNG.normal(0, .1, b)
        })

    add('conv32_down', 7, 3, 32)
    channels = 32
    for name, width in DLIB:
        add(f'{name}/conv1', 3, channels, width)
        add(f'{name}/conv2', 3, width, width)
        channels = width
    tensors['fc'] = RNG.normal(size=(256, 128))
    return tensors


@pytest.mark.parametrize('side', [112, 150, 131])
def test_dlib_as_face_api_computes(tmp_path, side):
    path, t = write(tmp_path, dlib_tensors(), lambda name: 'uint8', False)
    convert_face_start(path, str(tmp_path / 'out.pth'))
    model = DlibResNet(
        out_indices=(0, 3, 4),
        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'out.pth')))
    model.init_weights()

    def layer(x, name, **kwargs):
        kernel = as_torch(t[f'{name}/conv/filters']).permute(3, 2, 0, 1)
        x = F.conv2d(x, kernel, as_torch(t[f'{name}/conv/bias']), **kwargs)
        scale, shift = (
            as_torch(t[f'{name}/scale/{k}'])[:, None, None]
            for k in ('weights', 'biases'))
        return x * scale + shift

    image = torch.randn(1, 3, side, side, dtype=torch.double)
    x = F.max_pool2d(layer(image, 'conv32_down', stride=2).relu(), 3, 2)
    maps = {}
    for name, width in DLIB:
        if 'down' in name:
            out = layer(x, f'{name}/conv1', stride=2).relu()
            out = layer(out, f'{name}/conv2', padding=1)
            pooled = F.avg_pool2d(x, 2)
            whole = pooled.new_zeros(1, width, *pooled.shape[2:])
            whole[:, :x.shape[1]] += pooled
            whole[:, :, :out.shape[2], :out.shape[3]] += out
            x = whole.relu()
        else:
            out = layer(x, f'{name}/conv1', padding=1).relu()
            x = (x + layer(out, f'{name}/conv2', padding=1)).relu()
        maps[name] = x
    found = model.double()(image)
    for one, name in zip(
            found, ('conv32_3', 'conv256_2', 'conv256_down_out'), strict=True):
        assert one.shape == maps[name].shape
        assert torch.allclose(one, maps[name], atol=1e-4)


@pytest.mark.parametrize('kind', [MobileNetV1, DlibResNet])
def test_cut_and_frozen(kind):
    whole, cut = kind(), kind(out_indices=3, frozen_stages=1)
    assert len(whole.stages) == 5 and len(cut.stages) == 4
    cut.train()
    frozen = [not p.requires_grad for p in cut.stages[1].parameters()]
    assert all(frozen) and not cut.stages[1].training
    assert all(p.requires_grad for p in cut.stages[2].parameters())
    out, = cut(torch.rand(1, 3, 112, 112))
    assert out.shape[2:] == {MobileNetV1: (7, 7), DlibResNet: (3, 3)}[kind]
    with pytest.raises(ValueError, match='-1 to 3'):
        kind(out_indices=3, frozen_stages=4)


def test_normalisation_is_added_without_a_change(ferplus_dir, monkeypatch):
    monkeypatch.setenv('ORSA_FERPLUS', str(ferplus_dir))
    cfg = load_config('orsa::ablations/encoders/mobilenet_norm_112.py')
    cfg.model.backbone.init_cfg = None
    cfg.model.backbone.frozen_stages = 2
    plain = MobileNetV1(frozen_stages=2)
    state = torch.load(zoo_path('orsa://face_start.pth'))['state_dict']
    plain.load_state_dict({k: state[k] for k in plain.state_dict()})
    model = MobileNetV1(frozen_stages=2, norm=True)
    model.load_state_dict(add_norm(plain.state_dict(), cfg, 96))
    faces = 50 * torch.randn(64, 3, 64, 64)
    expected = plain.eval()(faces)[0]
    found = model.eval()(faces)[0]
    assert (found - expected).abs().max() < 1e-3 * expected.abs().max()
    # the trained stages alone have it, of the statistics of faces
    names = {n for n, m in model.named_modules() if hasattr(m, 'running_var')}
    assert {int(n.split('.')[1]) for n in names} == {3, 4}
    first = model.stages[3][0][0].norm
    assert torch.equal(first.running_mean, first.bias)
    assert first.running_var.min() > 0 and first.running_var.std() > 0


@pytest.mark.parametrize('kind', [MobileNetV1, DlibResNet])
def test_channels_last_computes_the_same(kind):
    model, images = kind().eval(), torch.rand(2, 3, 150, 150)
    other = kind(channels_last=True).eval()
    other.load_state_dict(model.state_dict())
    one, two = model(images)[0], other(images)[0]
    assert (one - two).abs().max() <= 1e-4 * one.abs().max()
    assert two.is_contiguous(memory_format=torch.channels_last)


def test_files_that_are_cut_off_or_of_another_kind(tmp_path):
    path, stored = write(tmp_path, {'a': RNG.normal(size=(30, 40))},
                         lambda name: 'float32')
    assert np.allclose(read_tfjs(path)['a'], stored['a'])
    with pytest.raises(ValueError, match="neither.*faceres.*'a'"):
        convert_face_start(path, str(tmp_path / 'out.pth'))
    part = tmp_path / 'part2.bin'
    part.write_bytes(part.read_bytes()[:-2])
    with pytest.raises(ValueError, match="'a' ends at byte 4800.*cut off"):
        read_tfjs(path)
    part.write_bytes(part.read_bytes() + b'1234')
    with pytest.raises(ValueError, match='lists 4800 bytes'):
        read_tfjs(path)
    (tmp_path / 'model.json').write_text('{"a": 1}')
    with pytest.raises(ValueError, match='no list of TensorFlow.js'):
        read_tfjs(path)
    part.unlink()


def test_frozen_stages_compute_once_for_both_passes_of_sam():
    model = MobileNetV1(out_indices=(1, 4), frozen_stages=2)
    x, calls = torch.randn(2, 3, 64, 64), []
    for stage in model.stages:
        stage.register_forward_hook(lambda *_: calls.append(1))
    alone = model(x)
    calls.clear()
    with same_batch():
        model(x)
        again = model(x)
    assert len(calls) == 5 + 2
    for a, b in zip(alone, again):
        assert torch.equal(a, b)
