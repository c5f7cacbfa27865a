# Copyright (c) orsa contributors. All rights reserved.
import os.path as osp
import re
from collections import defaultdict
from typing import Dict, List, Optional, Sequence

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile

from orsa.registry import DATASETS
from orsa.utils.classes import FERPLUS_CLASSES
from .fer_dataset import FERDataset
from .images import ImageOrReason, check_inside
from .text_files import read_columns, whole_number

VOTES = (*FERPLUS_CLASSES, 'unknown', 'NF')
SIDE = 48


def majority(votes: Sequence[int]) -> str:
    """The column of :data:`VOTES` with most votes; of equal ones the first."""
    votes = list(votes)
    return VOTES[votes.index(max(votes))] if any(votes) else 'unknown'


def filtered(votes: Sequence[int]) -> str:
    """The column with more than half of the votes that have company.

    Single votes are taken for slips and removed first. The authors' own code
    calls this rule 'majority'.
    """
    votes = [v if v > 1 else 0 for v in votes]
    best = max(votes)
    return VOTES[votes.index(best)] if 2 * best > sum(votes) else 'unknown'


def distribution(votes: Sequence[int], vote_rule: str,
                 classes: Sequence[str]) -> np.ndarray:
    """The fraction of each class in the votes that go to one of the classes.

    The training target of the cross-entropy loss of `Barsoum et al. 2016
    <https://arxiv.org/abs/1608.01041>`_. As in the authors' code, the rule
    'filtered' removes single votes first.

    Returns float32 (C, ) with a sum of 1; 0 if no class has a vote.
    """
    if vote_rule == 'filtered':
        votes = [v if v > 1 else 0 for v in votes]
    votes = np.array([votes[VOTES.index(c)] for c in classes], np.float32)
    return votes / max(votes.sum(), 1)


VOTE_RULES = dict(majority=majority, filtered=filtered)


