# Copyright (c) orsa contributors. All rights reserved.
"""Plot the features before the classifier in 2D (t-SNE or UMAP).

  python tools/visualization/vis_tsne.py CONFIG CHECKPOINT --out tsne.png
  python tools/visualization/vis_tsne.py CONFIG CHECKPOINT --by occlusion \\
      --occluders hand mask --severity 3
  python tools/visualization/vis_tsne.py CONFIG CHECKPOINT --by occlusion \\
      --list occlusion_test.txt
  python tools/visualization/vis_tsne.py CONFIG CHECKPOINT --method umap
"""
import argparse
import os.path as osp

from orsa.analysis.embedding import draw_features, features, import_umap
from orsa.analysis.inputs import analysis_parser, read_config
from orsa.datasets.drawing.occluders import KINDS
from orsa.utils.command import add_absent_flags, run_script


def main():
    parser = analysis_parser(__doc__, 'tsne.png')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        default=argparse.SUPPRESS,
        help='of the model')
    parser.add_argument('--checkpoint', help='the same')
    parser.add_argument(
        '--work-dir',
        dest='out',
        type=lambda folder: osp.join(folder, 'tsne.png'),
        help='folder for it')
    parser.add_argument(
        '-n',
        '--max-num-samples',
        dest='n',
        type=int,
        default=1000,
        help='faces (default: %(default)s)')
    parser.add_argument(
        '--vis-stage',
        choices=('pre_logits', ),
        help='the features before the classifier')
    parser.add_argument('--device', default='cpu')
    parser.add_argument(
        '--method',
        choices=('tsne', 'umap'),
        default='tsne',
        help='umap needs umap-learn (default: %(default)s)')
    parser.add_argument(
        '--perplexity',
        type=float,
        default=30.,
        help='perplexity of t-SNE, n_neighbors of UMAP (default: '
        '%(default)s)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--by',
        choices=('class', 'occlusion'),
        default='class',
        help='meaning of the colours (default: %(default)s); occlusion '
        'plots two panels, one for each')
    parser.add_argument(
        '--occluders',
        nargs='+',
        choices=KINDS,
        default=['hand'],
        help='with --by occlusion: occluders, each applied to all faces '
        '(default: hand)')
    parser.add_argument(
        '--severity',
        type=int,
        choices=range(1, 6),
        default=3,
        help='severity of the occluders (default: %(default)s)')
    parser.add_argument(
        '--list',
        metavar='FILE',
        help='with --by occlusion: a list of really occluded faces instead')
    fixed = "t-SNE's other settings are scikit-learn's"
    add_absent_flags(
        parser, {
            '--test-cfg': '--cfg-options test_dataloader.dataset... sets it',
            '--class-idx --max-num-class': 'all classes are drawn',
            '--legend': 'there always is one',
            '--show': 'see the file, --out',
            '--n-components': 'the plot has two',
            '--early-exaggeration --learning-rate --init': fixed,
            '--n-iter --n-iter-without-progress': fixed
        })
    args = parser.parse_args()
    if not args.checkpoint:
        parser.error('a CHECKPOINT is needed')
    if args.list and args.by != 'occlusion':
        parser.error('--list needs --by occlusion')
    if args.method == 'umap':
        import_umap()  # an error before the slow part
    occluders = args.occluders if args.by == 'occlusion' else []
    found = features(
        read_config(args), args.checkpoint, args.n,
        [] if args.list else occluders, args.severity, args.list, args.device)
    draw_features(found, args.out, args.by, args.method, args.perplexity,
                  args.seed)
    print(f'wrote {args.out}')


if __name__ == '__main__':
    run_script(main)
