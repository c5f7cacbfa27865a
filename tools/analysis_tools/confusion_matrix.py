# Copyright (c) orsa contributors. All rights reserved.
"""Draw the confusion matrix of a test.

  python tools/analysis_tools/confusion_matrix.py work_dirs/NAME/metrics.json

Takes metrics.json of tools/test.py, a file of predictions, or
occlusion_suite.json (its clean condition).
"""
import argparse

from orsa.analysis.plots import draw_confusion
from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('results', help='the file')
    parser.add_argument(
        '--out',
        default='confusion_matrix.png',
        help='PNG to write (default: %(default)s)')
    parser.add_argument('--title', default='', help='above the matrix')
    args = parser.parse_args()
    draw_confusion(args.results, args.out, args.title)
    print(f'wrote {args.out}')


if __name__ == '__main__':
    run_script(main)
