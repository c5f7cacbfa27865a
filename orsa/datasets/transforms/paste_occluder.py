# Copyright (c) orsa contributors. All rights reserved.
from typing import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from orsa.datasets.drawing.canvas import BOX
from orsa.datasets.drawing.occluders import HELD, landmark_hull, paint_held
from orsa.registry import TRANSFORMS
from .face_cover import check_occluders, check_square, face_points, note_cover


@TRANSFORMS.register_module()
class PasteOccluder(BaseTransform):
    """Lay a drawn hand, block or object over a square picture of a face.

    How much it hides is left to chance; :class:`RandomOccluder` knows more
    kinds and aims at stated shares.

    **Required Keys:** img (side x side), and gt_keypoints, 68 points in
    pixels (without them the face is taken to be where an aligned picture has
    it)

    **Modified Keys:** img; gt_seg_map, where it is there (what is covered is
    background)

    **Added Keys:** visible_mask (1 where nothing covers), occlusion_ratio
    (the covered share of the landmarks' hull), keypoints_visible (1, 68)
    where there are landmarks (0 where one is covered; ``AsPoseSample`` labels
    them all again)

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
        image = np.array(results['img'], order='C')  # never the caller's
        points = face_points(results, len(image))
        cover = paint_held(image, (points + .5) * (BOX / len(image)),
                           choice[0],
                           np.random.Generator(np.random.PCG64(choice[1])))
        results['img'] = image
        note_cover(results, cover, landmark_hull(points, len(image)))
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(prob={self.prob}, '
                f'kinds={self.kinds})')
