# Copyright (c) orsa contributors. All rights reserved.
"""From a photograph to aligned faces, which the models were trained on."""
import functools
import math
import os.path as osp
from typing import Callable, List, Optional, Sequence, Tuple

import cv2
import numpy as np

from orsa.utils.warp import fit_similarity, map_points, shrink_first

Box = Tuple[int, int, int, int]
Locate = Callable[[np.ndarray], np.ndarray]

# Where an aligned picture of 128 x 128 pixels has the centres of the eyes,
# the tip of the nose and the corners of the mouth: the places of ArcFace
# (https://arxiv.org/abs/1801.07698, for 112 x 112), 8 pixels higher. It is
# what press_faces was aligned to: fitted to it, its faces stay where they are
# to a fifth of a pixel and a fifth of a degree. The mean of its landmarks, and
# BASE, are the same to a pixel, but would make a face 2% smaller.
ALIGNED_FIVE = np.array([[38.2946, 51.6963], [73.5318, 51.5014],
                         [56.0252, 71.7366], [41.5493, 92.3655],
                         [70.7299, 92.2041]]) * (128 / 112) - (0, 8)

# The cascade's box is about what an aligned picture shows. A little more
# around it: landmarks are found better in a face too small than cut off.
MARGIN = 0.08
# What comes in from outside of the photograph is as in the training: BGR of
# ImageNet's mean.
_FILL = (104, 116, 124)
# degrees; the cascade itself finds faces up to some 15 either way
_TURNS = (0, 20, -20, 40, -40)


@functools.lru_cache(maxsize=1)
def _cascade() -> cv2.CascadeClassifier:
    path = osp.join(cv2.data.haarcascades, 'haarcascade_frontalface_alt2.xml')
    cascade = cv2.CascadeClassifier(path)
    if cascade.empty():
        raise FileNotFoundError(
            f"OpenCV's face detector, '{path}', is not there or cannot be "
            "read: install 'opencv-python' anew")
    return cascade


