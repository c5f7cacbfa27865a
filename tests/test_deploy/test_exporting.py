# Copyright (c) orsa contributors. All rights reserved.
"""Exported files predict what their model does, and bad ones are refused."""
import argparse
import copy
import json
import pickle
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn as nn
from plain_models import plain_model
from speed.export import make_predict

from orsa.apis import (Calibration, FERInferencer, exporting, init_model,
                       load_calibration, load_config, predict_faces)
from orsa.apis.exporting import add_export_arguments, export
from orsa.deploy.export import ParityError, describe, export_model
from orsa.deploy.export_info import ExportInfo
from orsa.deploy.exported import is_exported, load_exported
from orsa.deploy.formats import to_half, to_int8
from orsa.deploy.sample_faces import gather_faces, noise_faces, training_faces
from orsa.models.utils.fast_copy import fast_copy
from orsa.registry import DATASETS
from orsa.utils.shipped import zoo_path

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')

LITE = 'orsanet_lite'
WEIGHTS = 'orsa://orsanet_lite.pth'


def drawn_faces(count, split='val', size=112):
    faces = DATASETS.build(
        dict(
            type='orsa.SyntheticFaces',
            num_samples=count,
            split=split,
            pipeline=[
                dict(type='orsa.DrawSyntheticFace'),
                dict(type='Resize', scale=(size, size)),
                dict(type='PackInputs')
            ]))
    return np.stack([
        f['inputs'].permute(1, 2, 0).numpy()
        for f in map(faces.__getitem__, range(count))
    ])


@pytest.fixture(scope='module')
def lite():
    return init_model(LITE)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Aligned faces, larger than the model takes them."""
    path = tmp_path_factory.mktemp('faces')
    for i, face in enumerate(drawn_faces(12, size=96)):
        cv2.imwrite(str(path / f'{i:02}.png'), face)
    return path


@pytest.fixture(scope='module')
def whole(lite, folder, tmp_path_factory):
    """The lite model as ONNX, with its priors' answers."""
    path = str(tmp_path_factory.mktemp('onnx') / 'lite.onnx')
    parity = export_model(
        lite,
        path,
        checkpoint=WEIGHTS,
        with_priors=True,
        calibration_images=str(folder))
    assert parity.count == 12 and parity.relative <= 1e-4
    return path


@pytest.fixture(scope='module')
def crops(folder):
    """Faces of several sizes."""
    found = [cv2.imread(str(p)) for p in sorted(folder.iterdir())[:6]]
    return found[:3] + [cv2.resize(c, (128, 128)) for c in found[3:]]


@pytest.fixture(scope='module')
def expected(lite, crops):
    """What the model says on the way that a photograph takes."""
    said = predict_faces(lite, crops)
    return np.array([list(s.scores.values()) for s in said])


def tiny_model():
    return plain_model(scale=(16, 24))


def test_onnx_says_the_same(whole, lite, crops, expected):
    exported = load_exported(whole)
    assert exported.classes == tuple(lite.dataset_meta['classes'])
    assert exported.image_size == (112, 112)
    for size in (1, 5):
        np.testing.assert_allclose(
            exported.predict(crops[:size]), expected[:size], atol=1e-4)
    np.testing.assert_allclose(
        exported.predict(crops, batch_size=4), expected, atol=1e-4)
    assert exported.predict([]).shape == (0, 7)


