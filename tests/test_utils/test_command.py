# Copyright (c) orsa contributors. All rights reserved.
"""Flags that were renamed go on working, with one line of warning."""
import argparse

from orsa.utils.command import RenamedFlag


def test_an_old_flag_is_the_new_one(capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument('--max-occluded', type=float, default=1.0)
    parser.add_argument(
        '--max-covered', dest='max_occluded', type=float, action=RenamedFlag)
    parser.add_argument('--quick', action='store_true')
    parser.add_argument(
        '--hasty', dest='quick', nargs=0, const=True, action=RenamedFlag)
    assert vars(parser.parse_args([])) == {'max_occluded': 1.0, 'quick': False}
    assert not capsys.readouterr().err
    args = parser.parse_args(['--max-covered=0.5', '--hasty'])
    assert vars(args) == {'max_occluded': 0.5, 'quick': True}
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and '--max-occluded' in lines[0]
    assert '--max-covered' not in parser.format_help()
