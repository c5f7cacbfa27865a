# Copyright (c) orsa contributors. All rights reserved.
import hashlib
import logging
import os
import os.path as osp
from collections import Counter
from typing import Collection, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from orsa.registry import DATASETS
from orsa.utils.classes import RAFDB_CLASSES
from orsa.utils.image_files import IMAGE_SUFFIXES
from .image_dataset import ImageDataset
from .images import check_inside
from .subset_list import select_samples
from .text_files import read_classes, read_lines

EXPRESSIONS = (*RAFDB_CLASSES, 'contempt')


@DATASETS.register_module()
class FERDataset(ImageDataset):
    """Base of the datasets of facial expressions, with labels by name.

    The conventions of the field number the classes differently, so a record
    names its expression and the number is made once, here, from ``classes``.

    As it is, it reads a text file of lines ``path/of/image.jpg happiness``. A
    subclass overrides :meth:`load_data_list` to return records with the keys
    ``img_path``, ``name`` (of the sample, unique) and ``expression`` (the
    class's name). What a pipeline gets has ``img_path``, ``name``,
    ``gt_label`` and ``sample_idx``.

    Args:
        ann_file (str): The list of samples. Defaults to ''.
        metainfo (dict, optional): May hold ``classes``. Defaults to None.
        data_root (str): The root of ``ann_file`` and ``data_prefix``; ``~`` is
            expanded. Defaults to ''.
        split (str, optional): Where a subclass has several. Defaults to None.
        classes (Sequence[str] | str, optional): Names of the classes in the
            order of the labels, or a file with one a line; of data of one's
            own any names, e.g. 'pain'. May leave classes out: their samples
            are dropped, which is logged and counted in ``num_dropped``.
            Defaults to None, ``METAINFO['classes']``.
        subset_file (str, optional): A text file that selects samples: one
            name a line (further columns are ignored, so the lists of RAN's
            occlusion and pose protocols work as they are), or one index a
            line, counted before classes are left out. Blank lines, lines
            that begin with ``#`` and a first line that counts the others are
            ignored, what is listed twice counts once. Or a folder: what has
            the name of an image in it is selected. Defaults to None.
        skip_unreadable (bool): Whether to decode every image once at the
            start and leave out those that fail, which is logged and counted
            in ``skipped``. In test mode ``metainfo['num_skipped']`` passes
            the number to the metric. Otherwise an unreadable image is an
            error when it is loaded. Defaults to False.
        duplicates_of (dict, optional): Another dataset, usually that of
            training, in which :meth:`duplicates` looks for this one's
            images: what differs from this dataset's type and
            ``data_root``, such as ``dict(split='train')``. ``tools/test.py``
            then gives every metric without them too. Defaults to None.
        targets (str): 'classes', the class index ``gt_label`` alone; or
            'one-hot', also ``gt_score``, float32 (C, ), 1 at the class, so
            that batches can be joined with those of a dataset that has soft
            targets. Defaults to 'classes'.
        test_mode (bool, optional): Defaults to None: False, True for a
            ``split`` other than 'train'.
        lazy_init (bool): Whether to put off reading. Defaults to False.
        **kwargs: ``pack`` and ``seed`` of :class:`ImageDataset`, and arguments
            of :class:`mmpretrain.datasets.BaseDataset`, among them
            ``data_prefix``, the folder of the images.

    Raises:
        FileNotFoundError: If ``ann_file``, the images' folder or
            ``subset_file`` is missing.
        ValueError: For an unknown split, unknown or repeated classes,
            malformed lists, or if no sample is left.
        OSError: On loading, if an image cannot be read.
    """

    METAINFO = {'classes': RAFDB_CLASSES}

    # Whether ``classes`` may hold other names than expressions'; not where
    # somebody else made them.
    ANY_CLASSES = True
    # What is expected on disk and where it comes from, for messages.
    LAYOUT = "a text file of lines 'path/of/image.jpg happiness'"
    SOURCE = ''
    # Names of the splits; a subclass may map them to what it needs.
    SPLITS: Union[Sequence[str], dict] = ()
    # Kinds of targets.
    TARGETS: Sequence[str] = ('classes', 'one-hot')
    # Whether a subset_file that names classes by index, as RAN's lists do,
    # means the order of METAINFO.
    LISTS_NAME_CLASSES = False
    # what results are given on, whatever a release calls it
    TEST_SPLITS = ('test', )
    # whether the training split can be divided, see SplitDataset
    DIVIDES = False
    # names of the samples that the other part of a divided split has
    other_part: Collection[str] = ()

    def __init__(self,
                 ann_file: str = '',
                 metainfo: Optional[dict] = None,
                 data_root: str = '',
                 split: Optional[str] = None,
                 classes: Union[Sequence[str], str, None] = None,
                 subset_file: Optional[str] = None,
                 skip_unreadable: bool = False,
                 duplicates_of: Optional[dict] = None,
                 targets: str = 'classes',
                 test_mode: Optional[bool] = None,
                 lazy_init: bool = False,
                 **kwargs):
        self.split = self.check_choice('split', split, self.SPLITS or [None])
        self.targets = self.check_choice('targets', targets, self.TARGETS)
        self._classes_file = classes if isinstance(classes, str) else ''
        if self._classes_file:
            classes = read_classes(classes)
        if classes is not None:
            # before metainfo's, which a config may inherit
            metainfo = dict(metainfo or {}, classes=tuple(map(str, classes)))
        self.names_classes = not self.ANY_CLASSES or bool(
            (metainfo or {}).get('classes'))
        if test_mode is None:
            test_mode = split not in (None, 'train')
        super().__init__(
            ann_file=ann_file,
            metainfo=metainfo,
            data_root=osp.expanduser(data_root),
            test_mode=test_mode,
            lazy_init=True,
            **kwargs)
        self._metainfo['classes'] = self._check_classes(self.CLASSES)
        self.subset_file = subset_file
        self.skip_unreadable = skip_unreadable
        self.duplicates_of = duplicates_of
        self.num_dropped: Dict[str, int] = {}
        self.passed_over: Dict[str, int] = {}
        # how the data lay on the disk, once they are read
        self.layout = ''
        if not lazy_init:
            self.full_init()

    def check_choice(self, name: str, value, known: Sequence):
        """Return an argument's value; ValueError unless it is known."""
        if value not in known:
            raise ValueError(f'{type(self).__name__}: {name} must be one of '
                             f"{list(known)}, got '{value}'")
        return value

    def _check_classes(self, classes: Sequence[str]) -> Tuple[str, ...]:
        known = dict.fromkeys((*self.METAINFO['classes'], *EXPRESSIONS))
        unknown = [] if self.ANY_CLASSES else sorted({*classes} - {*known})
        where = f"{type(self).__name__}: classes '{self._classes_file}'"
        if unknown or not classes:
            raise ValueError(f'{where}: unknown classes {str(unknown)[:500]}, '
                             f'expected some of {list(known)}')
        if len(set(classes)) < len(classes):
            raise ValueError(f'{where}: a class is named twice in '
                             f'{str(list(classes))[:500]}')
        return tuple(classes)

    def require(self, path: str, what: str) -> None:
        """Raise FileNotFoundError, with the layout, if a path is missing."""
        packed = self.pack and path == self.img_prefix
        if not packed and not osp.exists(path):
            raise FileNotFoundError(
                f"{type(self).__name__}: {what} is not at '{path}'. Expected "
                f"under data_root='{self.data_root}': {self.LAYOUT}. "
                f'{self.SOURCE}'.rstrip())

    def load_data_list(self) -> List[dict]:
        """Read records with ``img_path``, ``name`` and ``expression``."""
        self.require(self.ann_file, 'the list of samples')
        known = dict.fromkeys(
            (*self.CLASSES, *self.METAINFO['classes'], *EXPRESSIONS))
        # the longest first, for a name may end as another, 'no pain'
        ends = [' ' + name for name in sorted(known, key=len, reverse=True)]
        data_list, first = [], {}
        for number, line in read_lines(self.ann_file):
            expression = next(filter(line.endswith, ends), '')[1:]
            path = line.removesuffix(expression).strip()
            where = f'{self.ann_file}:{number}'
            if not path or not expression:
                raise ValueError(
                    f"{where}: expected '<image> <expression>' with one of "
                    f"{list(known)}, got '{line[:100]}'")
            check_inside(path, self.img_prefix, where)
            name = self.sample_name(path)
            known_in = first.setdefault(osp.normpath(name), number)
            if known_in != number:
                raise ValueError(f"{where}: '{path[:100]}' is listed twice, "
                                 f'or has the name of another sample: first '
                                 f'in line {known_in}')
            data_list.append(
                dict(
                    img_path=osp.join(self.img_prefix, path),
                    name=name,
                    expression=expression))
        if not data_list:
            raise ValueError(f"'{self.ann_file}' lists no sample")
        return data_list

    def sample_name(self, entry: str) -> str:
        """The name of a sample from a path or name, with or without suffix."""
        root, suffix = osp.splitext(entry)
        return root if suffix.lower() in IMAGE_SUFFIXES else entry

    def check_present(self,
                      records: List[dict],
                      what: str,
                      ann_file: str = '') -> None:
        """Raise FileNotFoundError unless the images of records exist.

        ``where`` of a record is the file and the line that name it, or the
        line in ``ann_file``; ``what`` the records are, e.g. "images of split
        'test'".
        """
        if self.pack:
            for record in records:
                self.pack.check(record['img_path'])
            return
        paths = [osp.split(r['img_path']) for r in records]
        # one listing of a folder, not a request for each of its files
        files = {
            folder: set(os.listdir(folder) if osp.isdir(folder) else ())
            for folder in dict(paths)
        }
        missing = [
            r for r, (folder, name) in zip(records, paths)
            if name not in files[folder]
        ]
        if missing:
            where = f'{ann_file}:' * bool(ann_file) + str(missing[0]['where'])
            raise FileNotFoundError(
                f"{where}: '{missing[0]['img_path']}' is listed "
                f'but not there, one of {len(missing)} of the {len(records)} '
                f'{what}. Unpack the archive again, or set '
                'skip_unreadable=True to go on without them')

    def duplicates(self) -> List[str]:
        """Names of samples whose image is in ``duplicates_of`` too."""
        other = dict(
            type=type(self),
            data_root=self.data_root,
            skip_unreadable=self.skip_unreadable,
            pipeline=[])
        if self.pack:
            other.update(pack=self.pack.db_path)
        other = DATASETS.build({**other, **self.duplicates_of})

        def digests(dataset):
            infos = map(dataset.get_data_info, range(len(dataset)))
            return {i['name']: hashlib.blake2b(dataset.image_bytes(i)).digest()
                    for i in infos}  # yapf: disable

        seen = set(digests(other).values())
        return [name for name, d in digests(self).items() if d in seen]

    def filter_data(self) -> List[dict]:
        """Number the classes; leave out what was requested to be left out."""
        data_list = self.data_list
        if self.subset_file is not None:
            data_list = select_samples(self, data_list)
        data_list = self._number_classes(data_list)
        if self.skip_unreadable:
            data_list = self.drop_unreadable(data_list)
        if not data_list:
            raise ValueError(
                f'{type(self).__name__}: no sample is left of '
                f"{len(self.data_list)} in '{self.ann_file or self.data_root}'"
                f" (classes '{self._classes_file}' {list(self.CLASSES)}, "
                f'subset_file {self.subset_file}, '
                f'unreadable {len(self.skipped)})')
        if self.test_mode:
            self._metainfo['num_skipped'] = len(self.skipped)
        return data_list

    def look_up(self, line: str, index: Dict[str, int]) -> Optional[int]:
        """The place in ``index`` of the sample that a list's line names."""
        for entry in (line, line.split()[0]):
            for name in (entry, self.sample_name(entry)):
                if name in index:
                    return index[name]
        return None

    def _number_classes(self, data_list: List[dict]) -> List[dict]:
        numbers, dropped, kept = self.class_to_idx, Counter(), []
        for info in data_list:
            info = dict(info)
            expression = info.pop('expression')
            if expression in numbers:
                kept.append(dict(info, gt_label=numbers[expression]))
            else:
                dropped[expression] += 1
        if self.targets == 'one-hot':
            one_hot = np.eye(len(numbers), dtype=np.float32)
            for info in kept:
                info['gt_score'] = one_hot[info['gt_label']]
        self.num_dropped = dict(dropped)
        # a misspelt name is not refused where any is allowed
        present = {info['gt_label'] for info in kept}
        absent = [
            name for name, number in numbers.items()
            if number not in present and name not in EXPRESSIONS
        ]
        if absent:
            self.log(
                f'no sample has the classes {absent}, see that they are '
                'spelt as in the data', logging.WARNING)
        if dropped:
            self.log(f'{sum(dropped.values())} of {len(data_list)} samples '
                     'are left out, their classes were not requested: '
                     f'{self.num_dropped}')
        return kept

    def extra_repr(self) -> List[str]:
        """The extra repr information of the dataset."""
        split = [f'Split: \t{self.split}'] if self.SPLITS else []
        return [f'Root of dataset: \t{self.data_root}'] + split
