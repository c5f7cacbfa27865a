# Copyright (c) orsa contributors. All rights reserved.
from typing import Tuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from orsa.registry import TRANSFORMS
from orsa.utils.face_regions import IGNORED, SET_OFFSET


@TRANSFORMS.register_module()
class EncodeLabelSets(BaseTransform):
    """Encode what each pixel of a mask may be, for :class:`MarginalLoss`.

    Labels that stand for one class become its index; those that stand for
    several, 256 plus a bit for each (``1 << class``). Masks without
    ``label_sets`` stay as they are. Comes after what moves the mask, before
    ``mmseg.PackSegInputs``.

    **Required Keys:** gt_seg_map (H, W), label_sets (optional)

    **Modified Keys:** gt_seg_map (H, W), or smaller by ``stride``, int64

    Args:
        stride (int): Keep one of so many rows and of so many columns, the
            first drawn at random: the loss of a decode head is that at the
            size of the mask, and costs as much as the model where that is the
            image's. Defaults to 1, all.
    """

    def __init__(self, stride: int = 1):
        self.stride = stride

    @cache_randomness
    def _first(self) -> Tuple[int, int]:
        return tuple(np.random.randint(self.stride, size=2))

    def transform(self, results: dict) -> dict:
        """Encode the mask."""
        if 'label_sets' in results:
            table = np.full(256, IGNORED, np.int64)
            for label, classes in enumerate(results['label_sets']):
                bits = SET_OFFSET + sum(1 << c for c in classes)
                table[label] = classes[0] if len(classes) == 1 else bits
            results['gt_seg_map'] = table[results['gt_seg_map']]
        if self.stride > 1:
            # none in particular, which would shift what is learnt
            y, x = self._first()
            mask = results['gt_seg_map']
            results['gt_seg_map'] = mask[y::self.stride, x::self.stride]
        return results
