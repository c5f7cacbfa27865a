# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict, Optional

import numpy as np
from mmcv.transforms import BaseTransform

from orsa.registry import TRANSFORMS


@TRANSFORMS.register_module()
class AsSegSample(BaseTransform):
    """Make a face with a mask a sample of mmseg: what is covered is not there.

    A face parser shall learn what is *visible*. Pixels of the face that
    ``visible_mask`` says are covered become background.

    **Required Keys:** gt_seg_map, visible_mask (optional)

    **Modified Keys:** gt_seg_map, seg_fields

    Args:
        merge (dict[int, int]): Classes that become others: faces whose masks
            know no hair, and some whose masks do, can only be mixed with
            ``{10: 0}``. Defaults to none.
    """

    def __init__(self, merge: Optional[Dict[int, int]] = None):
        self.merge = dict(merge or {})

    def transform(self, results: dict) -> dict:
        """Apply the visible mask and register the map as a seg field."""
        parsing = results['gt_seg_map']
        visible = results.get('visible_mask')
        if visible is not None:
            parsing = np.where((visible == 0) & (parsing < 10), 0, parsing)
        for old, new in self.merge.items():
            parsing = np.where(parsing == old, new, parsing)
        results['gt_seg_map'] = parsing.astype(np.uint8)
        results.setdefault('label_map', None)
        results.setdefault('reduce_zero_label', False)
        results['seg_fields'] = ['gt_seg_map']
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(merge={self.merge})'
