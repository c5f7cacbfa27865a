# Copyright (c) orsa contributors. All rights reserved.
"""Draw the features before the classifier in the plane, by class (t-SNE).

  python tools/analysis_tools/vis_tsne.py CONFIG CHECKPOINT --out tsne.png
"""
from orsa.apis.analysing import analysis_parser, draw_tsne, read_config


def main():
    parser = analysis_parser(__doc__, 'tsne.png', checkpoint=True)
    parser.add_argument(
        '-n', type=int, default=1000, help='faces (default: %(default)s)')
    parser.add_argument(
        '--perplexity',
        type=float,
        default=30.,
        help='how many neighbours count (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    draw_tsne(
        read_config(args), args.checkpoint, args.out, args.n, args.perplexity,
        args.seed)
    print(f'wrote {args.out}')


if __name__ == '__main__':
    main()
