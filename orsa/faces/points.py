# Copyright (c) orsa contributors. All rights reserved.
"""Points of a face, moved by an affine map."""
import numpy as np


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
    """The rotation, scale and shift that bring points nearest to others.

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
    # as complex numbers, a rotation and scale is one factor
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
