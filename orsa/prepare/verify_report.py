# Copyright (c) orsa contributors. All rights reserved.
"""What was found of a dataset, as data and as lines of text."""
from collections import Counter
from dataclasses import dataclass, field
from typing import Dict, List

from orsa.datasets.published import PUBLISHED

_NAMED = 5  # files that a finding names


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
    """What was found of a dataset.

    Args:
        name (str): One of :data:`orsa.prepare.verify.NAMES`.
        root (str): Its folder.
        splits (list[SplitReport]): The splits that could be read.
        errors (list[str]): What makes training on it wrong.
        warnings (list[str]): What should be known.
        notes (list[str]): What is as it should be.
        written (list[str]): The files written: the list of images that are
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

    def add(self, severity: str, what: str, items: List[str]) -> None:
        """Add a finding of a severity, if any, with its first files."""
        if items:
            more = len(items) - _NAMED
            text = '; '.join(items[:_NAMED] + [f'and {more:,} more'] *
                             (more > 0))
            getattr(self, severity).append(f'{what} ({len(items):,}): {text}')

    def lines(self) -> List[str]:
        """The report as lines of text."""
        lines = [f"{self.name} in '{self.root}'"]
        lines += [f'  {s.split}: {s.layout}' for s in self.splits]
        lines += ['', *self._table(), '']
        for s in self.splits:
            lines.append(f'{s.split} images: {_sizes(s.sizes)}')
            if s.left_out:
                lines.append(f'{s.split} leaves out: ' +
                             ', '.join(f'{n:,} {name}'
                                       for name, n in s.left_out.items()))
        lines += self.notes
        lines += [f'WARNING: {text}' for text in self.warnings]
        lines += [f'ERROR: {text}' for text in self.errors]
        lines += [f'wrote {path}' for path in self.written]
        result = 'NOT fit for training' if self.errors else 'usable'
        counts = ', '.join(f'{len(found):,} {kind}{"s"[:len(found) != 1]}'
                           for kind, found in (('error', self.errors),
                                               ('warning', self.warnings)))
        return [*lines, '', f'{result}: {counts}']

    def _table(self) -> List[str]:
        releases = PUBLISHED.get(self.name)
        columns = {}  # header: counts
        for i, s in enumerate(self.splits):
            columns[s.split] = s.counts
            published = releases[0].counts.get(s.split) if releases else None
            if isinstance(published, dict):
                columns['published' + ' ' * i] = published
        classes = list(self.splits[0].counts) if self.splits else []
        rows = [['class', *(name.strip() for name in columns)]]
        rows += [[c, *(f'{n.get(c, 0):,}' for n in columns.values())]
                 for c in classes]
        rows.append(['all', *(f'{sum(n.values()):,}'
                              for n in columns.values())])  # yapf: disable
        width = max(10, *(len(row[0]) for row in rows))
        return [
            ' '.join([f'{row[0]:<{width}}'] + [f'{v:>10}' for v in row[1:]])
            for row in rows
        ] if classes else []


def _sizes(sizes: Counter) -> str:
    if not sizes:
        return 'none could be read'
    common = ', '.join(f'{w}x{h} ({n:,})'
                       for (w, h), n in sizes.most_common(3))
    if len(sizes) <= 3:
        return common
    return (f'{len(sizes):,} sizes, sides of {min(map(min, sizes))} to '
            f'{max(map(max, sizes))} pixels; most often {common}')
