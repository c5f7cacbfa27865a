# Copyright (c) orsa contributors. All rights reserved.
import math
from typing import List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmengine.utils import to_2tuple

from orsa.registry import TRANSFORMS
from orsa.utils.face_regions import (FACE_CLASSES, FLIP_68, IGNORED,
                                     LAPA_CLASSES, LAPA_FLIP_PAIRS)
from orsa.utils.warp import shrink_first
from .occlusion import check_prob

_LAPA = range(len(LAPA_CLASSES))


def mirror_labels(label_sets: Sequence[Sequence[int]]) -> List[int]:
    """Which label each label of a mask becomes under a horizontal flip.

    ``label_sets`` names the :data:`FACE_CLASSES`, by index, that each stands
    for. ValueError if none stands for the mirror image of a set.
    """
    swap = dict(LAPA_FLIP_PAIRS)
    swap.update((b, a) for a, b in LAPA_FLIP_PAIRS)
    sets = [frozenset(classes) for classes in label_sets]
    mirrored = []
    for label, classes in enumerate(sets):
        image = frozenset(swap.get(c, c) for c in classes)
        if image not in sets:
            raise ValueError(
                f'label {label} stands for '
                f'{[FACE_CLASSES[c] for c in sorted(classes)]} and none for '
                f'{[FACE_CLASSES[c] for c in sorted(image)]}: it cannot be '
                'flipped, set flip_prob=0')
        mirrored.append(label if image == classes else sets.index(image))
    return mirrored


