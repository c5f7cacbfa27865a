# Copyright (c) orsa contributors. All rights reserved.
"""From a photograph to aligned faces, which the models were trained on."""
import math
from typing import Callable, List, Optional, Sequence, Tuple

import cv2
import numpy as np

from orsa.faces.points import fit_similarity, map_points
from orsa.utils.face_regions import NUM_LANDMARKS, five_points
from orsa.utils.warp import shrink_first

Box = Sequence[float]
# an aligned face (S, S, 3) and its 2 x 3 matrix
Aligned = Tuple[np.ndarray, np.ndarray]
Locate = Callable[[np.ndarray], np.ndarray]
LocateAll = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]

# Where an aligned image of 128 x 128 pixels has the centres of the eyes, the
# tip of the nose and the corners of the mouth: the places of ArcFace
# (https://arxiv.org/abs/1801.07698, for 112 x 112), 8 pixels higher. It is
# what press_faces was aligned to: fitted to it, its faces stay where they are
# to a fifth of a pixel and a fifth of a degree.
ALIGNED_FIVE = np.array([[38.2946, 51.6963], [73.5318, 51.5014],
                         [56.0252, 71.7366], [41.5493, 92.3655],
                         [70.7299, 92.2041]]) * (128 / 112) - (0, 8)

# The cascade's box is about what an aligned image shows. A little more around
# it: landmarks are found better in a face too small than cut off.
MARGIN = 0.08
# Outside of the photograph it is as in the training: BGR of ImageNet's mean.
_FILL = (104, 116, 124)


def check_image(image: np.ndarray, name: str = 'image') -> None:
    """Raise a TypeError unless it is an image (H, W, 3) of uint8."""
    is_array = isinstance(image, np.ndarray)
    if not (is_array and image.dtype == np.uint8 and image.ndim == 3
            and image.shape[2] == 3 and image.size):
        got = (f'{image.dtype} of shape {image.shape}'
               if is_array else type(image).__name__)
        raise TypeError(f'{name} should be an array (H, W, 3) of uint8, BGR, '
                        f'but is {got}')


def crop_face(image: np.ndarray,
              box: Optional[Box] = None,
              size: int = 128) -> Aligned:
    """Crop a square around a face, without rotating it.

    Args:
        image (np.ndarray): The photograph, (H, W, 3) BGR uint8.
        box (Sequence[float], optional): x0, y0, x1, y1 in pixels, as from
            :func:`find_faces`, which get a margin. Defaults to None, the
            complete image without one.
        size (int): Side of the result, in pixels. Defaults to 128.

    Returns:
        tuple[np.ndarray, np.ndarray]: The crop (size, size, 3), and the
        2 x 3 map from pixels of the photograph to those of the crop.

    Raises:
        ValueError: If the box is empty.
        TypeError: If the image is no such array.
    """
    check_image(image)
    margin = 0. if box is None else MARGIN
    x0, y0, x1, y1 = (0, 0, *image.shape[1::-1]) if box is None else box
    if not (x1 > x0 and y1 > y0):
        raise ValueError('box should be (x0, y0, x1, y1) with x0 < x1 and y0 '
                         f'< y1, but is {tuple(box)}')
    scale = size / (max(x1 - x0, y1 - y0) * (1 + 2 * margin))
    # pixel centres: p + 0.5 -> q + 0.5
    shift = size / 2 - 0.5 - scale * (np.array([x0 + x1, y0 + y1]) / 2 - 0.5)
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return _warp(image, matrix, size), matrix


def align_face(image: np.ndarray,
               box: Optional[Box],
               locate: Locate,
               size: int = 128) -> Aligned:
    """Rotate, scale and shift a face to where aligned images have it.

    Args:
        image (np.ndarray): The photograph, (H, W, 3) BGR uint8.
        box (Sequence[float], optional): As for :func:`crop_face`.
        locate (Callable): Returns the 68 landmarks (68, 2 or more) of a crop
            (size, size, 3) as fractions of its sides, 0 being the left or
            upper edge; :func:`orsa.apis.landmark_locator` makes one of a
            model.
        size (int): Side of the result, in pixels. Defaults to 128.

    Returns:
        tuple[np.ndarray, np.ndarray]: As of :func:`align_faces`, of one face.

    Raises:
        ValueError: If the box is empty, or ``locate`` returns other than 68
            points or all at one place.
        TypeError: If the image is no such array.
    """
    return align_faces([image], [box],
                       lambda crops: [locate(crop) for crop in crops], size)[0]


