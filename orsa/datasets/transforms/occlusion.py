# Copyright (c) orsa contributors. All rights reserved.
"""What the transforms that occlude a part of a face share."""
from typing import Callable, Collection, Sequence, Tuple

import numpy as np

from orsa.datasets.drawing.landmarks import BASE
from orsa.datasets.drawing.occluders import landmark_hull, occluded_fraction
from orsa.utils.face_regions import IGNORED, NUM_LANDMARKS


def _face_points(results: dict, size: int) -> np.ndarray:
    """The landmarks (68, 2) of a sample in pixels.

    They are its ``gt_keypoints`` or, as mmpose calls them, ``keypoints``.
    Without either the face is taken to be where an aligned image has it.
    """
    key = 'gt_keypoints' if 'gt_keypoints' in results else 'keypoints'
    points = results.get(key)
    if points is None:
        return BASE * (size / 128) - .5
    points = np.asarray(points, np.float32)
    if points.size != NUM_LANDMARKS * 2:
        raise ValueError(
            f"'{key}' should be {NUM_LANDMARKS} points of one face, "
            f'but are of shape {points.shape}')
    return points.reshape(-1, 2)


def check_occluders(kinds: Collection[str], known: Sequence[str]) -> Tuple:
    """Return ``kinds`` as a tuple; ValueError if empty or one is unknown."""
    unknown = set(kinds) - set(known)
    if unknown or not kinds:
        raise ValueError(f'unknown occluders {sorted(unknown)}, expected some '
                         f'of {known}')
    return tuple(kinds)


def check_prob(prob: float, name: str = 'prob') -> float:
    """Return a probability; ValueError if it is not in [0, 1]."""
    if not 0 <= prob <= 1:
        raise ValueError(f'{name} should be in [0, 1], but got {prob}')
    return prob


def occlude(results: dict, paint: Callable[[np.ndarray, np.ndarray],
                                           np.ndarray]) -> dict:
    """Occlude a part of the face of a sample, and note which.

    The sample gets ``visible_mask`` and ``occlusion_ratio``; its
    ``gt_seg_map`` and the visibility of its landmarks are updated. Arrays are
    replaced, not changed. ``paint`` paints on the image (size, size, 3), in
    place, given the landmarks (68, 2) in pixels, and returns the occlusion
    mask (size, size) in [0, 255].

    Raises:
        ValueError: If the image is not square, the mask is of another size, or
            there are other than 68 landmarks.
    """
    image = np.array(results['img'], order='C')  # never the caller's
    size = len(image)
    if image.shape[1] != size:
        raise ValueError(
            'occluders need a square image, but '
            f"{results.get('img_path', 'this one')} is {image.shape[:2]}")
    points = _face_points(results, size)
    mask = paint(image, points)
    visible = mask <= 127
    results['img'] = image
    results['visible_mask'] = visible.astype(np.uint8)
    results['occlusion_ratio'] = occluded_fraction(mask,
                                                   landmark_hull(points, size))
    parsing = results.get('gt_seg_map')
    if parsing is not None and parsing.shape[:2] != visible.shape:
        raise ValueError(
            f"'gt_seg_map' is {parsing.shape} and the image {visible.shape}: "
            'occlude a face before either is resized')
    # labels of a dataset's own wait for AsSegSample, which knows their meaning
    if parsing is not None and 'mask_labels' not in results:
        results['gt_seg_map'] = np.where(visible | (parsing == IGNORED),
                                         parsing, 0).astype(parsing.dtype)
    if 'gt_keypoints' in results or 'keypoints' in results:
        _update_visibility(results, points, visible)
    return results


def _update_visibility(results: dict, points: np.ndarray,
                       visible: np.ndarray) -> None:
    at = np.rint(points).astype(int)
    inside = ((at >= 0) & (at < len(visible))).all(1)
    at = at.clip(0, len(visible) - 1)
    seen = inside & visible[at[:, 1], at[:, 0]]
    for key in ('gt_keypoints_visible', 'keypoints_visible'):
        if key in results:
            before = np.asarray(results[key], np.float32)
            # mmpose also has (1, 68, 2): visibility and a weight
            mask = seen if before.ndim < 3 else seen[:, None]
            results[key] = before * mask.astype(np.float32)
    results.setdefault('keypoints_visible', seen[None].astype(np.float32))
