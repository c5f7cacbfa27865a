# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/verify_dataset.py`` does, as functions."""
import argparse
import hashlib
import os
import os.path as osp
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import cv2
import numpy as np
from mmengine.utils import ProgressBar

from orsa.datasets import RAFDB, AffectNet, FERPlus, ImageFolder, OccluFER
from orsa.datasets.fer_dataset import FERDataset
from orsa.datasets.ferplus import VOTE_RULES
from orsa.datasets.published import PUBLISHED, Published
from orsa.utils.classes import AFFECTNET_CLASSES, CONVENTIONS
from orsa.utils.fileio import atomic_path
from orsa.utils.image_files import MISSING, file_fault
from orsa.utils.image_reader import collect_notes, decoder_messages
from orsa.visualization import draw_class_grid, thumbnail

NAMES = ('rafdb', 'affectnet7', 'affectnet8', 'ferplus', 'occlufer',
         'imagefolder')
SPLIT_FOLDERS = ('train', 'training', 'val', 'valid', 'validation', 'test')
# How many images are in memory at once, and how many files a finding names
_BATCH, _NAMED = 256, 5


def add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verification."""
    parser.add_argument('name', choices=NAMES, help='the data set')
    parser.add_argument('root', help='the folder that holds it')
    parser.add_argument(
        '--out',
        help='folder of the sheets of samples (default: work_dirs/verify_NAME)'
    )
    parser.add_argument(
        '--convention',
        choices=list(CONVENTIONS),
        help='what folders named by index mean (imagefolder, occlufer)')
    parser.add_argument(
        '--classes',
        nargs='+',
        help='the classes, of any names (imagefolder, default: the eight '
        'expressions)')
    parser.add_argument(
        '--vote-rule',
        choices=list(VOTE_RULES),
        default='filtered',
        help='what makes a label of the votes (ferplus, default: filtered)')
    parser.add_argument(
        '--allow-duplicates',
        action='store_true',
        help='the same picture in two splits, or under two classes, is a '
        'warning for a data set of your own too, as it is for published ones')
    parser.add_argument(
        '--num-workers', type=int, default=2, help='threads (default: 2)')


@dataclass
class SplitReport:
    """What was found of a split.

    Args:
        split (str): Its name.
        layout (str): How it lies on the disk.
        counts (dict[str, int]): Images by class.
        left_out (dict[str, int]): Images by what is not among the classes.
        sizes (Counter): Images by (width, height), in pixels.
    """
    split: str
    layout: str
    counts: Dict[str, int]
    left_out: Dict[str, int]
    sizes: Counter = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """The number of images that have a class."""
        return sum(self.counts.values())


@dataclass
class Report:
    """What was found of a data set.

    Args:
        name (str): One of :data:`NAMES`.
        root (str): Its folder.
        splits (list[SplitReport]): The splits that could be read.
        errors (list[str]): What makes training on it wrong.
        warnings (list[str]): What should be known.
        notes (list[str]): What is as it should be.
        written (list[str]): The files written: the list of pictures that are
            there more than once, a PNG of samples for each split.
        published (bool): Whether the counts are those of a public release.
    """
    name: str
    root: str
    splits: List[SplitReport] = field(default_factory=list)
    errors: List[str] = field(default_factory=list)
    warnings: List[str] = field(default_factory=list)
    notes: List[str] = field(default_factory=list)
    written: List[str] = field(default_factory=list)
    published: bool = False

    def lines(self) -> List[str]:
        """The report as lines of text."""
        lines = [f"{self.name} in '{self.root}'"]
        for s in self.splits:
            lines.append(f'  {s.split}: {s.layout}')
        lines += ['', *self._table(), '']
        for s in self.splits:
            lines.append(f'{s.split} images: {_sizes(s.sizes)}')
            if s.left_out:
                lines.append(f'{s.split} leaves out: ' +
                             ', '.join(f'{n:,} {name}'
                                       for name, n in s.left_out.items()))
        for kind, texts in (('', self.notes), ('WARNING: ', self.warnings),
                            ('ERROR: ', self.errors)):
            lines += [kind + text for text in texts]
        lines += [f'wrote {path}' for path in self.written]
        lines.append('')
        found = (f'{_plural(len(self.errors), "error")}, '
                 f'{_plural(len(self.warnings), "warning")}')
        lines.append(('NOT fit for training' if self.errors else 'usable') +
                     f': {found}')
        return lines

    def _table(self) -> List[str]:
        known = PUBLISHED.get(self.name, ())
        published = known[0].counts if known else {}
        header, columns = ['class'], []
        for s in self.splits:
            header.append(s.split)
            columns.append(s.counts)
            counts = published.get(s.split)
            if isinstance(counts, dict):
                header.append('published')
                columns.append(counts)
        classes = list(self.splits[0].counts) if self.splits else []
        rows = [[c, *(f'{column.get(c, 0):,}' for column in columns)]
                for c in classes]
        rows.append(
            ['all', *(f'{sum(column.values()):,}' for column in columns)])
        width = max([10] + [len(row[0]) for row in rows])
        return [
            ' '.join([f'{row[0]:<{width}}'] + [f'{v:>10}' for v in row[1:]])
            for row in [header, *rows]
        ] if classes else []


def _plural(count: int, what: str) -> str:
    return f'{count:,} {what}' + ('' if count == 1 else 's')


def _sizes(sizes: Counter) -> str:
    if not sizes:
        return 'none could be read'
    common = ', '.join(f'{w}x{h} ({n:,})'
                       for (w, h), n in sizes.most_common(3))
    if len(sizes) <= 3:
        return common
    sides = [min(size) for size in sizes], [max(size) for size in sizes]
    return (f'{len(sizes):,} sizes, sides of {min(sides[0])} to '
            f'{max(sides[1])} pixels; most often {common}')


def _add(findings: List[str], what: str, items: List[str]) -> None:
    """Add a finding, if there is one, with its number and first files."""
    more = len(items) - _NAMED
    if items:
        findings.append(f'{what} ({len(items):,}): ' +
                        '; '.join(items[:_NAMED]) +
                        (f'; and {more:,} more' if more > 0 else ''))


def find_datasets(
        name: str,
        root: str,
        convention: Optional[str] = None,
        vote_rule: str = 'filtered',
        classes: Optional[Sequence[str]] = None) -> Dict[str, FERDataset]:
    """The data sets of all splits, not read yet.

    Args:
        name (str): One of :data:`NAMES`.
        root (str): The folder.
        convention (str, optional): As of :class:`ImageFolder`.
        vote_rule (str): As of :class:`FERPlus`.
        classes (Sequence[str], optional): As of :class:`ImageFolder`.
            Defaults to None: AffectNet's eight.

    Returns:
        dict[str, FERDataset]: By split.
    """
    options = dict(data_root=root, lazy_init=True, skip_unreadable=True)
    if name == 'imagefolder':
        folders = sorted((
            f for f in os.listdir(root)
            if f.casefold() in SPLIT_FOLDERS and osp.isdir(osp.join(root, f))),
                         key=lambda f: SPLIT_FOLDERS.index(f.casefold()))
        return {
            folder or 'all':
            ImageFolder(
                data_prefix=folder,
                convention=convention,
                classes=classes or AFFECTNET_CLASSES,
                **options)
            for folder in folders or ['']
        }
    if name == 'occlufer':
        kind, options['convention'] = OccluFER, convention
        splits = ['train', 'val']
        if osp.isdir(osp.join(root, OccluFER.SPLITS['rafdb_occlu'])):
            splits.append('rafdb_occlu')
    elif name == 'ferplus':
        kind, options['vote_rule'] = FERPlus, vote_rule
        splits = ['train', 'val', 'test']
    elif name == 'rafdb':
        kind, splits = RAFDB, ['train', 'test']
    else:
        kind, splits = AffectNet, ['train', 'val']
        options['classes'] = AFFECTNET_CLASSES[:int(name[-1])]
    return {split: kind(split=split, **options) for split in splits}


def verify(name: str,
           root: str,
           out: Optional[str] = None,
           convention: Optional[str] = None,
           vote_rule: str = 'filtered',
           allow_duplicates: bool = False,
           num_workers: int = 2,
           classes: Optional[Sequence[str]] = None) -> Report:
    """Look at every image of a data set and at its labels.

    Two pictures are the same if all their pixels are; a copy that was
    compressed or resized again is not noticed. Images are read one after the
    other and not kept: memory grows by about half a kilobyte an image.

    Args:
        name (str): One of :data:`NAMES`.
        root (str): The folder that holds it; ``~`` is expanded.
        out (str, optional): The folder of the sheets of samples and of
            ``duplicates.txt``. Defaults to None: neither is written.
        convention (str, optional): What folders named by index mean, see
            :class:`orsa.datasets.ImageFolder`. Defaults to None.
        vote_rule (str): Of FERPlus. Defaults to 'filtered'.
        allow_duplicates (bool): Whether the same picture in two splits or
            under two classes is no error in a data set of one's own either.
            Defaults to False.
        num_workers (int): Threads that read. Defaults to 2.
        classes (Sequence[str], optional): Of folders, as of
            :class:`orsa.datasets.ImageFolder`. Defaults to None: AffectNet's
            eight.

    Returns:
        Report: Its ``errors`` are what makes training on the data wrong:
        lists that cannot be read, missing and unreadable files, the same
        picture in two splits or under two classes. Counts that are not the
        published ones, classes without an image, repeated pictures, a person
        in two splits, folders of no class and pictures on the disk that the
        data set does not take are ``warnings``.

    Raises:
        ValueError: If the name is unknown.
        FileNotFoundError: If there is no such folder.
    """
    if name not in NAMES:
        raise ValueError(f"no data set is called '{name}', expected one of "
                         f'{list(NAMES)}')
    root = osp.expanduser(root)
    if not osp.isdir(root):
        raise FileNotFoundError(f"there is no folder '{root}'")
    report = Report(name, root)
    datasets = find_datasets(name, root, convention, vote_rule, classes)
    lists = _read_lists(report, datasets)
    _compare_counts(report, lists)
    scan = _Scan(report, datasets, lists, draw=out is not None)
    scan.run(max(1, num_workers))
    scan.report_files()
    scan.report_duplicates(allow_duplicates, out)
    _report_persons(report, lists)
    if len(lists) == len(datasets):
        _report_unlisted(report, datasets, lists)
    if out is not None:
        scan.draw_sheets(out)
    return report


def _read_lists(report: Report,
                datasets: Dict[str, FERDataset]) -> Dict[str, List[dict]]:
    lists, wrong = {}, defaultdict(list)
    for split, dataset in datasets.items():
        try:
            lists[split] = dataset.load_data_list()
        except (FileNotFoundError, ValueError) as error:
            # splits may share a list
            wrong[str(error)].append(split)
            continue
        found = Counter(r['expression'] for r in lists[split])
        counts = {c: found.pop(c, 0) for c in dataset.CLASSES}
        report.splits.append(
            SplitReport(split, dataset.layout, counts, dict(found)))
        if found and isinstance(dataset, ImageFolder):
            report.warnings.append(
                f'{split} has folders of none of the classes, which are left '
                'out: ' + ', '.join(f'{c} ({n:,})' for c, n in found.items()))
        empty = [c for c, n in counts.items() if not n]
        if len(empty) == len(counts):
            report.errors.append(f'{split} has no image of any class')
        elif empty:
            report.warnings.append(
                f"{split} has no image of {', '.join(empty)}")
    report.errors += [
        f"{' and '.join(splits)} cannot be read: {error}"
        for error, splits in wrong.items()
    ]
    return lists


def _compare_counts(report: Report, lists: Dict[str, List[dict]]) -> None:
    releases = PUBLISHED.get(report.name, ())
    if not releases or not report.splits:
        return
    wrong = [_differences(report, lists, p) for p in releases]
    # the release that it is most like
    nearest = min(
        range(len(releases)), key=lambda i: sum(n for n, _ in wrong[i]))
    published, texts = releases[nearest], [text for _, text in wrong[nearest]]
    if texts:
        report.warnings.append(
            f'by its counts this is not {published.name} as published '
            f'({published.source}), but another data set or a part of it: ' +
            '; '.join(texts))
    elif len(report.splits) == len(published.counts):
        report.published = True
        report.notes.append(f'the counts are those of {published.name} as '
                            f'published ({published.source})')


def _differences(report: Report, lists: Dict[str, List[dict]],
                 published: Published) -> List[Tuple[int, str]]:
    """How far each split is off, and in which words."""
    found = []
    for s in report.splits:
        counts = published.counts.get(s.split)
        if counts is None:
            continue
        by_class = isinstance(counts, dict)
        total = sum(counts.values()) if by_class else counts
        # rows without a class are rows too
        own = len(lists[s.split]) if published.all_rows else s.total
        if own != total:
            found.append(
                (abs(own - total), f'{s.split} {own:,} instead of {total:,}'))
        elif by_class and counts != s.counts:
            other = [
                f'{c} {n:,} instead of {counts[c]:,}'
                for c, n in s.counts.items() if n != counts[c]
            ]
            found.append((1, f"{s.split}: {', '.join(other)}"))
    return found


def _report_persons(report: Report, lists: Dict[str, List[dict]]) -> None:
    splits = defaultdict(dict)  # in the order in which they come
    for split, records in lists.items():
        for r in records:
            if 'person' in r:
                splits[r['person']][split] = None
    _add(report.warnings, 'persons in two splits', [
        f"'{person}' in {' and '.join(where)}"
        for person, where in splits.items() if len(where) > 1
    ])


def _report_unlisted(report: Report, datasets: Dict[str, FERDataset],
                     lists: Dict[str, List[dict]]) -> None:
    """Look at the disk, whatever the data sets take from it."""
    taken = {
        osp.abspath(r['img_path'])
        for records in lists.values()
        for r in records if 'img_path' in r  # not the pixels of a csv file
    }
    deep = [d.img_prefix for d in datasets.values() if isinstance(d, OccluFER)]
    if report.name == 'imagefolder':
        deep = [report.root]
    flat = {osp.dirname(path) for path in taken} if not deep else ()
    pictures, others = set(), Counter()
    for path in (*_files(deep, True), *_files(flat, False)):
        if osp.abspath(path) in taken:
            continue
        if file_fault(path) is None and cv2.haveImageReader(path):
            pictures.add(osp.relpath(path, report.root))
        else:
            others[osp.splitext(path)[1].lower() or 'without a suffix'] += 1
    _add(report.warnings, 'pictures that the data set does not take',
         sorted(pictures))
    if others and deep:
        report.notes.append('files that are no pictures: ' +
                            ', '.join(f'{n:,} {kind}'
                                      for kind, n in sorted(others.items())))


def _files(folders: Iterable[str], deep: bool) -> Iterator[str]:
    for folder in folders:
        for parent, below, files in os.walk(folder):
            if not deep:
                below.clear()
            yield from (osp.join(parent, f) for f in files)


class _Scan:
    """One pass over all images.

    Args:
        report (Report): Is filled in.
        datasets (dict[str, FERDataset]): By split.
        lists (dict[str, list[dict]]): The records of the splits.
        draw (bool): Whether samples are kept for sheets.
    """
    COLUMNS, SIZE = 10, 96

    def __init__(self, report: Report, datasets: Dict[str, FERDataset],
                 lists: Dict[str, List[dict]], draw: bool):
        self.report = report
        self.datasets = datasets
        self.splits = {s.split: s for s in report.splits}
        # what is no class is not trained on, and not looked at
        self.records: List[dict] = []
        self.split_of: List[str] = []
        for split, records in lists.items():
            kept = [
                r for r in records
                if r['expression'] in datasets[split].CLASSES
            ]
            self.records += kept
            self.split_of += [split] * len(kept)
        self.samples = {
            split: {
                c: []
                for c in datasets[split].CLASSES
            }
            for split in lists
        }
        self.wanted = self._choose() if draw else set()
        self.missing: List[str] = []
        self.unreadable: List[str] = []
        self.blank: List[str] = []
        # what is wrong with a picture that is read
        self.damaged: Dict[int, str] = {}
        # of the pixels, 0 where there is no picture; in 64 bits two of a
        # million pictures share one by chance once in 40 million data sets
        self.digests = np.zeros(len(self.records), np.uint64)

    def _choose(self) -> set:
        members = defaultdict(list)
        for i, (split, r) in enumerate(zip(self.split_of, self.records)):
            members[split, r['expression']].append(i)
        chosen = set()
        for rows in members.values():
            # spread over the list, for neighbours are often alike
            places = np.linspace(0, len(rows) - 1, self.COLUMNS).round()
            chosen.update(rows[int(place)] for place in places)
        return chosen

    def run(self, num_workers: int) -> None:
        """Read every image, a batch at a time."""
        if not self.records:
            return
        bar = ProgressBar(len(self.records), file=sys.stderr)
        with ThreadPoolExecutor(num_workers) as pool:
            for start in range(0, len(self.records), _BATCH):
                batch = range(start, min(start + _BATCH, len(self.records)))
                with decoder_messages() as said:
                    results = list(pool.map(self._examine, batch))
                for i, result in zip(batch, results):
                    self._note(i, *result)
                if said:
                    self._find_damaged(batch)
                bar.update(len(batch))
        bar.file.write('\n')

    def _examine(self, i: int) -> tuple:
        split, record = self.split_of[i], self.records[i]
        with collect_notes() as notes:
            image, reason = self.datasets[split].read_image(record)
        for note in notes:
            self.damaged[i] = note
        if image is None:
            return reason, None, 0, False, None
        digest = hashlib.blake2b(image, digest_size=8)
        digest.update(repr(image.shape).encode())
        small = thumbnail(image, self.SIZE) if i in self.wanted else None
        number = int.from_bytes(digest.digest(), 'big')
        blank = image.min() == image.max()
        return None, image.shape[1::-1], number, blank, small

    def _find_damaged(self, batch: Sequence[int]) -> None:
        """Which pictures of a batch the decoders have said something of."""
        for i in batch:
            split, record = self.split_of[i], self.records[i]
            with decoder_messages() as said, collect_notes():
                image, _ = self.datasets[split].read_image(record)
            if said and image is not None:
                self.damaged.setdefault(i, said[0])

    def _note(self, i: int, reason: Optional[str], size: tuple, digest: int,
              blank: bool, small: Optional[np.ndarray]) -> None:
        split, record = self.split_of[i], self.records[i]
        if reason == MISSING:
            self.missing.append(self._where(i))
            return
        if reason:
            self.unreadable.append(f'{self._where(i)} ({reason})')
            return
        self.splits[split].sizes[size] += 1
        if small is not None:
            self.samples[split][record['expression']].append(small)
        if blank:
            # all such are the same picture, which says nothing
            self.blank.append(self._where(i))
        else:
            self.digests[i] = digest

    def _where(self, i: int) -> str:
        split, record = self.split_of[i], self.records[i]
        path = record.get('img_path')
        return (osp.relpath(path, self.report.root)
                if path else f"{split} {record['name']}")

    def report_files(self) -> None:
        """Say which files are missing, unreadable or blank."""
        errors, warnings = self.report.errors, self.report.warnings
        _add(errors, 'missing files', self.missing)
        _add(errors, 'unreadable files', self.unreadable)
        _add(warnings, 'damaged files, which are read', [
            f'{self._where(i)} ({self.damaged[i]})'
            for i in sorted(self.damaged)
        ])
        _add(warnings, 'images of one colour', self.blank)

    def _pairs(self) -> List[Tuple[int, int]]:
        """Each picture that was there before, with its first place."""
        _, first, inverse = np.unique(
            self.digests, return_index=True, return_inverse=True)
        firsts = first[inverse]
        again = np.flatnonzero((firsts != np.arange(len(firsts)))
                               & (self.digests != 0))
        return [(int(firsts[i]), int(i)) for i in again]

    def report_duplicates(self, allow: bool, out: Optional[str]) -> None:
        """Say which pictures are there more than once, all in a file."""
        across, labels, within = [], [], []
        for a, b in self._pairs():
            names = [self.records[i]['expression'] for i in (a, b)]
            where = [self._where(i) for i in (a, b)]
            if self.split_of[a] != self.split_of[b]:
                across.append(' = '.join(where))
            if names[0] != names[1]:
                labels.append(' = '.join(f'{w} ({n})'
                                         for w, n in zip(where, names)))
            elif self.split_of[a] == self.split_of[b]:
                within.append(' = '.join(where))
        # what others published is known to be so, and figures are given on it
        warn = allow or self.report.published
        severe = self.report.warnings if warn else self.report.errors
        found = {
            'the same picture in two splits': across,
            'the same picture under two classes, one of them wrong': labels,
            'the same picture twice in a split': within
        }
        for what, items in found.items():
            _add(self.report.warnings if items is within else severe, what,
                 items)
        if out is not None and any(found.values()):
            path = osp.join(out, 'duplicates.txt')
            os.makedirs(out, exist_ok=True)
            with atomic_path(path) as temporary, open(
                    temporary, 'w', encoding='utf-8') as file:
                for what, items in found.items():
                    file.writelines(f'{what}: {item}\n' for item in items)
            self.report.written.append(path)

    def draw_sheets(self, out: str) -> None:
        """Draw the samples of every split."""
        for split, samples in self.samples.items():
            path = osp.join(out, f'{split}.png')
            report = self.splits[split]
            draw_class_grid(
                samples, report.counts, path,
                f'{osp.basename(osp.abspath(self.report.root))} as '
                f'{self.report.name}, {split}: {report.total:,} images',
                self.COLUMNS, self.SIZE)
            self.report.written.append(path)


def run(args: argparse.Namespace) -> Report:
    """Verify by parsed arguments, see :func:`add_verify_arguments`."""
    out = args.out or osp.join('work_dirs', f'verify_{args.name}')
    return verify(args.name, args.root, out, args.convention, args.vote_rule,
                  args.allow_duplicates, args.num_workers, args.classes)