@TRANSFORMS.register_module()
class RandomFaceAffine(BaseTransform):
    """Flip, rotate, scale, shift and resize an aligned face, in one warp.

    A chain of single transforms samples the image anew in each, which blurs
    a small face and costs as often. Here the image, its landmarks and its
    masks are moved together and sampled once. With all ranges at their
    neutral values it is a plain resize, which tests want. Symbols: H x W the
    image, h x w the output, K landmarks.

    **Required Keys:** img (H, W, 3)

    **Modified Keys:** img (h, w, 3), img_shape; gt_keypoints and keypoints
    (1, K, 2) in pixels, gt_seg_map (h, w) and visible_mask (h, w), where they
    are there. A flip exchanges the sides of 68 landmarks, of their visibility
    (``keypoints_visible``) and of LaPa's classes, or of the labels of
    ``label_sets``; what comes in from outside is then ignored (255) instead
    of background. bbox (1, 4) becomes the upright box around what was in it.

    **Added Keys:** flip, flip_direction

    Args:
        size (int | tuple[int, int]): h and w in pixels.
        flip_prob (float): Of a horizontal flip. Defaults to 0.5.
        rotate (float): Largest angle either way, in degrees. Defaults to 15.
        scale_range (tuple[float, float]): How large the face becomes, drawn
            evenly in the logarithm; 1 as it is. Defaults to (0.9, 1.15).
        stretch (float): Largest factor of width against height, in the
            logarithm. Defaults to 0.08.
        shift (float): Largest shift, as a fraction of the image's side.
            Defaults to 0.06.
        prob (float): Of anything but the flip. Defaults to 0.9.
        region (str): What fills the output where nothing is drawn: 'image',
            the complete image, or 'landmarks', the square around the box of
            ``gt_keypoints`` with its ``margins``, for photographs that are not
            aligned; the box then becomes the output. Defaults to 'image'.
        margins (Sequence[float]): Of the landmarks' box, left, top, right and
            bottom, as fractions of its sides. Defaults to a forehead and a
            little on the other sides, which is about what face detectors give
            and what aligned images show.
        fill (Sequence[float]): Colour of what comes in from outside, BGR.
            Defaults to ImageNet's mean.

    Raises:
        ValueError: For a probability or range that makes no sense, or
            landmarks whose sides are unknown (another number than 68) when
            they should be flipped, or a mask of another size than the image.
    """

    def __init__(self,
                 size: Union[int, Tuple[int, int]],
                 flip_prob: float = 0.5,
                 rotate: float = 15.,
                 scale_range: Tuple[float, float] = (0.9, 1.15),
                 stretch: float = 0.08,
                 shift: float = 0.06,
                 prob: float = 0.9,
                 region: str = 'image',
                 margins: Sequence[float] = (0.1, 0.45, 0.1, 0.1),
                 fill: Sequence[float] = (104, 116, 124)):
        check_prob(flip_prob, 'flip_prob')
        check_prob(prob)
        low, high = scale_range
        if not 0 < low <= high:
            raise ValueError('scale_range should be (low, high) with 0 < low '
                             f'<= high, but got {scale_range}')
        if min(rotate, stretch, shift) < 0:
            raise ValueError('rotate, stretch and shift should not be '
                             f'negative, but got {rotate}, {stretch}, {shift}')
        if region not in ('image', 'landmarks'):
            raise ValueError("region should be 'image' or 'landmarks', but "
                             f'got {region!r}')
        self.size = to_2tuple(size)
        self.flip_prob = flip_prob
        self.rotate = rotate
        self.scale_range = (low, high)
        self.stretch = stretch
        self.shift = shift
        self.prob = prob
        self.region = region
        self.margins = tuple(margins)
        self.fill = tuple(fill)

    @cache_randomness
    def _draw(self) -> Tuple[bool, Optional[np.ndarray]]:
        """Whether to flip, and five numbers in [-1, 1] or None."""
        flip = np.random.rand() < self.flip_prob
        move = np.random.rand() < self.prob
        numbers = np.random.uniform(-1, 1, 5)
        return flip, numbers if move else None

    def matrix(self,
               shape: Tuple[int, int],
               flip: bool,
               numbers: Optional[np.ndarray],
               box: Optional[Sequence[float]] = None) -> np.ndarray:
        """The map (2, 3) from the image's pixels to the output's.

        Pixels are counted by their centres, as OpenCV does; the centre of the
        image, or of the ``box`` (left, top, right, bottom, from the edge of
        the image), becomes that of the output but for the shift. ``numbers``
        are five in [-1, 1]: angle, scale, stretch and shift in x and y; None
        for none of them.
        """
        left, top, right, bottom = box or (0, 0, *shape[::-1])
        height, width = bottom - top, right - left
        angle, scale, stretch, dx, dy = (
            0., ) * 5 if numbers is None else numbers
        low, high = (math.log(s) for s in self.scale_range)
        if numbers is not None:
            scale = low + (high - low) * (scale + 1) / 2
        angle *= math.radians(self.rotate)
        wide = math.exp(scale + self.stretch * stretch / 2)
        tall = math.exp(scale - self.stretch * stretch / 2)
        cos, sin = math.cos(angle), math.sin(angle)
        rotation = np.array([[cos, -sin], [sin, cos]])
        linear = rotation @ np.diag([-wide if flip else wide, tall])
        fit = np.diag([self.size[1] / width, self.size[0] / height])
        linear = fit @ linear
        centre = np.array([left + right, top + bottom]) / 2
        target = np.array([
            self.size[1] * (0.5 + self.shift * dx),
            self.size[0] * (0.5 + self.shift * dy)
        ])
        # (pixel centres) p + 0.5 -> q + 0.5
        offset = target - linear @ (centre - 0.5) - 0.5
        return np.hstack([linear, offset[:, None]])

    def transform(self, results: dict) -> dict:
        """Warp the image and what belongs to it."""
        flip, numbers = self._draw()
        shape = results['img'].shape[:2]
        box = (
            self._around_landmarks(results)
            if self.region == 'landmarks' else None)
        matrix = self.matrix(shape, flip, numbers, box)
        results['img'] = self._warp_image(results['img'], matrix, box)
        results['img_shape'] = self.size
        results['flip'] = flip
        results['flip_direction'] = 'horizontal' if flip else None
        # mmpretrain's name and mmpose's
        names = {'gt_keypoints', 'keypoints'} & results.keys()
        for name in names:
            points = np.asarray(results[name], np.float32)
            points = points @ matrix[:, :2].T + matrix[:, 2]
            if flip:
                if points.shape[-2] != len(FLIP_68):
                    raise ValueError(
                        'RandomFaceAffine knows the sides of 68 landmarks, '
                        f'but got {points.shape[-2]}: set flip_prob=0')
                points = points[..., FLIP_68, :]
            results[name] = points.astype(np.float32)
        for name in {'gt_keypoints_visible', 'keypoints_visible'}:
            if flip and names and name in results:
                # mmpose also has (1, 68, 2): visibility and a weight
                results[name] = np.asarray(results[name])[:, FLIP_68]
        for key in ('gt_seg_map', 'visible_mask'):
            if key in results:
                if results[key].shape != shape:
                    raise ValueError(
                        f"'{key}' is {results[key].shape} and the image "
                        f'{shape}: they belong to different images')
                outside = key == 'gt_seg_map' and 'label_sets' in results
                results[key] = cv2.warpAffine(
                    results[key],
                    matrix,
                    self.size[::-1],
                    flags=cv2.INTER_NEAREST,
                    borderValue=IGNORED if outside else 0)
        if box is not None:
            results['bbox'] = np.array([[0, 0, *self.size[::-1]]], np.float32)
        elif 'bbox' in results:
            x, y = results['bbox'][0].reshape(2, 2).T
            corners = np.stack([x[[0, 1, 0, 1]], y[[0, 0, 1, 1]]], 1)
            corners = corners @ matrix[:, :2].T + matrix[:, 2]
            box = np.hstack([corners.min(0), corners.max(0)])
            results['bbox'] = box[None].astype(np.float32)
        if flip and 'gt_seg_map' in results:
            results['gt_seg_map'] = self._swap(results)
        return results

    def _around_landmarks(self, results: dict) -> List[float]:
        """The square around the landmarks: left, top, right, bottom."""
        if 'gt_keypoints' not in results:
            raise KeyError("RandomFaceAffine(region='landmarks') needs "
                           f"'gt_keypoints', got {sorted(results)}")
        points = np.asarray(results['gt_keypoints']).reshape(-1, 2) + 0.5
        low, high = points.min(0), points.max(0)
        margins = np.reshape(self.margins, (2, 2)) * (high - low)
        low, high = low - margins[0], high + margins[1]
        half = (high - low).max() / 2
        centre = (low + high) / 2
        return [*(centre - half), *(centre + half)]

    def _warp_image(self,
                    image: np.ndarray,
                    matrix: np.ndarray,
                    box: Optional[Sequence[float]] = None) -> np.ndarray:
        # Bilinear sampling looks at two pixels: an image of more than twice
        # the output's size is averaged down first, or it would alias.
        height, width = image.shape[:2]
        if box is not None:
            height = width = int(box[2] - box[0])
        shrink = min(height // (2 * self.size[0]), width // (2 * self.size[1]))
        image, matrix = shrink_first(image, matrix, shrink)
        return cv2.warpAffine(
            image, matrix, self.size[::-1], borderValue=self.fill)

    @staticmethod
    def _swap(results: dict) -> np.ndarray:
        if 'mask_labels' in results:
            raise ValueError('this mask has labels of its own: put '
                             'orsa.AsSegSample before orsa.RandomFaceAffine')
        sets = results.get('label_sets') or [[c] for c in _LAPA]
        table = np.arange(256, dtype=np.uint8)
        table[:len(sets)] = mirror_labels(sets)
        return cv2.LUT(results['gt_seg_map'], table)
