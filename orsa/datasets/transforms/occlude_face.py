# Copyright (c) orsa contributors. All rights reserved.
import hashlib
import os.path as osp
from typing import Sequence, Union

import numpy as np
from mmcv.transforms import BaseTransform

from orsa.datasets.drawing.occluders import (FRACTIONS, HELD, KINDS,
                                             NUM_SEVERITIES, paint_occluder)
from orsa.registry import TRANSFORMS
from .occlusion import check_occluders, occlude


@TRANSFORMS.register_module()
class OccludeFace(BaseTransform):
    """Occlude a stated fraction of a face, for tests of robustness.

    An occluder is laid over a square image, such that the occluded fraction of
    the face is that of a severity of its kind. The face is what the 68
    landmarks enclose (their convex hull). What a sample gets depends on its
    name, the kind, the severity and ``seed`` alone: it is the same in any
    order, with any number of workers, and in every epoch. Where a higher
    severity is not another hand, block or object, it is the same occluder
    larger.

    ============ ==================================== =======================
    kind         what it is                           fractions, severity 1-5
    ============ ==================================== =======================
    hand         a hand with its arm                  .10 .20 .30 .40 .50
    block        a turned rectangle of cloth or paper .10 .20 .30 .40 .50
    object       a dark round thing on a handle       .10 .20 .30 .40 .50
    square       an upright square in one colour      .10 .20 .30 .40 .50
    grid         a lattice of such squares            .10 .20 .30 .40 .50
    patches      random ones of 14 x 14 patches       .10 .20 .30 .40 .50
    texture      a random round shape with a texture  .10 .20 .30 .40 .50
    crop         the image's end, at one side         .10 .20 .30 .40 .50
    sunglasses   small lenses to goggles              .08 .14 .20 .26 .32
    mask         a surgical mask, small to large      .35 .42 .49 .56 .63
    scarf        a scarf, from the chin to the eyes   .12 .24 .36 .48 .60
    hat          a hat, from the brows to the eyes    .02 .06 .11 .17 .24
    ============ ==================================== =======================

    Comes before the image is resized or cropped, which would leave the
    landmarks behind. The fraction is met to within 0.02, unless the landmarks
    lie so that it cannot be; ``occlusion_ratio`` is the measured one.

    **Required Keys:** img (side x side), name or img_path, and gt_keypoints,
    68 points in pixels (without them the face is taken to be where an aligned
    image has it)

    **Modified Keys:** img; gt_seg_map, where it is there (what is occluded is
    background)

    **Added Keys:** visible_mask (1 where nothing occludes), occlusion_ratio
    (the occluded fraction of the landmarks' hull), keypoints_visible (1, 68)
    where there are landmarks (0 where one is occluded or outside the image)

    Args:
        severity (int): 1 to 5, the fraction is one of ``FRACTIONS[kind]``; 0
            leaves the image as it is.
        kinds (Sequence[str] | str): Kinds of occluders; of several, the
            sample's name chooses one, for all severities the same. Defaults
            to 'hand', 'block' and 'object'.
        seed (int): Another seed, other occluders. Defaults to 0.
        fill (Sequence[float]): BGR of square, grid, patches and crop.
            Defaults to black.

    Raises:
        ValueError: For another severity or kind, an image that is not square,
            or other than 68 points.
        KeyError: If a sample has no name.
    """

    FRACTIONS = FRACTIONS
    KINDS = KINDS

    def __init__(self,
                 severity: int,
                 kinds: Union[Sequence[str], str] = HELD,
                 seed: int = 0,
                 fill: Sequence[float] = (0, 0, 0)):
        if severity not in range(NUM_SEVERITIES + 1):
            raise ValueError('severity should be 0 (none) or 1 to '
                             f'{NUM_SEVERITIES}, but got {severity!r}')
        kinds = (kinds, ) if isinstance(kinds, str) else kinds
        self.severity = int(severity)
        self.kinds = check_occluders(kinds, self.KINDS)
        self.seed = seed
        self.fill = tuple(fill)

    def _hash(self, *what) -> int:
        text = ':'.join(map(str, (self.seed, *what)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])

    def transform(self, results: dict) -> dict:
        """Occlude a part of the face."""
        if not self.severity:
            return occlude(results, lambda image, _: np.zeros(image.shape[:2]))
        # the same wherever the data lie
        name = results.get('name') or osp.basename(
            results.get('img_path') or '')
        if not name:
            raise KeyError(
                f"{type(self).__name__} needs the sample's 'name' (or "
                f"'img_path') to choose an occluder, got {sorted(results)}")
        # by rank, so that it does not depend on the order of the kinds
        kind = max(self.kinds, key=lambda k: self._hash(name, k))
        own = (self.severity, ) if kind in HELD else ()
        seed = self._hash(name, kind, *own)
        return occlude(
            results, lambda image, points: paint_occluder(
                image, points, kind, self.severity, seed, self.fill))
