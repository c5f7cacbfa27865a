# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/misc/verify_dataset.py`` does, as functions."""
import argparse
import os
import os.path as osp
from collections import Counter, defaultdict
from typing import Dict, List, Optional, Sequence, Tuple

import cv2

from orsa.datasets import RAFDB, AffectNet, FERPlus, ImageFolder, OccluFER
from orsa.datasets.fer_dataset import FERDataset
from orsa.datasets.ferplus import VOTE_RULES
from orsa.datasets.image_folder import CONVENTIONS
from orsa.datasets.published import PUBLISHED, Published
from orsa.utils.classes import AFFECTNET_CLASSES
from orsa.utils.image_files import file_fault
from .image_scan import ImageScan
from .verify_report import Report, SplitReport

DATASETS = dict(
    rafdb=(RAFDB, ('train', 'test')),
    affectnet7=(AffectNet, ('train', 'val')),
    affectnet8=(AffectNet, ('train', 'val')),
    ferplus=(FERPlus, ('train', 'val', 'test')),
    occlufer=(OccluFER, ('train', 'val')),
    imagefolder=(ImageFolder, ()))
NAMES = tuple(DATASETS)
SPLIT_FOLDERS = ('train', 'training', 'val', 'valid', 'validation', 'test')

Records = Dict[str, List[dict]]


