# Copyright (c) orsa contributors. All rights reserved.
"""What ``pip install .`` alone can do: no PyTorch, no OpenMMLab.

They also run where nothing else is installed:
``pytest tests/test_light --confcutdir tests/test_light``.
"""
import csv
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

import orsa

FACES = Path(orsa.__file__).parent / 'web' / 'example.jpg'
ABSENT = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmpretrain', 'mmseg',
          'mmpose', 'scipy', 'sklearn', 'matplotlib', 'pandas', 'rich',
          'gradio', 'onnx')
# an import of them fails as if they were not installed
WITHOUT = f"""
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {ABSENT}:
            raise ModuleNotFoundError('No module named ' + name, name=name)
sys.meta_path.insert(0, Absent())
"""
ORSA = 'from orsa.cli import main; sys.exit(main(sys.argv[1:]))'


def run(code, *args, check=True):
    done = subprocess.run(
        [sys.executable, '-c', WITHOUT + code, *map(str, args)],
        capture_output=True,
        text=True)
    assert not check or done.returncode == 0, done.stderr
    return done


def test_faces_are_found_and_named():
    found = run(
        'import json, orsa;'
        'faces = orsa.FERInferencer()(sys.argv[1])["predictions"][0].faces;'
        'print(json.dumps([[f.box[0], f.expression] for f in faces]))', FACES)
    faces = dict((round(left / 320 - .25), name)
                 for left, name in json.loads(found.stdout.splitlines()[-1]))
    # drawn sad, glad and surprised, from left to right
    assert faces[1] == 'happiness' and faces[2] == 'surprise'
    assert len(faces) == 3


def test_photographs_of_the_command_line(tmp_path):
    done = run(ORSA, 'predict', FACES, '--out', tmp_path, '--embeddings')
    assert 'happiness' in done.stdout
    with open(tmp_path / 'predictions.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['face'] for row in rows] == ['1', '2', '3']
    assert cv2.imread(str(tmp_path / 'example_faces.jpg')) is not None
    vectors = np.load(tmp_path / 'embeddings.npz')['embeddings']
    assert vectors.shape[0] == 3 and np.isfinite(vectors).all()


def test_videos_of_the_command_line(tmp_path):
    frame = cv2.imread(str(FACES))
    path = str(tmp_path / 'clip.mp4')
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'mp4v'), 10,
                             frame.shape[1::-1])
    for _ in range(5):
        writer.write(frame)
    writer.release()
    run(ORSA, 'video', path, '--out', tmp_path)
    with open(tmp_path / 'clip_faces.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert {row['frame'] for row in rows} == set('01234')
    assert {row['face'] for row in rows} == set('123')


def test_what_needs_pytorch_says_so(tmp_path):
    for args in (('predict', FACES, '--backend',
                  'pytorch'), ('predict', FACES, '--model', 'orsanet_lite'),
                 ('train', 'orsa::orsanet_demo.py', '--dry-run')):
        done = run(
            ORSA,
            *args,
            *('--out', tmp_path) * (args[0] == 'predict'),
            check=False)
        assert done.returncode == 3, done.stderr
        assert 'pip install ".[train]"' in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_cards_name_what_is_missing(tmp_path):
    done = run(
        ORSA, 'predict', FACES, '--out', tmp_path, '--cards', check=False)
    assert done.returncode == 3 and 'pip install matplotlib' in done.stderr


@pytest.mark.skipif(
    find_spec('torch') is not None, reason='it asks what is installed')
def test_the_doctor_finds_nothing_missing():
    done = subprocess.run([sys.executable, '-m', 'orsa', 'doctor'],
                          capture_output=True,
                          text=True)
    assert done.returncode == 0 and 'MISSING' not in done.stdout


@pytest.mark.skipif(
    find_spec('torch') is None, reason='it is compared with PyTorch')
def test_onnx_and_pytorch_give_the_same():
    ours, theirs = ({
        'faces':
        orsa.FERInferencer(backend=backend)(
            str(FACES), return_embedding=True)['predictions'][0].faces
    }['faces'] for backend in ('onnx', 'pytorch'))
    assert len(ours) == len(theirs) == 3
    for one, other in zip(ours, theirs):
        assert one.box == other.box and one.part == other.part
        np.testing.assert_allclose(
            list(one.scores.values()), list(other.scores.values()), atol=1e-4)
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=2e-2)
        np.testing.assert_allclose(one.embedding, other.embedding, atol=1e-3)
        assert abs(one.covered - other.covered) < 1e-4
        assert (one.parsing == other.parsing).mean() > 0.999


def test_its_calibration_is_that_beside_the_weights():
    from orsa.apis import load_calibration
    assert orsa.FERInferencer().calibration == load_calibration(
        'orsa://orsanet_face.pth')


def test_plain_transforms_are_those_of_the_library():
    pytest.importorskip('mmpretrain')
    from orsa.apis import load_config
    from orsa.apis.torch_inference import test_pipeline
    from orsa.deploy.crops import build_pipeline
    from orsa.deploy.sample_faces import crop_pipeline
    cfg = load_config('orsa::orsanet_face.py')
    theirs, ours = test_pipeline(cfg), build_pipeline(crop_pipeline(cfg))
    rng = np.random.default_rng(0)
    for side in (40, 112, 128, 250, 500):
        crop = rng.integers(0, 256, (side, side, 3), np.uint8)
        expected = theirs(
            dict(img=crop, img_shape=crop.shape[:2], ori_shape=crop.shape[:2]))
        np.testing.assert_array_equal(
            ours(crop), expected['inputs'].permute(1, 2, 0).numpy())
