# Copyright (c) orsa contributors. All rights reserved.
import os
import os.path as osp
import re
from typing import Dict, List, Optional

import numpy as np

from orsa.registry import DATASETS
from orsa.utils.fileio import load_json
from .annotated_records import check_points
from .image_folder import find_classes, list_class_folders
from .parted_dataset import PartedDataset
from .subset_list import read_lines, read_rows


def _read_identities(path: str) -> Dict[str, str]:
    """The person of each name in a csv file."""
    rows = read_rows(path)
    number, header = next(rows, (1, []))
    if not {'name', 'identity'} <= set(header):
        raise ValueError(f"{path}:{number}: expected the columns 'name' and "
                         f"'identity', found {str(header)[:500]}")
    name_at, person_at = header.index('name'), header.index('identity')
    found: Dict[str, str] = {}
    for number, row in rows:
        if len(row) != len(header):
            raise ValueError(f'{path}:{number}: expected {len(header)} '
                             f'columns, got {len(row)}')
        name, person = row[name_at], row[person_at]
        if found.setdefault(name, person) != person:
            raise ValueError(
                f"{path}:{number}: '{name[:100]}' is '{person[:100]}', but "
                f"'{found[name][:100]}' in a line before. Remove one of them")
    return found


@DATASETS.register_module()
class RAFDB(PartedDataset):
    """RAF-DB, the Real-world Affective Faces Database (basic expressions).

    `Reliable Crowdsourcing and Deep Locality-Preserving Learning for
    Expression Recognition in the Wild
    <https://openaccess.thecvf.com/content_cvpr_2017/html/Li_Reliable_Crowdsourcing_and_CVPR_2017_paper.html>`_.
    The data are given by its authors on request (`project page
    <http://www.whdeld.cn/RAF/model1.html>`_). The tree, as released: ::

        raf-db
        ├── basic
        │   ├── EmoLabel
        │   │   └── list_patition_label.txt     train_00001.jpg 5
        │   └── Image
        │       └── aligned
        │           ├── train_00001_aligned.jpg
        │           ├── ...
        │           └── test_3068_aligned.jpg
        ├── landmarks68.json      not RAF-DB's own, optional
        ├── parsing               not RAF-DB's own, optional
        │   ├── train_00001.png
        │   └── ...
        └── sources.csv           not RAF-DB's own, optional

    Two trees of folders that go around are read where that list is not there,
    with the same names and labels: ::

        raf-db                              raf-db
        └── DATASET                         ├── train
            ├── train                       │   ├── surprise
            │   ├── 1                       │   │   └── train_00002_aligned.jpg
            │   │   ├── train_00002_aligned.jpg
            │   │   └── ...                 │   └── ...
            │   └── 7                       └── valid, the test split
            └── test                            └── ...
                └── ...

    The last three of the first tree stand beside the faces that
    ``tools/dataset_converters/press_faces.py`` makes: 68 landmarks (300-W
    order, pixels of the aligned image), 11-class LaPa masks, and the columns
    ``name`` and ``identity``.

    There is no validation split. ``val_split`` holds a part of the training
    split out: stratified by class, the same for any order of the list, and
    without a person in both parts where the persons are known.

    ``num_folds`` divides the training split in the same spirit, for cross
    validation and for cross-fitted priors (``fold_checkpoints`` of
    :class:`orsa.FrozenPrior`): every record then has ``fold``, the fold that
    it is in, or -1 if it is held out or of the test split. ``meta_keys`` of
    ``PackInputs`` has to name it.

    Args:
        data_root (str): The folder that holds ``basic``. Defaults to
            'data/raf-db'.
        split (str): 'train', 'val' (what ``val_split`` holds out) or 'test'.
            Defaults to 'train'.
        val_split (float): The share of the training split that 'val' holds
            and 'train' lacks, in [0, 1). Defaults to 0.
        val_seed (int): Another seed, another share, other folds. Defaults to
            0.
        val_group_file (str, optional): A csv file with the columns ``name``
            and ``identity``; 'auto' takes ``sources.csv`` in the root if it
            is there; None lets a person be in both parts. Defaults to 'auto'.
        num_folds (int): Into how many folds the training split is divided;
            not together with ``val_split``. Defaults to 0, none.
        fold (int, optional): The fold that 'train' lacks and that 'val' is.
            Defaults to None: 'train' is the whole training split.
        with_annotations (bool): Whether to add ``gt_keypoints`` (float32 of
            shape (1, 68, 2), x and y in pixels) and ``seg_map_path``, as far
            as ``landmarks68.json`` and ``parsing`` are there. Defaults to
            False.
        ann_file (str): Defaults to 'basic/EmoLabel/list_patition_label.txt'.
        data_prefix (str): Defaults to 'basic/Image/aligned'.
        test_mode (bool, optional): Defaults to None: False for 'train'.
        **kwargs: Other arguments of :class:`FERDataset`.

    Raises:
        FileNotFoundError: If the tree or a listed image is missing.
        ValueError: If a line of the list is malformed or listed twice, with
            the number of the line, or the arguments do not go together.

    Examples:
        >>> from orsa.datasets import RAFDB
        >>> RAFDB(data_root='data/raf-db', split='test')
        Dataset RAFDB
            Number of samples:  3068
            Number of categories:       7
            Root of dataset:    data/raf-db
    """  # noqa: E501

    ANY_CLASSES = False
    LAYOUT = ('basic/EmoLabel/list_patition_label.txt and '
              'basic/Image/aligned/train_00001_aligned.jpg, ...; or '
              'DATASET/train/1/train_00001_aligned.jpg, ...; or '
              'train/surprise/<image>.jpg, ..., valid/surprise/<image>.jpg')
    LISTS_NAME_CLASSES = True
    SOURCE = ('RAF-DB is given by its authors on request '
              '(http://www.whdeld.cn/RAF/model1.html); free faces in the same '
              'layout come from tools/dataset_converters/press_faces.py. Set '
              'ORSA_RAFDB or data_root to the folder that holds them')

    # sic: the file of the release is spelt so
    _ANN_FILE = 'basic/EmoLabel/list_patition_label.txt'
    _LINE = re.compile(r'((train|test)_\d+)\.jpg\s+(\S+)')

    def __init__(self,
                 data_root: str = 'data/raf-db',
                 split: str = 'train',
                 val_split: float = 0.,
                 val_seed: int = 0,
                 val_group_file: Optional[str] = 'auto',
                 num_folds: int = 0,
                 fold: Optional[int] = None,
                 with_annotations: bool = False,
                 ann_file: str = _ANN_FILE,
                 data_prefix: str = 'basic/Image/aligned',
                 test_mode: Optional[bool] = None,
                 **kwargs):
        if split not in ('train', 'val', 'test'):
            raise ValueError("RAFDB: split must be 'train', 'val' or 'test', "
                             f"got '{split}'")
        if split == 'val' and not val_split and not num_folds:
            raise ValueError(
                "RAFDB: the data set has no validation split. split='val' "
                'needs val_split > 0, the same as for training, or num_folds '
                'and fold')
        self.val_group_file = val_group_file
        self.with_annotations = with_annotations
        super().__init__(
            split=split,
            val_split=val_split,
            val_seed=val_seed,
            num_folds=num_folds,
            fold=fold,
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=data_prefix,
            test_mode=split != 'train' if test_mode is None else test_mode,
            **kwargs)

    def sample_name(self, entry: str) -> str:
        """Read 'test_0001', 'test_0001_aligned' and '0/test_0001.jpg' too."""
        return re.sub('_aligned$', '',
                      super().sample_name(osp.basename(entry)))

    def load_data_list(self) -> List[dict]:
        """Read the list or the folders and take the split's part of it."""
        part = 'test' if self.split == 'test' else 'train'
        folder = self._find_folder(part)
        if folder is None:
            self.layout = 'list of the release'
            self.require(self.ann_file, 'the list of images and labels')
            self.require(self.img_prefix, 'the folder of aligned images')
            records = [r for r in self._read_list() if r['part'] == part]
        else:
            records = self._read_folder(folder, part)
        if self.split == 'test' and self.num_folds:
            records = [dict(r, fold=-1) for r in records]
        elif self.split != 'test' and (self.val_split or self.num_folds):
            records = self.divide(records, self._read_persons(records))
        if not self.skip_unreadable:
            self.check_present(records, f"images of split '{self.split}'")
        if self.with_annotations:
            self._add_annotations(records)
        return [{
            k: v
            for k, v in r.items() if k not in ('part', 'where')
        } for r in records]

    def _find_folder(self, part: str) -> Optional[str]:
        if osp.exists(self.ann_file):
            return None
        names = ('train', ) if part == 'train' else ('test', 'valid')
        for folder in (osp.join(self.data_root, sub, name)
                       for sub in ('', 'DATASET') for name in names):
            if osp.isdir(folder):
                return folder
        return None

    def _read_folder(self, folder: str, part: str) -> List[dict]:
        classes = find_classes(folder, 'rafdb_file')
        by_index = any(f.isdigit() for f in classes)
        self.layout = ('folders by index 1-7' if by_index else
                       'folders by name') + f' ({osp.basename(folder)})'
        records = {}
        found, passed_over = list_class_folders(folder, classes)
        self.report_passed_over(passed_over)
        for r in found:
            path = r['img_path']
            name = self.sample_name(r['name'])
            if name in records:
                raise ValueError(f"'{path}' and '{records[name]['img_path']}' "
                                 f'are both {name}: remove one of them')
            if re.match('train_|test_', name) and not name.startswith(part):
                raise ValueError(f"'{path}' is in the {part} split, its name "
                                 'says that it is of the other one')
            records[name] = dict(r, name=name, part=part, where=path)
        # the order of the release, whatever the folders are called
        return [records[name] for name in sorted(records)]

    def _read_list(self) -> List[dict]:
        # the file's labels are 1-7 in the order of METAINFO
        classes = self.METAINFO['classes']
        records = {}
        for number, line in read_lines(self.ann_file):
            where = f'{self.ann_file}:{number}'
            match = self._LINE.fullmatch(line)
            if match is None:
                raise ValueError(f"{where}: expected a line such as "
                                 f"'train_00001.jpg 5', got '{line[:100]}'")
            name, part, label = match.groups()
            if label not in tuple('1234567'):
                raise ValueError(f"{where}: the label of {name} must be 1-7 "
                                 f"(1 is {classes[0]}), got '{label[:100]}'")
            if name in records:
                first = records[name]['where'].rpartition(':')[2]
                raise ValueError(f'{where}: {name} is listed twice, first in '
                                 f'line {first}')
            records[name] = dict(
                img_path=osp.join(self.img_prefix, f'{name}_aligned.jpg'),
                name=name,
                expression=classes[int(label) - 1],
                part=part,
                where=where)
        return list(records.values())

    def _read_persons(self, records: List[dict]) -> List[Optional[str]]:
        path, names = self.val_group_file, [r['name'] for r in records]
        if path == 'auto':
            path = osp.join(self.data_root, 'sources.csv')
            path = path if osp.isfile(path) else None
        if path is None:
            return [None] * len(names)
        identity = _read_identities(osp.expanduser(path))
        unknown = [name for name in names if not identity.get(name)]
        if unknown:
            raise ValueError(
                f'{path}: no identity for {len(unknown)} training samples, '
                f"the first is '{unknown[0]}'. Set val_group_file=None to "
                'split without regard to persons')
        return [identity[name] for name in names]

    def _add_annotations(self, records: List[dict]) -> None:
        points = self._read_landmarks()
        parsing = osp.join(self.data_root, 'parsing')
        masks = set(os.listdir(parsing)) if osp.isdir(parsing) else None
        if points is None and masks is None:
            raise FileNotFoundError(
                'RAFDB: with_annotations=True, but neither landmarks68.json '
                f"nor parsing is in '{self.data_root}'")
        for r in records:
            name = r['name']
            if points is not None:
                if name not in points:
                    raise ValueError(
                        f"{osp.join(self.data_root, 'landmarks68.json')}: no "
                        f"points for '{name}'")
                r['gt_keypoints'] = points[name]
            if masks is not None:
                if f'{name}.png' not in masks:
                    raise FileNotFoundError(
                        f"RAFDB: no mask for '{name}', expected "
                        f"'{osp.join(parsing, name)}.png'")
                r['seg_map_path'] = osp.join(parsing, f'{name}.png')

    def _read_landmarks(self) -> Optional[Dict[str, np.ndarray]]:
        path = osp.join(self.data_root, 'landmarks68.json')
        if not osp.isfile(path):
            return None
        content = load_json(path)
        if not isinstance(content, dict):
            raise ValueError(f"'{path}' should be an object of names and "
                             f'points, but is a {type(content).__name__}')
        return {k: check_points(v, f"{path}: '{k[:100]}'")[None]
                for k, v in content.items()}  # yapf: disable

    def extra_repr(self) -> List[str]:
        """The extra repr information of the dataset."""
        return super().extra_repr() + [f'Split: \t{self.split}']
