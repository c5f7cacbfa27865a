# Copyright (c) orsa contributors. All rights reserved.
import numpy as np
from mmcv.transforms import BaseTransform

from orsa.registry import TRANSFORMS


@TRANSFORMS.register_module()
class AsPoseSample(BaseTransform):
    """Make a face with landmarks a sample of mmpose.

    Occluded points stay labelled: a landmark model has to estimate them too.

    **Required Keys:** img, gt_keypoints

    **Added Keys:** keypoints, keypoints_visible, bbox (the complete image,
    where there is none), bbox_score
    """

    def transform(self, results: dict) -> dict:
        """Add mmpose's keys."""
        height, width = results['img'].shape[:2]
        points = np.asarray(results['gt_keypoints'], np.float32)
        points = points.reshape(1, -1, 2)
        results['keypoints'] = points
        results['keypoints_visible'] = np.ones(points.shape[:2], np.float32)
        results.setdefault('bbox', np.array([[0, 0, width, height]],
                                            np.float32))
        results['bbox_score'] = np.ones(1, np.float32)
        return results
