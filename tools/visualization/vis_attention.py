# Copyright (c) orsa contributors. All rights reserved.
"""Draw the cross-attention of landmark tokens to the image.

  python tools/visualization/vis_attention.py CONFIG CHECKPOINT
  python tools/visualization/vis_attention.py CONFIG CHECKPOINT \\
      --images face.jpg --out attention.png

For models with MultiScaleCrossInteraction and token_layout='space', as the
lite one. Each face is followed by the mean attention of all landmark tokens,
of those of the upper half, and of those of the lower half.
"""
from orsa.analysis.attention import draw_attention
from orsa.analysis.inputs import analysis_parser, read_config
from orsa.utils.command import run_script


def main():
    parser = analysis_parser(__doc__, 'attention.png', images=14)
    args = parser.parse_args()
    draw_attention(
        read_config(args), args.checkpoint, args.out, args.images, args.n)
    print(f'wrote {args.out}')


if __name__ == '__main__':
    run_script(main)
