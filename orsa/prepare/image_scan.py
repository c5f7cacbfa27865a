# Copyright (c) orsa contributors. All rights reserved.
"""One pass over all images of a dataset."""
import hashlib
import os
import os.path as osp
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Dict, List, Optional, Sequence

import numpy as np
from mmengine.utils import ProgressBar

from orsa.datasets.fer_dataset import FERDataset
from orsa.utils.fileio import atomic_path
from orsa.utils.image_files import MISSING
from orsa.utils.image_reader import collect_notes, decoder_messages
from orsa.visualization import draw_class_grid, thumbnail
from .verify_report import Report

# images that are in memory at once
_BATCH = 256
# severity and text of what is wrong with files
_FINDINGS = dict(
    missing=('errors', 'missing files'),
    unreadable=('errors', 'unreadable files'),
    damaged=('warnings', 'damaged files, which are read'),
    blank=('warnings', 'images of one colour'))


class ImageScan:
    """Reads every image that has a class, and reports what is wrong.

    Args:
        report (Report): Is filled in.
        datasets (dict[str, FERDataset]): By split.
        lists (dict[str, list[dict]]): The records of the splits.
        draw (bool): Whether samples are stored for grids.
    """
    COLUMNS, SIZE = 10, 96

    def __init__(self, report: Report, datasets: Dict[str, FERDataset],
                 lists: Dict[str, List[dict]], draw: bool):
        self.report = report
        self.datasets = datasets
        self.splits = {s.split: s for s in report.splits}
        self.rows = [(split, r) for split, records in lists.items()
                     for r in records
                     if r['expression'] in datasets[split].CLASSES]
        self.samples = defaultdict(list)  # by split and class
        members = defaultdict(list)
        for i, (split, r) in enumerate(self.rows):
            members[split, r['expression']].append(i)
        # spread over the list, for neighbours are often alike
        self.drawn = {
            rows[int(place)]
            for rows in members.values()
            for place in np.linspace(0,
                                     len(rows) - 1, self.COLUMNS).round()
        } if draw else set()
        # finding: row and text
        self.found: Dict[str, Dict[int, str]] = {k: {} for k in _FINDINGS}
        # of the pixels, 0 where there is no image; in 64 bits two of a
        # million images share one by chance once in 40 million datasets
        self.digests = np.zeros(len(self.rows), np.uint64)

    def run(self, num_workers: int) -> None:
        """Read every image, a batch at a time."""
        if not self.rows:
            return
        bar = ProgressBar(len(self.rows), file=sys.stderr)
        with ThreadPoolExecutor(num_workers) as pool:
            for start in range(0, len(self.rows), _BATCH):
                batch = range(start, min(start + _BATCH, len(self.rows)))
                with decoder_messages() as messages:
                    for i, seen in zip(batch,
                                       list(pool.map(self._examine, batch))):
                        self._record(i, seen)
                if messages:
                    self._find_damaged(batch)
                bar.update(len(batch))
        bar.file.write('\n')

    def _examine(self, i: int) -> dict:
        split, record = self.rows[i]
        with collect_notes() as notes:
            image, reason = self.datasets[split].read_image(record)
        if image is None:
            return dict(notes=notes, reason=reason)
        digest = hashlib.blake2b(image, digest_size=8)
        digest.update(repr(image.shape).encode())
        return dict(
            notes=notes,
            size=image.shape[1::-1],
            digest=int.from_bytes(digest.digest(), 'big'),
            blank=bool((image == image[0, 0]).all()),
            sample=thumbnail(image, self.SIZE) if i in self.drawn else None)

    def _record(self, i: int, seen: dict) -> None:
        split, record = self.rows[i]
        if seen['notes']:
            self.found['damaged'][i] = f' ({seen["notes"][-1]})'
        if 'reason' in seen:
            missing = seen['reason'] == MISSING
            self.found['missing' if missing else 'unreadable'][
                i] = '' if missing else f' ({seen["reason"]})'
            return
        self.splits[split].sizes[seen['size']] += 1
        if seen['sample'] is not None:
            self.samples[split, record['expression']].append(seen['sample'])
        if seen['blank']:  # all such are the same image, which means nothing
            self.found['blank'][i] = ''
        else:
            self.digests[i] = seen['digest']

    def _find_damaged(self, batch: Sequence[int]) -> None:
        """Which images of a batch the decoders have written messages for."""
        for i in batch:
            split, record = self.rows[i]
            with decoder_messages() as messages, collect_notes():
                image, _ = self.datasets[split].read_image(record)
            if messages and image is not None:
                self.found['damaged'].setdefault(i, f' ({messages[0]})')

    def _where(self, i: int) -> str:
        split, record = self.rows[i]
        path = record.get('img_path')
        return (osp.relpath(path, self.report.root)
                if path else f"{split} {record['name']}")

    def report_files(self) -> None:
        """Report files that are missing, unreadable, damaged or blank."""
        for kind, (severity, what) in _FINDINGS.items():
            self.report.add(
                severity, what,
                [self._where(i) + t for i, t in sorted(
                    self.found[kind].items())])  # yapf: disable

    def report_duplicates(self, allow: bool, out: Optional[str]) -> None:
        """Report images that are there more than once, all in a file."""
        across, labels, within = [], [], []
        _, first, inverse = np.unique(
            self.digests, return_index=True, return_inverse=True)
        firsts = first[inverse]
        for i in np.flatnonzero((firsts != np.arange(len(firsts)))
                                & (self.digests != 0)):
            pair = firsts[i], i
            (split, a), (other, b) = (self.rows[j] for j in pair)
            where = [self._where(j) for j in pair]
            classes = [a['expression'], b['expression']]
            if split != other:
                across.append(' = '.join(where))
            if classes[0] != classes[1]:
                labels.append(' = '.join(f'{w} ({c})'
                                         for w, c in zip(where, classes)))
            elif split == other:
                within.append(' = '.join(where))
        # published data is known to have them, and results are given on it
        severity = ('warnings' if allow or self.report.published else 'errors')
        found = (('the same image in two splits', across, severity),
                 ('the same image under two classes, one of them wrong',
                  labels, severity), ('the same image twice in a split',
                                      within, 'warnings'))
        for what, items, severity in found:
            self.report.add(severity, what, items)
        if out is not None and (across or labels or within):
            path = osp.join(out, 'duplicates.txt')
            os.makedirs(out, exist_ok=True)
            with atomic_path(path) as temporary, open(
                    temporary, 'w', encoding='utf-8') as file:
                for what, items, _ in found:
                    file.writelines(f'{what}: {item}\n' for item in items)
            self.report.written.append(path)

    def draw_samples(self, out: str) -> None:
        """Draw a grid of samples for every split."""
        name = osp.basename(osp.abspath(self.report.root))
        for split, report in self.splits.items():
            path = osp.join(out, f'{split}.png')
            classes = self.datasets[split].CLASSES
            draw_class_grid({c: self.samples[split, c]
                             for c in classes}, report.counts, path,
                            f'{name} as {self.report.name}, {split}: '
                            f'{report.total:,} images', self.COLUMNS,
                            self.SIZE)
            self.report.written.append(path)