def align_faces(
    images: Sequence[np.ndarray],
    boxes: Sequence[Optional[Box]],
    locate: Optional[LocateAll],
    size: int = 128,
    points: Optional[Sequence[Optional[np.ndarray]]] = None,
    strict: bool = True,
) -> List[Aligned]:
    """Align many faces, with their landmarks predicted in batches.

    The landmarks of a first crop give a similarity, and those of the crop
    made by it, in which they are found better, the final one.

    Args:
        images (Sequence[np.ndarray]): The photograph of each face, (H, W, 3)
            BGR uint8; the same object for faces in one photograph.
        boxes (Sequence): Of each face its box, as for :func:`crop_face`.
        locate (Callable, optional): Returns the 68 landmarks of each of
            several crops, as :func:`align_face` has them. None if there are
            none: the first crop is then the result.
        size (int): Side of the results, in pixels. Defaults to 128.
        points (Sequence, optional): Of each face None or the centres of the
            eyes, the tip of the nose and the corners of the mouth, (5, 2) in
            pixels of the photograph, left to right: the first crop is then
            made by them, not by the box. Defaults to None.
        strict (bool): Whether a face that cannot be aligned is an error, or
            stays as its box has it. Defaults to True.

    Returns:
        list[tuple[np.ndarray, np.ndarray]]: Of each the aligned face
        (size, size, 3), and the 2 x 3 map from pixels of the photograph to
        its pixels, which ``cv2.invertAffineTransform`` inverts.

    Raises:
        ValueError: If a box is empty, ``locate`` returns other than 68 points
            or, with ``strict``, all at one place.
        TypeError: If an image is no such array.
    """
    points = points or [None] * len(images)
    faces = []
    for image, box, five in zip(images, boxes, points):
        try:
            faces.append(
                crop_face(image, box, size) if five is
                None else align_five(image, five, size))
        except ValueError:
            if strict or five is None:
                raise
            faces.append(crop_face(image, box, size))
    for _ in range(2 if locate else 0):
        found = locate([crop for crop, _ in faces]) if faces else []
        faces = [
            _refine(image, face, one, size, strict)
            for image, face, one in zip(images, faces, found)
        ]
    return faces


def align_five(image: np.ndarray,
               points: np.ndarray,
               size: int = 128) -> Aligned:
    """Align a face by five points.

    Args:
        image (np.ndarray): The photograph, (H, W, 3) BGR uint8.
        points (np.ndarray): (5, 2), as :func:`align_faces` has them.
        size (int): Side of the result, in pixels. Defaults to 128.

    Returns:
        tuple[np.ndarray, np.ndarray]: As of :func:`align_faces`.

    Raises:
        ValueError: If the points are all at one place.
        TypeError: If the image is no such array.
    """
    check_image(image)
    matrix = fit_similarity(points, (ALIGNED_FIVE + .5) * (size / 128) - .5)
    return _warp(image, matrix, size), matrix


def _refine(image: np.ndarray, face: Aligned, found: np.ndarray, size: int,
            strict: bool) -> Aligned:
    """Align a face anew by landmarks that were found in it."""
    found = np.asarray(found)
    if found.ndim != 2 or len(found) != NUM_LANDMARKS:
        raise ValueError(f'locate should return {NUM_LANDMARKS} points, '
                         f'but returned an array of shape {found.shape}')
    here = five_points(found[:, :2]) * size - .5
    there = map_points(here, cv2.invertAffineTransform(face[1]))
    try:
        return align_five(image, there, size)
    except ValueError:
        if strict:
            raise
        return face


def _warp(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    factor = max(min(int(0.5 / max(scale, 1e-6)), *image.shape[:2]), 1)
    # of a large photograph only the region of the face
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]]) - .5
    back = map_points(corners, cv2.invertAffineTransform(matrix))
    limit = np.array(image.shape[1::-1])
    margin = 2 * factor + 2
    # at least a pixel, where the face is outside
    low = np.clip(np.floor(back.min(0)) - margin, 0, limit - 1).astype(int)
    high = np.clip(np.ceil(back.max(0)) + margin + 1, low + 1, limit)
    (x0, y0), (x1, y1) = low, high.astype(int)
    matrix = matrix.copy()
    matrix[:, 2] += matrix[:, :2] @ low
    image = image[y0:y1, x0:x1]
    image, matrix = shrink_first(image, matrix, min(factor, *image.shape[:2]))
    return cv2.warpAffine(
        image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=_FILL)
