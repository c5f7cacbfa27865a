# Copyright (c) orsa contributors. All rights reserved.
import json
import shutil

import numpy as np
import pytest
import torch

from orsa.analysis.calibrate import fit, held_out_faces, measure
from orsa.apis.model import load_config
from orsa.evaluation.calibration import (LOW_CONFIDENCE, OCCLUDED, Calibration,
                                         apply_temperature, calibration_file,
                                         fit_temperature,
                                         fit_temperature_by_occlusion,
                                         load_calibration, mean_nll,
                                         save_calibration)
from orsa.utils.checkpoint import zoo_path


def drawn(temperature, count=6000, seed=0):
    """Logits, and labels drawn from their softmax at a temperature."""
    rng = np.random.default_rng(seed)
    logits = torch.tensor(rng.normal(0, 2, (count, 5)))
    temperature = torch.as_tensor(temperature).reshape(-1, 1)
    true = (logits / temperature).softmax(1).numpy()
    labels = np.array([rng.choice(5, p=p / p.sum()) for p in true])
    return logits.softmax(1).numpy(), labels


def test_temperature_divides_logits():
    logits = torch.randn(7, 4).double()
    for temperature in (.3, 1., 4.):
        np.testing.assert_allclose(
            apply_temperature(logits.softmax(1).numpy(), temperature),
            (logits / temperature).softmax(1),
            atol=1e-9)
    each = torch.rand(7) + .5
    np.testing.assert_allclose(
        apply_temperature(logits.softmax(1).numpy(), each.numpy()),
        (logits / each[:, None]).softmax(1),
        atol=1e-6)


@pytest.mark.parametrize('temperature', [.6, 1., 2.5])
def test_finds_the_temperature_of_the_labels(temperature):
    scores, labels = drawn(temperature)
    found = fit_temperature(scores, labels)
    assert found == pytest.approx(temperature, rel=.08)
    # no other one on a grid is likelier
    grid = np.exp(np.linspace(-2, 2, 81))
    best = min(mean_nll(scores, labels, t) for t in grid)
    assert mean_nll(scores, labels, found) <= best + 1e-9


def test_finds_how_it_grows_with_the_cover():
    covered = np.random.default_rng(1).uniform(0, .6, 6000)
    scores, labels = drawn(.8 * np.exp(1.5 * covered))
    t, k = fit_temperature_by_occlusion(scores, labels, covered)
    assert t == pytest.approx(.8, rel=.1) and k == pytest.approx(1.5, abs=.3)
    calibration = Calibration(t, k)
    assert calibration.temperature_at(.4) == pytest.approx(t * np.exp(.4 * k))
    assert calibration.temperature_at(None) == t


def test_few_or_wrong_faces_are_refused():
    scores, labels = drawn(1., 60)
    with pytest.raises(ValueError, match='at least 50'):
        fit_temperature(scores[:49], labels[:49])
    with pytest.raises(ValueError, match=r'\(N, C\)'):
        fit_temperature(scores, labels[:50])
    with pytest.raises(ValueError, match='occluded should be'):
        fit_temperature_by_occlusion(scores, labels, np.zeros(3))


def test_reasons():
    calibration = Calibration(
        covered_at_rest=.1, min_confidence=.4, max_covered=.5)
    assert calibration.reasons(.9, .2) == ()
    assert calibration.reasons(.39, None) == (LOW_CONFIDENCE, )
    assert calibration.reasons(.3, .51) == (OCCLUDED, LOW_CONFIDENCE)
    assert calibration.covered(.1) == 0 and calibration.covered(.05) == 0
    assert calibration.covered(.55) == pytest.approx(.5)
    assert calibration.covered(1.) == 1 and calibration.covered(None) is None
    for field in ('temperature', 'covered_at_rest', 'min_confidence'):
        with pytest.raises(ValueError, match=field):
            Calibration(**{field: -1.})


def test_lies_beside_the_weights_it_belongs_to(tmp_path):
    weights = tmp_path / 'mine.pth'
    weights.write_bytes(b'weights')
    assert load_calibration(str(weights)) == Calibration()
    calibration = Calibration(.7, 1.2, .05, fitted_on='some faces')
    path = save_calibration(calibration, str(weights), note=[1, 2])
    assert path == str(tmp_path / 'mine.json') == calibration_file(weights)
    assert load_calibration(str(weights)) == calibration
    weights.write_bytes(b'other weights')
    with pytest.raises(ValueError, match='fitted for other weights'):
        load_calibration(str(weights))
    (tmp_path / 'mine.json').write_text('{}')
    with pytest.raises(ValueError, match='is no calibration'):
        load_calibration(str(weights))


def test_the_one_that_ships_belongs_to_what_ships(tmp_path):
    found = load_calibration('orsa://orsanet_lite.pth')
    assert found.fitted_on and found.temperature != 1
    copy = tmp_path / 'orsanet_lite.pth'
    shutil.copy(zoo_path('orsa://orsanet_lite.pth'), copy)
    shutil.copy(
        calibration_file('orsa://orsanet_lite.pth'),
        tmp_path / 'orsanet_lite.json')
    assert load_calibration(str(copy)) == found
    content = json.loads((tmp_path / 'orsanet_lite.json').read_text())
    assert content['figures']['clean']['num_faces'] == 254


def test_test_faces_are_refused(faces_dir):
    cfg = load_config('orsa::orsanet_lite_rafdb.py')
    cfg.test_dataloader.dataset.data_root = str(faces_dir)
    with pytest.raises(ValueError, match='is the test split'):
        next(held_out_faces(cfg))
    cfg.test_dataloader.dataset.update(split='val', num_folds=5, fold=1)
    faces = held_out_faces(cfg)
    clean, hidden = next(faces)
    assert clean['img'].shape == hidden['img'].shape == (128, 128, 3)
    share = np.mean(hidden['visible_mask'] == 0)
    assert hidden['occlusion_ratio'] > 0 and share > 0
    changed = (clean['img'] != hidden['img']).any(-1)
    assert changed.mean() == pytest.approx(share, abs=.1)


def test_fit_and_figures():
    predictions = {}
    for seed, name in enumerate(('clean', 'occluded')):
        temperature = (.7, 1.6)[seed]
        scores, labels = drawn(temperature, 3000, seed)
        ratio = np.full(3000, .4 * seed)
        predictions[name] = dict(
            scores=scores, labels=labels, ratio=ratio, covered=.1 + ratio * .9)
    found = fit(predictions, fitted_on='drawn')
    assert found.covered_at_rest == pytest.approx(.1)
    assert found.temperature == pytest.approx(.7, rel=.1)
    assert found.temperature_at(.4) == pytest.approx(1.6, rel=.1)
    report = measure(predictions, found)
    for name in predictions:
        assert report[name]['nll'] < report[name]['nll_before']
        assert report[name]['ece'] < report[name]['ece_before']
        right = predictions[name]['scores'].argmax(
            1) == predictions[name]['labels']
        assert report[name]['accuracy'] == pytest.approx(100 * right.mean())
    assert report['covered']['mean_error'] == pytest.approx(0, abs=1e-6)
    assert report['covered']['correlation'] == pytest.approx(1)
    # without a parser
    for one in predictions.values():
        one['covered'] = np.full(3000, np.nan)
    assert fit(predictions).covered_slope == 0
    assert measure(predictions, fit(predictions))['covered'] == {}
