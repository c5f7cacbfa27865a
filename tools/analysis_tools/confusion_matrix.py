# Copyright (c) orsa contributors. All rights reserved.
"""Draw the confusion matrix of a test.

  python tools/analysis_tools/confusion_matrix.py work_dirs/NAME/metrics.json
  python tools/analysis_tools/confusion_matrix.py CONFIG CHECKPOINT \\
      --out matrix.json --show-path matrix.png

Takes metrics.json of tools/test.py, a file of predictions, or
occlusion_suite.json (its clean condition); or a config and a checkpoint, which
is tested.
"""
import argparse
import tempfile

import mmengine

from orsa.analysis.plots import draw_confusion, read_confusion, tested
from orsa.utils.command import add_absent_flags, run_script
from orsa.utils.configs import add_cfg_options


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'results',
        nargs='+',
        metavar='FILE',
        help='the file; or CONFIG CHECKPOINT, or CONFIG and the file')
    parser.add_argument(
        '--out',
        '--show-path',
        action='append',
        help='PNG to draw, or .json or .pkl for the counts '
        '(default: confusion_matrix.png)')
    parser.add_argument('--title', default='', help='above the matrix')
    parser.add_argument('--cmap', default='cividis', help='of matplotlib')
    parser.add_argument(
        '--include-values',
        action='store_true',
        help='as always: they are drawn')
    add_cfg_options(parser)
    add_absent_flags(parser, {'--show': 'see the file, --show-path'})
    args = parser.parse_args()
    if len(args.results) > 2:
        parser.error(f'FILE, or CONFIG CHECKPOINT, not {args.results}')
    with tempfile.TemporaryDirectory() as work_dir:
        results = args.results[-1]
        if results.endswith('.pth'):
            results = tested(args.results, work_dir, args.cfg_options)
        for out in args.out or ['confusion_matrix.png']:
            if out.endswith(('.json', '.pkl')):
                mmengine.dump(read_confusion(results)[0], out)
            else:
                draw_confusion(results, out, args.title, args.cmap)
            print(f'wrote {out}')


if __name__ == '__main__':
    run_script(main)
