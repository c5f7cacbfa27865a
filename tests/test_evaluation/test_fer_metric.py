# Copyright (c) orsa contributors. All rights reserved.
"""The metric's numbers are scikit-learn's, and undefined ones are left out."""
import json
import math
import warnings

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import METRICS
from mmpretrain.structures import DataSample
from sklearn.metrics import (accuracy_score, confusion_matrix,
                             precision_recall_fscore_support)

from orsa.evaluation import FERMetric
from orsa.evaluation.metrics import expected_calibration_error, fer_metric

CLASSES = ('surprise', 'fear', 'disgust', 'happiness', 'sadness', 'anger',
           'neutral')


def case(name):
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(7) * 0.5, 300)
    if name == 'all':
        target = rng.integers(0, 7, 300)
    elif name == 'absent':
        # two classes are absent, and still predicted
        target = rng.choice([0, 3, 4, 5, 6], 300)
    elif name == 'one':
        target = np.full(300, 3)
    elif name == 'never predicted':
        target = rng.integers(0, 7, 300)
        scores[:, 2] = 0
        scores /= scores.sum(1, keepdims=True)
    elif name == 'right':
        target = scores.argmax(1)
    return scores, target


def test_a_second_time_without_duplicates(monkeypatch):
    scores, target = case('all')
    duplicates = [f'face{i}' for i in range(0, 300, 7)]
    kept = np.arange(300) % 7 > 0
    evaluator = Evaluator(metrics=FERMetric(duplicates=duplicates))
    evaluator.dataset_meta = dict(classes=CLASSES)
    evaluator.process([
        DataSample(metainfo=dict(name=f'face{i}')).set_gt_label(
            int(t)).set_pred_score(torch.from_numpy(s))
        for i, (s, t) in enumerate(zip(scores, target))
    ])
    logged = evaluator.evaluate(300)
    report = evaluator.metrics[0].report()
    without = report['without_duplicates']
    assert without['num_left_out'] == 43 and without['num_samples'] == 257
    for name, rows in (('', slice(None)), ('without_duplicates/', kept)):
        pred = scores[rows].argmax(1)
        assert logged[f'{name}accuracy'] == pytest.approx(
            100 * accuracy_score(target[rows], pred))
        recall = precision_recall_fscore_support(target[rows], pred)[1]
        assert logged[f'{name}recall/anger'] == pytest.approx(100 * recall[5])
    assert without['confusion_matrix'] == confusion_matrix(
        target[kept], scores[kept].argmax(1)).tolist()
    # other names: nothing is left out, and that is said
    evaluator.metrics[0].duplicates = ['face_aligned7']
    evaluator.process([
        DataSample(metainfo=dict(name='face7')).set_gt_label(0).set_pred_score(
            torch.tensor([1.] * 7))
    ])
    said = []
    monkeypatch.setattr(fer_metric, 'print_log',
                        lambda message, **kwargs: said.append(message))
    evaluator.evaluate(1)
    assert len(said) == 1 and 'nothing is left out' in said[0]
    # what has no name cannot be left out
    evaluator.process(
        [DataSample().set_gt_label(0).set_pred_score(torch.tensor([1.] * 7))])
    with pytest.raises(ValueError, match="'name'"):
        evaluator.evaluate(1)


@pytest.mark.parametrize('name',
                         ['all', 'absent', 'one', 'never predicted', 'right'])
@pytest.mark.parametrize('as_labels', [False, True])
def test_against_scikit_learn(name, as_labels):
    scores, target = case(name)
    pred = scores.argmax(1)
    result = FERMetric.calculate(pred if as_labels else scores, target,
                                 CLASSES)
    present = np.unique(target)
    precision, recall, f1, support = precision_recall_fscore_support(
        target, pred, labels=range(7), zero_division=0)
    assert result['accuracy'] == pytest.approx(100 *
                                               accuracy_score(target, pred))
    assert result['uar'] == pytest.approx(100 * recall[present].mean())
    assert result['macro_f1'] == pytest.approx(100 * f1[present].mean())
    assert result['confusion_matrix'] == confusion_matrix(
        target, pred, labels=range(7)).tolist()
    for i, each in enumerate(CLASSES):
        found = result['per_class'][each]
        assert found['num_samples'] == support[i]
        assert found['num_predicted'] == (pred == i).sum()
        if i in present:
            assert found['recall'] == pytest.approx(100 * recall[i])
            assert found['precision'] == pytest.approx(100 * precision[i])
            assert found['f1'] == pytest.approx(100 * f1[i])
        else:
            assert found['recall'] is None and found['f1'] is None
    assert (result['ece'] is None) == as_labels
    assert result['num_samples'] == 300
    json.dumps(result, allow_nan=False)


