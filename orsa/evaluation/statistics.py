# Copyright (c) orsa contributors. All rights reserved.
"""How sure a result is: spread, intervals and tests."""
from functools import lru_cache
from typing import List, Optional, Sequence, Tuple

import numpy as np


def mean_and_spread(values: Sequence[float]) -> Tuple[float, Optional[float]]:
    """Mean and sample standard deviation, None of one value."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return float(np.mean(values)), spread


def accuracy_interval(correct: int,
                      total: int) -> Optional[Tuple[float, float]]:
    """Wilson's 95% interval of an accuracy, in percent; None for no faces.

    `Probable Inference, the Law of Succession, and Statistical Inference
    <https://doi.org/10.1080/01621459.1927.10502953>`_.
    """
    from scipy.stats import binomtest  # here: its import takes a second
    if not total:
        return None
    low, high = binomtest(int(correct), int(total)).proportion_ci(
        confidence_level=.95, method='wilson')
    return 100 * float(low), 100 * float(high)


def paired_difference(first: np.ndarray,
                      second: np.ndarray,
                      labels: np.ndarray,
                      metric: str = 'uar',
                      repeats: int = 1000,
                      seed: int = 0,
                      over_runs: bool = False) -> Tuple[float, float, float]:
    """How much better the first is, with a paired bootstrap interval.

    Faces are sampled with replacement, the same for both and for all of their
    runs; the metric is averaged over runs.

    Args:
        first (np.ndarray): (R, N), in [0, 1], where each of R runs (seeds,
            conditions) is correct about N faces, or in how many conditions.
        second (np.ndarray): (S, N), of what it is compared with.
        labels (np.ndarray): (N, ), int.
        metric (str): 'accuracy' or 'uar'. Defaults to 'uar'.
        repeats (int): Bootstrap samples. Defaults to 1000.
        seed (int): Of the sampling. Defaults to 0.
        over_runs (bool): Whether runs are sampled with replacement too, those
            of both apart, so that the interval is also that of another
            training (the hierarchical bootstrap; of R runs R - 1 are drawn,
            so that the variance is that of their mean, see
            https://doi.org/10.1080/01621459.1988.10478591). Defaults to False.

    Returns:
        tuple[float, float, float]: The difference in points and the limits
        of its 95% interval.
    """
    if metric not in ('accuracy', 'uar'):
        raise ValueError(f"metric should be 'accuracy' or 'uar', got "
                         f"'{metric}'")
    pair = [np.asarray(runs, np.float32) for runs in (first, second)]
    if metric == 'accuracy':
        labels = np.zeros_like(labels)  # one class has all
    of_class = np.eye(labels.max() + 1, dtype=np.float32)[labels]  # (N, C)

    def gains(*weights: np.ndarray) -> np.ndarray:
        """Of each face in [-1, 1], by the weights of runs (repeats, R)."""
        one, two = (w @ runs / w.sum(1, keepdims=True)
                    for w, runs in zip(weights, pair))
        return one - two

    def differences(times: np.ndarray, gain: np.ndarray) -> np.ndarray:
        """Of samples that have every face so many times, (repeats, N)."""
        with np.errstate(invalid='ignore'):
            recalls = (times * gain) @ of_class / (times @ of_class)
        return np.nanmean(recalls, axis=1) * 100

    once = gains(*(np.ones((1, len(runs))) for runs in pair))
    value = differences(np.ones((1, len(labels))), once)[0]
    # one run less than there are, for of a few the spread is else too small
    sampled = gains(
        *(_bootstrap(len(runs), repeats, seed + 1 + k, max(len(runs) - 1, 1))
          for k, runs in enumerate(pair))) if over_runs else once
    low, high = np.percentile(
        differences(_bootstrap(len(labels), repeats, seed), sampled),
        (2.5, 97.5))
    return float(value), float(low), float(high)


@lru_cache(maxsize=3)  # a comparison needs the same in every condition
def _bootstrap(count: int,
               repeats: int,
               seed: int,
               drawn: Optional[int] = None) -> np.ndarray:
    """How often each sample has each of N faces or runs, (repeats, N).

    ``drawn`` of them are drawn, by default N.
    """
    rng = np.random.default_rng(seed)
    times = np.empty((repeats, count), np.float32)
    for row in times:
        row[:] = np.bincount(
            rng.integers(0, count, drawn or count), minlength=count)
    return times


def mcnemar(first: np.ndarray, second: np.ndarray) -> dict:
    """McNemar's exact test: whether one of two is correct more often.

    `Note on the sampling error of the difference between correlated
    proportions or percentages <https://doi.org/10.1007/BF02295996>`_.

    Args:
        first (np.ndarray): (N, ), bool, where the first is correct.
        second (np.ndarray): (N, ), of the second.

    Returns:
        dict: ``first_only`` and ``second_only``, numbers of faces, and the
        two-sided ``p``.

    Examples:
        >>> import numpy as np
        >>> correct = np.array([True] * 6 + [False] * 4)
        >>> found = mcnemar(correct, ~correct)
        >>> found['first_only'], found['second_only'], round(found['p'], 6)
        (6, 4, 0.753906)
    """
    from scipy.stats import binomtest  # here: its import takes a second
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    one, two = int((first & ~second).sum()), int((second & ~first).sum())
    p = float(binomtest(one, one + two, .5).pvalue) if one + two else 1.
    return dict(first_only=one, second_only=two, p=p)


def holm(values: Sequence[float]) -> List[float]:
    """The p of several tests, adjusted by Holm's method.

    `A Simple Sequentially Rejective Multiple Test Procedure
    <https://www.jstor.org/stable/4615733>`_.
    """
    values = np.asarray(values, float)
    order, count = np.argsort(values, kind='stable'), len(values)
    steps = np.minimum(1, values[order] * (count - np.arange(count)))
    adjusted = np.empty(count)
    adjusted[order] = np.maximum.accumulate(steps)
    return adjusted.tolist()
