# Copyright (c) orsa contributors. All rights reserved.
"""Reliability diagrams and worst mistakes show the predictions of a file."""
import json
import shutil

import cv2
import numpy as np
import pytest
from tiny_suite import CONFIG, NUM, make_faces

from orsa.analysis.inputs import predicted_samples
from orsa.analysis.reliability import (draw_reliability, draw_worst_mistakes,
                                       worst_mistakes)
from orsa.apis import load_config
from orsa.evaluation import FERMetric
from orsa.evaluation.calibration import (Calibration, apply_temperature,
                                         save_calibration)
from orsa.evaluation.predictions import Predictions, read_predictions
from orsa.utils.classes import RAFDB_CLASSES
from orsa.visualization import grids


def make_predictions(folder, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.full(7, .5), NUM).tolist()
    samples = [
        dict(name=f'test_{i:04d}', label=i % 7, scores=s)
        for i, s in enumerate(scores)
    ]
    path = folder / 'predictions.json'
    path.write_text(json.dumps(dict(classes=RAFDB_CLASSES, samples=samples)))
    return path, np.array(scores)


@pytest.fixture(scope='module')
def faces(tmp_path_factory):
    root = tmp_path_factory.mktemp('faces')
    make_faces(root)
    (root / 'tiny.py').write_text(CONFIG.replace('{root}', str(root)))
    return root


def test_calibration_is_found_and_plotted(tmp_path):
    path, scores = make_predictions(tmp_path)
    labels = np.arange(NUM) % 7
    weights = tmp_path / 'some.pth'
    weights.write_bytes(b'weights')
    out = str(tmp_path / 'out.png')
    found = draw_reliability([str(path)], out)
    assert list(found) == ['as they are']
    assert list(found['as they are']) == ['as the model says']
    with pytest.raises(FileNotFoundError, match='calibration'):
        draw_reliability([str(path)], out, str(weights))
    save_calibration(Calibration(temperature=2.), str(weights))
    metrics = FERMetric.calculate(scores, labels)
    (tmp_path / 'metrics.json').write_text(
        json.dumps(dict(metrics, checkpoint=str(weights))))
    found = draw_reliability([str(path)], out)['as they are']
    before, after = found.values()
    assert list(found)[1] == 'at temperature 2.00'
    assert before.error == pytest.approx(metrics['ece'], abs=1e-3)
    # the softmax of halved logits is the square root, normalised
    roots = np.sqrt(scores)
    roots /= roots.sum(1, keepdims=True)
    expected = FERMetric.calculate(roots, labels)['ece']
    assert after.error == pytest.approx(expected, abs=1e-3)
    assert np.allclose(roots, apply_temperature(scores, 2.))
    assert cv2.imread(out).std() > 5
    # weights that are gone do not stop it
    weights.unlink()
    assert len(draw_reliability([str(path)], out)['as they are']) == 1


def test_conditions_of_a_suite(tmp_path, monkeypatch):
    names = [f'f{i}' for i in range(12)]
    rng = np.random.default_rng(0)
    cells = ('clean', 'hand 1', 'hand 5', 'mask 3')
    answers = Predictions('suite.json', names, ['a', 'b'] * 6, ['a', 'b'],
                          {cell: rng.dirichlet([1, 1], 12)
                           for cell in cells}, {})
    monkeypatch.setattr('orsa.analysis.reliability.read_predictions',
                        lambda path: answers)
    found = draw_reliability(['suite.json'], str(tmp_path / 'out.png'))
    counts = {k: v['as the model says'].counts.sum() for k, v in found.items()}
    assert counts == {
        'as they are': 12,
        'common occluders': 24,
        'worn occluders': 12
    }
    pooled = np.concatenate([answers.scores[c] for c in cells[1:3]])
    expected = FERMetric.calculate(pooled, [0, 1] * 12)['ece']
    assert found['common occluders']['as the model says'].error == expected
    # two files of one name get a panel each
    found = draw_reliability(['x/suite.json', 'y/suite.json'],
                             str(tmp_path / 'out.png'))
    assert len(found) == 6 and 'x: as they are' in found


