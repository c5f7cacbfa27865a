# Copyright (c) orsa contributors. All rights reserved.
import numpy as np
from mmcv.transforms import BaseTransform

from orsa.registry import TRANSFORMS


@TRANSFORMS.register_module()
class AsPoseSample(BaseTransform):
    """Make a face with landmarks a sample of mmpose.

    Occluded points stay labelled: a landmark model has to estimate them too.

    **Required Keys:** img, gt_keypoints; gt_keypoints_visible or
    keypoints_visible (optional)

    **Added Keys:** keypoints, keypoints_visible, bbox (the complete image,
    where there is none), bbox_score

    Args:
        occluded (float): ``keypoints_visible`` of points that are occluded
            or outside the image, for mmpose the weight of a point. Less than
            1 keeps them apart from visible ones, as ``orsa.VisibilityHead``
            needs it; codecs leave out points below 0.5. Defaults to 1, all
            count the same.

    Raises:
        ValueError: If ``occluded`` is not in [0.5, 1].
    """

    def __init__(self, occluded: float = 1.):
        if not 0.5 <= occluded <= 1:
            raise ValueError('occluded should be in [0.5, 1]: mmpose leaves '
                             f'out points of less, but got {occluded}')
        self.occluded = occluded

    def transform(self, results: dict) -> dict:
        """Add mmpose's keys."""
        height, width = results['img'].shape[:2]
        points = np.asarray(results['gt_keypoints'], np.float32)
        points = points.reshape(1, -1, 2)
        results['keypoints'] = points
        visible = results.get('gt_keypoints_visible',
                              results.get('keypoints_visible'))
        seen = ((points > -0.5) &
                (points < (width - 0.5, height - 0.5))).all(2)
        if visible is not None:
            seen &= np.asarray(visible).reshape(seen.shape) > 0
        results['keypoints_visible'] = np.where(seen, 1, self.occluded).astype(
            np.float32)
        results.setdefault('bbox', np.array([[0, 0, width, height]],
                                            np.float32))
        results['bbox_score'] = np.ones(1, np.float32)
        return results