def test_input_is_what_opencv_gives(whole, lite):
    """Against normalising by hand."""
    images = drawn_faces(5)
    mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    x = torch.tensor((images[..., ::-1] - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = lite(x.float(), mode='tensor').numpy()
    found = load_exported(whole).run(images)['logits']
    np.testing.assert_allclose(found, logits, atol=1e-4 * np.ptp(logits))
    (given, ) = onnx.load(whole).graph.input
    shape = [
        d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim
    ]
    assert shape == ['batch', 112, 112, 3]


def test_file_tells_what_it_is(whole, lite):
    text = {p.key: p.value for p in onnx.load(whole).metadata_props}['orsa']
    info = json.loads(text)
    assert info['classes'] == list(lite.dataset_meta['classes'])
    assert info['mean'] == pytest.approx([123.675, 116.28, 103.53])
    assert len(info['config_hash']) == len(info['weights_hash']) == 64
    assert load_exported(whole).calibration == load_calibration(WEIGHTS)
    with open(whole, 'rb') as file:  # nothing of where it was written
        assert b'site-packages' not in file.read()


def test_priors_and_embeddings(whole, lite, crops):
    model = load_exported(whole)
    for ours, theirs in zip(
            predict_faces(model, crops, 4, True),
            predict_faces(lite, crops, 4, True)):
        assert ours.expression == theirs.expression
        # a landmark is a maximum: it may jump to the next place, half a pixel
        # of 112, where two are equal
        off = np.abs(ours.landmarks - theirs.landmarks)[:, :2]
        assert np.mean(off < 1e-3) > .99 and off.max() < 3
        assert (ours.parsing == theirs.parsing).mean() > .999
        assert ours.covered == pytest.approx(theirs.covered, abs=.02)
        np.testing.assert_allclose(ours.embedding, theirs.embedding, atol=1e-3)


def test_weights_of_the_checkpoint_beside_it(lite, folder, tmp_path, crops,
                                             expected):
    weights = tmp_path / 'lite.pth'
    weights.write_bytes(Path(zoo_path(WEIGHTS)).read_bytes())
    path = tmp_path / 'lite.onnx'
    how = dict(checkpoint=str(weights), calibration_images=str(folder))
    export_model(lite, str(path), share=True, **how)
    assert path.stat().st_size < .25 * weights.stat().st_size
    np.testing.assert_allclose(
        load_exported(str(path)).predict(crops), expected, atol=1e-4)
    # nothing keeps onnxruntime from folding what fast_copy folds
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = (
        onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC)
    options.optimized_model_filepath = str(tmp_path / 'optimized.onnx')
    onnxruntime.InferenceSession(str(path), options)
    kinds = [
        node.op_type
        for node in onnx.load(options.optimized_model_filepath).graph.node
    ]
    assert kinds.count('BatchNormalization') == sum(
        isinstance(m, nn.BatchNorm2d) for m in fast_copy(lite).modules())
    # they are read from there
    data = weights.read_bytes()
    weights.write_bytes(bytes(len(data)))
    with pytest.raises(ValueError, match='of other weights'):
        load_exported(str(path))
    weights.unlink()
    with pytest.raises(ValueError, match='lite.onnx'):
        load_exported(str(path))
    with pytest.raises(ValueError, match='for ONNX in fp32'):
        export_model(lite, str(path), 'fp16', share=True, **how)


def test_landmarks_of_another_export_are_passed_over(tmp_path):
    for name in ('orsanet_face.onnx', 'orsanet_face.pth',
                 'orsanet_face.landmarks.onnx'):
        source = Path(zoo_path('orsa://orsanet_face.pth')).with_name(name)
        (tmp_path / name).write_bytes(source.read_bytes())
    path = str(tmp_path / 'orsanet_face.onnx')
    faces = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3),
                                              np.uint8)
    expected = load_exported(path).locate(faces)
    # one that moves every point, and states nothing of itself
    part = onnx.load(
        str(tmp_path / 'orsanet_face.landmarks.onnx'),
        load_external_data=False)
    output = part.graph.output[0].name
    last = next(n for n in part.graph.node if output in n.output)
    last.output[list(last.output).index(output)] = 'before'
    part.graph.node.append(onnx.helper.make_node('Neg', ['before'], [output]))
    for known in (True, False):
        if not known:
            del part.metadata_props[:]
        (tmp_path / 'orsanet_face.landmarks.onnx').write_bytes(
            part.SerializeToString())
        found = load_exported(path).locate(faces)
        assert np.allclose(found, expected, atol=1e-3) != known


def test_inferencer_takes_it(whole, crops, expected):
    model = load_exported(whole)
    plain = FERInferencer(model, calibration=Calibration())
    said = [
        list(one.faces[0].scores.values())
        for one in plain(crops, aligned=True)['predictions']
    ]
    np.testing.assert_allclose(said, expected, atol=1e-4)

    # by its path, and calibrated as the model that it is of
    theirs = FERInferencer('orsanet_lite', device='cpu')
    ours = FERInferencer(str(whole), device='cpu')
    assert ours.calibration == theirs.calibration != plain.calibration
    for one, other in zip(*(f(crops, aligned=True)['predictions']
                            for f in (ours, theirs))):
        assert one.faces[0].scores == pytest.approx(
            other.faces[0].scores, abs=.02)
    again = pickle.loads(pickle.dumps(ours))
    said = [
        one.faces[0].scores
        for one in again(crops, aligned=True)['predictions']
    ]
    assert said == [
        one.faces[0].scores for one in ours(crops, aligned=True)['predictions']
    ]
    with pytest.raises(ValueError, match='weights.pth'):
        FERInferencer(str(whole), 'weights.pth')


