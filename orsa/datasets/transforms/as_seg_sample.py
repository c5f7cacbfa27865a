# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict, Optional

import numpy as np
from mmcv.transforms import BaseTransform

from orsa.registry import TRANSFORMS
from orsa.utils.face_regions import HAIR, IGNORED, LAPA_CLASSES, OCCLUDER

_LAST = len(LAPA_CLASSES) - 1


@TRANSFORMS.register_module()
class AsSegSample(BaseTransform):
    """Make a face with a mask a sample of mmseg, occluded pixels background.

    A face parser shall learn what is *visible*. Pixels of the face that are
    occluded by ``visible_mask`` become background.

    Masks of a dataset with labels of its own (``mask_labels``, see
    :class:`orsa.datasets.MaskFolderDataset`) are numbered as in
    ``label_sets``. An occluded pixel then becomes one of a new label, which
    stands for an occluder; where its own stood for background too, or for hair
    alone, it may be an occluder or what it was.

    **Required Keys:** gt_seg_map, visible_mask (optional), mask_labels
    (optional)

    **Modified Keys:** gt_seg_map (H, W) uint8, seg_fields

    **Added Keys:** label_sets (where there were mask_labels)

    Args:
        merge (dict[int, int]): Classes that become others: faces whose masks
            know no hair, and some whose masks do, can only be mixed with
            ``{10: 0}``. Not for masks with labels of their own. Defaults to
            none.

    Raises:
        ValueError: If the map has a class that is none of LaPa's, or a value
            that ``labels`` does not name.
    """

    def __init__(self, merge: Optional[Dict[int, int]] = None):
        self.merge = dict(merge or {})

    def transform(self, results: dict) -> dict:
        """Apply the visible mask and register the map as a seg field."""
        if 'mask_labels' in results:
            parsing = self._of_own_labels(results)
        else:
            parsing = self._of_lapa(results)
        results['gt_seg_map'] = parsing.astype(np.uint8)
        results.setdefault('label_map', None)
        results.setdefault('reduce_zero_label', False)
        results['seg_fields'] = ['gt_seg_map']
        return results

    def _of_lapa(self, results: dict) -> np.ndarray:
        parsing = results['gt_seg_map']
        strange = (parsing > _LAST) & (parsing != IGNORED)
        if strange.any():
            raise ValueError(
                f"the mask {results.get('seg_map_path', 'of this face')} has "
                f"class {parsing[strange].max()}, and LaPa's are 0 to {_LAST} "
                f'({IGNORED} is left out)')
        visible = results.get('visible_mask')
        if visible is not None:
            parsing = np.where((visible == 0) & (parsing < HAIR), 0, parsing)
        for old, new in self.merge.items():
            parsing = np.where(parsing == old, new, parsing)
        return parsing

    @staticmethod
    def _behind(classes: tuple) -> tuple:
        """What a pixel of these classes may be where it is not visible."""
        # synthetic faces count hair and background among the occluded
        if 0 in classes or classes == (HAIR, ):
            return tuple(sorted({*classes, OCCLUDER}))
        return (OCCLUDER, )

    def _of_own_labels(self, results: dict) -> np.ndarray:
        parsing = results['gt_seg_map']
        values, sets = (results['mask_labels'][k] for k in ('values', 'sets'))
        where = f"the mask {results.get('seg_map_path', 'of this face')}"
        if parsing.ndim == 3 and (parsing == parsing[..., :1]).all():
            parsing = parsing[..., 0]  # grey, saved in colour
        if parsing.ndim != 2:
            raise ValueError(f'{where} has colours instead of indices (shape '
                             f'{parsing.shape}): save it with one channel')
        # a test may have resized the image and not the mask
        shapes = [
            results['img'].shape[:2],
            tuple(results.get('ori_shape', ()))
        ] if 'img' in results else []
        if shapes and parsing.shape not in shapes:
            raise ValueError(
                f'{where} is of {parsing.shape[1]}x{parsing.shape[0]} pixels, '
                f'and its image of {shapes[0][1]}x{shapes[0][0]}: they have '
                'to be of one size')
        table = np.full(256, -1)
        table[list(values)] = list(values.values())
        labels = table[parsing]
        if labels.min() < 0:
            raise ValueError(
                f'{where} has the value {parsing[labels < 0].max()}, and '
                f'labels= names {sorted(values)}: name it there, as None if '
                'it is to be ignored')
        visible = results.get('visible_mask')
        if visible is not None and not visible.all():
            occluded = [self._behind(classes) for classes in sets]
            sets = (*sets, *dict.fromkeys(occluded))
            table = np.arange(256)
            table[:len(occluded)] = list(map(sets.index, occluded))
            labels = np.where(visible == 0, table[labels], labels)
        results['label_sets'] = sets
        del results['mask_labels']
        return labels
