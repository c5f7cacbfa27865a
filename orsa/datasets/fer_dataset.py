# Copyright (c) orsa contributors. All rights reserved.
import hashlib
import logging
import math
import os
import os.path as osp
from collections import Counter, defaultdict
from typing import Dict, List, Optional, Sequence, Set, Tuple, Union

import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.logging import print_log
from mmpretrain.datasets import BaseDataset

from orsa.datasets.seeding import SharedEpoch, seeded
from orsa.registry import DATASETS
from orsa.utils.classes import RAFDB_CLASSES
from orsa.utils.image_files import IMAGE_SUFFIXES, file_fault, read_bytes
from orsa.utils.image_reader import ImageError, decode_image, warn_notes
from .packed_files import BACKEND, PackedFiles
from .subset_list import (listed_label, read_classes, read_lines, read_subset,
                          whole_number)
from .transforms.load_face import use_one_reader

EXPRESSIONS = (*RAFDB_CLASSES, 'contempt')


def read_image(path: str) -> Tuple[Optional[np.ndarray], Optional[str]]:
    """Read an image, or say why it cannot be read.

    Args:
        path (str): The file.

    Returns:
        tuple: The image, BGR uint8 of shape (H, W, 3), and None; or None and
        the reason, :data:`orsa.utils.image_files.MISSING` where there is no
        file.
    """
    fault = file_fault(path)
    if fault:
        return None, fault
    try:
        with open(path, 'rb') as file:
            data = file.read()
    except OSError as error:
        return None, f'it cannot be read ({error.strerror})'
    return _decode(data, path)


def _decode(data: bytes,
            path: str) -> Tuple[Optional[np.ndarray], Optional[str]]:
    try:
        image, notes = decode_image(data)
    except ImageError as error:
        return None, str(error)
    warn_notes(path, notes)
    return image, None


def check_inside(path: str, root: str, where: str) -> None:
    """Refuse a path of a list that leads out of a folder.

    Links are not followed: what lies in the folder was put there by its
    owner.

    Args:
        path (str): As it is listed. Absolute ones are taken where ``root`` is
            empty.
        root (str): The folder.
        where (str): File and line, for the message.

    Raises:
        ValueError: If it does, or cannot be a path.
    """
    first = osp.normpath(path).split(osp.sep, 1)[0]
    outside = root and (osp.isabs(path) or first == osp.pardir)
    if outside or len(path) > 4096 or '\0' in path:
        raise ValueError(
            f"{where}: '{path[:100]}' is no path below '{root}', where the "
            'images are')


def _rank(name: str, seed: int) -> bytes:
    return hashlib.sha256(f'{seed}:{name}'.encode()).digest()


def _members(groups: Sequence[str]) -> Dict[str, List[int]]:
    members = defaultdict(list)
    for i, group in enumerate(groups):
        members[group].append(i)
    return members


def hold_out(names: Sequence[str],
             labels: Sequence,
             fraction: float,
             seed: int = 0,
             groups: Optional[Sequence[str]] = None) -> Set[str]:
    """Choose a stratified part of a data set by name.

    The choice depends on the names, the labels and the seed, not on the order
    in which they come: what is ranked first by a hash of its name and the seed
    is taken first.

    Args:
        names (Sequence[str]): The samples, each once.
        labels (Sequence): The class of each.
        fraction (float): The share of every class to hold out, in [0, 1).
        seed (int): Another seed, another part. Defaults to 0.
        groups (Sequence[str], optional): E.g. the person in each picture. A
            group is held out as a whole or not at all, and only if no class
            gets more than its share. Defaults to None.

    Returns:
        set[str]: The names held out.
    """

    share = {c: round(fraction * n) for c, n in Counter(labels).items()}
    members = _members(names if groups is None else groups)
    held, chosen = Counter(), set()
    for group in sorted(members, key=lambda g: _rank(g, seed)):
        more = Counter(labels[i] for i in members[group])
        if all(held[c] + n <= share[c] for c, n in more.items()):
            held.update(more)
            chosen.update(names[i] for i in members[group])
    return chosen


