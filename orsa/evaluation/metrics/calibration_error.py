# Copyright (c) orsa contributors. All rights reserved.
"""How far confidence and accuracy are apart."""
from typing import Sequence, Union

import numpy as np
import torch

ArrayLike = Union[torch.Tensor, np.ndarray, Sequence]


def to_array(values: ArrayLike) -> np.ndarray:
    """Values of any device and type as an array; bfloat16 as float32."""
    if isinstance(values, torch.Tensor):
        # numpy has no bfloat16
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
    return np.asarray(values)


def confidence_bins(confidence: np.ndarray, num_bins: int) -> np.ndarray:
    """The number of each confidence's bin (N, ), from 0.

    Bins have equal widths, are open below and closed above; the first one
    holds 0 as well.
    """
    return np.ceil(confidence * num_bins).astype(int).clip(1, num_bins) - 1


def expected_calibration_error(scores: ArrayLike,
                               target: ArrayLike,
                               num_bins: int = 15) -> float:
    """Expected calibration error of the most probable class, in percent.

    `On Calibration of Modern Neural Networks
    <https://arxiv.org/abs/1706.04599>`_: the gaps between mean confidence and
    accuracy in :func:`confidence_bins`, averaged with the bins' numbers of
    samples as weights.

    Args:
        scores (Tensor | np.ndarray | Sequence): Probabilities (N, C).
        target (Tensor | np.ndarray | Sequence): Labels (N, ).
        num_bins (int): Defaults to 15.

    Returns:
        float: NaN for no samples, and for rows that are no probabilities.
    """
    scores, target = to_array(scores).astype(np.float64), to_array(target)
    if not len(scores) or scores.min() < 0 or (abs(scores.sum(1) - 1)
                                               > 1e-2).any():
        return float('nan')
    confidence = scores.max(1)
    gap = (scores.argmax(1) == target) - confidence
    bins = confidence_bins(confidence, num_bins)
    return float(100 * abs(np.bincount(bins, gap)).sum() / len(scores))