def test_calibration_error_by_hand():
    # confidences .9 .9 .6 .6 in two bins with accuracies 1/2 and 1
    scores = [[.9, .1], [.1, .9], [.6, .4], [.4, .6]]
    result = FERMetric.calculate(scores, [0, 0, 0, 1])
    assert result['ece'] == pytest.approx(100 * (.5 * .4 + .5 * .4))
    # a bin holds its upper edge: 0.8 of 5 bins is with 0.7, not with 0.9
    scores = [[.8, .2], [.7, .3], [.9, .1]]
    error = expected_calibration_error(np.array(scores), [0, 1, 0], 5)
    assert error == pytest.approx(100 * (2 * .25 + .1) / 3)
    confident = FERMetric.calculate(np.eye(3), [0, 1, 2])
    assert confident['ece'] == pytest.approx(0)
    # logits have no calibration
    assert FERMetric.calculate([[3., -1.]], [0])['ece'] is None


def test_empty():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for pred in ([], np.zeros((0, 7))):
            result = FERMetric.calculate(pred, [], CLASSES)
            assert result['accuracy'] is result['uar'] is None
            assert result['macro_f1'] is result['ece'] is None
            assert result['num_samples'] == 0
            assert np.array(result['confusion_matrix']).shape == (7, 7)


def test_names_and_more_outputs_than_classes():
    result = FERMetric.calculate([0, 2], [0, 1])
    assert result['classes'] == ['0', '1', '2']
    result = FERMetric.calculate(np.eye(8)[[7, 1]], [0, 1], CLASSES)
    assert result['classes'] == [*CLASSES, '7']
    assert result['accuracy'] == 50 and result['uar'] == 50


@pytest.mark.parametrize('pred, target, message', [
    ([0, 1], [0], 'do not match'),
    (np.eye(2), [0, 2], 'a label is 2, expected 0 to 1'),
    ([0, 7], [0, 1], 'a prediction is 7'),
    ([0, 1], [0, -1], 'a label is -1'),
    ([[.5, .5], [math.nan, 1.]], [0, 1], 'scores of 1 of 2 .* not finite'),
])
def test_bad_input(pred, target, message):
    with pytest.raises(ValueError, match=message):
        FERMetric.calculate(pred, target, CLASSES[:2])


def samples(scores, target, **meta):
    result = []
    for i, (score, label) in enumerate(zip(scores, target)):
        sample = DataSample(metainfo=dict(img_path=f'a/test_{i}.jpg', **meta))
        sample.set_gt_label(int(label))
        sample.set_pred_score(torch.tensor(score, dtype=torch.float32))
        result.append(sample)
    return result


def evaluate(metric, data, **meta):
    evaluator = Evaluator(metrics=metric)
    evaluator.dataset_meta = dict(classes=CLASSES, **meta)
    for start in range(0, len(data), 64):
        evaluator.process(data[start:start + 64])
    return evaluator.evaluate(len(data))


def test_with_evaluator():
    scores, target = case('absent')
    metric = METRICS.build(dict(type='orsa.FERMetric'))
    with pytest.raises(RuntimeError, match='nothing was evaluated'):
        metric.report()
    logged = evaluate(metric, samples(scores, target), num_skipped=2)
    expected = FERMetric.calculate(scores, target, CLASSES)
    assert logged.keys() == {
        'accuracy', 'uar', 'macro_f1', 'ece', 'recall/surprise',
        'recall/happiness', 'recall/sadness', 'recall/anger', 'recall/neutral'
    }
    assert all(isinstance(v, float) for v in logged.values())
    assert logged['uar'] == pytest.approx(expected['uar'])
    assert logged['ece'] == pytest.approx(expected['ece'], abs=1e-4)
    report = metric.report()
    assert report['num_skipped'] == 2 and report['num_samples'] == 300
    assert report['classes'] == list(CLASSES)
    assert report['confusion_matrix'] == expected['confusion_matrix']
    # the next evaluation starts anew
    evaluate(metric, samples(scores[:10], target[:10]))
    assert metric.report()['num_samples'] == 10
    assert metric.report()['num_skipped'] == 0


