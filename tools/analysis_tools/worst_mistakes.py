# Copyright (c) orsa contributors. All rights reserved.
"""Draw the most confident wrong predictions, by true expression.

  python tools/analysis_tools/worst_mistakes.py CONFIG DIR/predictions.json

Takes predictions of tools/test.py --out, or occlusion_suite.json (its clean
condition).
"""
from orsa.analysis.inputs import analysis_parser, read_config
from orsa.analysis.reliability import draw_worst_mistakes
from orsa.utils.command import run_script


def main():
    parser = analysis_parser(__doc__, 'worst_mistakes.png')
    parser.add_argument('predictions', help='file of predictions')
    parser.add_argument(
        '-n',
        type=int,
        default=8,
        help='faces of each expression (default: %(default)s)')
    args = parser.parse_args()
    draw_worst_mistakes(read_config(args), args.predictions, args.out, args.n)
    print(f'wrote {args.out}')


if __name__ == '__main__':
    run_script(main)
