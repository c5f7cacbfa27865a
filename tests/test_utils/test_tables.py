# Copyright (c) orsa contributors. All rights reserved.
"""Protects tables: one description, the same in Markdown, CSV and HTML."""
import csv

from orsa.utils.tables import Table, with_interval, with_spread


def test_one_table_in_three_formats(tmp_path):
    table = Table(['', 'UAR'], [['a|<b>', 1.25], ['mean', None], ['n', 3]],
                  'right', lambda v, i, j: float(i == 0 and j == 1))
    assert table.markdown().splitlines() == [
        '|  | UAR |', '| --- | ---: |', r'| a\|<b> | 1.2 |', '| mean | – |',
        '| n | 3 |'
    ]
    page = table.html()
    assert '<td>a|&lt;b&gt;</td>' in page
    assert '<td style="background:#f09646">1.2</td>' in page
    assert '<tr class="mean"><td>mean</td><td>–</td></tr>' in page
    table.write_csv(str(tmp_path / 'table.csv'))
    with open(tmp_path / 'table.csv', newline='') as file:
        assert list(csv.reader(file)) == [['', 'UAR'], ['a|<b>', '1.25'],
                                          ['mean', ''], ['n', '3']]


def test_numbers_in_words():
    assert with_spread(60.04) == '60.0' and with_spread(None) == '–'
    assert with_spread(60., 1.25) == '60.0 ± 1.2'
    assert with_interval(1., -.5, 2.5) == '+1.0 (-0.5, +2.5)'
