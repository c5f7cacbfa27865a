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
import csv
import os.path as osp
import re
from typing import Iterator, List, Optional, Tuple

from orsa.utils.image_files import find_images, open_ordinary


def read_lines(path: str) -> List[Tuple[int, str]]:
    """Read the non-blank lines of a text file with their numbers, from 1.

    Raises:
        OSError: If it is no ordinary file, or cannot be opened.
        ValueError: If it is not in UTF-8.
    """
    # utf-8-sig drops the mark that Windows editors put first
    try:
        with open_ordinary(path, encoding='utf-8-sig') as f:
            lines = [(i, line.strip()) for i, line in enumerate(f, 1)]
    except UnicodeDecodeError as error:
        raise _no_text(path, error) from error
    return [(i, line) for i, line in lines if line]


def read_classes(path: str) -> List[str]:
    """Read the names of classes, one a line, in the order of the labels.

    Args:
        path (str): The file; ``~`` is expanded.

    Raises:
        FileNotFoundError: If there is none.
    """
    path = osp.expanduser(path)
    if not osp.isfile(path):
        raise FileNotFoundError(
            f"classes='{path}' is no file of names. Give a list of names, or "
            'a file with one a line')
    return [line for _, line in read_lines(path)]


def _no_text(path: str, error: UnicodeDecodeError) -> ValueError:
    return ValueError(f"'{path}' is no text in UTF-8 ({error.reason} at byte "
                      f'{error.start}): save it as UTF-8')


def read_rows(path: str) -> Iterator[Tuple[int, List[str]]]:
    """Read the rows of a csv file, without blank lines.

    Args:
        path (str): The file, in UTF-8.

    Yields:
        tuple[int, list[str]]: The number of the row's last line, from 1, and
        its fields without blanks around them.

    Raises:
        OSError: If it is no ordinary file, or cannot be opened.
        ValueError: If it is not in UTF-8, or no csv.
    """
    with open_ordinary(path, newline='', encoding='utf-8-sig') as f:
        reader = csv.reader(f)
        try:
            for row in reader:
                if row:
                    yield reader.line_num, [field.strip() for field in row]
        except UnicodeDecodeError as error:
            raise _no_text(path, error) from error
        except csv.Error as error:
            raise ValueError(
                f'{path}:{reader.line_num}: this is no csv ({error}), or a '
                'quotation mark is not closed') from error


def whole_number(text: str) -> Optional[int]:
    """The number that a text of ASCII digits is, otherwise None.

    ``str.isdigit`` holds of more than ``int`` takes.
    """
    return int(text) if re.fullmatch('[0-9]{1,18}', text) else None


def read_subset(path: str) -> List[Tuple[int, str]]:
    """Read the entries of a list of samples.

    Args:
        path (str): A text file, or a folder of images, whose names are taken.

    Returns:
        list[tuple[int, str]]: The number of the line, from 1, and what it
        says, without comments and header.

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
    """The index of the class in a line of RAN's lists, None if it has none.

    It is the folder or the prefix of the name, otherwise the second column.
    """
    entry, *columns = line.split()
    prefix = re.findall(r'(?:^|/)([0-9])(?:/|_(?=fer))', entry)
    if prefix:
        return int(prefix[-1])
    return whole_number(columns[0]) if columns else None