@DATASETS.register_module()
class FERPlus(FERDataset):
    """FER+, the faces of FER2013 with the votes of ten people each.

    `Training Deep Networks for Facial Expression Recognition with
    Crowd-Sourced Label Distribution <https://arxiv.org/abs/1608.01041>`_.
    ``fer2013new.csv`` is public (https://github.com/microsoft/FERPlus), the
    faces are those of FER2013. They are read as pixels from a csv file, whose
    rows are those of the votes, or from folders: ::

        ferplus                             ferplus
        ├── fer2013.csv                     ├── FER2013Train
        └── fer2013new.csv                  │   ├── fer0000000.png
                                            │   └── ...
                                            ├── FER2013Valid
                                            ├── FER2013Test
                                            └── fer2013new.csv

    ``fer2013.csv`` (columns ``emotion``, ``pixels``, ``Usage``) may also be in
    ``fer2013``, the folders in ``images`` or ``data``. In the csv layout the
    split's faces are kept as uint8 of 48x48, 66 MB for training; samples come
    with their image, and the pipeline's ``LoadImageFromFile`` is left out.

    A name that stands on several rows (four do in the release) belongs to
    samples of its own: the first is called by the name, the others by it and
    their row, 'fer0006953_row_6968'. In folders such rows have one file, that
    of the last row.

    ``vote_rule`` makes a label of the votes; what is 'unknown' or 'NF' (no
    face) by the rule is dropped, which is logged.

    Args:
        data_root (str): Defaults to 'data/ferplus'.
        split (str): 'train', 'val' (PublicTest) or 'test' (PrivateTest).
            Defaults to 'train'.
        vote_rule (str): 'majority', the column with most votes (of equal ones
            the first), or 'filtered', the rule of the authors' code: single
            votes are removed, and more than half of the rest is needed.
            Defaults to 'filtered'.
        targets (str): 'classes' or 'one-hot', see :class:`FERDataset`; or
            'votes', ``gt_score`` being the distribution of the votes over
            ``classes`` (:func:`distribution`). Defaults to 'classes'.
        ann_file (str): The votes. Defaults to 'fer2013new.csv'.
        **kwargs: Other arguments of :class:`FERDataset`. The test split has
            ``duplicates_of`` the training split, unless it is given: 259 of
            its faces by the rule 'filtered' stand there too.

    Raises:
        FileNotFoundError: If the votes or the faces are missing.
        ValueError: For an unknown split, rule or kind of targets, a malformed
            row, or files whose rows do not belong together.
    """

    METAINFO = {'classes': FERPLUS_CLASSES}
    ANY_CLASSES = False
    TARGETS = (*FERDataset.TARGETS, 'votes')
    LISTS_NAME_CLASSES = True
    LAYOUT = ('fer2013new.csv, and fer2013.csv or FER2013Train, FER2013Valid '
              'and FER2013Test with fer0000000.png, ...')
    SOURCE = ('fer2013new.csv comes from https://github.com/microsoft/FERPlus,'
              ' the faces are those of FER2013 (Kaggle, "Challenges in '
              'Representation Learning"). Set ORSA_FERPLUS or data_root to the'
              ' folder that holds both')
    SPLITS = dict(
        train=('Training', 'FER2013Train'),
        val=('PublicTest', 'FER2013Valid'),
        test=('PrivateTest', 'FER2013Test'))

    def __init__(self,
                 data_root: str = 'data/ferplus',
                 split: str = 'train',
                 vote_rule: str = 'filtered',
                 ann_file: str = 'fer2013new.csv',
                 **kwargs):
        self.vote_rule = self.check_choice('vote_rule', vote_rule,
                                           list(VOTE_RULES))
        self._pixels: Optional[np.ndarray] = None
        self._bad_pixels: Dict[int, str] = {}
        if split == 'test':
            kwargs.setdefault(
                'duplicates_of',
                dict(split='train', vote_rule=vote_rule, ann_file=ann_file))
        super().__init__(
            ann_file=ann_file, data_root=data_root, split=split, **kwargs)

    def load_data_list(self) -> List[dict]:
        """Read the votes of the split, and its faces or their paths."""
        self.require(self.ann_file, 'the file of votes')
        records = self._read_votes()
        folder = self.SPLITS[self.split][1]
        pixels = self._find('fer2013.csv', 'fer2013/fer2013.csv')
        images = self._find(folder, f'images/{folder}', f'data/{folder}')
        unused = ['file', 'where']
        if pixels is not None:
            self.layout = f'pixels of {osp.basename(pixels)}'
            self._read_pixels(pixels, records)
        elif images is not None:
            self.layout = f'folder of images ({folder})'
            unused.append('row')
            for r in records:
                check_inside(r['file'], images, r['where'])
                r['img_path'] = osp.join(images, r['file'])
        else:
            self.require(
                osp.join(self.data_root, 'fer2013.csv'), 'the file of pixels')
        self.layout += f", votes by the rule '{self.vote_rule}'"
        faces = [r for r in records if r['expression'] in self.CLASSES]
        self.log(f"votes are counted by the rule '{self.vote_rule}': "
                 f'{len(faces)} of {len(records)} faces have a class')
        if pixels is None and not self.skip_unreadable:
            self.check_present(faces, f"images of split '{self.split}'")
        for r in records:
            for key in unused:
                del r[key]
        return records

    def _find(self, *names: str) -> Optional[str]:
        paths = (osp.join(self.data_root, name) for name in names)
        return next(filter(osp.exists, paths), None)

    def _read_votes(self) -> List[dict]:
        rule = VOTE_RULES[self.vote_rule]
        usages = [usage for usage, _ in self.SPLITS.values()]
        records, rows_of = [], defaultdict(list)
        rows = read_columns(self.ann_file, ('Usage', 'Image name', *VOTES))
        for row, (number, (usage, file, *votes)) in enumerate(rows):
            where = f'{self.ann_file}:{number}'
            counts = [whole_number(v) for v in votes]
            if usage not in usages or None in counts:
                raise ValueError(
                    f'{where}: expected one of {usages} and ten numbers of '
                    f"votes, got '{usage[:100]}' and {str(votes)[:200]}")
            if usage != self.SPLITS[self.split][0]:
                continue
            # a row without a face has no file's name either
            name = self.sample_name(file) if file else f'row_{row}'
            rows_of[name].append(row)
            if len(rows_of[name]) > 1:
                name += f'_row_{row}'
            record = dict(
                name=name,
                expression=rule(counts) if file else 'NF',
                file=file,
                row=row,
                where=where)
            if self.targets == 'votes':
                record['gt_score'] = distribution(counts, self.vote_rule,
                                                  self.CLASSES)
            records.append(record)
        repeated = [
            f'{name} {rows}' for name, rows in rows_of.items() if len(rows) > 1
        ]
        if repeated:
            self.log(f"names on several rows of '{self.ann_file}': "
                     f"{', '.join(repeated)[:500]}. Each row is a sample, "
                     'the later ones as NAME_row_ROW')
        return records

    def _read_pixels(self, path: str, records: List[dict]) -> None:
        faces = np.zeros((len(records), SIDE, SIDE), np.uint8)
        places = {r['row']: i for i, r in enumerate(records)}
        usage, count = self.SPLITS[self.split][0], 0
        rows = read_columns(path, ('pixels', 'Usage'))
        for row, (number, (pixels, used)) in enumerate(rows):
            count += used == usage
            if (row in places) != (used == usage):
                raise ValueError(
                    f"{path}:{number}: the row is of '{used[:100]}', but "
                    f"{self.ann_file} has {'' if row in places else 'no '}"
                    f"row of '{usage}' there: the rows of the two files are "
                    'not the same faces. Take both as they were released')
            if row not in places:
                continue
            place = places[row]
            try:
                values = np.array(pixels.encode('ascii').split(), np.int64)
            except (OverflowError, ValueError):  # no numbers, or too large
                values = np.empty(0)
            if values.size != SIDE**2 or values.min() < 0 or \
                    values.max() > 255:
                reason = (f'{path}:{number}: expected {SIDE * SIDE} numbers '
                          f"of 0-255, got {values.size}, '{pixels[:20]}...'")
                if not self.skip_unreadable:
                    raise ValueError(reason)
                self._bad_pixels[place] = reason
                continue
            faces[place] = values.reshape(SIDE, SIDE)
        if count != len(records):
            raise ValueError(f"{path}: {count} rows of '{usage}', but "
                             f'{len(records)} in {self.ann_file}: one of the '
                             'files is cut off, or not as released')
        for r in records:
            r['row'] = places[r['row']]
        self._pixels = faces
        # the samples come with their image
        self.pipeline.transforms = [
            t for t in self.pipeline.transforms
            if not isinstance(t, LoadImageFromFile)
        ]

    def read_image(self, info: dict) -> ImageOrReason:
        """Read the image of a record from the file or the pixels."""
        if self._pixels is None:
            return super().read_image(info)
        if info['row'] in self._bad_pixels:
            return None, self._bad_pixels[info['row']]
        return cv2.cvtColor(self._pixels[info['row']],
                            cv2.COLOR_GRAY2BGR), None

    def image_bytes(self, info: dict) -> bytes:
        """The content of the file, or the pixels of the csv layout."""
        if self._pixels is None:
            return super().image_bytes(info)
        return self._pixels[info['row']].tobytes()

    def get_data_info(self, idx: int) -> dict:
        """A record, in the csv layout with ``img``, BGR uint8 (48, 48, 3)."""
        info = super().get_data_info(idx)
        if self._pixels is not None:
            info['img'], _ = self.read_image(info)
            info['img_shape'] = info['ori_shape'] = (SIDE, SIDE)
        return info

    def sample_name(self, entry: str) -> str:
        """Read RAN's '1_fer0034656.png' and '0/fer0032226.jpg' too."""
        return re.sub(r'^\d_(?=fer)', '',
                      super().sample_name(osp.basename(entry)))
