# Copyright (c) orsa contributors. All rights reserved.
"""Temperatures are those of the labels, and belong to their weights."""
import json
import shutil

import numpy as np
import pytest
import torch
from random_scores import random_scores

from orsa.evaluation.calibration import (LOW_CONFIDENCE, OCCLUDED, Calibration,
                                         apply_temperature, calibration_file,
                                         fit_temperature,
                                         fit_temperature_by_occlusion,
                                         load_calibration, mean_nll,
                                         save_calibration)
from orsa.utils.shipped import zoo_path


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
    scores, labels = random_scores(temperature)
    found = fit_temperature(scores, labels)
    assert found == pytest.approx(temperature, rel=.08)
    # no other one on a grid is likelier
    grid = np.exp(np.linspace(-2, 2, 81))
    best = min(mean_nll(scores, labels, t) for t in grid)
    assert mean_nll(scores, labels, found) <= best + 1e-9


def test_finds_how_it_grows_with_the_cover():
    covered = np.random.default_rng(1).uniform(0, .6, 6000)
    scores, labels = random_scores(.8 * np.exp(1.5 * covered))
    t, k = fit_temperature_by_occlusion(scores, labels, covered)
    assert t == pytest.approx(.8, rel=.1) and k == pytest.approx(1.5, abs=.3)
    calibration = Calibration(t, k)
    assert calibration.temperature_at(.4) == pytest.approx(t * np.exp(.4 * k))
    assert calibration.temperature_at(None) == t


def test_few_or_wrong_faces_are_refused():
    scores, labels = random_scores(1., 60)
    with pytest.raises(ValueError, match='50'):
        fit_temperature(scores[:49], labels[:49])
    with pytest.raises(ValueError, match=r'\(N, C\)'):
        fit_temperature(scores, labels[:50])
    with pytest.raises(ValueError, match='occluded'):
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
    with pytest.raises(ValueError, match='weights'):
        load_calibration(str(weights))
    (tmp_path / 'mine.json').write_text('{}')
    with pytest.raises(ValueError, match='calibration'):
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
