# Copyright (c) orsa contributors. All rights reserved.
"""Calibration, few samples, and what is said of classes left out."""
import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample

from orsa.evaluation import FERMetric
from orsa.evaluation.metrics import expected_calibration_error, fer_metric


def naive_error(scores, target, num_bins):
    """The definition, bin by bin."""
    total = 0.
    for b in range(num_bins):
        rows = [
            i for i, s in enumerate(scores)
            if b / num_bins < max(s) <= (b + 1) / num_bins
        ]
        if rows:
            right = np.mean([np.argmax(scores[i]) == target[i] for i in rows])
            sure = np.mean([max(scores[i]) for i in rows])
            total += len(rows) * abs(right - sure)
    return 100 * total / len(scores)


@pytest.mark.parametrize('num_bins', [1, 2, 15, 40])
def test_calibration_error_by_its_definition(num_bins):
    rng = np.random.default_rng(num_bins)
    # with 30 classes some confidences are in the first bins
    scores = np.concatenate(
        [rng.dirichlet(np.ones(30) * a, 60) for a in (.1, 1, 50)])
    # right more often than it is sure where it is not sure, and less elsewhere
    target = np.where(
        rng.random(180) < .6, scores.argmax(1), rng.integers(0, 30, 180))
    expected = naive_error(scores, target, num_bins)
    found = expected_calibration_error(scores, target, num_bins)
    assert found == pytest.approx(expected)
    if num_bins == 15:
        assert expected_calibration_error(scores, target) == found
        assert FERMetric.calculate(scores, target)['ece'] == found
        tensors = torch.tensor(scores), torch.tensor(target)
        assert expected_calibration_error(*tensors) == pytest.approx(
            found, abs=1e-3)


@pytest.mark.parametrize('scores',
                         [[[3., 1.]], [[1.5, -.5]], [[-3., 1.]], [[.5, .6]]])
def test_what_is_no_probability_has_no_calibration(scores):
    assert np.isnan(expected_calibration_error(scores, [0]))
    result = FERMetric.calculate(scores, [0])
    assert result['ece'] is None and result['num_samples'] == 1


def test_classes_without_names_are_counted():
    assert FERMetric.calculate([], [])['classes'] == []
    assert FERMetric.calculate([0], [0])['classes'] == ['0']
    assert FERMetric.calculate([0, 0], [0, 3])['classes'] == list('0123')
    assert FERMetric.calculate(np.eye(3), [0, 1, 2])['classes'] == list('012')
    one = FERMetric.calculate([1, 1], [1, 0], ['a', 'b'])
    assert one['per_class']['a'] == dict(
        recall=0, precision=0, f1=0, num_samples=1, num_predicted=0)
    assert one['per_class']['b']['precision'] == 50
    with pytest.raises(ValueError, match='1 labels'):
        FERMetric.calculate(np.zeros((1, 2, 2)), [0])
    # samples are counted, and not numbers
    scores = [[np.nan, np.inf, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    with pytest.raises(ValueError, match='1 of 4 samples'):
        FERMetric.calculate(scores, [0, 1, 2, 0])


def evaluate(metric, scores, labels, **meta):
    evaluator = Evaluator(metrics=metric)
    if meta:
        evaluator.dataset_meta = meta
    evaluator.process([
        DataSample().set_gt_label(n).set_pred_score(torch.tensor(s))
        for s, n in zip(scores, labels)
    ])
    return evaluator.evaluate(len(labels))


def test_samples_left_out_are_told(monkeypatch):
    told = []
    monkeypatch.setattr(fer_metric, 'print_log',
                        lambda text, **kwargs: told.append(text))
    scores = [[.7, .3], [.4, .6], [.2, .8]]
    metric = FERMetric(model_classes=['a', 'b'])
    evaluate(metric, scores, [0, 1, 2], classes=['a', 'b', 'c'])
    assert len(told) == 1
    assert told[0].startswith('1 of 3 samples are left out')
    assert "{'c': 1}" in told[0]
    assert metric.report()['num_samples'] == 2
    evaluate(metric, scores, [0, 1, 1], classes=['b', 'a'])
    assert len(told) == 1 and 'left_out' in metric.report()


def test_scores_that_are_all_on_what_is_left_out():
    scores, target, kept, _ = FERMetric.match_classes([np.array([0., 0., 1.])],
                                                      [0], ['a', 'b', 'c'],
                                                      ['b', 'a'])
    assert scores[0].tolist() == [.5, .5] and target == [0] == kept


def test_without_a_data_set_the_classes_are_numbers():
    metric = FERMetric(model_classes=['a', 'b'])
    logged = evaluate(metric, [[.9, .1], [.2, .8]], [0, 0])
    assert logged['accuracy'] == 50 == logged['recall/0']
    assert metric.report()['classes'] == ['0', '1']
    assert metric.report()['num_skipped'] == 0
    # a batch of no samples is no sample
    metric.process({}, [])
    assert not metric.results
