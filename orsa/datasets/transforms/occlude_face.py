# Copyright (c) orsa contributors. All rights reserved.
import hashlib
import math
import os.path as osp
from typing import Callable, Dict, Sequence, Union

import numpy as np
from mmcv.transforms import BaseTransform

from orsa.datasets.drawing.occluders import (HELD, covered_share, held_cover,
                                             landmark_hull, paint_held)
from orsa.registry import TRANSFORMS
from .paste_occluder import (check_occluders, check_square, face_points,
                             in_units, note_cover)

# How large each kind is drawn, as multiples of its usual sizes, before other
# means are taken to hide less or more.
_SIZES = dict(hand=(.8, 1.5), block=(.3, 3.), object=(.5, 3.))


def place_held(kind: str, amount: float) -> Dict[str, float]:
    """Where and how large an occluder is held to hide less or more.

    A hand is drawn back along its arm rather than shrunk to a doll's, and
    what is large already moves to the middle of the face before it grows on.

    Args:
        kind (str): One of ``HELD``.
        amount (float): From -1 to 0 a hand approaches, from 0 to 1 the size
            goes from the smallest to the largest usual one, from 1 to 2 the
            place moves to the middle, and from 2 to 3 the size doubles.

    Returns:
        dict[str, float]: ``grow``, ``pull``, ``back`` of ``paint_held``.
    """
    small, large = _SIZES[kind]
    grow = small * (large / small)**min(max(amount, 0.), 1.)
    return dict(
        grow=grow * 2**max(amount - 2, 0.),
        pull=min(max(amount - 1, 0.), 1.),
        back=140 * max(-amount, 0.))


def usual_amount(kind: str) -> float:
    """The amount at which :func:`place_held` leaves the size as it is."""
    small, large = _SIZES[kind]
    return math.log(1 / small) / math.log(large / small)


def reach_share(share_at: Callable[[float], float],
                goal: float,
                start: float,
                low: float,
                high: float,
                tolerance: float = .01,
                max_tries: int = 12) -> float:
    """Find the amount that hides a share of the face.

    Bisection, at the place where a straight line would reach the goal.

    Args:
        share_at (Callable): The share that an amount hides, on the whole more
            for more.
        goal (float): The share wanted.
        start (float): The first amount to try.
        low (float): The least amount, taken to hide nothing.
        high (float): The largest one, taken to hide all.
        tolerance (float): Good enough. Defaults to 0.01.
        max_tries (int): Defaults to 12.

    Returns:
        float: The best amount that was tried.
    """
    below, above = (low, 0.), (high, 1.)
    amount, best = start, (math.inf, start)
    for _ in range(max_tries):
        share = share_at(amount)
        best = min(best, (abs(share - goal), amount))
        if best[0] <= tolerance:
            break
        if share < goal:
            below = amount, share
        else:
            above = amount, share
        part = (goal - below[1]) / max(above[1] - below[1], 1e-6)
        # neither end for ever, though the line may be far from straight
        part = min(max(part, .15), .85)
        amount = below[0] + part * (above[0] - below[0])
    return best[1]


@TRANSFORMS.register_module()
class OccludeFace(BaseTransform):
    """Hide a stated share of a face, for tests of robustness.

    Lays a drawn hand, block or object over a square picture, such that the
    covered share of the landmarks' hull is that of a severity. What a sample
    gets depends on its name, the kind, the severity and ``seed`` alone: it is
    the same in any order, with any number of workers, and in every epoch.

    Comes before the picture is resized or cropped, which would leave the
    landmarks behind. The share is met to within 0.02, unless the landmarks
    lie so that it cannot be; ``occlusion_ratio`` says what it is.

    **Required Keys:** img (side x side), name or img_path, and gt_keypoints,
    68 points in pixels (without them the face is taken to be where an aligned
    picture has it)

    **Modified Keys:** img

    **Added Keys:** visible_mask (1 where nothing covers), occlusion_ratio
    (the covered share of the landmarks' hull)

    Args:
        severity (int): 1 to 5, the share is one of ``SHARES``; 0 leaves the
            picture as it is.
        kinds (Sequence[str] | str): What to hide it by; of several, the
            sample's name chooses one, for all severities the same. Defaults
            to 'hand', 'block' and 'object'.
        seed (int): Another seed, other occluders. Defaults to 0.

    Raises:
        ValueError: For another severity or kind, a picture that is not
            square, or other than 68 points.
        KeyError: If a sample has no name.
    """

    SHARES = (.1, .2, .3, .4, .5)
    KINDS = HELD

    def __init__(self,
                 severity: int,
                 kinds: Union[Sequence[str], str] = HELD,
                 seed: int = 0):
        if severity not in range(len(self.SHARES) + 1):
            raise ValueError(
                f'severity should be 0 (none) or 1 to {len(self.SHARES)}, '
                f'but got {severity!r}')
        kinds = (kinds, ) if isinstance(kinds, str) else kinds
        self.severity = int(severity)
        self.kinds = check_occluders(kinds, self.KINDS)
        self.seed = seed

    def _hash(self, *what) -> int:
        text = ':'.join(map(str, (self.seed, *what)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])

    def transform(self, results: dict) -> dict:
        """Hide a part of the face, and say how much."""
        check_square(results, type(self).__name__)
        image = np.array(results['img'], order='C')  # never the caller's
        size = len(image)
        points = face_points(results, size)
        hull, cover = landmark_hull(points, size), np.zeros(image.shape[:2])
        if self.severity:
            cover = self._occlude(image, points, hull, self._name(results))
            results['img'] = image
        note_cover(results, cover, hull)
        return results

    def _name(self, results: dict) -> str:
        name = results.get('name')
        if name is None and results.get('img_path'):
            # the same wherever the data lie
            name = osp.basename(results['img_path'])
        if name is None:
            raise KeyError(
                f"{type(self).__name__} needs the sample's 'name' (or "
                f"'img_path') to choose what hides it, got {sorted(results)}")
        return name

    def _occlude(self, image: np.ndarray, points: np.ndarray, hull: np.ndarray,
                 name: str) -> np.ndarray:
        """Paint on the image and return the cover."""
        # by rank, so that it does not depend on the order of the kinds
        kind = max(self.kinds, key=lambda k: self._hash(name, k))
        seed = self._hash(name, kind, self.severity)
        units = in_units(points, len(image))

        def generator():  # every try draws the same
            return np.random.Generator(np.random.PCG64(seed))

        def share_at(amount):
            cover = held_cover(
                len(image), units, kind, generator(),
                **place_held(kind, amount))
            return covered_share(cover, hull)

        amount = reach_share(
            share_at,
            self.SHARES[self.severity - 1],
            start=usual_amount(kind),
            low=-1. if kind == 'hand' else 0.,
            high=3.)
        return paint_held(image, units, kind, generator(),
                          **place_held(kind, amount))

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(severity={self.severity}, '
                f'kinds={self.kinds}, seed={self.seed})')
