# Copyright (c) orsa contributors. All rights reserved.
import os.path as osp
import re
from collections import Counter
from fnmatch import fnmatchcase
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from mmengine.logging import print_log

from orsa.datasets.images import find_images
from orsa.registry import DATASETS
from orsa.utils.face_regions import (FACE_CLASSES, FACE_PALETTE, IGNORED,
                                     LAPA_CLASSES, LAPA_PALETTE)
from orsa.utils.image_files import IMAGE_SUFFIXES
from .annotations import AnnotatedDataset, annotated_records
from .text_files import read_lines

Classes = Union[None, str, Sequence[str]]
Labels = Union[Sequence[Classes], Mapping[Union[int, str], Classes]]


def read_labels(labels: Labels) -> Dict[str, Any]:
    """Number the labels of a dataset's masks, and what each stands for.

    Takes those of :class:`MaskFolderDataset`. Returns ``values``, the label of
    each value, from 0 in the order given, 255 where it is ignored; and
    ``sets``, the classes of each label, by their indices.

    Raises:
        ValueError: If a name is none of the classes, a value is none of [0,
            255], or every label is ignored.
    """
    items = labels.items() if isinstance(labels, Mapping) \
        else enumerate(labels)
    values, sets = {}, []
    for value, names in items:
        names = [names] if isinstance(names, str) else list(names or ())
        unknown = [name for name in names if name not in FACE_CLASSES]
        if unknown or int(value) not in range(256):
            raise ValueError(
                f'labels: {value} stands for {names}, expected a value in '
                f'[0, 255] and some of {list(FACE_CLASSES)}')
        values[int(value)] = len(sets) if names else IGNORED
        if names:
            sets.append(tuple(map(FACE_CLASSES.index, names)))
    if not sets:
        raise ValueError(f'labels: {labels} names no class, expected some of '
                         f'{list(FACE_CLASSES)}')
    return dict(values=values, sets=tuple(sets))


class _ParsingDataset(AnnotatedDataset):
    """What mmseg's pipelines expect of a record, without needing mmseg."""

    METAINFO = dict(classes=LAPA_CLASSES, palette=LAPA_PALETTE)

    def __init__(self,
                 labels: Optional[Labels] = None,
                 metainfo: Optional[dict] = None,
                 **kwargs):
        self.mask_labels = None if labels is None else read_labels(labels)
        if self.mask_labels:
            metainfo = {**_metainfo(self.mask_labels), **(metainfo or {})}
        super().__init__(metainfo=metainfo, **kwargs)

    def get_data_info(self, idx: int) -> dict:
        """A record, with what the values of its mask stand for."""
        info = super().get_data_info(idx)
        info.update(label_map=None, reduce_zero_label=False, seg_fields=[])
        if self.mask_labels:
            info['mask_labels'] = self.mask_labels
        return info


def _metainfo(mask_labels: dict) -> dict:
    return dict(
        classes=FACE_CLASSES,
        palette=FACE_PALETTE,
        label_sets=mask_labels['sets'])


@DATASETS.register_module()
class FaceParsingDataset(_ParsingDataset):
    """Faces of another dataset of orsa, for training a face parser of mmseg.

    The records are those of the other dataset; a pipeline begins with
    ``LoadImageFromFile`` and ``mmseg.LoadAnnotations`` for faces on disk or
    with ``orsa.DrawSyntheticFace`` for synthetic ones, and goes on with
    ``orsa.AsSegSample``.

    Args:
        faces (dict): Config of a dataset whose records carry
            ``seg_map_path`` (``orsa.RAFDB`` with ``with_annotations=True``,
            ``orsa.MaskFolderDataset``) or are synthetic
            (``orsa.SyntheticFaces``). Its own pipeline is not used.
        from_landmarks (bool): Whether the faces have ``gt_keypoints`` instead
            of masks, which ``orsa.ParseLandmarks`` in the pipeline makes of
            them. Defaults to False.
        occlusion_file (str, optional): A list of faces with something in front
            of them, a line ``name type`` or RAN's ``name label type``, with
            RAN's types: 1 glasses, 2 sunglasses, 3 hand or object, 4 headwear,
            5 hair. Their records get the type as ``occlusion``. Defaults to
            None.
        occlusions (Sequence[int], optional): Types of faces to take, 0 for
            what is not listed. Defaults to None, all.
        labels (Sequence | Mapping, optional): As of
            :class:`MaskFolderDataset`, for mixing with others. Defaults to
            None: the masks hold LaPa's classes.
        **kwargs: See MMEngine's ``BaseDataset``.

    Raises:
        ValueError: If the faces come without masks, a line has no type, or
            no face is left.
    """

    def __init__(self,
                 faces: dict,
                 from_landmarks: bool = False,
                 occlusion_file: Optional[str] = None,
                 occlusions: Optional[Sequence[int]] = None,
                 **kwargs):
        self.faces = faces
        self.from_landmarks = from_landmarks
        self.occlusion_file = occlusion_file
        self.occlusions = occlusions
        super().__init__(**kwargs)

    def load_data_list(self) -> List[dict]:
        """The other dataset's records."""
        if self.from_landmarks:
            self._metainfo.update(classes=FACE_CLASSES, palette=FACE_PALETTE)
            return self._by_occlusion(
                annotated_records(self.faces, 'gt_keypoints', 'landmarks',
                                  'landmarks68.json'))
        records = annotated_records(self.faces, 'seg_map_path', 'mask',
                                    'parsing/')
        if self.mask_labels is None and 'mask_labels' in records[0]:
            self._metainfo.update(_metainfo(records[0]['mask_labels']))
        return self._by_occlusion(records)

    def _by_occlusion(self, records: List[dict]) -> List[dict]:
        if self.occlusion_file is None:
            return records
        types = read_occlusions(self.occlusion_file)
        for record in records:
            record['occlusion'] = types.get(record['name'], 0)
        counts = Counter(record['occlusion'] for record in records)
        taken = [
            record for record in records if self.occlusions is None
            or record['occlusion'] in self.occlusions
        ]
        message = (
            f"{self.faces['type']}: {len(taken)} of {len(records)} "
            f'faces, by type of occlusion {dict(sorted(counts.items()))}'
            f", of which {self.occlusions or 'all'} are taken")
        print_log(message, logger='current')
        if not taken:
            raise ValueError(f"{message}. No face is left, see '"
                             f"{self.occlusion_file}' and occlusions")
        return taken


