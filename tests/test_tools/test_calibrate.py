# Copyright (c) orsa contributors. All rights reserved.
import argparse
import json
import runpy
import sys

import numpy as np
import pytest

from orsa.analysis import calibrate as calibrating
from orsa.analysis.calibrate import add_calibrate_arguments, calibrate
from orsa.evaluation import calibration
from orsa.evaluation.calibration import mean_nll, read_calibration

CONFIG = 'orsa::orsanet_demo.py'
WEIGHTS = 'orsa://orsanet_lite.pth'
FACES = ('test_dataloader.dataset.split=val',
         'test_dataloader.dataset.num_samples=14')


def parse(*arguments):
    parser = argparse.ArgumentParser()
    add_calibrate_arguments(parser)
    return parser.parse_args(
        [CONFIG, WEIGHTS, '--faces', 'drawn', *map(str, arguments)])


def test_fitted_written_and_measured_again(tmp_path, repo_root, monkeypatch,
                                           capsys):
    out = tmp_path / 'calibration.json'
    tool = str(repo_root / 'tools/calibrate.py')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', [
        tool, CONFIG, WEIGHTS, '--faces', 'drawn', '--out',
        str(out), '--min-confidence', '.3', '--cfg-options', *FACES
    ])
    recorded = []

    def predict(*args, **kwargs):
        recorded.append(original(*args, **kwargs))
        return recorded[0]

    original = calibrating.predict_held_out
    monkeypatch.setattr(calibrating, 'predict_held_out', predict)
    monkeypatch.setattr(calibration, '_FEWEST', 14)
    runpy.run_path(tool, run_name='__main__')
    printed = capsys.readouterr().out
    assert 'wrote calibration.json' in printed
    assert 'clean     14 faces' in printed and 'occluded  14 faces' in printed
    stored = json.loads(out.read_text())
    assert read_calibration(str(out))[0].min_confidence == .3
    predictions, = recorded
    assert predictions['clean']['scores'].shape == (14, 7)
    assert np.allclose(predictions['clean']['scores'].sum(1), 1, atol=1e-4)
    assert (predictions['clean']['ratio'] == 0).all()
    assert (predictions['occluded']['ratio'] > 0).all()
    figures = stored['figures']
    for name, one in predictions.items():
        right = one['scores'].argmax(1) == one['labels']
        assert figures[name]['accuracy'] == pytest.approx(100 * right.mean())
        assert figures[name]['nll_before'] == pytest.approx(
            mean_nll(one['scores'], one['labels'], 1.), abs=1e-4)
    # the same predictions, read with what was written
    monkeypatch.setattr(calibrating, 'predict_held_out',
                        lambda *args, **kwargs: predictions)
    again = calibrate(parse('--measure-only', out, '--cfg-options', *FACES))
    assert again['clean'] == figures['clean']
    assert again['occluded'] == figures['occluded']


def test_test_faces_are_measured_and_not_fitted_on(tmp_path):
    out = tmp_path / 'calibration.json'
    with pytest.raises(ValueError, match='is the test split'):
        calibrate(parse('--out', out))
    assert not out.exists()
