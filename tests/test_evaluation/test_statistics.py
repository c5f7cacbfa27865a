# Copyright (c) orsa contributors. All rights reserved.
"""Protects spread, intervals and tests: by hand."""
import itertools
import math

import numpy as np
import pytest

from orsa.evaluation.statistics import (accuracy_interval, holm, mcnemar,
                                        mean_and_spread, paired_difference)


def test_mean_and_spread_by_hand():
    assert mean_and_spread([60, 64]) == (62, pytest.approx(8**.5))
    assert mean_and_spread([60]) == (60, None)


def test_wilson_interval_by_hand():
    # centre and half width of 87 of 125, by Wilson's formula
    z, p, n = 1.959963984540054, 87 / 125, 125
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2))**.5
    assert accuracy_interval(87, 125) == pytest.approx(
        (100 * (centre - half), 100 * (centre + half)), abs=1e-9)
    assert accuracy_interval(0, 5)[0] == 0 and accuracy_interval(5,
                                                                 5)[1] == 100
    assert accuracy_interval(0, 0) is None


def test_paired_difference_by_hand():
    labels = np.array([0, 0, 0, 1])
    # recalls 1 and 1 against 1/3 and 1
    first, second = [[1, 1, 1, 1]], [[1, 0, 0, 1]]
    value, low, high = paired_difference(first, second, labels)
    assert value == pytest.approx(100 / 3)
    assert low <= value <= high
    value, *_ = paired_difference(first, second, labels, 'accuracy')
    assert value == pytest.approx(50)
    assert paired_difference(first, first, labels) == (0, 0, 0)
    with pytest.raises(ValueError, match="'macro_f1'"):
        paired_difference(first, first, labels, 'macro_f1')
    # the mean over two runs
    value, *_ = paired_difference(first + second, second * 2, labels)
    assert value == pytest.approx(50 / 3)


def test_the_interval_over_runs_holds_another_training():
    """Trainings that differ: their spread is in the interval, by simulation.

    Faces are many, so that of a model's accuracy p +- .05 over trainings the
    mean of two trainings deviates by .05 / 2**.5.
    """
    rng = np.random.default_rng(1)
    labels = np.zeros(4000, int)

    def train(accuracy):
        return rng.random(4000) < accuracy

    first = np.stack([train(.75), train(.85)])
    second = np.stack([train(.65), train(.75)])
    faces = paired_difference(first, second, labels)
    both = paired_difference(first, second, labels, over_runs=True)
    assert faces[0] == both[0] == pytest.approx(10, abs=2)
    assert faces[2] - faces[1] < 4
    # of two runs each, by chance both samples are the best and the worst
    assert both[1] == pytest.approx(0, abs=3)
    assert both[2] == pytest.approx(20, abs=3)
    # one run each: nothing to sample
    assert paired_difference(
        first[:1], second[:1], labels, over_runs=True) == pytest.approx(
            paired_difference(first[:1], second[:1], labels), abs=1e-3)


@pytest.mark.parametrize('runs', [2, 3, 5])
def test_the_spread_of_sampled_runs_is_that_of_their_mean(runs):
    """Runs that differ in all faces alike, by all draws of R - 1 of them."""
    accuracies = np.random.default_rng(runs).uniform(.4, .8, runs)
    first = np.repeat(accuracies[:, None], 9, axis=1)
    found = paired_difference(
        first,
        np.zeros((2, 9)),
        np.zeros(9, int),
        repeats=20000,
        over_runs=True)
    draws = np.array(list(itertools.product(accuracies,
                                            repeat=runs - 1))).mean(1)
    assert draws.var() == pytest.approx(accuracies.var(ddof=1) / runs)
    assert found[0] == pytest.approx(100 * accuracies.mean())
    assert found[1:] == pytest.approx(
        100 * np.percentile(draws, (2.5, 97.5), method='inverted_cdf'), abs=2)


def test_mcnemar_by_hand():
    # 1 against 5: 2 * (1 + 6) / 2**6
    correct = np.array([True] + [False] * 5)
    assert mcnemar(correct, ~correct) == dict(
        first_only=1, second_only=5, p=pytest.approx(14 / 64))
    assert mcnemar(correct, correct)['p'] == 1
    rng = np.random.default_rng(0)
    for total in (10, 422, 3068):
        first, second = rng.random((2, total)) < [[.8], [.83]]
        found = mcnemar(first, second)
        one, two = found['first_only'], found['second_only']
        assert (one, two) == ((first > second).sum(), (first < second).sum())
        tail = sum(math.comb(one + two, k) for k in range(min(one, two) + 1))
        expected = min(1, 2 * tail / 2**(one + two))
        assert found['p'] == pytest.approx(expected, rel=1e-9)


def test_holm_by_hand():
    assert holm([.01, .04, .03]) == pytest.approx([.03, .06, .06])
    assert holm([.5, .9]) == [1, 1] and holm([]) == []
