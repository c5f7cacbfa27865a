# Copyright (c) orsa contributors. All rights reserved.
"""Lists that select samples, among them those of RAN's protocols.

`Region Attention Networks for Pose and Occlusion Robust Facial Expression
Recognition <https://arxiv.org/abs/1905.04075>`_ publishes its occlusion and
pose selections `as text files
<https://github.com/kaiwang960112/Challenge-condition-FER-dataset>`_, each in
a format of its own:

- RAF-DB: ``test_0003_aligned 3 4`` (name, class, type of occlusion) and
  ``0/test_0004_aligned.jpg``;
- AffectNet: ``val/0/<hash>/`` and ``0/<hash>.jpg``;
- FERPlus: ``1_fer0034656.png 8 0`` (class and name, number of classes, type)
  and ``0/fer0032226.jpg``.

Beside some of them is a file of labels alone, one a line, below a header of
two counts such as ``1247 7``.
"""
import logging
import os.path as osp
import re
from collections import Counter
from typing import Callable, List, Optional, Sequence, Tuple

from orsa.datasets.images import find_images
from .text_files import read_lines, whole_number


def read_subset(path: str) -> List[Tuple[int, str]]:
    """Read a list of samples, without comments and header.

    Args:
        path (str): A text file, or a folder of images, whose names are taken.

    Returns:
        list[tuple[int, str]]: The number of each line, from 1, and the line.

    Raises:
        ValueError: If it is a file of labels alone, or holds nothing.
    """
    if osp.isdir(path):
        lines = [(i, osp.basename(name))
                 for i, name in enumerate(find_images(path)[0], 1)]
    else:
        lines = [(i, s) for i, s in read_lines(path) if not s.startswith('#')]
    # a header counts the lines that follow it
    header = lines and re.fullmatch(r'([0-9]+)\s+[0-9]+', lines[0][1])
    if header and whole_number(header[1]) == len(lines) - 1:
        lines = lines[1:]
        if all(whole_number(line) is not None for _, line in lines):
            raise ValueError(
                f"{path}:1: '{header[0]}' is the header of a file of labels, "
                'which names no sample. Give the list that stands beside it, '
                "with lines such as '0/test_0004_aligned.jpg'")
    if not lines:
        raise ValueError(f"'{path}' names no sample")
    return lines


def listed_label(line: str) -> Optional[int]:
    """The class's index in a line of RAN's lists: folder, prefix or column."""
    entry, *columns = line.split()
    prefix = re.findall(r'(?:^|/)([0-9])(?:/|_(?=fer))', entry)
    if prefix:
        return int(prefix[-1])
    return whole_number(columns[0]) if columns else None


def select_samples(dataset, records: List[dict]) -> List[dict]:
    """The records that a dataset's ``subset_file`` lists, in their order.

    How many lines select a sample, and why others do not, is logged; so is a
    warning if the labels of a list of RAN's are not the dataset's.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ValueError: If a line selects no sample.
    """
    path = osp.expanduser(dataset.subset_file)
    if not osp.exists(path):
        path = osp.join(dataset.data_root, path)
    if not osp.exists(path):
        raise FileNotFoundError(
            f"{type(dataset).__name__}: subset_file '{dataset.subset_file}' "
            f"is neither a file nor one under data_root='{dataset.data_root}'")
    lines = read_subset(path)
    # of a divided training split, what the other part holds
    other = dict.fromkeys(dataset.other_part, 0)
    here = [line for line in lines if dataset.look_up(line[1], other) is None]
    passed_over, lines = len(lines) - len(here), here
    if not lines:
        raise ValueError(f"'{path}' names samples of the other part of the "
                         'training split alone')
    places = _find_lines(path, lines, records, dataset.look_up)
    if dataset.LISTS_NAME_CLASSES:
        _compare_labels(dataset, path, lines, [records[i] for i in places])
    selected = [records[i] for i in sorted(set(places))]
    dropped = Counter(r['expression'] for r in selected
                      if r['expression'] not in dataset.CLASSES)
    without = [
        f"{n} of '{name}', which is none of the classes"
        for name, n in dropped.items()
    ]
    if len(lines) > len(selected):
        without.append(f'{len(lines) - len(selected)} repeated')
    if passed_over:
        without.append(f'{passed_over} of the other part of the training '
                       'split')
    dataset.log(f"{len(lines) + passed_over} lines of '{path}' select "
                f'{len(selected) - sum(dropped.values())} samples' +
                (f"; without one are {', '.join(without)}" if without else ''))
    return selected


def _find_lines(path: str, lines: Sequence[Tuple[int, str]],
                records: Sequence[dict], look_up: Callable) -> List[int]:
    """The place of the sample of each line: by name, or all by index."""
    index = {record['name']: i for i, record in enumerate(records)}
    found = [look_up(line, index) for _, line in lines]
    numbers = [whole_number(line) for _, line in lines]
    if None in found and None not in numbers:
        found = numbers
    for (number, line), i in zip(lines, found):
        if i is None or i >= len(records):
            raise ValueError(
                f"{path}:{number}: '{line[:100]}' is not among the "
                f'{len(records)} samples of this dataset. Expected a name '
                f"such as '{records[0]['name']}', or an index in every line")
    return found


def _compare_labels(dataset, path: str, lines: Sequence[Tuple[int, str]],
                    records: Sequence[dict]) -> None:
    names = dict(enumerate(dataset.METAINFO['classes']))
    other = [
        (number, line, r['expression'])
        for (number, line), r in zip(lines, records)
        if listed_label(line) is not None and r['expression'] in
        dataset.CLASSES and names.get(listed_label(line)) != r['expression']
    ]
    if other:
        number, line, expression = other[0]
        dataset.log(
            f'{len(other)} of {len(lines)} lines of the list name another '
            'class than this dataset, whose labels are used. The first: '
            f"{path}:{number}: '{line[:100]}' is {expression} here (the "
            f"list's indices are read as {list(names.values())})",
            logging.WARNING)
