# Copyright (c) orsa contributors. All rights reserved.
from typing import Sequence, Tuple

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from orsa.registry import TRANSFORMS
from orsa.utils.face_regions import FACE_CLASSES

_EYES = dict(right=range(36, 42), left=range(42, 48))
_BROWS = dict(right=range(17, 22), left=range(22, 27))
_UPPER_LIP = (48, 49, 50, 51, 52, 53, 54, 64, 63, 62, 61, 60)
_LOWER_LIP = (54, 55, 56, 57, 58, 59, 48, 60, 67, 66, 65, 64)
_INNER_MOUTH, _MOUTH = range(60, 68), range(48, 60)
_NOSE = (27, 31, 32, 33, 34, 35)
_NOTHING, _SUNGLASSES, _HEADWEAR = 0, 2, 4  # RAN's types of occlusion


@TRANSFORMS.register_module()
class ParseLandmarks(BaseTransform):
    """Make a mask of 68 landmarks, where a dataset has no masks.

    What landmarks tell is certain in the middle of a part and uncertain at its
    edge, so that a narrow band between two parts stands for both. The forehead
    may be skin, hair or an occluder, what is farther outside background too;
    there is no occluder where ``occlusion`` is 0. Where it is 2, sunglasses,
    the region of the lenses is an occluder; where it is 4, headwear, the
    forehead is.

    Followed by ``orsa.AsSegSample``, which takes what an occluder hides out of
    the mask. Comes after ``orsa.RandomFaceAffine``.

    **Required Keys:** img, gt_keypoints (1, 68, 2) in pixels; occlusion
    (optional)

    **Added Keys:** gt_seg_map (H, W) uint8, mask_labels

    Args:
        band (float): Width of the uncertain bands, as a fraction of the
            distance between the outer corners of the eyes. Defaults to 0.05.
    """

    def __init__(self, band: float = 0.05):
        self.band = band

    def transform(self, results: dict) -> dict:
        """Add the mask."""
        points = np.asarray(results['gt_keypoints'], np.float32)
        points = points.reshape(68, 2)
        occlusion = results.get('occlusion')
        unknown = [] if occlusion == _NOTHING else ['occluder']
        mask = _Mask(results['img'].shape[:2], points, self.band,
                     ['background', 'skin', 'hair', *unknown])
        hat = occlusion == _HEADWEAR
        mask.forehead(0, .45, ['skin', 'hair', *unknown])
        if hat:
            mask.forehead(.15, .4, ['occluder'])
        mask.fill(range(27), ['skin'])
        mask.line(range(17), ['background', 'skin', 'hair'], 2)
        # all uncertain bands before what they surround
        mask.band_around(_NOSE, ['nose', 'skin'])
        mask.band_around(_MOUTH, ['upper lip', 'lower lip', 'skin'])
        for side, points in _EYES.items():
            mask.band_around(points, [f'{side} eye', 'skin'])
        for side, points in _BROWS.items():
            # annotators follow the upper edge, others the middle
            names = [f'{side} brow', 'skin', 'hair']
            mask.line(points, [*names, 'occluder'] if hat else names, 4)
        mask.fill(_NOSE, ['nose'])
        for side, points in _EYES.items():
            mask.fill(points, [f'{side} eye'], hull=False)
        mask.fill(_UPPER_LIP, ['upper lip'], hull=False)
        mask.fill(_LOWER_LIP, ['lower lip'], hull=False)
        mask.fill(_INNER_MOUTH, ['inner mouth'], hull=False)
        if occlusion == _SUNGLASSES:
            mask.lenses()
        results['gt_seg_map'] = mask.pixels
        results['mask_labels'] = dict(
            values={i: i
                    for i in range(len(mask.sets))},
            sets=tuple(mask.sets))
        return results


class _Mask:
    """A mask that is painted, and the classes of each of its labels."""

    def __init__(self, shape: Tuple[int, int], points: np.ndarray, band: float,
                 outside: Sequence[str]):
        self.points = points
        self.unit = float(np.linalg.norm(points[36] - points[45]))
        self.band = band
        self.pixels = np.zeros(shape, np.uint8)
        self.sets = []
        self._label(outside)

    def _label(self, names: Sequence[str]) -> int:
        classes = tuple(sorted(map(FACE_CLASSES.index, names)))
        if classes not in self.sets:
            self.sets.append(classes)
        return self.sets.index(classes)

    def _at(self, indices: Sequence[int]) -> np.ndarray:
        # sixteenths of a pixel
        return np.rint(self.points[list(indices)] * 16).astype(np.int32)

    def fill(self, indices, names, hull=True) -> None:
        """Fill the outline of points, or their convex hull."""
        outline = self._at(indices)
        outline = cv2.convexHull(outline) if hull else outline
        cv2.fillPoly(self.pixels, [outline.reshape(-1, 1, 2)],
                     self._label(names), cv2.LINE_8, 4)

    def line(self, indices, names, bands, closed=False) -> None:
        """Join points by a line of so many bands' width."""
        width = max(round(bands * self.band * self.unit), 1)
        cv2.polylines(self.pixels, [self._at(indices).reshape(-1, 1, 2)],
                      closed, self._label(names), width, cv2.LINE_8, 4)

    def band_around(self, indices, names) -> None:
        """Paint a band outside of an outline, which is filled later."""
        self.line(indices, names, 2, closed=True)

    def forehead(self, low: float, high: float, names) -> None:
        """Fill from low to high above the brows, as fractions of the face."""
        brows = self.points[17:27]
        up = brows.mean(0) - self.points[8]
        region = np.rint(np.vstack([brows + low * up, brows + high * up]) * 16)
        cv2.fillConvexPoly(self.pixels,
                           cv2.convexHull(region.astype(np.int32)),
                           self._label(names), cv2.LINE_8, 4)

    def lenses(self) -> None:
        """Cover the eyes by lenses."""
        tilt = np.degrees(
            np.arctan2(*(self.points[45] - self.points[36])[::-1]))
        # both bands first: one reaches into the other lens
        for size, edge in (1.3, True), (.75, False):
            for side, eye in _EYES.items():
                names = ['skin', f'{side} brow', 'hair'] if edge else []
                x, y = self.points[list(eye)].mean(0)
                axes = 2 * .36 * self.unit * size, 2 * .24 * self.unit * size
                cv2.ellipse(self.pixels, ((float(x), float(y)), axes, tilt),
                            self._label(['occluder', *names]), -1)
