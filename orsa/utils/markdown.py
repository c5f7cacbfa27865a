# Copyright (c) orsa contributors. All rights reserved.
"""Tables of reports."""
from typing import Iterable, List, Sequence


def markdown_table(head: Sequence[str],
                   rows: Iterable[Sequence[str]],
                   align: str = '---') -> List[str]:
    """The lines of a table in Markdown.

    Args:
        head (Sequence[str]): Names of the columns.
        rows (Iterable[Sequence[str]]): The cells.
        align (str): The mark under every column but the first.
            Defaults to '---'.
    """
    lines = [head, ['---'] + [align] * (len(head) - 1), *rows]
    return ['| ' + ' | '.join(line) + ' |' for line in lines]
