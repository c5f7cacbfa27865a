# Copyright (c) orsa contributors. All rights reserved.
from typing import Any, Dict

import numpy as np
from mmcv.transforms import BaseTransform

from orsa.registry import TRANSFORMS
from ..drawing import draw_face

_HIDDEN = 128


@TRANSFORMS.register_module()
class DrawSyntheticFace(BaseTransform):
    """Draw the face of a record of :class:`SyntheticFaces`.

    It takes the place of ``LoadImageFromFile``. The keys are those that
    mmcv's geometric transforms carry along, apart from ``visible_mask``. A
    flip does not exchange left and right: points and classes of the mask have
    to be swapped besides, see ``swap_seg_labels`` of ``RandomFlip``.

    Required Keys:

    - face_seed (tuple[int])
    - face (dict): arguments of ``orsa.datasets.drawing.draw_face``

    Added Keys:

    - img (np.uint8): (H, W, 3), BGR
    - img_shape (tuple[int])
    - ori_shape (tuple[int])
    - gt_keypoints (np.float32): (1, 68, 2), x and y in pixels, 300-W order
    - gt_keypoints_visible (np.float32): (1, 68), 0 where an occluder covers
      the point or it lies outside the image
    - gt_seg_map (np.uint8): (H, W), LaPa classes as if nothing hid the face
    - visible_mask (np.uint8): (H, W), 1 where a pixel of the face is in sight
    - occlusion_ratio (float): share of the face that an occluder hides

    Args:
        cache (bool): Whether to keep drawn faces in memory, so that later
            epochs do not draw them again. Each worker has a cache of its own,
            which lives on with ``persistent_workers=True``. Defaults to
            False.
        max_cached (int): Number of faces to keep at most, 50 kB each at 112
            pixels. Defaults to 4000.
    """

    def __init__(self, cache: bool = False, max_cached: int = 4000) -> None:
        self.cache = cache
        self.max_cached = max_cached
        self._faces: Dict[Any, tuple] = {}

    def transform(self, results: dict) -> dict:
        """Draw the face, or take it from the cache."""
        if 'face_seed' not in results or 'face' not in results:
            raise KeyError('DrawSyntheticFace: the record has no face_seed and'
                           ' face; it draws the samples of SyntheticFaces')
        results = dict(results)
        img, packed, points, seen, ratio = self._face(
            tuple(results['face_seed']), results.pop('face'))
        results['img'] = img.copy()
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        results['gt_keypoints'] = points[None].copy()
        results['gt_keypoints_visible'] = seen[None].copy()
        parsing = packed & (_HIDDEN - 1)
        results['gt_seg_map'] = parsing
        face = (parsing > 0) & (parsing < 10)
        results['visible_mask'] = (face & (packed < _HIDDEN)).astype(np.uint8)
        results['occlusion_ratio'] = ratio
        return results

    def _face(self, seed: tuple, options: dict) -> tuple:
        key = seed, tuple(sorted(options.items()))
        if key in self._faces:
            return self._faces[key]
        rng = np.random.Generator(np.random.PCG64(seed))
        face = draw_face(rng=rng, **options)
        # one byte a pixel for both masks: it halves what the cache costs
        packed = face['parsing'] + _HIDDEN * (1 - face['visible'])
        drawn = (face['img'], packed.astype(np.uint8), face['landmarks'],
                 face['landmarks_visible'], face['occlusion_ratio'])
        if self.cache and len(self._faces) < self.max_cached:
            self._faces[key] = drawn
        return drawn

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(cache={self.cache}, '
                f'max_cached={self.max_cached})')