def assign_folds(names: Sequence[str],
                 labels: Sequence,
                 num_folds: int,
                 seed: int = 0,
                 groups: Optional[Sequence[str]] = None) -> Dict[str, int]:
    """Divide a data set into stratified folds by name.

    Depends on the names, the labels and the seed, not on the order in which
    they come, nor on a library's version: models trained on such folds are
    told later which of them has not seen a sample. Groups are placed one
    after the other, those that hold most of some class first, each where its
    classes are scarcest so far.

    Args:
        names (Sequence[str]): The samples, each once.
        labels (Sequence): The class of each.
        num_folds (int): How many folds, at least 2.
        seed (int): Another seed, other folds. Defaults to 0.
        groups (Sequence[str], optional): E.g. the person in each picture. A
            group is in one fold as a whole. Defaults to None.

    Returns:
        dict[str, int]: The fold of each name, from 0.

    Raises:
        ValueError: If there are fewer than 2 folds, or fewer groups (without
            groups, samples) than folds.
    """
    members = _members(names if groups is None else groups)
    if not 2 <= num_folds <= len(members):
        raise ValueError(f'num_folds must be 2 or more and at most '
                         f'{len(members)}, the number of groups, got '
                         f'{num_folds}')
    classes = {c: i for i, c in enumerate(sorted(set(labels)))}
    total = np.bincount([classes[c] for c in labels])
    # in whole numbers, so that what is equal ties on every machine
    weight = [math.lcm(*total.tolist()) // int(n) for n in total]
    counts = {
        group: Counter(classes[labels[i]] for i in rows)
        for group, rows in members.items()
    }

    def share(group):
        return sum(weight[c] * n for c, n in counts[group].items())

    filled = [Counter() for _ in range(num_folds)]
    sizes, folds = [0] * num_folds, {}

    def growth(fold, group):
        # of the sum of the squared shares, which is least when all are equal
        return sum(weight[c]**2 * n * (2 * filled[fold][c] + n)
                   for c, n in counts[group].items())

    # a second sort keeps the order by hash among equals
    order = sorted(members, key=lambda g: _rank(g, seed))
    for group in sorted(order, key=share, reverse=True):
        fold = min(
            range(num_folds), key=lambda k: (growth(k, group), sizes[k], k))
        filled[fold].update(counts[group])
        sizes[fold] += len(members[group])
        folds.update((names[i], fold) for i in members[group])
    return folds


@DATASETS.register_module()
class FERDataset(BaseDataset):
    """Base of the data sets of facial expressions, with labels by name.

    The conventions of the field number the classes differently, so a record
    names its expression and the number is made once, here, from ``classes``.

    As it is, it reads a text file of lines ``path/of/image.jpg happiness``. A
    subclass overrides :meth:`load_data_list` to return records with the keys
    ``img_path``, ``name`` (of the sample, unique) and ``expression`` (the
    class's name). What a pipeline gets has ``img_path``, ``name``,
    ``gt_label`` and ``sample_idx``.

    Random numbers drawn by the pipeline depend on (seed, epoch, index) alone.
    So they are the same for any number of workers and after a resume, provided
    that :meth:`set_epoch` is called: :class:`ReseedHook` does, and
    :class:`ClassBalancedSampler`, for wrappers of data sets as well. Python's,
    numpy's and torch's own generators are left as they were.

    Args:
        ann_file (str): The list of samples. Defaults to ''.
        metainfo (dict, optional): May hold ``classes``. Defaults to None.
        data_root (str): The root of ``ann_file`` and ``data_prefix``; ``~`` is
            expanded. Defaults to ''.
        data_prefix (str | dict): The folder of the images. Defaults to ''.
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
            in ``skipped``. In test mode ``metainfo['num_skipped']`` tells the
            metric. Otherwise an unreadable image is an error when it is
            loaded. Defaults to False.
        duplicates_of (dict, optional): Another data set, usually that of
            training, in which :meth:`duplicates` looks for this one's
            pictures: what differs from this data set's type and
            ``data_root``, such as ``dict(split='train')``. ``tools/test.py``
            then gives every figure without them too. Defaults to None.
        pack (str, optional): A file of packed images, written by
            ``tools/dataset_converters/pack_images.py``: the pipeline reads
            them from it, and they need not be on the disk; lists of samples
            are still read there. Defaults to None.
        seed (int, optional): Of the pipeline's random numbers. Defaults to
            None: the run's (torch's initial seed), and 0 in test mode.
        lazy_init (bool): Whether to put off reading. Defaults to False.
        **kwargs: Other arguments of :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        FileNotFoundError: If ``ann_file``, the images' folder or
            ``subset_file`` is missing.
        ValueError: For unknown or repeated classes, malformed lists, or if no
            sample is left.
        OSError: On loading, if an image cannot be read.
    """

    METAINFO = {'classes': RAFDB_CLASSES}

    # Whether ``classes`` may hold other names than expressions'; not where
    # somebody else made them.
    ANY_CLASSES = True
    # What a subclass says when its files are missing.
    LAYOUT = "a text file of lines 'path/of/image.jpg happiness'"
    SOURCE = ''
    # Whether a subset_file that names classes by index, as RAN's lists do,
    # means the order of METAINFO.
    LISTS_NAME_CLASSES = False

    def __init__(self,
                 ann_file: str = '',
                 metainfo: Optional[dict] = None,
                 data_root: str = '',
                 data_prefix: Union[str, dict] = '',
                 classes: Union[Sequence[str], str, None] = None,
                 subset_file: Optional[str] = None,
                 skip_unreadable: bool = False,
                 duplicates_of: Optional[dict] = None,
                 pack: Optional[str] = None,
                 seed: Optional[int] = None,
                 lazy_init: bool = False,
                 **kwargs):
        source = ''
        if isinstance(classes, str):
            source = f" ('{classes}')"
            classes = read_classes(classes)
        self.names_classes = not self.ANY_CLASSES or bool(
            classes or (metainfo or {}).get('classes'))
        if classes is not None:
            classes = [str(name) for name in classes]
            # before metainfo's, which a config may inherit
            metainfo = dict(metainfo or {}, classes=tuple(classes))
        super().__init__(
            ann_file=ann_file,
            metainfo=metainfo,
            data_root=osp.expanduser(data_root),
            data_prefix=data_prefix,
            classes=classes,
            lazy_init=True,
            **kwargs)
        use_one_reader(self.pipeline)
        self._classes_source = source
        self._metainfo['classes'] = self._check_classes(self.CLASSES, source)
        self.subset_file = subset_file
        self.skip_unreadable = skip_unreadable
        self.duplicates_of = duplicates_of
        self.pack = pack and PackedFiles(pack, self.data_root)
        if self.pack:
            self._read_from_pack()
        self._own_seed = seed is not None
        if seed is None:
            # a call that draws nothing, so that building a data set does not
            # change what the model is initialised with
            seed = 0 if self.test_mode else torch.initial_seed() % 2**63
        self._clock = SharedEpoch(seed)
        self.num_dropped: Dict[str, int] = {}
        self.skipped: List[str] = []
        self.passed_over: Dict[str, int] = {}
        # how the data lay on the disk, once they are read
        self.layout = ''
        if not lazy_init:
            self.full_init()

    def _read_from_pack(self) -> None:
        for transform in self.pipeline.transforms:
            if isinstance(transform, LoadImageFromFile):
                transform.file_client_args = None
                transform.backend_args = dict(
                    backend=BACKEND,
                    db_path=self.pack.db_path,
                    root=self.pack.root)

    def _check_classes(self, classes: Sequence[str],
                       source: str) -> Tuple[str, ...]:
        known = dict.fromkeys((*self.METAINFO['classes'], *EXPRESSIONS))
        unknown = [
            c for c in classes if c not in known and not self.ANY_CLASSES
        ]
        if unknown or not classes:
            raise ValueError(f'{type(self).__name__}{source}: unknown classes '
                             f'{str(unknown)[:500]}, expected some of '
                             f'{list(known)}')
        if len(set(classes)) < len(classes):
            raise ValueError(f'{type(self).__name__}{source}: a class is named'
                             f' twice in {str(list(classes))[:500]}')
        return tuple(classes)

    @property
    def epoch(self) -> int:
        """The epoch that the pipeline's random numbers are drawn for."""
        return self._clock.epoch

    @property
    def seed(self) -> int:
        """The seed of the pipeline's random numbers."""
        return self._clock.seed

    def set_epoch(self, epoch: int, seed: Optional[int] = None) -> None:
        """Set the epoch (and the seed) of the pipeline's random numbers.

        Workers that run already see it too.

        Args:
            epoch (int): From 0.
            seed (int, optional): That of the run. None keeps the present one,
                and so does a data set that was given a seed of its own.
        """
        self._clock.set(epoch, None if self._own_seed else seed)

    def require(self, path: str, what: str) -> None:
        """Raise an error that tells how to put it right if a path is missing.

        Args:
            path (str): Of a file or folder.
            what (str): What it should hold.
        """
        packed = self.pack and path == self.img_prefix
        if not packed and not osp.exists(path):
            raise FileNotFoundError(
                f"{type(self).__name__}: {what} is not at '{path}'. Expected "
                f"under data_root='{self.data_root}': {self.LAYOUT}. "
                f'{self.SOURCE}'.rstrip())

    def load_data_list(self) -> List[dict]:
        """Read the list of samples.

        Returns:
            list[dict]: Records with ``img_path``, ``name``, ``expression``.
        """
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
            self.check_inside(path, where)
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

    def check_inside(self, path: str, where: str) -> None:
        """Refuse a path of a list that leads out of the images' folder.

        Args:
            path (str): As it is listed. Absolute ones are taken where the
                data set has no folder.
            where (str): File and line, for the message.

        Raises:
            ValueError: If it does, or cannot be a path.
        """
        check_inside(path, self.img_prefix, where)

    def read_image(self,
                   info: dict) -> Tuple[Optional[np.ndarray], Optional[str]]:
        """Read the image of a record, or say why it cannot be read.

        Args:
            info (dict): As :meth:`load_data_list` returns them.

        Returns:
            tuple: As of :func:`read_image`.
        """
        path = info['img_path']
        if not self.pack:
            return read_image(path)
        data = self.pack.find(path)
        if data is None:
            return None, f"it is not in '{self.pack.db_path}'"
        image, reason = _decode(data, path)
        return image, reason and f"in '{self.pack.db_path}' {reason}"

    def picture_bytes(self, info: dict) -> bytes:
        """The stored picture of a sample, as :meth:`duplicates` compares it.

        Args:
            info (dict): As of :meth:`get_data_info`.
        """
        path = info['img_path']
        return self.pack.get(path) if self.pack else read_bytes(path)

    def _digests(self) -> Dict[str, bytes]:
        infos = (self.get_data_info(i) for i in range(len(self)))
        return {
            info['name']: hashlib.blake2b(self.picture_bytes(info)).digest()
            for info in infos
        }

    def duplicates(self) -> List[str]:
        """The samples whose picture is in ``duplicates_of``, byte for byte.

        Returns:
            list[str]: Their names.

        Raises:
            FileNotFoundError: If the other data set is not there.
        """
        other = dict(type=type(self), data_root=self.data_root, pipeline=[])
        if self.pack:
            other.update(pack=self.pack.db_path)
        other = DATASETS.build({**other, **self.duplicates_of})
        seen = set(other._digests().values())
        return [
            name for name, digest in self._digests().items() if digest in seen
        ]

    def check_present(self,
                      records: List[dict],
                      what: str,
                      ann_file: str = '') -> None:
        """Raise an error if an image of ``records`` is not on the disk.

        Args:
            records (list[dict]): With ``img_path`` and ``where``, the file
                and the line that name it, or the line in ``ann_file``.
            what (str): What the records are, e.g. "images of split 'test'".
            ann_file (str): Defaults to ''.
        """
        present, missing = {}, []
        for r in records:
            if self.pack:
                self.pack.check(r['img_path'])
                continue
            folder, name = osp.split(r['img_path'])
            if folder not in present:
                # one listing of a folder, not a question for each of its files
                present[folder] = set(
                    os.listdir(folder) if osp.isdir(folder) else ())
            if name not in present[folder]:
                missing.append(r)
        if missing:
            where = f'{ann_file}:' * bool(ann_file) + str(missing[0]['where'])
            raise FileNotFoundError(
                f"{where}: '{missing[0]['img_path']}' is listed "
                f'but not there, one of {len(missing)} of the {len(records)} '
                f'{what}. Unpack the archive again, or set '
                'skip_unreadable=True to go on without them')

    def report_passed_over(self, passed_over: Dict[str, int]) -> None:
        """Say which files in the folders are no samples, in one line.

        Args:
            passed_over (dict[str, int]): Their number by kind, as of
                :func:`orsa.utils.image_files.find_images`; kept as
                ``passed_over``.
        """
        self.passed_over = passed_over
        if passed_over:
            self._log('passed over: ' +
                      ', '.join(f'{n} {kind}'
                                for kind, n in passed_over.items()))

    def sample_name(self, entry: str) -> str:
        """Turn an entry of a list of files into the name of a sample."""
        root, suffix = osp.splitext(entry)
        return root if suffix.lower() in IMAGE_SUFFIXES else entry

    def filter_data(self) -> List[dict]:
        """Number the classes; leave out what was asked to be left out."""
        data_list = self.data_list
        if self.subset_file is not None:
            data_list = self._select(data_list)
        data_list = self._number_classes(data_list)
        if self.skip_unreadable:
            data_list = self._drop_unreadable(data_list)
        if not data_list:
            raise ValueError(
                f'{type(self).__name__}: no sample is left of '
                f"{len(self.data_list)} in '{self.ann_file or self.data_root}'"
                f' (classes {list(self.CLASSES)}{self._classes_source}, '
                f'subset_file {self.subset_file}, '
                f'unreadable {len(self.skipped)})')
        if self.test_mode:
            self._metainfo['num_skipped'] = len(self.skipped)
        return data_list

    def _number_classes(self, data_list: List[dict]) -> List[dict]:
        numbers, dropped, kept = self.class_to_idx, Counter(), []
        for info in data_list:
            info = dict(info)
            expression = info.pop('expression')
            if expression in numbers:
                kept.append(dict(info, gt_label=numbers[expression]))
            else:
                dropped[expression] += 1
        self.num_dropped = dict(dropped)
        # a misspelt name is not refused where any is allowed
        present = {info['gt_label'] for info in kept}
        absent = [
            name for name, number in numbers.items()
            if number not in present and name not in EXPRESSIONS
        ]
        if absent:
            self._log(
                f'no sample has the classes {absent}, see that they are '
                'spelt as in the data', logging.WARNING)
        if dropped:
            self._log(f'{sum(dropped.values())} of {len(data_list)} samples '
                      'are left out, their classes were not asked for: '
                      f'{self.num_dropped}')
        return kept

    def _select(self, data_list: List[dict]) -> List[dict]:
        path = osp.expanduser(self.subset_file)
        if not osp.exists(path):
            path = osp.join(self.data_root, path)
        if not osp.exists(path):
            raise FileNotFoundError(
                f"{type(self).__name__}: subset_file '{self.subset_file}' is "
                f"neither a file nor one under data_root='{self.data_root}'")
        lines = read_subset(path)
        index = {info['name']: i for i, info in enumerate(data_list)}
        found = [self.look_up(line, index) for _, line in lines]
        numbers = [whole_number(line) for _, line in lines]
        if None in found and None not in numbers:
            found = numbers
        for (number, line), i in zip(lines, found):
            if i is None or i >= len(data_list):
                raise ValueError(
                    f"{path}:{number}: '{line[:100]}' is not among the "
                    f'{len(data_list)} samples of this data set. Expected a '
                    f"name such as '{data_list[0]['name']}', or an index in "
                    'every line')
        if self.LISTS_NAME_CLASSES:
            self._compare_labels(path, lines, [data_list[i] for i in found])
        chosen = sorted(set(found))
        self._report_lines(path, [data_list[i] for i in chosen], len(found))
        return [data_list[i] for i in chosen]

    def _report_lines(self, path: str, chosen: List[dict],
                      num_lines: int) -> None:
        dropped = Counter(info['expression'] for info in chosen
                          if info['expression'] not in self.CLASSES)
        without = [
            f"{n} of '{expression}', which is none of the classes"
            for expression, n in dropped.items()
        ]
        if num_lines > len(chosen):
            without.append(f'{num_lines - len(chosen)} repeated')
        self._log(
            f"{num_lines} lines of '{path}' select "
            f'{len(chosen) - sum(dropped.values())} samples' +
            (f"; without one are {', '.join(without)}" if without else ''))

    def _compare_labels(self, path: str, lines: List[Tuple[int, str]],
                        selected: List[dict]) -> None:
        names = dict(enumerate(self.METAINFO['classes']))
        other = [
            (number, line, info['expression'])
            for (number, line), info in zip(lines, selected)
            if listed_label(line) is not None and info['expression'] in self.
            CLASSES and names.get(listed_label(line)) != info['expression']
        ]
        if other:
            number, line, expression = other[0]
            self._log(
                f'{len(other)} of {len(lines)} lines of the list name another '
                'class than this data set, whose labels are used. The first: '
                f"{path}:{number}: '{line[:100]}' is {expression} here (the "
                f"list's indices are read as {list(names.values())})",
                logging.WARNING)

    def look_up(self, line: str, index: Dict[str, int]) -> Optional[int]:
        """Which sample a line of a list means.

        Args:
            line (str): As in a ``subset_file``.
            index (dict[str, int]): Names of the samples and their places.

        Returns:
            int | None: The place; None if it means none of them.
        """
        for entry in (line, line.split()[0]):
            for name in (entry, self.sample_name(entry)):
                if name in index:
                    return index[name]
        return None

    def _drop_unreadable(self, data_list: List[dict]) -> List[dict]:
        reasons = [self.read_image(info)[1] for info in data_list]
        self.skipped = [d['name'] for d, r in zip(data_list, reasons) if r]
        for info, reason in zip(data_list, reasons):
            if reason:
                where = info.get('img_path', info['name'])
                self._log(f"'{where}' is skipped: {reason}", logging.WARNING)
        if self.skipped:
            self._log(
                f'{len(self.skipped)} of {len(data_list)} images cannot be '
                'read and are skipped', logging.WARNING)
        return [info for info, r in zip(data_list, reasons) if r is None]

    def _log(self, message: str, level: int = logging.INFO) -> None:
        print_log(
            f'{type(self).__name__}: {message}', logger='current', level=level)

    def prepare_data(self, idx: int) -> Optional[dict]:
        """Run the pipeline on a sample with random numbers of its own.

        Args:
            idx (int): The index. A :class:`RepeatedIndex` makes every draw of
                the sample another one.

        Returns:
            dict: What the pipeline returns. In training a sample for which it
            returns None is replaced by another one.

        Raises:
            OSError: If the image cannot be read.
        """
        draw, idx = getattr(idx, 'draw', 0), int(idx)
        if idx < 0:
            idx += len(self)
        with seeded(self.seed, self.epoch, idx, draw):
            if self.test_mode:
                return self._run_pipeline(idx)
            for _ in range(self.max_refetch + 1):
                data = self._run_pipeline(idx)
                if data is not None:
                    return data
                idx = self._rand_another()
        raise RuntimeError(
            f'{type(self).__name__}: the pipeline returned None for '
            f'{self.max_refetch + 1} samples in a row')

    def _run_pipeline(self, idx: int) -> Optional[dict]:
        info = self.get_data_info(idx)
        path = info.get('img_path')
        try:
            return self.pipeline(info)
        except Exception as error:
            if path and self.pack and not self.pack.exists(path):
                raise  # it says what to do
            reason = path and self.read_image(dict(info, img_path=path))[1]
            if not reason:
                error.add_note(f"{type(self).__name__}: at sample {idx}, "
                               f"'{path or info.get('name')}'")
                raise
            raise OSError(
                f"{type(self).__name__}: cannot read '{path}' (sample {idx}): "
                f'{reason}. Expected an image file. Restore it from the '
                'original archive, or set skip_unreadable=True to go on '
                'without it') from error

    def extra_repr(self) -> List[str]:
        """The extra repr information of the dataset."""
        return [f'Root of dataset: \t{self.data_root}']
