# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict, Optional

import numpy as np
from mmcv.transforms import BaseTransform

from orsa.registry import TRANSFORMS
from orsa.utils.face_parts import LAPA_CLASSES

_LAST = len(LAPA_CLASSES) - 1
_IGNORED = 255  # mmseg's label of what is left out of loss and metric


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

    Raises:
        ValueError: If the map has a class that is none of LaPa's.
    """

    def __init__(self, merge: Optional[Dict[int, int]] = None):
        self.merge = dict(merge or {})

    def transform(self, results: dict) -> dict:
        """Apply the visible mask and register the map as a seg field."""
        parsing = results['gt_seg_map']
        strange = (parsing > _LAST) & (parsing != _IGNORED)
        if strange.any():
            raise ValueError(
                f"the mask {results.get('seg_map_path', 'of this face')} has "
                f"class {parsing[strange].max()}, and LaPa's are 0 to {_LAST} "
                f'({_IGNORED} is left out)')
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
