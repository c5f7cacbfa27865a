# Copyright (c) orsa contributors. All rights reserved.
import os
import os.path as osp
from typing import Iterator, List, Tuple

from orsa.registry import DATASETS
from orsa.utils.classes import AFFECTNET_CLASSES
from orsa.utils.fileio import load_npy
from .fer_dataset import FERDataset
from .images import check_inside
from .text_files import read_rows, whole_number

# The release numbers what is no expression as well; it is never a class.
_LABELS = dict(enumerate((*AFFECTNET_CLASSES, 'none', 'uncertain', 'no-face')))
_COLUMNS = ('subDirectory_filePath', 'face_x', 'face_y', 'face_width',
            'face_height', 'facial_landmarks', 'expression', 'valence',
            'arousal')


@DATASETS.register_module()
class AffectNet(FERDataset):
    """AffectNet, its manually annotated part.

    `AffectNet: A Database for Facial Expression, Valence, and Arousal
    Computing in the Wild <https://arxiv.org/abs/1708.03985>`_. The data are
    given by its authors on request (`project page
    <http://mohammadmahoor.com/affectnet/>`_). Both releases are read: ::

        affectnet                               csv release
        ├── Manually_Annotated_Images/1/<hash>.jpg, ...
        ├── training.csv        subDirectory_filePath, ..., expression, ...
        └── validation.csv

        affectnet                               npy release
        ├── train_set/annotations/0_exp.npy, ...
        ├── train_set/images/0.jpg, ...
        └── val_set/...

    The csv files may also be in ``Manually_Annotated_file_lists``. Labels 0-7
    are the eight classes; 8-10 (none, uncertain, no face) are no expressions
    and are dropped, which is logged. AffectNet-7 is the same without contempt:
    ``classes=AFFECTNET_CLASSES[:7]``.

    A sample's name is the hash (csv) or the number (npy), so RAN's occlusion
    and pose lists, which name hashes, select from the csv release alone.

    Args:
        data_root (str): Defaults to 'data/affectnet'.
        split (str): 'train' or 'val'. The test split is not public: the
            literature tests on 'val'. Defaults to 'train'.
        ann_file (str): The csv file, if it is another. Defaults to ''.
        data_prefix (str): The folder of the csv release's images. Defaults to
            'Manually_Annotated_Images'.
        **kwargs: Other arguments of :class:`FERDataset`.

    Raises:
        FileNotFoundError: If neither release, or a listed image, is there.
        ValueError: For an unknown split or label, and if an image is listed
            with two labels.
    """

    METAINFO = {'classes': AFFECTNET_CLASSES}
    ANY_CLASSES = False
    LISTS_NAME_CLASSES = True
    TEST_SPLITS = ('val', )  # the test split is not public
    LAYOUT = ('training.csv, validation.csv and Manually_Annotated_Images/'
              '<dir>/<hash>.jpg; or train_set and val_set, each with '
              'images/<n>.jpg and annotations/<n>_exp.npy')
    SOURCE = ('AffectNet is given by its authors on request '
              '(http://mohammadmahoor.com/affectnet/). Set ORSA_AFFECTNET or '
              'data_root to the folder that holds it')
    SPLITS = dict(
        train=('training.csv', 'train_set'), val=('validation.csv', 'val_set'))

    def __init__(self,
                 data_root: str = 'data/affectnet',
                 split: str = 'train',
                 data_prefix: str = 'Manually_Annotated_Images',
                 **kwargs):
        super().__init__(
            data_root=data_root,
            split=split,
            data_prefix=data_prefix,
            **kwargs)

    def load_data_list(self) -> List[dict]:
        """Read the release that is there; the csv one if both are."""
        file, folder = self.SPLITS[self.split]
        lists = [self.ann_file] if self.ann_file else [
            osp.join(self.data_root, sub, file)
            for sub in ('', 'Manually_Annotated_file_lists')
        ]
        folder = osp.join(self.data_root, folder)
        path = next(filter(osp.isfile, lists), '')
        if path:
            self.layout = f'csv release ({osp.basename(path)})'
            records = self._read_csv(path)
        else:
            if self.ann_file or not osp.isdir(folder):
                self.require(lists[0], 'the list of images and labels')
            self.layout = f'npy release ({osp.basename(folder)})'
            records = self._read_npy(folder)
        self.log(f'{self.layout}: {len(records)} annotated images')
        if not self.skip_unreadable:
            self.check_present(
                [r for r in records if r['expression'] in self.CLASSES],
                f"images of split '{self.split}'", path)
        for r in records:
            del r['where']
        return records

    def _read_csv(self, path: str) -> List[dict]:
        self.require(self.img_prefix, 'the folder of images')
        # by name: with 300,000 images a second table would be felt
        records, repeated = {}, 0
        for number, entry, label in self._rows(path):
            where = f'{path}:{number}'
            expression = self._expression(label, where)
            check_inside(entry, self.img_prefix, where)
            image = osp.join(self.img_prefix, entry)
            name = self.sample_name(entry)
            if records.get(name, dict(img_path=image))['img_path'] != image:
                # a hash that two folders have
                name = f'{osp.basename(osp.dirname(entry))}/{name}'
            known = records.setdefault(
                name,
                dict(
                    img_path=image,
                    name=name,
                    expression=expression,
                    where=number))
            repeated += known['where'] != number
            if known['expression'] != expression:
                raise ValueError(
                    f"{where}: '{entry[:100]}' is {expression}, but "
                    f"{known['expression']} in line {known['where']}. Remove "
                    'one of the lines')
        if not records:
            raise ValueError(f"'{path}' lists no image")
        if repeated:
            self.log(f'{repeated} lines of {path} repeat another one')
        return list(records.values())

    @staticmethod
    def _rows(path: str) -> Iterator[Tuple[int, str, str]]:
        """Number, image and label of each row; the header may be missing."""
        columns = None
        for number, row in read_rows(path):
            if columns is None:
                header = {_COLUMNS[0], 'expression'} <= set(row)
                columns = row if header else list(_COLUMNS)
                image = columns.index(_COLUMNS[0])
                label = columns.index('expression')
                if header:
                    continue
            if len(row) != len(columns):
                raise ValueError(
                    f'{path}:{number}: expected the columns '
                    f"{', '.join(columns)[:500]}, got '{','.join(row)[:80]}'")
            yield number, row[image], row[label]

    def _read_npy(self, folder: str) -> List[dict]:
        annotations = osp.join(folder, 'annotations')
        self.require(annotations, 'the folder of annotations')
        names = sorted(
            (f.removesuffix('_exp.npy')
             for f in os.listdir(annotations) if f.endswith('_exp.npy')),
            key=lambda name: (len(name), name))
        records = []
        for name in names:
            path = osp.join(annotations, f'{name}_exp.npy')
            label = load_npy(path)
            if label.size != 1:
                raise ValueError(f"'{path}' holds {label.size} values, "
                                 'expected one label')
            records.append(
                dict(
                    img_path=osp.join(folder, 'images', f'{name}.jpg'),
                    name=name,
                    # a string in the release
                    expression=self._expression(
                        str(label.reshape(())[()]), path),
                    where=path))
        return records

    @staticmethod
    def _expression(label: str, where: str) -> str:
        expression = _LABELS.get(whole_number(label))
        if expression is None:
            raise ValueError(f"{where}: the label must be 0-10 (0 is "
                             f"{_LABELS[0]}), got '{label[:100]}'")
        return expression

    def sample_name(self, entry: str) -> str:
        """Read '1/<hash>.jpg' and RAN's 'val/0/<hash>/' as the hash."""
        return super().sample_name(osp.basename(entry.rstrip('/')))
