# Copyright (c) orsa contributors. All rights reserved.
import logging
from typing import Iterable, List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from orsa.registry import METRICS
from orsa.utils.classes import common_classes
from orsa.utils.image_files import name_of
from .calibration_error import ArrayLike, expected_calibration_error, to_array


def _percent(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """100 * part / whole, NaN where there is nothing to divide by."""
    return 100. * part / np.where(whole > 0, whole, np.nan)


def _to_host(values: Iterable[torch.Tensor]) -> List[torch.Tensor]:
    """Tensors of one shape by one transfer: the device is waited for once."""
    return list(torch.stack(list(values)).cpu())


@METRICS.register_module()
class FERMetric(BaseMetric):
    """The metrics of facial expression recognition, in percent.

    - ``accuracy``: the fraction of right predictions (also called WAR).
    - ``uar``: unweighted average recall, of the classes that are present in
      the ground truth.
    - ``macro_f1``: the mean of F1 over the same classes. A class that is never
      predicted has precision and F1 of 0.
    - ``ece``: the expected calibration error in 15 bins.
    - ``recall/<class>`` of the classes present.

    What is undefined (the recall and F1 of an absent class, the calibration of
    predictions without probabilities) is not logged, and None in the report.

    Args:
        model_classes (Sequence[str], optional): The names of the model's
            outputs, which are matched with the dataset's by name, see
            :meth:`match_classes`. A checkpoint that carries them sets them
            when it is tested (:class:`orsa.ModelCheckHook`). Defaults to None:
            those of the dataset.
        duplicates (Sequence[str], optional): Names of samples whose images
            are in the training data too: ``without_duplicates`` has all
            metrics without them. ``tools/test.py`` takes them from
            ``duplicates_of`` of the dataset. Defaults to None.
        collect_device (str): How results of several ranks are collected:
            'gpu', through the process group; or 'cpu', as files in the current
            folder, which all ranks have to share. Defaults to 'gpu'.
        prefix (str, optional): Put before the names. Defaults to None.

    Examples:
        >>> from orsa.evaluation import FERMetric
        >>> # happiness twice and anger once, none of 'fear'
        >>> result = FERMetric.calculate(
        ...     pred=[0, 2, 2], target=[0, 0, 2],
        ...     classes=['happiness', 'fear', 'anger'])
        >>> round(result['accuracy'], 2), round(result['uar'], 2)
        (66.67, 75.0)
        >>> result['confusion_matrix']
        [[1, 0, 1], [0, 0, 0], [0, 0, 1]]
        >>> result['per_class']['happiness']['recall']
        50.0
    """
    # an empty string, for None makes MMEngine warn
    default_prefix: Optional[str] = ''

    def __init__(self,
                 model_classes: Optional[Sequence[str]] = None,
                 duplicates: Optional[Sequence[str]] = None,
                 collect_device: str = 'gpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.model_classes = model_classes
        self.duplicates = duplicates
        self.predictions: List[dict] = []
        self._report: Optional[dict] = None

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Store what is needed of one batch.

        Args:
            data_batch: Not used.
            data_samples (Sequence[dict]): The model's outputs, with
                ``gt_label`` and ``pred_score`` or ``pred_label``.
        """
        if not data_samples:
            return
        key = 'pred_score' if 'pred_score' in data_samples[0] else 'pred_label'
        for sample, target, pred in zip(
                data_samples, _to_host(s['gt_label'] for s in data_samples),
                _to_host(s[key] for s in data_samples)):
            self.results.append({
                'name': name_of(sample),
                'gt_label': target,
                key: pred
            })

    def compute_metrics(self, results: List[dict]) -> dict:
        """The scalars to log, of all samples, on the main process."""
        meta = self.dataset_meta or {}
        target = [int(r['gt_label']) for r in results]
        has_scores = bool(results) and 'pred_score' in results[0]
        pred = [
            to_array(r['pred_score']) if has_scores else int(r['pred_label'])
            for r in results
        ]
        classes, mapping = meta.get('classes'), {}
        if self.model_classes is not None and classes is not None and list(
                self.model_classes) != list(classes):
            pred, target, known, mapping = self.match_classes(
                pred, target, self.model_classes, classes)
            if len(known) < len(results):
                print_log(
                    f'{len(results) - len(known)} of {len(results)} samples '
                    'are left out, the model does not know their classes: '
                    f"{mapping['left_out']['data']}",
                    logger='current')
            results = [results[i] for i in known]
            classes = common_classes(self.model_classes, classes)
        report = self.calculate(pred, target, classes)
        report.update(mapping)
        if self.duplicates:
            report['without_duplicates'] = self._without_duplicates(
                [r['name'] for r in results], pred, target, classes)
        report['num_skipped'] = int(meta.get('num_skipped', 0))
        self._report = report

        self.predictions = [
            dict(
                name=r['name'],
                label=label,
                pred=int(p.argmax()) if has_scores else p,
                scores=p.tolist() if has_scores else None)
            for r, label, p in zip(results, target, pred)
        ]
        scalars = self._scalars(report)
        if self.duplicates:
            scalars.update({
                f'without_duplicates/{k}': v
                for k, v in self._scalars(
                    report['without_duplicates']).items()
            })
        return scalars

    def _without_duplicates(self, names: Sequence[Optional[str]],
                            pred: Sequence, target: Sequence[int],
                            classes: Optional[Sequence[str]]) -> dict:
        if None in names:
            raise ValueError(
                'FERMetric: duplicates are left out by name, but the samples '
                "have none. Add 'name' to meta_keys of PackInputs")
        known = set(self.duplicates)
        if known.isdisjoint(names):
            print_log(
                'FERMetric: none of the duplicates '
                f'({self.duplicates[0]}, ...) is among the samples '
                f'({names[0]}, ...): nothing is left out',
                logger='current',
                level=logging.WARNING)
        unique = [i for i, name in enumerate(names) if name not in known]
        report = self.calculate([pred[i] for i in unique],
                                [target[i] for i in unique], classes)
        report['num_left_out'] = len(names) - len(unique)
        return report

    @staticmethod
    def match_classes(
        pred: Sequence, target: Sequence[int], model_classes: Sequence[str],
        data_classes: Sequence[str]
    ) -> Tuple[List[np.ndarray], List[int], List[int], dict]:
        """Match a model's scores and a dataset's labels by name.

        Args:
            pred (Sequence[np.ndarray]): Per sample the scores of the model's
                outputs (M, ); outputs beyond the named ones are left out.
            target (Sequence[int]): Labels by index of ``data_classes``.
            model_classes (Sequence[str]): Names of the outputs.
            data_classes (Sequence[str]): Names of the labels.

        Returns:
            tuple: Scores of the common classes (C, ), in the data's order and
            with a sum of 1; their labels; the indices of the samples that are
            of them; and a dict of ``model_classes`` and ``left_out``: the
            other classes of the ``model``, and the numbers of samples of
            those of the ``data``.

        Raises:
            ValueError: If there are no scores, or nothing in common.
        """
        common = common_classes(model_classes, data_classes)
        columns = [list(model_classes).index(name) for name in common]
        names = [data_classes[label] for label in target]
        known = [i for i, name in enumerate(names) if name in common]
        scores = []
        for i in known:
            if np.ndim(pred[i]) != 1 or len(pred[i]) < len(model_classes):
                raise ValueError(
                    'FERMetric: to leave classes out, pred_score has to hold '
                    f'a score for each of {list(model_classes)}, got shape '
                    f'{np.shape(pred[i])}')
            score = np.asarray(pred[i], np.float64)[columns]
            # all of it may be on classes that are left out
            total = score.sum()
            scores.append(score / total if total >
                          0 else np.full(len(score), 1 / len(score)))
        left_out = dict(
            model=[name for name in model_classes if name not in common],
            data={
                name: names.count(name)
                for name in data_classes if name not in common
            })
        return scores, [common.index(names[i]) for i in known], known, dict(
            model_classes=list(model_classes), left_out=left_out)

    def _scalars(self, report: dict) -> dict:
        scalars = {
            k: report[k]
            for k in ('accuracy', 'uar', 'macro_f1', 'ece')
        }
        for name, values in report['per_class'].items():
            if values['num_samples']:
                scalars[f'recall/{name}'] = values['recall']
        return {k: v for k, v in scalars.items() if v is not None}

    def report(self) -> dict:
        """The full result of the last evaluation, ready for JSON.

        Returns:
            dict: As :meth:`calculate` returns it, ``num_skipped``, the images
            that could not be read, with ``duplicates`` also
            ``without_duplicates``, and the dict of :meth:`match_classes`.

        Raises:
            RuntimeError: Before an evaluation, and on ranks other than 0.
        """
        if self._report is None:
            raise RuntimeError('FERMetric: nothing was evaluated yet (on '
                               'several ranks, only rank 0 has the report)')
        return self._report

    @staticmethod
    def calculate(pred: ArrayLike,
                  target: ArrayLike,
                  classes: Optional[Sequence[str]] = None) -> dict:
        """Calculate everything from predictions and labels.

        Args:
            pred (Tensor | np.ndarray | Sequence): Labels (N, ), or
                probabilities of the classes (N, C); or bool (N, C), true for
                the predicted class.
            target (Tensor | np.ndarray | Sequence): Labels (N, ).
            classes (Sequence[str], optional): The names of the classes.
                Defaults to None, the numbers as names.

        Returns:
            dict: ``accuracy``, ``uar``, ``macro_f1`` and ``ece`` in percent,
            ``num_samples``, ``classes``, ``confusion_matrix`` (C lists of C
            numbers, a row per true class) and ``per_class``: by name a dict of
            ``recall``, ``precision``, ``f1``, ``num_samples`` and
            ``num_predicted``. None stands for what is undefined.

        Raises:
            ValueError: If the shapes do not match, a label is out of range or
                a score is not finite.
        """
        scores, target = to_array(pred), to_array(target).reshape(-1)
        if len(scores) != len(target) or scores.ndim > 2:
            raise ValueError(f'FERMetric: predictions {scores.shape} do not '
                             f'match {len(target)} labels')
        has_scores = scores.ndim == 2
        if has_scores and not np.isfinite(scores).all():
            raise ValueError(
                'FERMetric: the scores of '
                f'{(~np.isfinite(scores)).any(1).sum()} of {len(scores)} '
                'samples are not finite: the model has diverged')
        pred = scores.argmax(1) if has_scores else scores
        pred, target = pred.astype(np.int64), target.astype(np.int64)

        num = scores.shape[1] if has_scores else 0
        if classes is not None:
            num = max(num, len(classes))
        elif not has_scores:
            num = 1 + max(pred.max(initial=-1), target.max(initial=-1))
        names = [] if classes is None else list(classes)
        # a head may have more outputs than there are classes
        names += [str(i) for i in range(len(names), num)]
        for what, labels in (('label', target), ('prediction', pred)):
            wrong = labels[(labels < 0) | (labels >= num)]
            if wrong.size:
                raise ValueError(f'FERMetric: a {what} is {wrong[0]}, expected'
                                 f' 0 to {num - 1} ({", ".join(names)})')

        matrix = np.zeros((num, num), dtype=np.int64)
        np.add.at(matrix, (target, pred), 1)
        ece = float('nan')
        if has_scores and scores.dtype != bool:
            ece = expected_calibration_error(scores, target)
        return _summarize(matrix, names, ece)


def _summarize(matrix: np.ndarray, names: List[str], ece: float) -> dict:
    """Everything that follows from a confusion matrix (C, C)."""
    right, support = matrix.diagonal(), matrix.sum(1)
    predicted = matrix.sum(0)
    present = support > 0
    recall = _percent(right, support)
    precision = _percent(right, predicted)
    # never predicted counts as 0, but only where there was something to find
    precision[present & (predicted == 0)] = 0.
    f1 = np.where(present, _percent(2 * right, support + predicted), np.nan)
    per_class = {
        name:
        dict(
            recall=_or_none(recall[i]),
            precision=_or_none(precision[i]),
            f1=_or_none(f1[i]),
            num_samples=int(support[i]),
            num_predicted=int(predicted[i]))
        for i, name in enumerate(names)
    }
    return dict(
        accuracy=_or_none(_percent(right.sum(), support.sum())),
        uar=_or_none(recall[present].mean() if present.any() else np.nan),
        macro_f1=_or_none(f1[present].mean() if present.any() else np.nan),
        ece=_or_none(ece),
        num_samples=int(support.sum()),
        classes=names,
        per_class=per_class,
        confusion_matrix=matrix.tolist())


def _or_none(value: float) -> Optional[float]:
    """A float, or None for NaN, which JSON does not have."""
    return None if np.isnan(value) else float(value)