def test_samples_without_scores():
    scores, target = case('all')
    data = samples(scores, target)
    for sample in data:
        sample.set_pred_label(sample.pred_score.argmax())
        del sample.pred_score
    logged = evaluate(FERMetric(), data)
    assert 'ece' not in logged and 'recall/fear' in logged
    expected = FERMetric.calculate(scores, target)
    assert logged['accuracy'] == pytest.approx(expected['accuracy'])


def test_half_precision_scores():
    scores, target = case('all')
    data = samples(scores, target)
    for sample in data:
        sample.set_pred_score(sample.pred_score.bfloat16())
    assert evaluate(FERMetric(), data)['ece'] > 0


def test_predictions():
    scores, target = case('one')
    metric = FERMetric()
    data = samples(scores, target)
    data[1].set_field('test_0001', 'name', field_type='metainfo')
    evaluate(metric, data)
    assert len(metric.predictions) == 300
    # the dataset's name of the sample, or else the file's
    assert [s['name'] for s in metric.predictions[:3]
            ] == ['test_0', 'test_0001', 'test_2']
    for s, score in zip(metric.predictions, scores):
        assert s['label'] == 3 and s['pred'] == score.argmax()
        assert np.allclose(s['scores'], score)


def test_prefix():
    scores, target = case('all')
    logged = evaluate(FERMetric(prefix='occluded'), samples(scores, target))
    assert 'occluded/uar' in logged


def test_classes_are_matched_by_name():
    """A model of eight classes on data of seven in another order."""
    model = ('neutral', 'happiness', 'sadness', 'surprise', 'fear', 'disgust',
             'anger', 'contempt')
    data = ('surprise', 'fear', 'disgust', 'happiness', 'sadness', 'anger',
            'neutral', 'boredom')
    rng = np.random.default_rng(3)
    scores = rng.dirichlet(np.ones(8) * 0.4, 200).astype(np.float32)
    labels = rng.integers(0, 8, 200)
    metric = FERMetric(model_classes=model)
    evaluator = Evaluator(metrics=metric)
    evaluator.dataset_meta = dict(classes=data)
    evaluator.process([
        DataSample().set_gt_label(int(n)).set_pred_score(torch.tensor(s))
        for n, s in zip(labels, scores)
    ])
    metrics = evaluator.evaluate(200)
    # by names alone, without what the other side lacks
    names = np.array(data)[labels]
    kept = names != 'boredom'
    seven = [c for c in model if c != 'contempt']
    pred = np.array(seven)[scores[:, :7].argmax(1)]
    assert metrics['accuracy'] == pytest.approx(
        100 * accuracy_score(names[kept], pred[kept]))
    report = metric.report()
    assert report['classes'] == list(data[:7])
    expected = confusion_matrix(names[kept], pred[kept], labels=data[:7])
    assert (np.array(report['confusion_matrix']) == expected).all()
    assert report['left_out'] == dict(
        model=['contempt'], data=dict(boredom=int((~kept).sum())))
    assert report['model_classes'] == list(model)
    assert report['num_samples'] == len(metric.predictions) == kept.sum()
    part = scores[kept][:, :7]
    part = part / part.sum(1, keepdims=True)
    first = metric.predictions[0]
    assert first['scores'][0] == pytest.approx(
        part[0, seven.index('surprise')], abs=1e-6)
    assert report['ece'] == pytest.approx(
        FERMetric.calculate(part,
                            [seven.index(n) for n in names[kept]])['ece'])


def test_classes_that_match_need_no_matching():
    pred, labels = [np.array([.2, .8])] * 2, [0, 1]
    with pytest.raises(ValueError, match='no class in common'):
        FERMetric.match_classes(pred, labels, ('a', 'b'), ('c', 'd'))
    with pytest.raises(ValueError, match=r'pred_score .*\(\)'):
        FERMetric.match_classes([1, 0], labels, ('a', 'b'), ('b', 'c'))
    scores, target, kept, told = FERMetric.match_classes(
        pred, labels, ('a', 'b'), ('b', 'a'))
    assert np.allclose(scores, [.8, .2]) and target == [0, 1] == kept
    assert told['left_out'] == dict(model=[], data={})
    metric = FERMetric(model_classes=['a', 'b'])
    evaluator = Evaluator(metrics=metric)
    evaluator.dataset_meta = dict(classes=('a', 'b'))
    evaluator.process([DataSample().set_gt_label(1).set_pred_label(1)])
    evaluator.evaluate(1)
    assert 'left_out' not in metric.report()
