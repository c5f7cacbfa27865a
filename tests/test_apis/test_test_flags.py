# Copyright (c) orsa contributors. All rights reserved.
"""``tools/test.py --tta`` and ``--show-dir``, as mmpretrain has them."""
import argparse

import cv2
import numpy as np
import pytest
import torch
from tiny_suite import CONFIG, NUM, make_faces, make_model

from orsa.apis import init_model, testing
from orsa.evaluation.predictions import CLEAN, read_predictions
from orsa.studies.suite_command import add_suite_arguments, run_suite


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('faces')
    make_faces(root)
    # one of them has a colour of its own
    path = root / 'basic/Image/aligned/test_0000_aligned.jpg'
    cv2.imwrite(str(path), np.full((64, 64, 3), (20, 60, 240), np.uint8))
    (root / 'tiny.py').write_text(CONFIG.replace('{root}', str(root)))
    make_model(root / 'tiny.py', root / 'tiny.pth')
    return root


def parse(folder, *words):
    parser = argparse.ArgumentParser()
    testing.add_test_arguments(parser)
    add_suite_arguments(parser)
    return parser.parse_args([
        str(folder / 'tiny.py'),
        str(folder / 'tiny.pth'), '--work-dir',
        str(folder / 'work'), *map(str, words)
    ])


def scores(folder, *words):
    out = folder / 'other.json'
    testing.test(parse(folder, '--out', out, *words))
    # as beside the metrics
    beside = folder / 'work' / 'predictions.json'
    assert beside.read_bytes() == out.read_bytes()
    return read_predictions(str(out)).scores[CLEAN]


def expected(folder, *flips):
    """The mean score over flips, by the model alone."""
    model = init_model(str(folder / 'tiny.py'), str(folder / 'tiny.pth'))
    images = np.stack([
        cv2.resize(cv2.imread(str(path)), (32, 32))
        for path in sorted((folder / 'basic/Image/aligned').glob('*.jpg'))
    ])
    inputs = torch.tensor(images).permute(0, 3, 1, 2)
    found = []
    for flip in flips:
        views = inputs.flip(3) if flip else inputs
        data = model.data_preprocessor(dict(inputs=views))
        with torch.no_grad():
            found.append(model(data['inputs'], mode='tensor').softmax(1))
    return (sum(found) / len(found)).numpy()


def test_tta_averages_an_image_and_its_mirror_image(folder):
    plain, both = expected(folder, False), expected(folder, False, True)
    assert np.allclose(scores(folder), plain, atol=1e-5)
    assert np.allclose(scores(folder, '--tta'), both, atol=1e-5)
    assert not np.allclose(plain, both, atol=1e-2)
    # some predictions change: a label of the first view would be seen
    mirrored = expected(folder, True)
    assert (both.argmax(1) != mirrored.argmax(1)).any()


def test_tta_of_the_config(folder):
    config = folder / 'tiny.py'
    own = config.with_name('own.py')
    own.write_text("""
_base_ = 'tiny.py'
tta_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(32, 32)),
    dict(type='TestTimeAug', transforms=[
        [dict(type='RandomFlip', prob=1.)] * 2,
        [dict(type='PackInputs')]])]
tta_model = dict(type='mmpretrain.AverageClsScoreTTA')
""")
    args = parse(folder, '--tta', '--out', folder / 'own.json')
    args.config = str(own)
    testing.test(args)
    found = read_predictions(str(folder / 'own.json')).scores[CLEAN]
    assert np.allclose(found, expected(folder, True), atol=1e-5)


@pytest.mark.parametrize('views', [[], ['--tta']])
def test_show_dir(folder, tmp_path, views):
    testing.test(
        parse(folder, '--show-dir', tmp_path, '--interval', '4', *views))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == -(-NUM // 4)
    image = cv2.imread(str(tmp_path / names[0]))
    assert names[0] == 'test_0000_aligned.jpg_0.png'
    assert image.shape[:2] == (320, 320)
    # below the text, in the order of its colours
    assert np.abs(image[200:].mean((0, 1)) - (20, 60, 240)).max() < 6


def test_what_is_refused(folder, monkeypatch):
    monkeypatch.setattr(testing.pyplot, 'get_backend', lambda: 'Agg')
    for words, message in ((['--show'], '--show-dir DIR'),
                           (['--show-dir', 'x', '--interval',
                             '0'], '--interval should be positive, got 0'),
                           (['--out-item',
                             'metrics'], '--out FILE'), (['--out', 'a.txt'],
                                                         "--out .*'a.txt'")):
        with pytest.raises(ValueError, match=message):
            testing.test(parse(folder, *words))
    with pytest.raises(ValueError, match='--tta'):
        run_suite(parse(folder, '--occlusion-suite', '--tta'))
    args = parse(folder, '--tta', '--cfg-options', 'default_scope=mmseg')
    with pytest.raises(ValueError, match="mmseg's own tools/test.py"):
        testing.test(args)
    args = parse(folder, '--out', 'a.json', '--cfg-options',
                 'default_scope=mmseg')
    with pytest.raises(ValueError, match='--out FILE.pkl'):
        testing.test(args)
