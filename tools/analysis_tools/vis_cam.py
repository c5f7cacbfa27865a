# Copyright (c) orsa contributors. All rights reserved.
"""Draw Grad-CAM maps, each face beside its map.

  python tools/analysis_tools/vis_cam.py CONFIG CHECKPOINT --out cam.png
  python tools/analysis_tools/vis_cam.py CONFIG CHECKPOINT --images face.jpg \\
      --class anger --layer backbone.image_encoder
"""
from orsa.analysis.cam import draw_cams
from orsa.analysis.inputs import analysis_parser, read_config
from orsa.utils.command import run_script


def main():
    parser = analysis_parser(__doc__, 'cam.png', images=16)
    parser.add_argument(
        '--layer', help='module of the map (default: the image encoder)')
    parser.add_argument(
        '--class', dest='expression', help='default: the predicted one')
    args = parser.parse_args()
    draw_cams(
        read_config(args), args.checkpoint, args.out, args.images, args.n,
        args.layer, args.expression)
    print(f'wrote {args.out}')


if __name__ == '__main__':
    run_script(main)
