# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict, Optional, Sequence, Tuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from orsa.datasets.drawing.occluders import (KINDS, NUM_SEVERITIES,
                                             landmark_hull, paint_occluder)
from orsa.registry import TRANSFORMS
from .occlusion import check_occluders, check_prob, occlude


@TRANSFORMS.register_module()
class RandomOccluder(BaseTransform):
    """Occlude a part of a face by chance, for training.

    The kinds and the fractions that they occlude are those of
    :class:`OccludeFace`, which is for tests; here kind, severity and place are
    drawn from numpy's generator, which a :class:`FERDataset` seeds per sample
    and epoch.

    Keys are those of :class:`OccludeFace`, but for the name;
    ``AsPoseSample`` labels occluded landmarks again.

    Args:
        prob (float): Probability of an occluder. Defaults to 0.5.
        kinds (dict[str, float], optional): Kinds with their weights, which
            need not sum to 1. Defaults to None, that is ``MIX``.
        severities (Sequence[int]): To choose from evenly, 1 to 5.
            Defaults to all.
        fill (Sequence[float]): BGR of square, grid, patches and crop.
            Defaults to ImageNet's mean.
        own_hand (float): Probability that a hand takes the mean colour of
            what it leaves of the face, as a person's own hand has it.
            Defaults to 0, the colours of :class:`OccludeFace`.

    Raises:
        ValueError: For a probability, kind, weight or severity that makes no
            sense, an image that is not square, or other than 68 points.
    """

    # what is in front of faces most often, and a little of all else
    MIX = dict(
        hand=4,
        object=3,
        sunglasses=3,
        mask=3,
        scarf=2,
        hat=2,
        texture=2,
        block=1,
        crop=1,
        patches=1,
        square=1,
        grid=1)

    def __init__(self,
                 prob: float = 0.5,
                 kinds: Optional[Dict[str, float]] = None,
                 severities: Sequence[int] = (1, 2, 3, 4, 5),
                 fill: Sequence[float] = (104, 116, 124),
                 own_hand: float = 0.):
        kinds = self.MIX if kinds is None else kinds
        self.prob = check_prob(prob)
        self.kinds = check_occluders(list(kinds), KINDS)
        weights = np.array([kinds[kind] for kind in self.kinds], float)
        if not (weights >= 0).all() or not weights.sum() > 0:
            raise ValueError('the weights of kinds should be 0 or more, and '
                             f'one above, but got {dict(kinds)}')
        self.weights = weights / weights.sum()
        known = range(1, NUM_SEVERITIES + 1)
        if not severities or not set(severities) <= set(known):
            raise ValueError(f'severities should be some of {list(known)}, '
                             f'but got {severities}')
        self.severities = tuple(severities)
        self.fill = tuple(fill)
        self.own_hand = check_prob(own_hand, 'own_hand')

    @cache_randomness
    def _draw(self) -> Optional[Tuple[Tuple[str, int, int], bool]]:
        """What :func:`paint_occluder` needs, and whether it is an own hand."""
        if np.random.rand() >= self.prob:
            return None
        kind = np.random.choice(self.kinds, p=self.weights)
        severity = np.random.choice(self.severities)
        choice = str(kind), int(severity), np.random.randint(2**31)
        own = self.own_hand and kind == 'hand'
        return choice, bool(own and np.random.rand() < self.own_hand)

    def transform(self, results: dict) -> dict:
        """Occlude a part of the face by chance."""
        drawn = self._draw()
        if drawn is None:
            return results
        choice, own = drawn

        def paint(image, points):
            mask = paint_occluder(image, points, *choice, self.fill)
            if own:
                face = landmark_hull(points, len(image)) & (mask == 0)
                _take_colour(image, mask, face)
            return mask

        return occlude(results, paint)


def _take_colour(image: np.ndarray, mask: np.ndarray,
                 face: np.ndarray) -> None:
    """Give what is occluded the mean colour of a region, in place."""
    hand = mask > 127
    if hand.any() and face.any():
        factor = image[face].mean(0) / image[hand].mean(0).clip(1)
        weight = mask[..., None] / 255
        image[:] = (image * (1 + weight * (factor - 1))).clip(0, 255)
