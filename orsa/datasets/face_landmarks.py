# Copyright (c) orsa contributors. All rights reserved.
import os
import os.path as osp
from collections import Counter
from typing import List, Sequence

import numpy as np
from mmengine.logging import print_log

from orsa.registry import DATASETS
from orsa.utils.face_regions import FLIP_68
from orsa.utils.image_files import IMAGE_SUFFIXES
from .annotations import AnnotatedDataset, annotated_records, check_points
from .text_files import read_lines


class _LandmarkDataset(AnnotatedDataset):
    """What mmpose's pipelines expect of a record, without needing mmpose."""

    METAINFO = dict(
        dataset_name='face68',
        num_keypoints=68,
        keypoint_id2name={i: f'point {i + 1}'
                          for i in range(68)},
        keypoint_name2id={f'point {i + 1}': i
                          for i in range(68)},
        flip_indices=FLIP_68.tolist(),
        flip_pairs=[(i, int(j)) for i, j in enumerate(FLIP_68) if i < j],
        dataset_keypoint_weights=np.ones(68, np.float32),
        sigmas=np.full(68, .025, np.float32),
        upper_body_ids=[],
        lower_body_ids=[],
        skeleton_links=[])

    def get_data_info(self, idx: int) -> dict:
        """A record, with what mmpose's transforms want to know of the set."""
        info = super().get_data_info(idx)
        info['id'] = info['img_id'] = info['sample_idx']
        for key in ('upper_body_ids', 'lower_body_ids', 'flip_pairs',
                    'dataset_keypoint_weights', 'flip_indices',
                    'skeleton_links'):
            info[key] = self._metainfo[key]
        return info


@DATASETS.register_module()
class FaceLandmarkDataset(_LandmarkDataset):
    """Faces of another dataset of orsa, for training a model of mmpose.

    The records are those of the other dataset; a pipeline begins with
    ``LoadImageFromFile`` for faces on disk or with
    ``orsa.DrawSyntheticFace`` for synthetic ones, and goes on with
    ``orsa.AsPoseSample``.

    Args:
        faces (dict): Config of a dataset whose records carry
            ``gt_keypoints`` (1, 68, 2) (``orsa.RAFDB`` with
            ``with_annotations=True``, ``orsa.Face300WDataset``) or are
            synthetic (``orsa.SyntheticFaces``). Its own pipeline is not used.
        **kwargs: See MMEngine's ``BaseDataset``.
    """

    def __init__(self, faces: dict, **kwargs):
        self.faces = faces
        super().__init__(**kwargs)

    def load_data_list(self) -> List[dict]:
        """The other dataset's records."""
        return annotated_records(self.faces, 'gt_keypoints', 'landmarks',
                                 'landmarks68.json')


@DATASETS.register_module()
class Face300WDataset(_LandmarkDataset):
    """300-W, as it is on disk: images with a ``.pts`` file beside each.

    From `300 Faces in-the-Wild Challenge
    <https://ibug.doc.ic.ac.uk/resources/300-W/>`_ (see its page for
    access)::

        data_root
        ├── afw, helen/trainset, lfpw/trainset      the usual training set
        └── helen/testset, lfpw/testset, ibug       the usual test set

    An image and its points have one name, ``1051618982_1.jpg`` and
    ``1051618982_1.pts``; what lacks either is left out, which is logged. The
    files count pixels from 1, the records from 0, see :func:`read_pts`.

    Args:
        data_root (str): The root.
        folders (Sequence[str]): Folders below it to read. Defaults to the
            usual training set.
        bbox_margin (float): The box is that of the points, grown by this
            fraction on every side. Defaults to 0.15.
        val_every (int): Every so many-th face, beginning with the first, is
            for validation. Defaults to 0, none.
        split (str): 'train', without these faces, or 'val', these alone.
            Defaults to 'train'.
        **kwargs: See MMEngine's ``BaseDataset``.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If ``split`` is unknown, a ``.pts`` file has not 68
            points, or no image has any.
    """

    def __init__(self,
                 data_root: str,
                 folders: Sequence[str] = ('afw', 'helen/trainset',
                                           'lfpw/trainset'),
                 bbox_margin: float = 0.15,
                 val_every: int = 0,
                 split: str = 'train',
                 **kwargs):
        if split != 'train' and not (split == 'val' and val_every):
            raise ValueError(f"Face300WDataset: split='{split}' should be "
                             "'train', or 'val' with val_every")
        self.folders = folders
        self.bbox_margin = bbox_margin
        self.val_every, self.split = val_every, split
        super().__init__(data_root=osp.expanduser(data_root), **kwargs)

    def load_data_list(self) -> List[dict]:
        """One record for each image that has points."""
        records, alone = [], Counter()
        for folder in self.folders:
            path = osp.join(self.data_root, folder)
            if not osp.isdir(path):
                raise FileNotFoundError(
                    f"300-W: there is no folder '{path}'. Get the set from "
                    'ibug.doc.ic.ac.uk/resources/300-W, or name the folders '
                    'that you have by folders=[...]')
            files = [osp.splitext(name) for name in sorted(os.listdir(path))]
            images, points = ({
                stem: osp.join(path, stem + suffix)
                for stem, suffix in files if suffix.lower() in wanted
            } for wanted in (IMAGE_SUFFIXES, ('.pts', )))
            records += [
                self._record(images[stem], points[stem]) for stem in points
                if stem in images
            ]
            alone['images without points'] += len(images.keys() - points)
            alone['.pts files without an image'] += len(points.keys() - images)
        if not records:
            raise ValueError(f'300-W: no image with a .pts file beside it is '
                             f"in {list(self.folders)} below "
                             f"'{self.data_root}'")
        left_out = ''.join(f', left out are {n} {what}'
                           for what, n in alone.items() if n)
        print_log(
            f'300-W: {len(records)} faces in {list(self.folders)}{left_out}',
            logger='current')
        if self.val_every:
            records = [
                r for k, r in enumerate(records)
                if (k % self.val_every == 0) == (self.split == 'val')
            ]
        return records

    def _record(self, image: str, pts: str) -> dict:
        points = read_pts(pts)
        low, high = points.min(0), points.max(0)
        margin = self.bbox_margin * (high - low)
        box = np.concatenate([low - margin, high + margin])
        name = osp.relpath(osp.splitext(image)[0], self.data_root)
        return dict(
            name=name.replace(os.sep, '/'),
            img_path=image,
            gt_keypoints=points[None],
            bbox=box[None].astype(np.float32))


def read_pts(path: str) -> np.ndarray:
    """Read a ``.pts`` file of 300-W as (68, 2) float32, x and y in pixels.

    As released it has a header and braces; copies that go around have the
    points alone, one 'x y' a line. The annotators worked in MATLAB, where the
    centre of the first pixel is (1, 1), as `Menpo
    <https://github.com/menpo/menpo/issues/160>`_, by the same group, reads
    them; points of this library have it at (0, 0), as OpenCV does, so 1 is
    subtracted.

    Raises:
        ValueError: If there are not 68 points in it.
    """
    # 'version: 1' and 'n_points: 68' are the header
    text = '\n'.join(line for _, line in read_lines(path) if ':' not in line)
    if '{' in text:
        text = text.partition('{')[2].partition('}')[0]
    values = text.split()
    if len(values) != 136:
        raise ValueError(f"'{path}': expected 68 points, one 'x y' a line, "
                         f'found {len(values)} numbers')
    return check_points(list(zip(values[::2], values[1::2])), f"'{path}'") - 1
