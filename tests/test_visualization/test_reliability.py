# Copyright (c) orsa contributors. All rights reserved.
"""Bins and errors of a reliability diagram are those of scikit-learn."""
import cv2
import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from orsa.analysis.reliability import reliability
from orsa.evaluation import FERMetric
from orsa.visualization.reliability import plot_reliability


def some_scores(num=300, classes=7, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.full(classes, .4), num)
    labels = np.where(
        rng.random(num) < .6, scores.argmax(1),
        rng.integers(classes, size=num))
    return scores, labels


def test_bins_are_those_of_scikit_learn():
    scores, labels = some_scores()
    found = reliability(scores, labels)
    accuracy, confidence = calibration_curve(
        scores.argmax(1) == labels, scores.max(1), n_bins=15)
    kept = found.counts > 0
    assert 0 < kept.sum() < 15 and found.counts.sum() == 300
    assert np.allclose(found.accuracy[kept], accuracy)
    assert np.allclose(found.confidence[kept], confidence)
    assert np.isnan(found.accuracy[~kept]).all()


def test_error_is_that_of_the_metric():
    scores, labels = some_scores(seed=1)
    found = reliability(scores, labels)
    assert found.error == FERMetric.calculate(scores, labels)['ece']
    gap = np.nan_to_num(np.abs(found.accuracy - found.confidence))
    assert found.error == pytest.approx(100 * (gap * found.counts).sum() / 300)


def test_edges_belong_to_the_bin_below():
    # .6 is 9 / 15, where a bin ends
    found = reliability([[.6, .4], [.4, .6], [1., 0.]], [0, 0, 0])
    assert found.counts.tolist() == [0] * 8 + [2] + [0] * 5 + [1]
    assert found.accuracy[8] == .5
    # Wilson's interval of 1 of 2, by hand: z = 1.959964
    z2 = 1.959964**2
    half = np.sqrt(z2 * (.25 / 2 + z2 / 16)) / (1 + z2 / 2)
    assert np.allclose(found.interval[8], [.5 - half, .5 + half], atol=1e-6)


def test_logits_are_refused():
    with pytest.raises(ValueError, match=r'probabilities \(N, C\)'):
        reliability([[2., -1.]], [0])


def test_plot_has_both_colours(tmp_path):
    scores, labels = some_scores()
    found = dict(
        before=reliability(scores, labels), after=reliability(*some_scores()))
    out = tmp_path / 'reliability.png'

    def near(colour):
        pixels = cv2.imread(str(out)).reshape(-1, 3).astype(int)
        return (np.abs(pixels - colour).max(1) < 45).sum()

    plot_reliability({f'panel {i}': found for i in range(5)}, str(out))
    orange, blue = (0, 94, 213), (178, 114, 0)
    assert near(orange) > 500 and near(blue) > 500
    # five panels in rows of four
    assert cv2.imread(str(out)).shape[0] > 1000
    plot_reliability({'one': dict(before=found['before'])}, str(out))
    assert near(orange) > 100 and near(blue) == 0
