# Copyright (c) orsa contributors. All rights reserved.
import os
import os.path as osp
from typing import List

from orsa.registry import DATASETS
from orsa.utils.face_parts import LAPA_CLASSES, LAPA_PALETTE
from .annotated_records import NamingDataset, annotated_records


class _ParsingDataset(NamingDataset):
    """What mmseg's pipelines expect of a record, without needing mmseg."""

    METAINFO = dict(classes=LAPA_CLASSES, palette=LAPA_PALETTE)

    @staticmethod
    def _as_seg(record: dict) -> dict:
        return dict(
            record, label_map=None, reduce_zero_label=False, seg_fields=[])


@DATASETS.register_module()
class FaceParsingDataset(_ParsingDataset):
    """Faces of another dataset of orsa, for training a face parser of mmseg.

    The records are those of the other dataset; a pipeline begins with
    ``LoadImageFromFile`` and ``mmseg.LoadAnnotations`` for faces on disk or
    with ``orsa.DrawSyntheticFace`` for drawn ones, and goes on with
    ``orsa.AsSegSample``.

    Args:
        faces (dict): Config of a dataset whose records carry
            ``seg_map_path`` (``orsa.RAFDB`` with ``with_annotations=True``)
            or are drawn (``orsa.SyntheticFaces``). Its own pipeline is not
            used.
        **kwargs: See MMEngine's ``BaseDataset``.

    Raises:
        ValueError: If the faces come without masks.
    """

    def __init__(self, faces: dict, **kwargs):
        self.faces = faces
        super().__init__(**kwargs)

    def load_data_list(self) -> List[dict]:
        """The other dataset's records."""
        records = annotated_records(self.faces, 'seg_map_path', 'mask',
                                    'parsing/')
        return [self._as_seg(r) for r in records]


@DATASETS.register_module()
class LaPaDataset(_ParsingDataset):
    """LaPa, as it is on disk.

    From `A New Dataset and Boundary-Attention Semantic Segmentation for Face
    Parsing <https://arxiv.org/abs/1910.01783>`_ (see its page for access)::

        data_root
        ├── train
        │   ├── images     *.jpg
        │   ├── labels     *.png, classes 0-10
        │   └── landmarks  *.txt, 106 points
        ├── val
        └── test

    Args:
        data_root (str): The root.
        split (str): 'train', 'val' or 'test'. Defaults to 'train'.
        **kwargs: See MMEngine's ``BaseDataset``.

    Raises:
        FileNotFoundError: If a folder or a mask is missing.
        ValueError: If the split is empty.
    """

    def __init__(self, data_root: str, split: str = 'train', **kwargs):
        self.split = split
        super().__init__(data_root=osp.expanduser(data_root), **kwargs)

    def load_data_list(self) -> List[dict]:
        """One record for each image."""
        images, labels = (
            osp.join(self.data_root, self.split, name)
            for name in ('images', 'labels'))
        for folder in (images, labels):
            if not osp.isdir(folder):
                raise FileNotFoundError(
                    f"LaPa: there is no folder '{folder}'. Expected "
                    '{train,val,test}/{images,labels} under data_root; get '
                    'it from github.com/jd-opensource/lapa-dataset')
        present = set(os.listdir(labels))
        records = []
        for name in sorted(os.listdir(images)):
            mask = osp.splitext(name)[0] + '.png'
            if mask not in present:
                raise FileNotFoundError(
                    f"LaPa: '{osp.join(images, name)}' has no mask, expected "
                    f"'{osp.join(labels, mask)}'")
            records.append(
                self._as_seg(
                    dict(
                        img_path=osp.join(images, name),
                        seg_map_path=osp.join(labels, mask))))
        if not records:
            raise ValueError(f"LaPa: no image in '{images}'")
        return records
