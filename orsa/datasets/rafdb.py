# Copyright (c) orsa contributors. All rights reserved.
import os
import os.path as osp
import re
from typing import List, Optional

from orsa.registry import DATASETS
from orsa.utils.fileio import load_json
from .annotations import check_points
from .image_folder import find_classes, list_class_folders
from .splits import SplitDataset
from .text_files import read_columns, read_lines


@DATASETS.register_module()
class RAFDB(SplitDataset):
    """RAF-DB, the Real-world Affective Faces Database (basic expressions).

    `Reliable Crowdsourcing and Deep Locality-Preserving Learning for
    Expression Recognition in the Wild
    <https://openaccess.thecvf.com/content_cvpr_2017/html/Li_Reliable_Crowdsourcing_and_CVPR_2017_paper.html>`_.
    The data are given by its authors on request (`project page
    <http://www.whdeld.cn/RAF/model1.html>`_). The tree, as released: ::

        raf-db
        ├── basic/EmoLabel/list_patition_label.txt      train_00001.jpg 5
        ├── basic/Image/aligned/train_00001_aligned.jpg, ...
        ├── landmarks68.json            optional: 68 points, 300-W order, pixels
        ├── parsing/train_00001.png     optional: LaPa masks
        └── sources.csv                 optional: name, identity

    The last three are not RAF-DB's own, but those of
    ``tools/dataset_converters/press_faces.py``. Two trees of folders that go
    around are read where that list is not there, with the same names and
    labels: ::

        raf-db/DATASET/{train,test}/{1-7}/train_00002_aligned.jpg, ...
        raf-db/{train,valid}/surprise/train_00002_aligned.jpg, ...

    There is no validation split: ``val_split`` or ``num_folds``, for cross
    validation and cross-fitted priors (``fold_checkpoints`` of
    :class:`orsa.FrozenPrior`; ``meta_keys`` of ``PackInputs`` has to name
    ``fold``), divide the training split, see :class:`SplitDataset`.

    Args:
        data_root (str): The folder that holds ``basic``. Defaults to
            'data/raf-db'.
        split (str): 'train', 'val' (what ``val_split`` or ``fold`` holds out)
            or 'test'. Defaults to 'train'.
        val_group_file (str, optional): A csv file with the columns ``name``
            and ``identity``; 'auto' takes ``sources.csv`` in the root if it
            is there; None lets a subject be in both splits. Defaults to
            'auto'.
        with_annotations (bool): Whether to add ``gt_keypoints`` (float32 of
            shape (1, 68, 2), x and y in pixels) and ``seg_map_path``, as far
            as ``landmarks68.json`` and ``parsing`` are there. Defaults to
            False.
        ann_file (str): Defaults to 'basic/EmoLabel/list_patition_label.txt'.
        data_prefix (str): Defaults to 'basic/Image/aligned'.
        **kwargs: ``val_split``, ``val_seed``, ``num_folds`` and ``fold`` of
            :class:`SplitDataset`, and arguments of :class:`FERDataset`.

    Raises:
        FileNotFoundError: If the tree or a listed image is missing.
        ValueError: If a line of the list is malformed or listed twice, or the
            arguments do not go together.
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

    SPLITS = ('train', 'val', 'test')

    # sic: the file of the release is spelt so
    _ANN_FILE = 'basic/EmoLabel/list_patition_label.txt'
    _LINE = re.compile(r'((train|test)_\d+)\.jpg\s+(\S+)')

    def __init__(self,
                 data_root: str = 'data/raf-db',
                 split: str = 'train',
                 val_group_file: Optional[str] = 'auto',
                 with_annotations: bool = False,
                 ann_file: str = _ANN_FILE,
                 data_prefix: str = 'basic/Image/aligned',
                 **kwargs):
        self.val_group_file = val_group_file
        self.with_annotations = with_annotations
        super().__init__(
            split=split,
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=data_prefix,
            **kwargs)

    def sample_name(self, entry: str) -> str:
        """Read 'test_0001', 'test_0001_aligned' and '0/test_0001.jpg' too."""
        return re.sub('_aligned$', '',
                      super().sample_name(osp.basename(entry)))

    def load_data_list(self) -> List[dict]:
        """Read the list or the folders and take the samples of the split."""
        release = 'test' if self.split == 'test' else 'train'
        folder = self._find_folder(release)
        records = self._read_folder(folder, release) if folder else \
            self._read_list(release)
        if self.split != 'test':
            records = self.divide(records, self._read_subjects(records))
        elif self.num_folds:
            records = [dict(r, fold=-1) for r in records]
        if not self.skip_unreadable:
            self.check_present(records, f"images of split '{self.split}'")
        if self.with_annotations:
            self._add_annotations(records)
        for r in records:
            del r['where']
        return records

    def _find_folder(self, release: str) -> Optional[str]:
        if osp.exists(self.ann_file):
            return None
        names = ('train', ) if release == 'train' else ('test', 'valid')
        folders = (
            osp.join(self.data_root, sub, name) for sub in ('', 'DATASET')
            for name in names)
        return next(filter(osp.isdir, folders), None)

    def _read_folder(self, folder: str, release: str) -> List[dict]:
        classes = find_classes(folder, 'rafdb_file')
        by_index = any(f.isdigit() for f in classes)
        self.layout = ('folders by index 1-7' if by_index else
                       'folders by name') + f' ({osp.basename(folder)})'
        records = {}
        for r in list_class_folders(self, folder, classes):
            path = r['img_path']
            name = self.sample_name(r['name'])
            if name in records:
                raise ValueError(f"'{path}' and '{records[name]['img_path']}' "
                                 f'are both {name}: remove one of them')
            if re.match('train_|test_', name) and not name.startswith(release):
                raise ValueError(f"'{path}' is in the {release} split, but is "
                                 'named as one of the other split')
            records[name] = dict(r, name=name, where=path)
        # the order of the release, whatever the folders are called
        return [records[name] for name in sorted(records)]

    def _read_list(self, release: str) -> List[dict]:
        self.layout = 'list of the release'
        self.require(self.ann_file, 'the list of images and labels')
        self.require(self.img_prefix, 'the folder of aligned images')
        # the file's labels are 1-7 in the order of METAINFO
        classes = self.METAINFO['classes']
        records, lines = [], {}
        for number, line in read_lines(self.ann_file):
            where = f'{self.ann_file}:{number}'
            match = self._LINE.fullmatch(line)
            if match is None:
                raise ValueError(f"{where}: expected a line such as "
                                 f"'train_00001.jpg 5', got '{line[:100]}'")
            name, split, label = match.groups()
            if label not in tuple('1234567'):
                raise ValueError(f"{where}: the label of {name} must be 1-7 "
                                 f"(1 is {classes[0]}), got '{label[:100]}'")
            if lines.setdefault(name, number) != number:
                raise ValueError(f'{where}: {name} is listed twice, first in '
                                 f'line {lines[name]}')
            if split == release:
                records.append(
                    dict(
                        img_path=osp.join(self.img_prefix,
                                          f'{name}_aligned.jpg'),
                        name=name,
                        expression=classes[int(label) - 1],
                        where=where))
        return records

    def _read_subjects(self, records: List[dict]) -> List[Optional[str]]:
        path = self.val_group_file
        if path == 'auto':
            path = osp.join(self.data_root, 'sources.csv')
            path = path if osp.isfile(path) else None
        if path is None or not (self.val_split or self.num_folds):
            return [None] * len(records)
        path, known = osp.expanduser(path), {}
        for number, (name, subject) in read_columns(path,
                                                    ('name', 'identity')):
            if known.setdefault(name, subject) != subject:
                raise ValueError(
                    f"{path}:{number}: '{name[:100]}' is '{subject[:100]}', "
                    f"but '{known[name][:100]}' in a line before. Remove one "
                    'of them')
        unknown = [r['name'] for r in records if not known.get(r['name'])]
        if unknown:
            raise ValueError(
                f'{path}: no identity for {len(unknown)} training samples, '
                f"the first is '{unknown[0]}'. Set val_group_file=None to "
                'split without regard to subjects')
        return [known[r['name']] for r in records]

    def _add_annotations(self, records: List[dict]) -> None:
        path = osp.join(self.data_root, 'landmarks68.json')
        points = load_json(path) if osp.isfile(path) else None
        parsing = osp.join(self.data_root, 'parsing')
        masks = set(os.listdir(parsing)) if osp.isdir(parsing) else None
        if points is None and masks is None:
            raise FileNotFoundError(
                'RAFDB: with_annotations=True, but neither landmarks68.json '
                f"nor parsing is in '{self.data_root}'")
        for r in records:
            name = r['name']
            if points is not None:
                if not isinstance(points, dict) or name not in points:
                    raise ValueError(f"{path}: no points for '{name}'")
                r['gt_keypoints'] = check_points(points[name],
                                                 f"{path}: '{name}'")[None]
            if masks is not None:
                r['seg_map_path'] = osp.join(parsing, f'{name}.png')
                if f'{name}.png' not in masks:
                    raise FileNotFoundError(f"RAFDB: no mask for '{name}', "
                                            f"expected '{r['seg_map_path']}'")