def read_occlusions(path: str) -> Dict[str, int]:
    """Read what is in front of which face, RAN's type by name.

    Raises:
        ValueError: If a line has no type from 1 to 5 at its end.
    """
    path, types = osp.expanduser(path), {}
    for number, line in read_lines(path):
        match = re.fullmatch(r'(.+?)(?:_aligned)?(?: \d+)? ([1-5])', line)
        if not match:
            raise ValueError(f"{path}:{number}: expected 'name type' with a "
                             f"type from 1 to 5, got '{line[:100]}'")
        types[match[1]] = int(match[2])
    return types


@DATASETS.register_module()
class MaskFolderDataset(_ParsingDataset):
    """Images and index masks of one name, with labels of any meaning.

    ::

        data_root
        ├── images     a.jpg, b/c.png    any image, at any depth
        ├── masks      a.png, b/c.png    one channel, values by pixel
        └── train.txt  a, b/c            optional, a name a line

    The "skin" of one dataset holds nose and lips, the "hair" of another brows.
    So each value of the masks stands for a *set* of the classes
    ``orsa.utils.face_regions.FACE_CLASSES``, LaPa's eleven and 'occluder'.
    After ``mmseg.LoadAnnotations`` and ``orsa.AsSegSample`` the map of a
    sample holds labels that count from 0 in the order of ``labels``, and 255
    where they are ignored. ``label_sets``, in every sample
    (``PackSegInputs(meta_keys=(..., 'label_sets'))``) and in the metainfo,
    names the classes of each label by their indices, for a loss that sums the
    probabilities over a set. ``orsa.RandomFaceAffine`` knows which labels a
    flip exchanges.

    Args:
        labels (Sequence | Mapping): What each value of the masks stands for:
            names of classes, or None for what is ignored. By place,
            ``['background', ['skin', 'nose'], None]``, or by value:
            ``{0: 'background', 255: 'hair'}``. A value that is not named is
            an error when it is met.
        data_root (str): Defaults to ''.
        data_prefix (dict): The folders of images and masks. Defaults to
            ``dict(img_path='images', seg_map_path='masks')``.
        ann_file (str): The list of names, with or without suffix. Defaults to
            '': every image that has a mask.
        seg_map_suffix (str): What follows the name in that of the mask, e.g.
            '_mask.png'. Defaults to '.png'.
        exclude_file (str, optional): A list of names to leave out, or of
            patterns such as ``Ann_Lee_*``; one a line. Defaults to None.
        **kwargs: See MMEngine's ``BaseDataset``.

    Raises:
        FileNotFoundError: If a folder or a list is missing, or the image or
            the mask of a listed name.
        ValueError: If a label stands for what is no class, two images have
            one name, or nothing is left. On loading, if a mask has a value
            that ``labels`` does not name.
    """

    def __init__(self,
                 labels: Optional[Labels],
                 data_root: str = '',
                 data_prefix: Optional[dict] = None,
                 ann_file: str = '',
                 seg_map_suffix: str = '.png',
                 exclude_file: Optional[str] = None,
                 **kwargs):
        self.seg_map_suffix = seg_map_suffix
        self.exclude_file = exclude_file
        prefix = dict(img_path='images', seg_map_path='masks')
        super().__init__(
            labels=labels,
            data_root=osp.expanduser(data_root),
            data_prefix=dict(prefix, **(data_prefix or {})),
            ann_file=ann_file,
            **kwargs)

    def load_data_list(self) -> List[dict]:
        """One record for each name."""
        end, folder = self.seg_map_suffix, self.data_prefix['img_path']
        masks = {
            osp.normpath(path[:-len(end)]): path
            for path in self._list('seg_map_path') if path.endswith(end)
        }
        images = {}
        for path in self._list('img_path'):
            name = osp.splitext(path)[0]
            if images.setdefault(name, path) != path:
                raise ValueError(
                    f"{type(self).__name__}: '{folder}' has several images of "
                    f"the name '{name}': remove all but one")
        names = self.list_names(images, masks)
        messages = [f'{len(names)} faces']
        if not self.ann_file:
            messages += [
                f'{len(images.keys() - masks)} images without a mask',
                f'{len(masks.keys() - images)} masks without an image'
            ]
        names = self._exclude(names, messages)
        ignored = self.mask_labels and [
            value for value, label in self.mask_labels['values'].items()
            if label == IGNORED
        ]
        if ignored:
            messages.append(f'{len(ignored)} labels are ignored: {ignored}')
        message = f"{type(self).__name__}: {', '.join(messages)}"
        print_log(message, logger='current')
        if not names:
            raise ValueError(f"{message}. No face is left in '{folder}', see "
                             'the folders, ann_file and exclude_file')
        return [
            dict(
                name=name,
                img_path=osp.join(folder, images[name]),
                seg_map_path=osp.join(self.data_prefix['seg_map_path'],
                                      masks[name])) for name in names
        ]

    def _list(self, key: str) -> List[str]:
        folder = self.data_prefix[key]
        if not osp.isdir(folder):
            raise FileNotFoundError(
                f"{type(self).__name__}: there is no folder '{folder}'. Set "
                'data_root to the folder that holds it')
        return find_images(folder)[0]

    def list_names(self, images: dict, masks: dict) -> List[str]:
        """Names in ``ann_file``, otherwise those with an image and a mask."""
        if not self.ann_file:
            return [name for name in images if name in masks]
        names = {}
        for number, line in read_lines(self.ann_file):
            name = _bare_name(line)
            for there, key in ((images, 'img_path'), (masks, 'seg_map_path')):
                if name not in there:
                    raise FileNotFoundError(
                        f"{self.ann_file}:{number}: '{line[:100]}' has no "
                        f"file in '{self.data_prefix[key]}'. Unpack the "
                        'archive again, or remove the line')
            names[name] = number
        return list(names)

    def _exclude(self, names: List[str], messages: List[str]) -> List[str]:
        if self.exclude_file is None:
            return names
        path = osp.expanduser(self.exclude_file)
        if not osp.exists(path):
            path = osp.join(self.data_root, path)
        listed = {
            _bare_name(line)
            for _, line in read_lines(path) if not line.startswith('#')
        }
        patterns = [line for line in listed if '*' in line]
        kept = [
            name for name in names if name not in listed and not any(
                fnmatchcase(name, pattern) for pattern in patterns)
        ]
        idle = len(listed.difference(names, patterns)) + sum(
            not any(fnmatchcase(name, pattern) for name in names)
            for pattern in patterns)
        messages.append(f'{len(names) - len(kept)} of them are left out by '
                        f"'{path}' ({len(listed)} entries, of which {idle} "
                        'name none)')
        return kept


