# Copyright (c) orsa contributors. All rights reserved.
"""Text and csv files, read with the numbers of their lines."""
import csv
import os.path as osp
import re
from typing import Iterator, List, Optional, Sequence, Tuple

from orsa.utils.image_files import open_ordinary


def read_lines(path: str) -> List[Tuple[int, str]]:
    """Number, from 1, and text of the non-blank lines of a file in UTF-8.

    Raises:
        OSError: If it is no ordinary file, or cannot be opened.
        ValueError: If it is not in UTF-8.
    """
    # utf-8-sig drops the mark that Windows editors put first
    try:
        with open_ordinary(path, encoding='utf-8-sig') as f:
            lines = [(i, line.strip()) for i, line in enumerate(f, 1)]
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from error
    return [(i, line) for i, line in lines if line]


def read_classes(path: str) -> List[str]:
    """Read the names of classes, one a line, in the order of the labels."""
    path = osp.expanduser(path)
    if not osp.isfile(path):
        raise FileNotFoundError(
            f"classes='{path}' is no file of names. Give a list of names, or "
            'a file with one a line')
    return [line for _, line in read_lines(path)]


def read_rows(path: str) -> Iterator[Tuple[int, List[str]]]:
    """Read the non-blank rows of a csv file in UTF-8.

    Yields the number of a row's last line, from 1, and its fields without
    blanks around them.

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
            raise _not_utf8(path, error) from error
        except csv.Error as error:
            raise ValueError(
                f'{path}:{reader.line_num}: this is no csv ({error}), or a '
                'quotation mark is not closed') from error


def read_columns(path: str,
                 columns: Sequence[str]) -> Iterator[Tuple[int, List[str]]]:
    """As :func:`read_rows`, of the named columns of a file with a header.

    Raises:
        ValueError: If a column is missing or a row has another length than the
            header, and as :func:`read_rows`.
    """
    rows = read_rows(path)
    number, header = next(rows, (1, []))
    if not set(columns) <= set(header):
        raise ValueError(f'{path}:{number}: expected the columns '
                         f'{list(columns)}, found {str(header)[:500]}')
    places = [header.index(name) for name in columns]
    for number, row in rows:
        if len(row) != len(header):
            raise ValueError(f'{path}:{number}: expected {len(header)} '
                             f'columns, got {len(row)}')
        yield number, [row[i] for i in places]


def whole_number(text: str) -> Optional[int]:
    """The number that a text of ASCII digits is, None for any other text."""
    return int(text) if re.fullmatch('[0-9]{1,18}', text) else None


def _not_utf8(path: str, error: UnicodeDecodeError) -> ValueError:
    return ValueError(f"'{path}' is no text in UTF-8 ({error.reason} at byte "
                      f'{error.start}): save it as UTF-8')
