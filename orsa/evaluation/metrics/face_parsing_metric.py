# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict, List, Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric

from orsa.registry import METRICS
from orsa.utils.face_regions import FACE_CLASSES, IGNORED


@METRICS.register_module()
class FaceParsingMetric(BaseMetric):
    """Accuracy of a face parser on masks with labels of a dataset's own.

    A predicted class counts as the label that stands for it; ``label_sets``
    of the samples, which may not overlap here, say which. A class that no
    label stands for is right nowhere. All pixels of all images count
    together.

    Gives, in percent, ``pixels`` (accuracy), ``mF1`` (mean over the labels,
    without background) and for each label ``F1 NAME`` and ``IoU NAME``, where
    NAME is its first class.

    Args:
        collect_device (str): See :class:`orsa.FERMetric`. Defaults to 'gpu'.
        prefix (str, optional): As of MMEngine's ``BaseMetric``.

    Raises:
        ValueError: If a class is in two labels, or samples have different
            labels: :class:`PerDatasetMetric` keeps datasets apart.
    """

    def __init__(self,
                 collect_device: str = 'gpu',
                 prefix: Optional[str] = None):
        super().__init__(collect_device, prefix)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the pixels of each label that were predicted as each."""
        for sample in data_samples:
            sets = tuple(map(tuple, sample['label_sets']))
            pred = _labels_of_classes(sets)[np.asarray(
                sample['pred_sem_seg']['data'].cpu())[0]]
            truth = np.asarray(sample['gt_sem_seg']['data'].cpu())[0]
            known = truth != IGNORED
            size = len(sets) + 1
            pairs = truth[known].astype(np.int64) * size + pred[known]
            counts = np.bincount(pairs, minlength=size * len(sets))
            self.results.append((sets, counts.reshape(len(sets), size)))

    def compute_metrics(self, results: List[tuple]) -> Dict[str, float]:
        """Metrics of the sum of all counts."""
        if len({sets for sets, _ in results}) > 1:
            raise ValueError('FaceParsingMetric: samples have different '
                             'labels, wrap it into orsa.PerDatasetMetric')
        sets = results[0][0]
        counts = sum(one for _, one in results).astype(float)
        right, truth = np.diag(counts), counts.sum(1)
        pred = counts.sum(0)[:-1]
        f1 = 2 * right / np.maximum(truth + pred, 1)
        iou = right / np.maximum(truth + pred - right, 1)
        names = [FACE_CLASSES[classes[0]] for classes in sets]
        # a label that is nowhere has neither
        there = [i for i in range(len(sets)) if truth[i] + pred[i]]
        front = [i for i in there if 0 not in sets[i]]
        metrics = dict(
            pixels=right.sum() / truth.sum(),
            mF1=f1[front].mean() if front else float('nan'))
        for i in there:
            metrics.update({
                f'F1 {names[i]}': f1[i],
                f'IoU {names[i]}': iou[i]
            })
        return {key: round(100 * v, 2) for key, v in metrics.items()}


def _labels_of_classes(sets: Sequence[Sequence[int]]) -> np.ndarray:
    """The label of each class, (256,); their number where there is none."""
    table = np.full(256, len(sets))
    for label, classes in enumerate(sets):
        if (table[list(classes)] != len(sets)).any():
            raise ValueError(
                'FaceParsingMetric: a class is in two labels, which cannot be '
                f'told apart: {[[FACE_CLASSES[c] for c in s] for s in sets]}')
        table[list(classes)] = label
    return table