def test_worst_mistakes_are_the_surest_wrong_ones():
    scores = np.array([[.9, .1], [.3, .7], [.2, .8], [.2, .8], [.6, .4],
                       [.1, .9]])
    answers = Predictions('x', list('uvwxyz'), ['a', 'a', 'a', 'a', 'b', 'b'],
                          ['a', 'b', 'c'],
                          {'clean': np.pad(scores, ((0, 0), (0, 1)))}, {})
    assert worst_mistakes(answers, 9) == dict(a=[2, 3, 1], b=[4])
    assert worst_mistakes(answers, 1) == dict(a=[2], b=[4])


def test_sheet_of_mistakes(faces, tmp_path, monkeypatch):
    path, scores = make_predictions(tmp_path)
    cfg = load_config(str(faces / 'tiny.py'))
    written = []
    original = grids.put_text

    def put_text(picture, text, *args, **kwargs):
        written.append(text)
        return original(picture, text, *args, **kwargs)

    monkeypatch.setattr(grids, 'put_text', put_text)
    out = tmp_path / 'sheet.png'
    drawn = draw_worst_mistakes(cfg, str(path), str(out), 2)
    assert 'surprise' in drawn and len(drawn) == 7
    sure = scores.max(1)
    for names in drawn.values():
        said = [sure[int(name[5:9])] for name in names]
        assert said == sorted(said, reverse=True)
    first = int(drawn['surprise'][0][5:9])
    place = written.index(f'test_{first:04d}_aligned.jpg')
    classes = list(drawn)
    assert written[place - 2:place] == [
        f'{classes[scores[first].argmax()]} {100 * sure[first]:.0f}%',
        'is surprise'
    ]
    heading, = (t for t in written if t.startswith('surprise: '))
    wrong = sum(scores[i].argmax() != 0 for i in (0, 7, 14))
    assert heading == f'surprise: {wrong} of 3 wrong'
    # the picture of the first face is where its frame is
    picture = cv2.imread(
        str(faces / f'basic/Image/aligned/test_{first:04d}_aligned.jpg'))
    shown = cv2.resize(picture, (32, 32))
    shown = cv2.resize(shown, (128, 128), interpolation=cv2.INTER_CUBIC)
    cell = cv2.imread(str(out))[36:164, 6:134].astype(int)
    assert np.abs(cell - shown).mean() < 3


def test_predictions_find_their_samples():

    class Data(list):

        def get_data_info(self, i):
            return dict(self[i])

    def some(*names):
        return Predictions('some.json', list(names), [], [], {}, {})

    # as RAF-DB, whose files have longer names
    faces = Data(
        dict(name=n, img_path=f'x/{n}_aligned.jpg') for n in ('a', 'b', 'c'))
    for names in (('c', 'a'), ('c_aligned', 'a_aligned')):
        found = predicted_samples(faces, some(*names), [1, 0])
        assert [face['name'] for face in found] == ['a', 'c']
    # folders of classes may have equal names
    folders = Data(dict(img_path=f'{k}/0.jpg') for k in 'xyz')
    found = list(predicted_samples(folders, some('0', '0', '0'), [1]))
    assert found == [folders[1]]
    numbered = Data(dict(sample_idx=i) for i in range(3))
    found = list(predicted_samples(numbered, some('2'), [0]))
    assert found == [numbered[2]]
    with pytest.raises(ValueError, match="some.json.*'d'"):
        list(predicted_samples(faces, some('d'), [0]))


def test_other_faces_are_refused(faces, tmp_path):
    path, scores = make_predictions(tmp_path)
    content = json.loads(path.read_text())
    cfg = load_config(str(faces / 'tiny.py'))
    out = str(tmp_path / 'sheet.png')
    shutil.copy(path, tmp_path / 'other.json')
    for record in content['samples']:
        record['name'] = 'x' + record['name']
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="'xtest_"):
        draw_worst_mistakes(cfg, str(path), out)
    for i, record in enumerate(content['samples']):
        record['scores'] = np.eye(7)[i % 7].tolist()
    path.write_text(json.dumps(content))
    assert read_predictions(str(path)).scores['clean'].shape == (NUM, 7)
    with pytest.raises(ValueError, match='wrong prediction'):
        draw_worst_mistakes(cfg, str(path), out)
    with pytest.raises(ValueError, match='positive, but is 0'):
        draw_worst_mistakes(cfg, str(path), out, 0)
