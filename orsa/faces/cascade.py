# Copyright (c) orsa contributors. All rights reserved.
"""Faces by OpenCV's cascade, which needs no weights."""
import functools
import math
import os.path as osp
import threading
from typing import List, Sequence

import cv2
import numpy as np

from orsa.faces.points import map_points
from orsa.utils.renamed import renamed_arguments
from .align import check_image
from .detections import Detections, check_detections

# degrees; the cascade itself finds faces up to some 15 either way
_ROTATIONS = (0, 20, -20, 40, -40)
# OpenCV's cascade is not thread-safe
_LOCK = threading.Lock()


@functools.lru_cache(maxsize=1)
def _cascade() -> cv2.CascadeClassifier:
    path = osp.join(cv2.data.haarcascades, 'haarcascade_frontalface_alt2.xml')
    cascade = cv2.CascadeClassifier(path)
    if cascade.empty():
        raise FileNotFoundError(
            f"OpenCV's face detector, '{path}', is missing or unreadable: "
            "reinstall 'opencv-python'")
    return cascade


def shrink(image: np.ndarray, max_side: int) -> tuple:
    """Make an image smaller, unless it is already.

    Args:
        image (np.ndarray): (H, W) or (H, W, C).
        max_side (int): Of the result, in pixels.

    Returns:
        tuple[np.ndarray, float]: The image, and how many times smaller it is.
    """
    scale = max(max(image.shape[:2]) / max_side, 1.)
    if scale > 1:
        size = [max(round(s / scale), 1) for s in image.shape[1::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return image, scale


@renamed_arguments(turns='rotations')
def find_faces(image: np.ndarray,
               min_size: int = 32,
               max_side: int = 1280,
               rotations: Sequence[float] = _ROTATIONS,
               closer: float = 2.) -> List[tuple]:
    """Find the frontal faces in a photograph by OpenCV's cascade.

    It needs no weights of ours, and misses profiles and many occluded faces.
    Only if it finds nothing a large photograph is searched at a higher
    resolution, and then rotated.

    Args:
        image (np.ndarray): The photograph, (H, W, 3) BGR uint8.
        min_size (int): The side of the smallest face, in pixels of the
            photograph (once it is made smaller). Defaults to 32.
        max_side (int): A larger photograph is made smaller before.
            Defaults to 1280.
        rotations (Sequence[float]): Degrees to rotate it by, one after the
            other until a face is found. Defaults to 0, 20, -20, 40, -40.
        closer (float): The higher resolution, in multiples of ``max_side``;
            1 for none. Defaults to 2.

    Returns:
        list[tuple[int, int, int, int]]: Squares (x0, y0, x1, y1) in pixels,
        x1 and y1 behind the last, from brows to chin, the largest first. They
        may reach over the border.

    Raises:
        TypeError: If it is no such array.
    """
    check_image(image)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    tries = [(max_side, angle) for angle in rotations]
    if closer > 1 and max(grey.shape) > max_side:
        tries.insert(1, (round(closer * max_side), 0))
    for side, angle in tries:
        small, scale = shrink(grey, side)
        boxes = _find_rotated(small, angle, min_size)
        if boxes:
            return [tuple(round(scale * v) for v in box) for box in boxes]
    return []


def _find_rotated(image: np.ndarray, angle: float,
                  min_size: int) -> List[tuple]:
    """Upright boxes in a grey image that is searched rotated."""
    height, width = image.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.)
    if angle:
        side = math.ceil(math.hypot(height, width))
        matrix[:, 2] += side / 2 - np.array([width, height]) / 2
        image = cv2.warpAffine(image, matrix, (side, side))
    with _LOCK:
        found = _cascade().detectMultiScale(
            image, 1.1, minNeighbors=4, minSize=(min_size, min_size))
    back = cv2.invertAffineTransform(matrix)
    boxes = []
    for x, y, w, h in sorted(found, key=lambda b: -b[2] * b[3]):
        cx, cy = map_points(np.array([x + w / 2, y + h / 2]), back)
        boxes.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
    return boxes


class CascadeDetector:
    """OpenCV's frontal cascade, which needs no file.

    Args:
        rotate (bool): Whether to rotate a photograph in which nothing is
            found, which takes five times as long. Defaults to True.
        **kwargs: ``min_size``, ``max_side`` and ``closer`` of
            :func:`find_faces`.
    """

    @renamed_arguments(turned='rotate')
    def __init__(self, rotate: bool = True, **kwargs):
        self.kwargs = dict(
            kwargs, rotations=_ROTATIONS if rotate else _ROTATIONS[:1])
        _cascade()  # a missing file is an error here

    def __call__(self, image: np.ndarray) -> Detections:
        """Find the faces in (H, W, 3) BGR uint8."""
        return check_detections(find_faces(image, **self.kwargs))

    def for_video(self) -> 'CascadeDetector':
        """One fast enough for every frame: smaller images, not rotated."""
        fast = dict(max_side=640, min_size=24, closer=1)
        return CascadeDetector(**dict(fast, **self.kwargs), rotate=False)
