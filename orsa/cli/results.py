# Copyright (c) orsa contributors. All rights reserved.
"""What the ``orsa`` command does with results."""
import argparse

from orsa.utils.command import OK, SOME_FAILED


def add_validate_flags(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``orsa validate`` to a parser."""
    parser.add_argument(
        'result',
        metavar='RESULT.json',
        help='what orsa test --result wrote, with its predictions beside it')
    parser.add_argument(
        '--data',
        metavar='CONFIG',
        help='compare with your copy of the data: a config that tests on it')


def validate(args: argparse.Namespace) -> int:
    """Check a result by parsed arguments, and print what was checked.

    Args:
        args (Namespace): See :func:`add_validate_flags`.

    Returns:
        int: The exit code, 1 if something is wrong.
    """
    from orsa.studies.result_check import validate as check
    found = check(args.result, args.data)
    for title, lines in (('right', found.checked), ('wrong', found.wrong),
                         ('not checked', found.unchecked)):
        for line in lines:
            print(f'{title}: {line}')
    return SOME_FAILED if found.wrong else OK
