# Copyright (c) orsa contributors. All rights reserved.
"""Make docs/leaderboard.md of the results in docs/results/."""
import argparse

from orsa.studies.leaderboard import write_page
from orsa.utils.command import run_script


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Put the tables of a folder of results into a page')
    parser.add_argument(
        '--results',
        default='docs/results',
        help='folder of the results (default: %(default)s)')
    parser.add_argument(
        '--page',
        default='docs/leaderboard.md',
        help='has the tables between <!-- results --> and <!-- /results --> '
        '(default: %(default)s)')
    return parser.parse_args()


def main():
    args = parse_args()
    write_page(args.results, args.page)
    print(f'wrote {args.page}')


if __name__ == '__main__':
    run_script(main)
