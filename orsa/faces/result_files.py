# Copyright (c) orsa contributors. All rights reserved.
"""Predictions as JSON lines and as CSV, of photographs and of videos."""
import contextlib
import csv
import json
import os.path as osp
import shutil
from typing import Any, Callable, Dict, Iterator, Sequence

from orsa.utils.fileio import atomic_path
from .results import COLUMNS, table_row


@contextlib.contextmanager
def write_results(stem: str,
                  classes: Sequence[str],
                  append: bool = False) -> Iterator[Callable[[dict], None]]:
    """Write ``STEM.jsonl`` and ``STEM.csv``, complete or not at all.

    Args:
        stem (str): Path of both files without their suffix.
        classes (Sequence[str]): The expressions, each a column of the CSV.
        append (bool): Whether rows come behind those of existing files, or
            replace them. Defaults to False.

    Yields:
        Callable: Adds a row, as :meth:`orsa.apis.ImageResult.to_dicts` has
        them.

    Raises:
        OSError: If a file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        files: Dict[str, Any] = {}
        for kind in ('csv', 'jsonl'):
            path = f'{stem}.{kind}'
            temporary = stack.enter_context(atomic_path(path))
            # what is no UTF-8 in a name is escaped
            file = files[kind] = stack.enter_context(
                open(
                    temporary,
                    'w',
                    newline='',
                    encoding='utf-8',
                    errors='backslashreplace'))
            if append and osp.isfile(path):
                with open(
                        path, newline='', encoding='utf-8',
                        errors='replace') as earlier:
                    shutil.copyfileobj(earlier, file)
        table = csv.writer(files['csv'])
        if not files['csv'].tell():
            table.writerow([*COLUMNS, *classes])

        def write(row: dict) -> None:
            files['jsonl'].write(json.dumps(row, ensure_ascii=False) + '\n')
            table.writerow(table_row(row, classes))

        yield write
