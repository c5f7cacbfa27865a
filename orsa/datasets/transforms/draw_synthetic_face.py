# Copyright (c) orsa contributors. All rights reserved.
from typing import Any, Dict

import numpy as np
from mmcv.transforms import BaseTransform

from orsa.registry import TRANSFORMS
from ..drawing import draw_face


@TRANSFORMS.register_module()
class DrawSyntheticFace(BaseTransform):
    """Draw the face of a record of :class:`SyntheticFaces`.

    It takes the place of ``LoadImageFromFile``. The keys are those that mmcv's
    geometric transforms carry along, apart from ``visible_mask``. A flip does
    not exchange left and right: points and classes of the mask have to be
    swapped besides, see ``swap_seg_labels`` of ``RandomFlip``.

    **Required Keys:** face_seed (tuple[int]); face (dict), arguments of
    ``orsa.datasets.drawing.draw_face``

    **Added Keys:** img (H, W, 3), BGR uint8; img_shape; ori_shape;
    gt_keypoints (1, 68, 2), x and y in pixels, 300-W order;
    gt_keypoints_visible (1, 68), 0 where the point is occluded or outside the
    image; gt_seg_map (H, W), LaPa classes as if nothing were occluded;
    visible_mask (H, W), 1 where a pixel of the face is visible;
    occlusion_ratio, the fraction of the face that is occluded

    Args:
        cache (bool): Whether each worker stores faces in memory, so that later
            epochs (with ``persistent_workers=True``) do not draw them again.
            Defaults to False.
        max_cached (int): Number of faces to store at most, 62 kB each at 112
            pixels. Defaults to 4000.
    """

    def __init__(self, cache: bool = False, max_cached: int = 4000) -> None:
        self.cache = cache
        self.max_cached = max_cached
        self._faces: Dict[Any, dict] = {}

    def transform(self, results: dict) -> dict:
        """Draw the face, or take it from the cache."""
        results = dict(results)
        face = self._face(tuple(results['face_seed']), results.pop('face'))
        img = face['img']
        return dict(
            results,
            img=img.copy(),
            img_shape=img.shape[:2],
            ori_shape=img.shape[:2],
            gt_keypoints=face['landmarks'][None].copy(),
            gt_keypoints_visible=face['landmarks_visible'][None].copy(),
            gt_seg_map=face['parsing'].copy(),
            visible_mask=face['visible'].copy(),
            occlusion_ratio=face['occlusion_ratio'])

    def _face(self, seed: tuple, options: dict) -> dict:
        key = seed, tuple(sorted(options.items()))
        if key in self._faces:
            return self._faces[key]
        face = draw_face(
            rng=np.random.Generator(np.random.PCG64(seed)), **options)
        if self.cache and len(self._faces) < self.max_cached:
            self._faces[key] = face
        return face
