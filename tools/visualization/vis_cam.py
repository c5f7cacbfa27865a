# Copyright (c) orsa contributors. All rights reserved.
"""Draw maps of what speaks for a class (Grad-CAM), beside each face.

  python tools/visualization/vis_cam.py CONFIG CHECKPOINT --out cam.png
  python tools/visualization/vis_cam.py CONFIG CHECKPOINT --images face.jpg \\
      --class anger --layer backbone.image_encoder

mmpretrain's order, IMAGE CONFIG CHECKPOINT, is taken too.
"""
import argparse

from orsa.analysis.cam import METHODS, draw_cams
from orsa.analysis.inputs import analysis_parser, read_config
from orsa.apis.model import init_model
from orsa.utils.command import add_absent_flags, run_script


def main():
    parser = analysis_parser(
        __doc__, 'cam.png', images=16, out_flags=('--out', '--save-path'))
    parser.add_argument('third', nargs='?', help=argparse.SUPPRESS)
    parser.add_argument(
        '--layer',
        '--target-layers',
        help='module of the map (default: the image encoder)')
    parser.add_argument(
        '--preview-model',
        action='store_true',
        help='print the modules instead')
    parser.add_argument(
        '--class',
        '--target-category',
        dest='expression',
        help='name or index of the class (default: the predicted one)')
    parser.add_argument(
        '--method',
        type=lambda name: name.lower().replace('plusplus', '++'),
        choices=METHODS,
        default='gradcam')
    parser.add_argument('--device', default='cpu')
    add_absent_flags(
        parser, {
            '--eigen-smooth': 'maps are drawn as they are',
            '--aug-smooth': 'maps are drawn as they are',
            '--vit-like': '--layer has to name a module that gives a map',
            '--num-extra-tokens':
            '--layer has to name a module that gives a map'
        })
    args = parser.parse_args()
    if args.third:
        args.images = [args.config]
        args.config, args.checkpoint = args.checkpoint, args.third
    cfg = read_config(args)
    if args.preview_model:
        print(init_model(cfg, args.checkpoint))
        return
    draw_cams(cfg, args.checkpoint, args.out, args.images, args.n, args.layer,
              args.expression, args.device, args.method)
    print(f'wrote {args.out}')


if __name__ == '__main__':
    run_script(main)
