# Copyright (c) orsa contributors. All rights reserved.
"""Draw how often a model is right at each confidence (reliability diagram).

  python tools/analysis_tools/reliability.py work_dirs/NAME/predictions.json
  python tools/analysis_tools/reliability.py A/occlusion_suite.json \\
      B/occlusion_suite.json --out both.png

Takes predictions of tools/test.py --out, or occlusion_suite.json. A
calibration beside the weights is plotted too.
"""
import argparse

from orsa.analysis.reliability import draw_reliability
from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('results', nargs='+', help='the files')
    parser.add_argument(
        '--out',
        default='reliability.png',
        help='PNG to write (default: %(default)s)')
    parser.add_argument(
        '--checkpoint',
        help='weights with their calibration beside them, a file or '
        'orsa://NAME (default: those that the results name)')
    args = parser.parse_args()
    draw_reliability(args.results, args.out, args.checkpoint)
    print(f'wrote {args.out}')


if __name__ == '__main__':
    run_script(main)
