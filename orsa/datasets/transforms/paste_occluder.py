# Copyright (c) orsa contributors. All rights reserved.
from typing import Sequence, Tuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from orsa.datasets.drawing.landmarks import BASE, NUM_LANDMARKS
from orsa.datasets.drawing.occluders import (HELD, covered_share,
                                             landmark_hull, paint_held)
from orsa.registry import TRANSFORMS


def in_units(points: np.ndarray, size: int) -> np.ndarray:
    """Landmarks in pixels to the units that occluders are drawn in."""
    return (points + .5) * (128 / size)


def face_points(results: dict, size: int) -> np.ndarray:
    """The landmarks of a sample, (68, 2) in pixels.

    Without ``gt_keypoints`` the face is taken to be where an aligned picture
    of ``size`` x ``size`` has it.

    Raises:
        ValueError: If there are other than 68.
    """
    points = results.get('gt_keypoints')
    if points is None:
        return BASE * (size / 128) - .5
    points = np.asarray(points, np.float32)
    if points.size != NUM_LANDMARKS * 2:
        raise ValueError(
            f"'gt_keypoints' should be {NUM_LANDMARKS} points of one face, "
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
    """Add ``visible_mask`` and ``occlusion_ratio`` to a sample.

    Args:
        results (dict): The sample.
        cover (np.ndarray): (side, side) in [0, 255], what hides it.
        hull (np.ndarray): (side, side), bool, what counts as the face.
    """
    results['visible_mask'] = (cover <= 127).astype(np.uint8)
    results['occlusion_ratio'] = covered_share(cover, hull)


@TRANSFORMS.register_module()
class PasteOccluder(BaseTransform):
    """Lay a drawn hand, block or object over a square picture of a face.

    **Required Keys:** img (side x side), and gt_keypoints, 68 points in
    pixels (without them the face is taken to be where an aligned picture has
    it)

    **Modified Keys:** img

    **Added Keys:** visible_mask (1 where nothing covers), occlusion_ratio
    (the covered share of the landmarks' hull)

    Args:
        prob (float): Probability that something is laid over.
            Defaults to 0.5.
        kinds (Sequence[str]): What to choose from. Defaults to all that can
            be held in front of a face.
    """

    def __init__(self, prob: float = 0.5, kinds: Sequence[str] = HELD):
        if not 0 <= prob <= 1:
            raise ValueError(f'prob should be in [0, 1], but got {prob}')
        self.prob = prob
        self.kinds = check_occluders(kinds, HELD)

    @cache_randomness
    def _draw(self):
        if np.random.rand() >= self.prob:
            return None
        kind = self.kinds[np.random.randint(len(self.kinds))]
        return kind, np.random.randint(2**31)

    def transform(self, results: dict) -> dict:
        """Paste, and say what is still to be seen."""
        choice = self._draw()
        if choice is None:
            return results
        check_square(results, type(self).__name__)
        image = np.ascontiguousarray(results['img'])
        points = face_points(results, len(image))
        cover = paint_held(image, in_units(points, len(image)), choice[0],
                           np.random.Generator(np.random.PCG64(choice[1])))
        results['img'] = image
        note_cover(results, cover, landmark_hull(points, len(image)))
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(prob={self.prob}, '
                f'kinds={self.kinds})')
