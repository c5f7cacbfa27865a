# Copyright (c) orsa contributors. All rights reserved.
import numpy as np
from mmcv.transforms import BaseTransform

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

    **Modified Keys:** gt_seg_map (H, W) int64
    """

    def transform(self, results: dict) -> dict:
        """Encode the mask."""
        if 'label_sets' in results:
            table = np.full(256, IGNORED, np.int64)
            for label, classes in enumerate(results['label_sets']):
                bits = SET_OFFSET + sum(1 << c for c in classes)
                table[label] = classes[0] if len(classes) == 1 else bits
            results['gt_seg_map'] = table[results['gt_seg_map']]
        return results