def add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verification."""
    add = parser.add_argument
    add('name', choices=NAMES, help='the dataset')
    add('root', help='the folder that holds it')
    add('--out',
        help='folder of the grids of samples (default: work_dirs/verify_NAME)')
    add('--convention',
        choices=list(CONVENTIONS),
        help='what folders named by index mean (imagefolder, occlufer)')
    add('--classes',
        nargs='+',
        default=AFFECTNET_CLASSES,
        help='the classes, of any names (imagefolder, default: the eight '
        'expressions)')
    add('--vote-rule',
        choices=list(VOTE_RULES),
        default='filtered',
        help='how votes become a label (ferplus, default: filtered)')
    add('--allow-duplicates',
        action='store_true',
        help='the same image in two splits, or under two classes, is a '
        'warning for a dataset of your own too, as it is for published ones')
    add('--num-workers', type=int, default=2, help='threads (default: 2)')


def _find_datasets(name: str, root: str, convention: Optional[str],
                   vote_rule: str,
                   classes: Sequence[str]) -> Dict[str, FERDataset]:
    """The datasets of all splits, not read yet."""
    kind, splits = DATASETS[name]
    options = dict(data_root=root, lazy_init=True, skip_unreadable=True)
    if kind is ImageFolder:
        folders = [
            f for f in os.listdir(root)
            if f.casefold() in SPLIT_FOLDERS and osp.isdir(osp.join(root, f))
        ]
        folders.sort(key=lambda f: (SPLIT_FOLDERS.index(f.casefold()), f))
        return {
            folder or 'all':
            ImageFolder(
                data_prefix=folder,
                convention=convention,
                classes=classes,
                **options)
            for folder in folders or ['']
        }
    if kind is OccluFER:
        options['convention'] = convention
        if osp.isdir(osp.join(root, OccluFER.SPLITS['rafdb_occlu'])):
            splits += ('rafdb_occlu', )
    elif kind is FERPlus:
        options['vote_rule'] = vote_rule
    elif kind is AffectNet:
        options['classes'] = AFFECTNET_CLASSES[:int(name[-1])]
    return {split: kind(split=split, **options) for split in splits}


def verify(name: str,
           root: str,
           out: Optional[str] = None,
           convention: Optional[str] = None,
           vote_rule: str = 'filtered',
           allow_duplicates: bool = False,
           num_workers: int = 2,
           classes: Sequence[str] = AFFECTNET_CLASSES) -> Report:
    """Check every image of a dataset and its labels.

    Two images are the same if all their pixels are; a copy that was
    compressed or resized again is not noticed. Images are read one after the
    other and not stored: memory grows by about half a kilobyte an image.

    Args:
        name (str): One of :data:`NAMES`.
        root (str): The folder that holds it; ``~`` is expanded.
        out (str, optional): The folder of the grids of samples and of
            ``duplicates.txt``. Defaults to None: neither is written.
        convention (str, optional): What folders named by index mean, see
            :class:`orsa.datasets.ImageFolder`.
        vote_rule (str): Of FERPlus.
        allow_duplicates (bool): Whether the same image in two splits or
            under two classes is no error in a dataset of one's own either.
        num_workers (int): Threads that read.
        classes (Sequence[str]): Of folders, as of
            :class:`orsa.datasets.ImageFolder`.

    Returns:
        Report: Its ``errors`` are what makes training on the data wrong:
        lists that cannot be read, missing and unreadable files, the same
        image in two splits or under two classes. Counts that are not the
        published ones, classes without an image, repeated images, a person
        in two splits, folders of no class and images on the disk that the
        dataset does not take are ``warnings``.

    Raises:
        ValueError: If the name is unknown.
        FileNotFoundError: If there is no such folder.
    """
    if name not in NAMES:
        raise ValueError(f"no dataset is called '{name}', expected one of "
                         f'{list(NAMES)}')
    root = osp.expanduser(root)
    if not osp.isdir(root):
        raise FileNotFoundError(f"there is no folder '{root}'")
    report = Report(name, root)
    datasets = _find_datasets(name, root, convention, vote_rule, classes)
    lists = _read_lists(report, datasets)
    _compare_counts(report, lists)
    scan = ImageScan(report, datasets, lists, draw=out is not None)
    scan.run(max(1, num_workers))
    scan.report_files()
    scan.report_duplicates(allow_duplicates, out)
    _report_persons(report, lists)
    if len(lists) == len(datasets):
        _report_unlisted(report, datasets, lists)
    if out is not None:
        scan.draw_samples(out)
    return report


def _read_lists(report: Report, datasets: Dict[str, FERDataset]) -> Records:
    lists, wrong = {}, defaultdict(list)
    for split, dataset in datasets.items():
        try:
            lists[split] = dataset.load_data_list()
        except (FileNotFoundError, ValueError) as error:
            wrong[str(error)].append(split)  # splits may share a list
            continue
        left_out = Counter(r['expression'] for r in lists[split])
        counts = {c: left_out.pop(c, 0) for c in dataset.CLASSES}
        report.splits.append(
            SplitReport(split, dataset.layout, counts, dict(left_out)))
        if left_out and isinstance(dataset, ImageFolder):
            report.warnings.append(
                f'{split} has folders of none of the classes, which are left '
                'out: ' + ', '.join(f'{c} ({n:,})'
                                    for c, n in left_out.items()))
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


def _compare_counts(report: Report, lists: Records) -> None:
    """Compare with the published release that the counts are nearest to."""
    releases = PUBLISHED.get(report.name, ())
    if not releases or not report.splits:
        return
    found, published = min(
        ((_differences(report, lists, p), p) for p in releases),
        key=lambda pair: sum(n for n, _ in pair[0]))
    if found:
        report.warnings.append(
            f'by its counts this is not {published.name} as published '
            f'({published.source}), but another dataset or a part of it: ' +
            '; '.join(text for _, text in found))
    elif len(report.splits) == len(published.counts):
        report.published = True
        report.notes.append(f'the counts are those of {published.name} as '
                            f'published ({published.source})')


def _differences(report: Report, lists: Records,
                 published: Published) -> List[Tuple[int, str]]:
    """By how many images each split differs, and in which words."""
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
            found.append(
                (1, f'{s.split}: ' +
                 ', '.join(f'{c} {n:,} instead of {counts[c]:,}'
                           for c, n in s.counts.items() if n != counts[c])))
    return found


def _report_persons(report: Report, lists: Records) -> None:
    splits = defaultdict(dict)  # in the order of the dataset
    for split, records in lists.items():
        for r in records:
            if 'person' in r:
                splits[r['person']][split] = None
    report.add('warnings', 'persons in two splits', [
        f"'{person}' in {' and '.join(where)}"
        for person, where in splits.items() if len(where) > 1
    ])


def _report_unlisted(report: Report, datasets: Dict[str, FERDataset],
                     lists: Records) -> None:
    """Find images on the disk that the datasets do not take."""
    taken = {
        osp.abspath(r['img_path'])
        for records in lists.values()
        for r in records if 'img_path' in r  # not the pixels of a csv file
    }
    deep = [d.img_prefix for d in datasets.values() if isinstance(d, OccluFER)]
    if report.name == 'imagefolder':
        deep = [report.root]
    if deep:
        files = [
            osp.join(parent, f) for folder in deep
            for parent, _, names in os.walk(folder) for f in names
        ]
    else:
        files = [
            entry.path for folder in {osp.dirname(path)
                                      for path in taken} if osp.isdir(folder)
            for entry in os.scandir(folder) if not entry.is_dir()
        ]
    images, others = set(), Counter()
    for path in files:
        if osp.abspath(path) in taken:
            continue
        if file_fault(path) is None and cv2.haveImageReader(path):
            images.add(osp.relpath(path, report.root))
        else:
            others[osp.splitext(path)[1].lower() or 'without a suffix'] += 1
    report.add('warnings', 'images that the dataset does not take',
               sorted(images))
    if others and deep:
        report.notes.append('files that are no images: ' +
                            ', '.join(f'{n:,} {kind}'
                                      for kind, n in sorted(others.items())))


def run(args: argparse.Namespace) -> Report:
    """Verify by parsed arguments, see :func:`add_verify_arguments`."""
    out = args.out or osp.join('work_dirs', f'verify_{args.name}')
    return verify(args.name, args.root, out, args.convention, args.vote_rule,
                  args.allow_duplicates, args.num_workers, args.classes)