def find_faces(image: np.ndarray,
               min_size: int = 32,
               max_side: int = 1280) -> List[Box]:
    """Find the faces in a photograph that look at the camera.

    By OpenCV's frontal cascade, which needs no weights of ours. It misses
    faces from the side and many that are occluded. Only if it finds nothing
    the photograph is turned by 20, then 40 degrees either way.

    Args:
        image (np.ndarray): The photograph, (H, W, 3) BGR uint8.
        min_size (int): The side of the smallest face, in pixels of the
            photograph (once it is made smaller). Defaults to 32.
        max_side (int): A larger photograph is made smaller before.
            Defaults to 1280.

    Returns:
        list[tuple[int, int, int, int]]: Squares (x0, y0, x1, y1) in pixels,
        x1 and y1 behind the last, from brows to chin, the largest first. They
        may reach over the border.

    Raises:
        TypeError: If it is no such array.
    """
    check_image(image)
    image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    scale = max(max(image.shape) / max_side, 1.)
    if scale > 1:
        size = [max(round(s / scale), 1) for s in image.shape[::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    for angle in _TURNS:
        boxes = _find_turned(image, angle, min_size)
        if boxes:
            break
    return [tuple(round(scale * v) for v in box) for box in boxes]


def _find_turned(image: np.ndarray, angle: float, min_size: int) -> List[Box]:
    """Boxes, upright ones, in a grey picture that is turned meanwhile."""
    height, width = image.shape
    side = math.ceil(math.hypot(height, width)) if angle else 0
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.)
    if angle:
        turn[:, 2] += side / 2 - np.array([width, height]) / 2
        image = cv2.warpAffine(image, turn, (side, side))
    found = _cascade().detectMultiScale(
        image, 1.1, minNeighbors=4, minSize=(min_size, min_size))
    back = cv2.invertAffineTransform(turn)
    boxes = []
    for x, y, w, h in sorted(found, key=lambda b: -b[2] * b[3]):
        cx, cy = map_points(np.array([x + w / 2, y + h / 2]), back)
        boxes.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
    return boxes


def check_image(image: np.ndarray, name: str = 'image') -> None:
    """Raise a TypeError unless it is a picture (H, W, 3) of uint8."""
    is_array = isinstance(image, np.ndarray)
    if not (is_array and image.dtype == np.uint8 and image.ndim == 3
            and image.shape[2] == 3 and image.size):
        got = (f'{image.dtype} of shape {image.shape}'
               if is_array else type(image).__name__)
        raise TypeError(f'{name} should be an array (H, W, 3) of uint8, BGR, '
                        f'but is {got}')


def crop_face(image: np.ndarray,
              box: Optional[Sequence[float]] = None,
              size: int = 128) -> Tuple[np.ndarray, np.ndarray]:
    """Cut out a square around a face, as it stands.

    Args:
        image (np.ndarray): The photograph, (H, W, 3) BGR uint8.
        box (Sequence[float], optional): x0, y0, x1, y1 in pixels, as from
            :func:`find_faces`, which get a margin. Defaults to None, the
            whole picture without one.
        size (int): Side of the result, in pixels. Defaults to 128.

    Returns:
        tuple[np.ndarray, np.ndarray]: The crop (size, size, 3), and the
        2 x 3 map from pixels of the photograph to those of the crop.

    Raises:
        ValueError: If the box is empty.
        TypeError: If the image is no such array.
    """
    check_image(image)
    if box is None:
        margin, box = 0., (0, 0, image.shape[1], image.shape[0])
    else:
        margin = MARGIN
    x0, y0, x1, y1 = box
    if not (x1 > x0 and y1 > y0):
        raise ValueError('box should be (x0, y0, x1, y1) with x0 < x1 and y0 '
                         f'< y1, but is {tuple(box)}')
    scale = size / (max(x1 - x0, y1 - y0) * (1 + 2 * margin))
    # pixel centres: p + 0.5 -> q + 0.5
    shift = size / 2 - 0.5 - scale * (np.array([x0 + x1, y0 + y1]) / 2 - 0.5)
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return _warp(image, matrix, size), matrix


def align_face(image: np.ndarray,
               box: Optional[Sequence[float]],
               locate: Locate,
               size: int = 128) -> Tuple[np.ndarray, np.ndarray]:
    """Turn, scale and shift a face to where aligned pictures have it.

    The landmarks of a first crop give a similarity, and those of the crop
    made by it, in which they are found better, the final one.

    Args:
        image (np.ndarray): The photograph, (H, W, 3) BGR uint8.
        box (Sequence[float], optional): As for :func:`crop_face`.
        locate (Callable): Gives the 68 landmarks (68, 2 or more) of a crop
            (size, size, 3) as shares of its sides, 0 being the left or upper
            edge; :func:`orsa.apis.inference.landmark_locator` makes one of a
            model.
        size (int): Side of the result, in pixels. Defaults to 128.

    Returns:
        tuple[np.ndarray, np.ndarray]: The aligned face (size, size, 3), and
        the 2 x 3 map from pixels of the photograph to its pixels. Points go
        back by ``map_points(points, cv2.invertAffineTransform(matrix))``.

    Raises:
        ValueError: If the box is empty, or ``locate`` gives other than 68
            points or all at one place.
        TypeError: If the image is no such array.
    """
    # not above: it brings all data sets, and mmpretrain, with it
    from orsa.datasets.drawing.landmarks import NUM_LANDMARKS, five_points
    target = (ALIGNED_FIVE + .5) * (size / 128) - .5
    crop, matrix = crop_face(image, box, size)
    for _ in range(2):
        points = np.asarray(locate(crop))
        if points.ndim != 2 or len(points) != NUM_LANDMARKS:
            raise ValueError(f'locate should give {NUM_LANDMARKS} points, '
                             f'but gave an array of shape {points.shape}')
        here = five_points(points[:, :2]) * size - .5
        there = map_points(here, cv2.invertAffineTransform(matrix))
        matrix = fit_similarity(there, target)
        crop = _warp(image, matrix, size)
    return crop, matrix


def _warp(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    factor = min(int(0.5 / max(scale, 1e-6)), *image.shape[:2])
    image, matrix = shrink_first(image, matrix, factor)
    return cv2.warpAffine(
        image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=_FILL)
