# Copyright (c) orsa contributors. All rights reserved.
"""What datasets of landmarks and of masks share."""
from typing import Any, List

import numpy as np
from mmengine.dataset import BaseDataset

from orsa.registry import DATASETS
from .images import name_sample
from .transforms.load_face import use_one_reader

# In pixels; what lies further away is damage, and OpenCV counts to 32,767.
_FARTHEST = 1e6


class AnnotatedDataset(BaseDataset):
    """A dataset of images with landmarks or masks, read by ``LoadFace``."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        use_one_reader(self.pipeline)

    def get_data_info(self, idx: int) -> dict:
        """A record, with the name of its dataset where the metainfo has it."""
        info = super().get_data_info(idx)
        info.setdefault('dataset_name', self._metainfo.get('dataset_name'))
        return info

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline; an OSError names what cannot be read."""
        with name_sample(self, idx, self.get_data_info(idx)):
            return super().prepare_data(idx)


def check_points(values: Any, where: str) -> np.ndarray:
    """Make (68, 2) float32 of 68 pairs of x and y in pixels.

    ValueError, which begins with ``where``, if they are no such numbers, or
    lie far outside of any image.
    """
    try:
        points = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f'{where}: expected 68 points [x, y], got something '
                         f'else ({str(error)[:100]})') from error
    if points.shape != (68, 2):
        raise ValueError(f'{where}: expected 68 points [x, y], got shape '
                         f'{points.shape}')
    far = ~(np.abs(points) < _FARTHEST).all(1)
    if far.any():
        raise ValueError(f'{where}: point {far.argmax() + 1} is at '
                         f'{points[far][0].tolist()}, in no image')
    return points.astype(np.float32)


def annotated_records(faces: dict, key: str, what: str,
                      file: str) -> List[dict]:
    """Records of another dataset of faces, which carry an annotation.

    Records of faces on disk have to hold ``key``; synthetic faces bring
    everything with them. ``what`` it is and its ``file`` are for the
    ValueError if one comes without.
    """
    dataset = DATASETS.build(faces)
    records = [dataset.get_data_info(i) for i in range(len(dataset))]
    bare = [r for r in records if 'img_path' in r and key not in r]
    if bare:
        raise ValueError(
            f"{faces['type']} gives no {what} for {len(bare)} of "
            f"{len(records)} faces, '{bare[0]['img_path']}' among them: set "
            f'with_annotations=True and see that {file} is there')
    return records
