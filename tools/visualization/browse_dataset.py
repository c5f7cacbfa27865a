# Copyright (c) orsa contributors. All rights reserved.
"""Draw samples after the pipeline, with their annotations.

  python tools/visualization/browse_dataset.py configs/orsanet_lite_rafdb.py
  python tools/visualization/browse_dataset.py \\
      configs/priors/lite_parsing_faces.py --split test -n 20
  python tools/visualization/browse_dataset.py configs/orsanet_lite_rafdb.py \\
      --mode pipeline -n 8

For configs of mmpretrain, mmseg and mmpose. Occluders have an orange outline;
landmarks are blue, occluded ones orange; masks are overlaid.
"""
import os.path as osp

from orsa.analysis.browse import MODES, browse
from orsa.analysis.inputs import analysis_parser, read_config
from orsa.utils.command import add_absent_flags, run_script


def main():
    parser = analysis_parser(__doc__, 'samples.png')
    parser.add_argument(
        '--output-dir',
        '-o',
        dest='out',
        type=lambda folder: osp.join(folder, 'samples.png'),
        help='folder for it')
    parser.add_argument(
        '--split',
        '--phase',
        '-p',
        choices=['train', 'val', 'test'],
        default='train')
    parser.add_argument(
        '-n', '--show-number', dest='n', type=int, default=40, help='samples')
    parser.add_argument(
        '--columns', type=int, default=10, help='images in a row')
    parser.add_argument(
        '--size', type=int, default=128, help='of a sample, in pixels')
    parser.add_argument(
        '--plain', action='store_true', help='draw nothing into the images')
    parser.add_argument(
        '--mode',
        '-m',
        choices=MODES,
        default='transformed',
        help='after the pipeline (default), as they are loaded, both beside '
        'each other, or after each transform')
    parser.add_argument(
        '--not-show', action='store_true', help='as always: a file is written')
    add_absent_flags(
        parser, {
            '--show-interval -i': 'samples are drawn into one file, --out',
            '--rescale-factor -r': '--size is that of a sample, in pixels',
            '--channel-order -c': 'images are drawn in their colours'
        })
    args = parser.parse_args()
    browse(
        read_config(args), args.out, args.n, args.split, args.columns,
        args.size, args.plain, args.mode)
    print(f'wrote {args.out}')


if __name__ == '__main__':
    run_script(main)
