# Copyright (c) orsa contributors. All rights reserved.
"""The subcommands for models of any framework under occlusion."""
import argparse
from argparse import ArgumentParser as Parser

from orsa.utils.command import OK


def add_occlude_flags(parser: Parser) -> None:
    """Add the flags of ``orsa occlude``."""
    from orsa.studies.suite_command import add_occlude_arguments
    add_occlude_arguments(parser)


def occlude(args: argparse.Namespace) -> int:
    """Run ``orsa occlude``, and return the exit code."""
    from orsa.studies.suite_command import run_occlude
    print(f'wrote {run_occlude(args)}')
    return OK


def add_score_flags(parser: Parser) -> None:
    """Add the flags of ``orsa score``."""
    from orsa.studies.suite_command import add_result_arguments
    parser.add_argument(
        'predictions',
        metavar='PREDICTIONS.csv',
        help='columns file, as in the manifest, and prediction, the name of '
        'a class; then, for the calibration error, the probability of each '
        'class in a column of its name')
    parser.add_argument(
        '--manifest',
        required=True,
        metavar='MANIFEST.csv',
        help='manifest.csv that orsa occlude wrote')
    parser.add_argument(
        '--out',
        metavar='FILE.json',
        help='the report, as occlusion_suite.json (default: nothing is '
        'written)')
    add_result_arguments(parser, 'parameters (millions), ')
    parser.add_argument(
        '--data',
        metavar='CONFIG',
        help='with --result: the config that orsa occlude was given')


def score(args: argparse.Namespace) -> int:
    """Run ``orsa score``, and return the exit code."""
    from orsa.studies.suite_command import run_score
    run_score(args, args.words)
    return OK