def test_lower_precision(whole, lite, tmp_path):
    images = drawn_faces(40, 'train')
    checked = drawn_faces(40, 'val')
    logits = load_exported(whole).run(checked)['logits']
    size = len(open(whole, 'rb').read())
    half, small = tmp_path / 'half.onnx', tmp_path / 'small.onnx'
    to_half(whole, str(half), describe(lite, 'fp16', None))
    to_int8(whole, str(small), describe(lite, 'int8', None), images)
    for path, share, tolerance, precision in ((half, .6, .02, 'fp16'),
                                              (small, .4, .15, 'int8')):
        assert path.stat().st_size < share * size
        exported = load_exported(str(path))
        assert exported.info.precision == precision
        found = exported.run(checked)['logits']
        assert found.dtype == np.float32
        assert np.abs(found - logits).max() < tolerance * np.ptp(logits)
        assert (found.argmax(1) == logits.argmax(1)).mean() >= .9
    kinds = {n.op_type for n in onnx.load(str(small)).graph.node}
    assert {'QuantizeLinear', 'DequantizeLinear'} <= kinds


@pytest.mark.parametrize('suffix', ['.pt', '.pt2'])
def test_programs_of_torch(tmp_path, suffix):
    path = str(tmp_path / f'tiny{suffix}')
    model, images = tiny_model(), noise_faces((24, 16), 5)
    export_model(model, path, check_samples=4)
    with pytest.raises(ValueError, match='run with your rights'):
        load_exported(path)
    exported = load_exported(path, run_code=True)
    assert exported.classes == tuple(model.dataset_meta['classes'])
    expected = [list(p.scores.values()) for p in predict_faces(model, images)]
    for size in (1, 5):
        np.testing.assert_allclose(
            exported.predict(images[:size]), expected[:size], atol=1e-4)
    with pytest.raises(ParityError, match='was not written'):
        export_model(model, path, limits=(-1., 1.))


def test_size_is_height_and_width(tmp_path):
    path = str(tmp_path / 'tiny.pt')
    export_model(tiny_model(), path, check_samples=4)
    exported = load_exported(path, run_code=True)
    assert make_predict('unread', 3, path=path)()['answer'] > 0
    # mmcv's scale is width and height
    assert exported.image_size == (24, 16)
    with pytest.raises(ValueError, match=r'takes images \(N, 24, 16, 3\)'):
        exported.run(np.zeros((1, 16, 24, 3), np.uint8))
    with pytest.raises(TypeError, match=r'crops\[0\]'):
        exported.predict([np.zeros((16, 24, 3))])


def test_what_differs_is_not_written(tmp_path):
    path = tmp_path / 'tiny.pt'
    path.write_bytes(b'before')
    with pytest.raises(ParityError, match='was not written'):
        export_model(tiny_model(), str(path), limits=(-1., 1.))
    assert path.read_bytes() == b'before'
    assert [p.name for p in tmp_path.iterdir()] == ['tiny.pt']


def test_pairs_that_do_not_exist(tmp_path):
    model = tiny_model()
    for path, precision, match in (('a.pt2', 'int8', 'int8 is for ONNX'),
                                   ('a.pt', 'fp16', 'fp16 is for ONNX'),
                                   ('a.pth', 'fp32', 'should end with'),
                                   ('a.onnx', 'int4', 'should be one of')):
        with pytest.raises(ValueError, match=match):
            export_model(model, str(tmp_path / path), precision)
    with pytest.raises(ValueError, match='with_priors is for ONNX'):
        export_model(model, str(tmp_path / 'a.pt'), with_priors=True)
    assert not list(tmp_path.iterdir())


