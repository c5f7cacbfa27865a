# Copyright (c) orsa contributors. All rights reserved.
"""What the transforms that hide parts of a face share."""
from typing import Sequence, Tuple

import numpy as np

from orsa.datasets.drawing.landmarks import BASE, NUM_LANDMARKS
from orsa.datasets.drawing.occluders import covered_share
from orsa.utils.face_regions import IGNORED


def face_points(results: dict, size: int) -> np.ndarray:
    """The landmarks of a sample, (68, 2) in pixels.

    They are its ``gt_keypoints`` or, as mmpose calls them, ``keypoints``.
    Without either the face is taken to be where an aligned picture of
    ``size`` x ``size`` has it.

    Raises:
        ValueError: If there are other than 68.
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


def check_occluders(kinds: Sequence[str], known: Sequence[str]) -> Tuple:
    """Return ``kinds`` if there is at least one and all are known.

    Raises:
        ValueError: If not.
    """
    unknown = set(kinds) - set(known)
    if unknown or not kinds:
        raise ValueError(f'unknown occluders {sorted(unknown)}, expected some '
                         f'of {known}')
    return tuple(kinds)


def check_square(results: dict, who: str) -> None:
    """Raise a ValueError that names the picture if it is not square."""
    height, width = results['img'].shape[:2]
    if height != width:
        raise ValueError(
            f'{who} needs a square picture, but '
            f"{results.get('img_path', 'this one')} is {(height, width)}")


def note_cover(results: dict, cover: np.ndarray, hull: np.ndarray) -> None:
    """Say in a sample what of it is hidden.

    Args:
        results (dict): The sample. Gets ``visible_mask`` and
            ``occlusion_ratio``; its ``gt_seg_map`` and the visibility of its
            landmarks are updated. Its arrays are replaced, not changed.
        cover (np.ndarray): (side, side) in [0, 255], what hides it.
        hull (np.ndarray): (side, side), bool, what counts as the face.

    Raises:
        ValueError: If the mask is of another size than the picture.
    """
    visible = cover <= 127
    results['visible_mask'] = visible.astype(np.uint8)
    results['occlusion_ratio'] = covered_share(cover, hull)
    parsing = results.get('gt_seg_map')
    if parsing is not None:
        if parsing.shape != visible.shape:
            raise ValueError(
                f"'gt_seg_map' is {parsing.shape} and the picture "
                f'{visible.shape}: what hides a face comes before either is '
                'resized')
        results['gt_seg_map'] = np.where(visible | (parsing == IGNORED),
                                         parsing, 0).astype(parsing.dtype)
    if 'gt_keypoints' in results or 'keypoints' in results:
        _note_points(results, visible)


def _note_points(results: dict, visible: np.ndarray) -> None:
    at = np.rint(face_points(results, len(visible))).astype(int)
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
