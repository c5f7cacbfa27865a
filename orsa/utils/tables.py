# Copyright (c) orsa contributors. All rights reserved.
"""Tables of results, as Markdown, CSV and HTML."""
import csv
from typing import Any, Callable, Iterable, List, Optional, Sequence

from .fileio import atomic_path

_HTML = """<div class="wide"><table{% if kind %} class="{{ kind }}"{% endif %}>
<thead><tr>{% for name in head %}<th>{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{%- for row in rows %}
<tr{% if row.mean %} class="mean"{% endif %}>
{%- for text, colour in row.cells %}<td
{%- if colour %} style="background:{{ colour }}"{% endif %}>{{ text }}</td>
{%- endfor %}</tr>
{%- endfor %}
</tbody></table></div>"""


def number(value: Optional[float], form: str = '.1f') -> str:
    """A number in a table; a dash for None.

    Args:
        value (float, optional): The number.
        form (str): As of :func:`format`. Defaults to '.1f'.
    """
    return '–' if value is None else format(value, form)


def with_spread(mean: Optional[float],
                spread: Optional[float] = None,
                form: str = '.1f') -> str:
    """'60.0 ± 1.2', or the mean alone where the spread is None.

    Args:
        mean (float, optional): The mean; a dash for None.
        spread (float, optional): Its deviation. Defaults to None.
        form (str): As of :func:`format`. Defaults to '.1f'.
    """
    text = number(mean, form)
    return text if spread is None else f'{text} ± {spread:{form}}'


def with_interval(difference: float, low: float, high: float) -> str:
    """'+1.0 (-0.5, +2.5)'.

    Args:
        difference (float): The difference.
        low (float): The lower limit of its interval.
        high (float): The upper one.
    """
    return f'{difference:+.1f} ({low:+.1f}, {high:+.1f})'


class Table:
    """Rows below the names of columns.

    Args:
        head (Sequence[str]): Names of the columns.
        rows (Iterable[Sequence]): The cells: text, integers, numbers that
            Markdown and HTML show with one decimal, None for a dash.
        align (str): Of all columns but the first: 'left' or 'right'.
            Defaults to 'left'.
        shade (Callable, optional): Of a cell's value, row and column how dark
            its background is in HTML, in [0, 1]. Defaults to None.
    """

    def __init__(self,
                 head: Sequence[str],
                 rows: Iterable[Sequence[Any]],
                 align: str = 'left',
                 shade: Optional[Callable[[Any, int, int], float]] = None):
        self.head, self.rows = list(head), [list(row) for row in rows]
        self.align, self.shade = align, shade

    def texts(self) -> List[List[str]]:
        """The cells as Markdown and HTML show them."""
        return [[
            number(v) if v is None or isinstance(v, float) else str(v)
            for v in row
        ] for row in self.rows]

    def markdown(self) -> str:
        """The table in Markdown."""
        mark = '---:' if self.align == 'right' else '---'
        lines = [self.head, ['---'] + [mark] * (len(self.head) - 1)]
        return '\n'.join(
            '| ' + ' | '.join(cell.replace('|', r'\|') for cell in line) + ' |'
            for line in [*lines, *self.texts()])

    def html(self) -> str:
        """The table in HTML, escaped; rows of means have a class 'mean'."""
        from jinja2 import Environment  # here: few commands write a page
        from markupsafe import Markup
        rows = [
            dict(
                mean=texts[0].startswith('mean'),
                cells=[(text, self._colour(value, i, j))
                       for j, (text, value) in enumerate(zip(texts, values))])
            for i, (texts, values) in enumerate(zip(self.texts(), self.rows))
        ]
        template = Environment(autoescape=True).from_string(_HTML)
        kind = 'text' if self.align == 'left' else ''
        return Markup(template.render(head=self.head, rows=rows, kind=kind))

    def _colour(self, value: Any, row: int, column: int) -> str:
        """From white to an orange on which black letters are legible."""
        strength = self.shade(value, row, column) if self.shade else 0
        if strength <= 0:
            return ''
        rgb = [
            round(255 + (end - 255) * min(strength, 1))
            for end in (240, 150, 70)
        ]
        return '#' + ''.join(f'{c:02x}' for c in rgb)

    def write_csv(self, path: str) -> None:
        """Write the values, None as an empty cell, completely or not at all.

        Args:
            path (str): The file.
        """
        with atomic_path(path) as temporary:
            with open(temporary, 'w', newline='', encoding='utf-8') as file:
                csv.writer(file).writerows([self.head, *self.rows])
