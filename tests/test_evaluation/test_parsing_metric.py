# Copyright (c) orsa contributors. All rights reserved.
"""Metrics of face parsers and landmark models on several datasets."""
import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from sklearn.metrics import accuracy_score, f1_score, jaccard_score

from orsa.evaluation import FaceParsingMetric, PerDatasetMetric
from orsa.registry import METRICS

SETS = ((0, ), (1, 4, 5), (10, 2, 3))  # class 11 is none of them


def sample(pred, truth, sets=SETS, name=None):
    return dict(
        label_sets=sets,
        dataset_name=name,
        pred_sem_seg=dict(data=torch.tensor(pred)[None]),
        gt_sem_seg=dict(data=torch.tensor(truth)[None]))


def random_maps(seed):
    rng = np.random.default_rng(seed)
    pred = rng.choice([0, 1, 4, 5, 10, 2, 3, 11], (9, 7))
    truth = rng.choice([0, 1, 2, 255], (9, 7))
    return pred, truth


def test_as_scikit_learn_has_it():
    metric = FaceParsingMetric()
    maps = [random_maps(seed) for seed in range(3)]
    metric.process({}, [sample(*one) for one in maps])
    found = metric.compute_metrics(metric.results)
    label = {0: 0, 1: 1, 4: 1, 5: 1, 10: 2, 2: 2, 3: 2, 11: 3}
    pred = np.array([label[c] for p, _ in maps for c in p.flat])
    truth = np.concatenate([t.ravel() for _, t in maps])
    pred, truth = pred[truth != 255], truth[truth != 255]
    assert found['pixels'] == round(100 * accuracy_score(truth, pred), 2)
    f1 = 100 * f1_score(truth, pred, labels=[0, 1, 2], average=None)
    iou = 100 * jaccard_score(truth, pred, labels=[0, 1, 2], average=None)
    assert found['mF1'] == round(f1[1:].mean(), 2)
    for i, name in enumerate(('background', 'skin', 'hair')):
        assert found[f'F1 {name}'] == round(f1[i], 2)
        assert found[f'IoU {name}'] == round(iou[i], 2)


def test_a_label_that_is_nowhere_does_not_count():
    metric = FaceParsingMetric()
    truth = np.repeat([[0, 1]], 3, axis=0)
    metric.process({}, [sample(truth, truth)])
    found = metric.compute_metrics(metric.results)
    assert found == {
        'pixels': 100.,
        'mF1': 100.,
        'F1 background': 100.,
        'IoU background': 100.,
        'F1 skin': 100.,
        'IoU skin': 100.
    }


def test_labels_that_overlap_or_differ_are_refused():
    maps = random_maps(0)
    metric = FaceParsingMetric()
    with pytest.raises(ValueError, match='two labels'):
        metric.process({}, [sample(*maps, sets=((0, 11), (1, 11)))])
    metric.process({}, [sample(*maps), sample(*maps, sets=(*SETS, (11, )))])
    with pytest.raises(ValueError, match='PerDatasetMetric'):
        metric.compute_metrics(metric.results)


@METRICS.register_module()
class _SumMetric(BaseMetric):
    """A metric of another library: the sum of what samples hold."""

    def process(self, data_batch, data_samples):
        self.results += [s['value'] for s in data_samples]

    def compute_metrics(self, results):
        return dict(sum=sum(results), least=self.dataset_meta['least'])


def test_each_dataset_by_itself():
    metric = PerDatasetMetric(dict(type='orsa._SumMetric'))
    metric.dataset_meta = dict(least=0)
    metric.process({}, [
        dict(dataset_name=name, value=value)
        for name, value in (('b', 1), ('a', 10), ('b', 2))
    ])
    metric.process({}, [dict(dataset_name='a', value=20)])
    assert metric.evaluate(4) == {
        'b/sum': 3,
        'b/least': 0,
        'a/sum': 30,
        'a/least': 0
    }
    with pytest.raises(KeyError, match='dataset_name'):
        metric.process({}, [dict(value=1)])
