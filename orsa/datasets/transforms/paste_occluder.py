# Copyright (c) orsa contributors. All rights reserved.
from typing import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from orsa.datasets.drawing.occluders import HELD, paint_held
from orsa.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PasteOccluder(BaseTransform):
    """Lay a drawn hand, block or object over a square picture of a face.

    **Required Keys:** img (side x side), gt_keypoints

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
        unknown = set(kinds) - set(HELD)
        if unknown:
            raise ValueError(f'unknown occluders {sorted(unknown)}, expected '
                             f'some of {HELD}')
        self.prob = prob
        self.kinds = tuple(kinds)

    @cache_randomness
    def _draw(self):
        if np.random.rand() >= self.prob:
            return None
        kind = self.kinds[np.random.randint(len(self.kinds))]
        return kind, np.random.randint(2**31)

    def transform(self, results: dict) -> dict:
        """Paste, and say what is still to be seen."""
        import cv2
        choice = self._draw()
        if choice is None:
            return results
        image = np.ascontiguousarray(results['img'])
        if image.shape[0] != image.shape[1]:
            raise ValueError(
                'PasteOccluder needs a square picture, but '
                f"{results.get('img_path', 'this one')} is {image.shape[:2]}")
        points = np.asarray(results['gt_keypoints']).reshape(-1, 2)
        units = (points + .5) * (128 / len(image))
        cover = paint_held(image, units, choice[0],
                           np.random.Generator(np.random.PCG64(choice[1])))
        results['img'] = image
        results['visible_mask'] = (cover <= 127).astype(np.uint8)
        hull = np.zeros(image.shape[:2], np.uint8)
        cv2.fillConvexPoly(hull,
                           cv2.convexHull(np.rint(points).astype(np.int32)), 1)
        covered = (hull == 1) & (cover > 127)
        results['occlusion_ratio'] = float(covered.sum() / max(hull.sum(), 1))
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(prob={self.prob}, '
                f'kinds={self.kinds})')
