# Copyright (c) orsa contributors. All rights reserved.
import hashlib
import os.path as osp
from typing import Sequence, Union

import numpy as np
from mmcv.transforms import BaseTransform

from orsa.datasets.drawing.occluders import (COMMON_SHARES, HELD, KINDS,
                                             SHARES, build_occluder,
                                             landmark_hull)
from orsa.registry import TRANSFORMS
from .face_cover import check_occluders, check_square, face_points, note_cover


@TRANSFORMS.register_module()
class OccludeFace(BaseTransform):
    """Hide a stated share of a face, for tests of robustness.

    Something is laid over a square picture, such that the covered share of
    the face is that of a severity of its kind. The face is what the 68
    landmarks enclose (their convex hull). What a sample gets depends on its
    name, the kind, the severity and ``seed`` alone: it is the same in any
    order, with any number of workers, and in every epoch. Where a higher
    severity is not another hand, block or object, it is the same thing
    larger.

    ============ ==================================== =====================
    kind         what it is                           shares, severity 1-5
    ============ ==================================== =====================
    hand         a hand with its arm                  .10 .20 .30 .40 .50
    block        a turned rectangle of cloth or paper .10 .20 .30 .40 .50
    object       a dark round thing on a handle       .10 .20 .30 .40 .50
    square       an upright square in one colour      .10 .20 .30 .40 .50
    grid         a lattice of such squares            .10 .20 .30 .40 .50
    patches      random ones of 14 x 14 patches       .10 .20 .30 .40 .50
    texture      a random round shape with a texture  .10 .20 .30 .40 .50
    crop         the picture's end, at one side       .10 .20 .30 .40 .50
    sunglasses   small lenses to goggles              .08 .14 .20 .26 .32
    mask         a surgical mask, small to large      .35 .42 .49 .56 .63
    scarf        a scarf, from the chin to the eyes   .12 .24 .36 .48 .60
    hat          a hat, from the brows to the eyes    .02 .06 .11 .17 .24
    ============ ==================================== =====================

    Comes before the picture is resized or cropped, which would leave the
    landmarks behind. The share is met to within 0.02, unless the landmarks
    lie so that it cannot be; ``occlusion_ratio`` says what it is.

    **Required Keys:** img (side x side), name or img_path, and gt_keypoints,
    68 points in pixels (without them the face is taken to be where an aligned
    picture has it)

    **Modified Keys:** img; gt_seg_map, where it is there (what is covered is
    background)

    **Added Keys:** visible_mask (1 where nothing covers), occlusion_ratio
    (the covered share of the landmarks' hull), keypoints_visible (1, 68)
    where there are landmarks (0 where one is covered or outside the picture)

    Args:
        severity (int): 1 to 5, the share is one of ``SHARES[kind]``; 0 leaves
            the picture as it is.
        kinds (Sequence[str] | str): What to hide it by; of several, the
            sample's name chooses one, for all severities the same. Defaults
            to 'hand', 'block' and 'object'.
        seed (int): Another seed, other occluders. Defaults to 0.
        fill (Sequence[float]): BGR of square, grid, patches and crop.
            Defaults to black.

    Raises:
        ValueError: For another severity or kind, a picture that is not
            square, or other than 68 points.
        KeyError: If a sample has no name.
    """

    SHARES = SHARES
    KINDS = KINDS

    def __init__(self,
                 severity: int,
                 kinds: Union[Sequence[str], str] = HELD,
                 seed: int = 0,
                 fill: Sequence[float] = (0, 0, 0)):
        if severity not in range(len(COMMON_SHARES) + 1):
            raise ValueError(
                f'severity should be 0 (none) or 1 to {len(COMMON_SHARES)}, '
                f'but got {severity!r}')
        kinds = (kinds, ) if isinstance(kinds, str) else kinds
        self.severity = int(severity)
        self.kinds = check_occluders(kinds, self.KINDS)
        self.seed = seed
        self.fill = tuple(fill)
        if len(self.fill) != 3:
            raise ValueError(f'fill should be BGR, but got {fill}')

    def _hash(self, *what) -> int:
        text = ':'.join(map(str, (self.seed, *what)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])

    def transform(self, results: dict) -> dict:
        """Hide a part of the face, and say how much."""
        check_square(results, type(self).__name__)
        image = np.array(results['img'], order='C')  # never the caller's
        size = len(image)
        points = face_points(results, size)
        cover = np.zeros(image.shape[:2])
        if self.severity:
            cover = self._occlude(image, points, self._name(results))
            results['img'] = image
        note_cover(results, cover, landmark_hull(points, size))
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

    def _occlude(self, image: np.ndarray, points: np.ndarray,
                 name: str) -> np.ndarray:
        """Paint on the image and return the cover."""
        # by rank, so that it does not depend on the order of the kinds
        kind = max(self.kinds, key=lambda k: self._hash(name, k))
        own = (self.severity, ) if kind in HELD else ()
        occluder = build_occluder(kind, len(image), points,
                                  self._hash(name, kind, *own), self.fill)
        share = SHARES[kind][self.severity - 1]
        return occluder.paint(image, occluder.reach(share))

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(severity={self.severity}, '
                f'kinds={self.kinds}, seed={self.seed}, fill={self.fill})')