def _bare_name(line: str) -> str:
    """A name as datasets have it, without the suffix of an image."""
    root, suffix = osp.splitext(line)
    return osp.normpath(root if suffix.lower() in IMAGE_SUFFIXES else line)


@DATASETS.register_module()
class LaPaDataset(MaskFolderDataset):
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
        labels (Sequence | Mapping, optional): As of
            :class:`MaskFolderDataset`, for mixing with others. Defaults to
            None: the masks hold LaPa's classes.
        **kwargs: See MMEngine's ``BaseDataset``.
    """

    def __init__(self,
                 data_root: str,
                 split: str = 'train',
                 labels: Optional[Labels] = None,
                 **kwargs):
        self.split = split
        prefix = dict(
            img_path=f'{split}/images', seg_map_path=f'{split}/labels')
        super().__init__(
            labels=labels, data_root=data_root, data_prefix=prefix, **kwargs)

    def list_names(self, images: dict, masks: dict) -> List[str]:
        """As of :class:`MaskFolderDataset`; all images have a mask."""
        bare = [path for name, path in images.items() if name not in masks]
        if bare:
            raise FileNotFoundError(
                f"LaPaDataset: '{bare[0]}' of "
                f"'{self.data_prefix['img_path']}' has no mask of its name in "
                f"'{self.data_prefix['seg_map_path']}', one of {len(bare)}. "
                'Get the dataset again from '
                'github.com/jd-opensource/lapa-dataset')
        return super().list_names(images, masks)
