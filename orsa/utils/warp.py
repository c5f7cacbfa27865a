# Copyright (c) orsa contributors. All rights reserved.
"""What precedes an affine map of an image.

Pixels are counted by their centres, as OpenCV does: the first is at 0, and
the image reaches from -0.5 to its width less 0.5.
"""
from typing import Tuple

import cv2
import numpy as np


def shrink_first(image: np.ndarray, matrix: np.ndarray,
                 factor: int) -> Tuple[np.ndarray, np.ndarray]:
    """Average an image down before a warp.

    Bilinear sampling looks at two pixels each way, so that a warp which makes
    an image less than half as large would alias.

    Args:
        image (np.ndarray): (H, W) or (H, W, C).
        matrix (np.ndarray): 2 x 3, from the image's pixels to others.
        factor (int): How many times smaller; up to 1 nothing is done.

    Returns:
        tuple[np.ndarray, np.ndarray]: The smaller image, and the map from
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


def resize_image(image: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Resize an image, averaged down first where it is much larger.

    ``orsa.RandomFaceAffine`` with all ranges at their neutral values.

    Args:
        image (np.ndarray): (H, W, 3), BGR uint8.
        size (tuple[int, int]): Height and width of the result.

    Returns:
        np.ndarray: (h, w, 3).
    """
    ratio = np.divide(size, image.shape[:2])[::-1]
    matrix = np.hstack([np.diag(ratio), (ratio[:, None] - 1) / 2])
    factor = min(image.shape[0] // (2 * size[0]),
                 image.shape[1] // (2 * size[1]))
    image, matrix = shrink_first(image, matrix, factor)
    # at its edges, ImageNet's mean
    return cv2.warpAffine(
        image, matrix, size[::-1], borderValue=(104, 116, 124))
