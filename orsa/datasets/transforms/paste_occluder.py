# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional, Sequence, Tuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from orsa.datasets.drawing.canvas import BOX
from orsa.datasets.drawing.occluders import HELD, paint_held
from orsa.registry import TRANSFORMS
from .occlusion import check_occluders, check_prob, occlude


@TRANSFORMS.register_module()
class PasteOccluder(BaseTransform):
    """Lay a synthetic hand, block or object over a square image of a face.

    How much it occludes is left to chance; :class:`RandomOccluder`, which has
    the same keys, knows more kinds and aims at stated fractions.

    Args:
        prob (float): Probability of an occluder. Defaults to 0.5.
        kinds (Sequence[str]): What to choose from. Defaults to all that can be
            held in front of a face.
    """

    def __init__(self, prob: float = 0.5, kinds: Sequence[str] = HELD):
        self.prob = check_prob(prob)
        self.kinds = check_occluders(kinds, HELD)

    @cache_randomness
    def _draw(self) -> Optional[Tuple[str, int]]:
        if np.random.rand() >= self.prob:
            return None
        kind = self.kinds[np.random.randint(len(self.kinds))]
        return kind, np.random.randint(2**31)

    def transform(self, results: dict) -> dict:
        """Occlude a part of the face by chance."""
        choice = self._draw()
        if choice is None:
            return results
        kind, seed = choice
        rng = np.random.Generator(np.random.PCG64(seed))
        return occlude(
            results,
            lambda image, points: paint_held(image, (points + .5) *
                                             (BOX / len(image)), kind, rng))
