# Copyright (c) orsa contributors. All rights reserved.
"""Moving pictures and points by an affine map.

Pixels are counted by their centres, as OpenCV does: the first is at 0, and
the picture reaches from -0.5 to its width less 0.5.
"""
from typing import Tuple

import cv2
import numpy as np


def shrink_first(image: np.ndarray, matrix: np.ndarray,
                 factor: int) -> Tuple[np.ndarray, np.ndarray]:
    """Average a picture down before a warp.

    Bilinear sampling looks at two pixels each way, so that a warp which makes
    a picture less than half as large would alias.

    Args:
        image (np.ndarray): (H, W) or (H, W, C).
        matrix (np.ndarray): 2 x 3, from the picture's pixels to others.
        factor (int): How many times smaller; up to 1 nothing is done.

    Returns:
        tuple[np.ndarray, np.ndarray]: The smaller picture, and the map from
        its pixels to the same others.
    """
    if factor <= 1:
        return image, matrix
    height, width = image.shape[:2]
    small = (width // factor, height // factor)
    image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    ratio = np.array([width / small[0], height / small[1]])
    matrix = matrix.copy()
    matrix[:, 2] += matrix[:, :2] @ (ratio - 1) / 2
    matrix[:, :2] *= ratio
    return image, matrix


def map_points(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Move points by an affine map.

    Args:
        points (np.ndarray): (..., 2), x and y in pixels.
        matrix (np.ndarray): 2 x 3; ``cv2.invertAffineTransform`` gives the
            way back.

    Returns:
        np.ndarray: (..., 2).
    """
    return points @ matrix[:, :2].T + matrix[:, 2]


def fit_similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The turn, scale and shift that bring points nearest to others.

    Nearest in the sum of squared distances; it does not mirror.

    Args:
        source (np.ndarray): (K, 2), at least two different points.
        target (np.ndarray): (K, 2).

    Returns:
        np.ndarray: 2 x 3.

    Raises:
        ValueError: If the points of either are all at one place, or not
            finite.
    """
    source, target = (np.asarray(p, np.float64) for p in (source, target))
    centre, goal = source.mean(0), target.mean(0)
    # as complex numbers, a turn and scale is one factor
    z = (source - centre) @ [1, 1j]
    w = (target - goal) @ [1, 1j]
    size = np.vdot(z, z).real
    factor = np.vdot(z, w) / size if size > 0 else 0.
    if not (np.isfinite(factor) and abs(factor) > 1e-9):
        raise ValueError('no similarity can be fitted to points that are all '
                         f'at one place or not finite: {source.tolist()}')
    linear = np.array([[factor.real, -factor.imag], [factor.imag,
                                                     factor.real]])
    return np.hstack([linear, (goal - linear @ centre)[:, None]])
