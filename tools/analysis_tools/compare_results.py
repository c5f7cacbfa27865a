# Copyright (c) orsa contributors. All rights reserved.
"""Compare runs face by face: ``compare_results.py A.json B.json ...``.

The first run is the reference. The table has the difference of every other run
to it with a paired bootstrap interval, and a McNemar test.
"""
import argparse

from orsa.studies.comparison import add_compare_arguments, compare_results
from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(
        description='Compare runs face by face, with intervals and tests')
    add_compare_arguments(parser)
    compare_results(parser.parse_args())


if __name__ == '__main__':
    run_script(main)