def test_without_onnxruntime(whole, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(ImportError, match='pip install onnxruntime'):
        load_exported(whole)
    with pytest.raises(ImportError, match='onnxruntime'):
        export_model(tiny_model(), str(tmp_path / 'a.onnx'))


def test_pipelines_that_cannot_travel(tmp_path):
    path = str(tmp_path / 'a.pt')
    for transform, match in ((dict(type='RandomGrayscale'),
                              "'RandomGrayscale', which an exported"), (dict(
                                  type='orsa.RandomFaceAffine',
                                  size=16,
                                  prob=1.), 'another image each'),
                             (dict(type='ResizeEdge',
                                   scale=16), 'several sizes')):
        model = tiny_model()
        pipeline = model.cfg.test_dataloader.dataset.pipeline
        model.cfg.test_dataloader.dataset.pipeline = [
            pipeline[0], transform, pipeline[-1]
        ]
        with pytest.raises(ValueError, match=match):
            export_model(model, path)


def change_info(path, target, **changes):
    model = onnx.load(path)
    info = json.loads(model.metadata_props[0].value)
    info.update(changes)
    model.metadata_props[0].value = json.dumps(info)
    onnx.save(model, target)


def test_files_that_are_refused(whole, tmp_path):
    with pytest.raises(FileNotFoundError, match='no exported model'):
        load_exported(str(tmp_path / 'none.onnx'))
    content = open(whole, 'rb').read()
    path = tmp_path / 'bad.onnx'
    for bad in (b'', content[:len(content) // 2], b'\x80\x02' * 100):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match='bad.onnx'):
            load_exported(str(path))
    for suffix in ('.pt', '.pt2'):
        other = tmp_path / f'bad{suffix}'
        other.write_bytes(content[:1000])
        with pytest.raises(ValueError, match='damaged or of another kind'):
            load_exported(str(other), run_code=True)
    path = str(path)
    changes = [(dict(pipeline=one), 'pipeline')
               for one in ([dict(type='os.system', command='touch x')],
                           [dict(type='Resize', scale=dict(type='print'))],
                           [dict(type='Resize', scale=[20000, 20000])],
                           [dict(type='Pad', size=[9, float('inf')])],
                           [dict(type='Resize', scale_factor=100)],
                           [dict(type='Resize', scale=9)] * 17)]
    changes += [(dict(classes=['a', 'b']), '2 classes'),
                (dict(image_size=[32, 32]), r'\(32, 32\)'),
                (dict(image_size='64'), 'image_size'),
                (dict(mood='good'), 'mood')]
    for change, match in changes:
        change_info(whole, path, **change)
        with pytest.raises(ValueError, match=match):
            load_exported(path)
    foreign = onnx.load(whole)
    del foreign.metadata_props[:]
    onnx.save(foreign, path)
    with pytest.raises(ValueError, match='classes'):
        load_exported(path)
    assert is_exported('a.onnx') and not is_exported('a.pth')


def test_info_survives():
    info = ExportInfo(('a', 'b'), (3, 4),
                      (dict(type='Resize', scale=[4, 3]), ), 'fp32',
                      (0., ) * 3, (1., ) * 3, '1', '2', 'c')
    assert ExportInfo.loads(info.dumps()) == info


def test_calibrates_on_training_faces(tmp_path):
    """And never on those of the test."""
    basic = tmp_path / 'basic'
    images = basic / 'Image' / 'aligned'
    images.mkdir(parents=True)
    (basic / 'EmoLabel').mkdir()
    lines = []
    for i in range(1, 15):
        for split, value in (('train', 10 * i), ('test', 255)):
            cv2.imwrite(
                str(images / f'{split}_{i:05}_aligned.jpg'),
                np.full((100, 100, 3), value, np.uint8))
            lines.append(f'{split}_{i:05}.jpg {i % 7 + 1}')
    (basic / 'EmoLabel' /
     'list_patition_label.txt').write_text('\n'.join(lines) + '\n')
    cfg = load_config('orsa::orsanet_lite_rafdb.py')
    cfg.train_dataloader.dataset.data_root = str(tmp_path)
    cfg.test_dataloader.dataset.data_root = str(tmp_path)
    pipeline = [
        dict(type='orsa.RandomFaceAffine', size=64, flip_prob=0, prob=0)
    ]
    found = training_faces(cfg, pipeline, 20)
    assert found.shape == (14, 64, 64, 3) and found.dtype == np.uint8
    # as they are, without what training does to them
    np.testing.assert_allclose(
        np.sort(found.mean((1, 2, 3))), np.arange(10, 150, 10), atol=2)
    nowhere = copy.deepcopy(cfg)
    nowhere.train_dataloader.dataset.data_root = str(tmp_path / 'none')
    assert 'noise' in gather_faces(nowhere, pipeline, 3).source
    with pytest.raises(FileNotFoundError, match='--calibration-images'):
        gather_faces(nowhere, pipeline, 3, required=True)


def run_tool(*arguments):
    parser = argparse.ArgumentParser()
    add_export_arguments(parser)
    return export(parser.parse_args([str(a) for a in arguments]))


def test_the_command(folder, tmp_path, capsys, monkeypatch):
    path = tmp_path / 'lite.pt'
    run_tool(LITE, '--out', path, '--calibration-images', folder)
    out = capsys.readouterr().out
    assert '100.00% of the predictions are equal' in out
    assert f'wrote {path}' in out
    for arguments, match in (((LITE, '--out', tmp_path / 'a.pt2',
                               '--precision', 'int8'), 'int8 is for ONNX'),
                             (('orsa::orsanet_rafdb.py', '--out', path),
                              'needs a checkpoint'),
                             (('nobody', '--out', path), "no model 'nobody'"),
                             ((LITE, '--out', path, '--check-samples', 0),
                              'should be positive')):
        with pytest.raises(ValueError, match=match):
            run_tool(*arguments)
    limits = []
    monkeypatch.setattr(exporting, 'export_model',
                        lambda *args: limits.append(args[8]))
    run_tool(LITE, '--out', path, '--tolerance', '-1')
    assert limits == [(-1., .99)]
