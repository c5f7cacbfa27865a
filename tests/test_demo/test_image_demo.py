# Copyright (c) orsa contributors. All rights reserved.
"""The demo predicts photographs and aligned faces, and names what failed."""
import importlib.util
import re

import cv2
import numpy as np
import pytest
import torch

from orsa.apis import init_model
from orsa.utils.classes import RAFDB_CLASSES

LITE = 'orsa::orsanet_lite_rafdb.py'


@pytest.fixture(scope='module')
def demo(repo_root):
    spec = importlib.util.spec_from_file_location(
        'image_demo', repo_root / 'demo/image_demo.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def options(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('checkpoint') / 'lite.pth'
    model = init_model(LITE)
    model.init_weights()
    torch.save(
        dict(
            state_dict=model.state_dict(),
            meta=dict(dataset_meta=dict(classes=RAFDB_CLASSES))), path)
    return ['--model', LITE, '--checkpoint', str(path)]


@pytest.fixture(scope='module')
def face(faces_dir):
    return faces_dir / 'basic/Image/aligned/test_00060_aligned.jpg'


def test_photographs_good_and_bad(demo, options, face, tmp_path, capsys):
    photo = np.full((480, 640, 3), 110, np.uint8)
    aligned = cv2.imread(str(face))
    photo[150:342, 60:252] = cv2.resize(aligned, (192, 192))
    photo[120:376, 330:586] = cv2.resize(aligned, (256, 256))
    cv2.imwrite(str(tmp_path / 'two.png'), photo)
    cv2.imwrite(str(tmp_path / 'none.png'), photo[:100, :100])
    (tmp_path / 'cut.jpg').write_bytes(face.read_bytes()[:200])
    paths = [
        tmp_path / n for n in ('none.png', 'cut.jpg', 'away.jpg', 'two.png')
    ]
    out = tmp_path / 'out'
    code = demo.main([*map(str, paths), '--out-dir', str(out), *options])
    assert code == 1
    said, errors = capsys.readouterr()
    lines = [s for s in said.splitlines() if s.startswith(str(tmp_path))]
    for k, line in enumerate(lines):
        assert re.match(
            rf'{re.escape(str(paths[3]))}: face {k + 1} of 2: '
            rf'({"|".join(RAFDB_CLASSES)}) 0\.\d\d, ', line)
    assert len(lines) == 2
    # goes on after each failure, which names the file and the remedy
    for path, remedy in zip(paths, ('--aligned', 'cut off', 'no such')):
        line = next(s for s in errors.splitlines() if s.startswith(str(path)))
        assert remedy in line
    assert sorted(
        p.name for p in out.iterdir()) == ['two_face1.png', 'two_face2.png']
    assert cv2.imread(str(out / 'two_face1.png')).std() > 20


def test_aligned_faces_of_one_name(demo, options, face, tmp_path, capsys):
    other = tmp_path / face.name
    other.write_bytes(face.read_bytes())
    out = tmp_path / 'out'
    arguments = ['--aligned', '--out-dir', str(out), *options]
    assert demo.main([str(face), str(other), *arguments]) == 0
    stem = face.stem
    assert sorted(p.name for p in out.iterdir()) == [
        f'{stem}_2_face1.png', f'{stem}_face1.png'
    ]
    photo = tmp_path / 'photo.png'
    cv2.imwrite(str(photo), np.zeros((40, 60, 3), np.uint8))
    assert demo.main([str(photo), *arguments]) == 1
    assert 'leave out --aligned' in capsys.readouterr().err


def test_a_config_needs_weights(demo, capsys, tmp_path):
    with pytest.raises(SystemExit):
        demo.main(['face.jpg', '--model', LITE])
    assert '--checkpoint' in capsys.readouterr().err
    with pytest.raises(ValueError, match="'orsanet_huge'"):
        demo.main(['face.jpg', '--model', 'orsanet_huge'])
