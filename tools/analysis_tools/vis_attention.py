# Copyright (c) orsa contributors. All rights reserved.
"""Draw what landmark tokens attend to in the image (cross-attention).

  python tools/analysis_tools/vis_attention.py CONFIG CHECKPOINT
  python tools/analysis_tools/vis_attention.py CONFIG CHECKPOINT \\
      --images face.jpg --out attention.png

For models with MultiScaleCrossInteraction and token_layout='space', as the
lite one. Each face is followed by the mean of all its landmark tokens, of
those of its upper half, and of those of its lower half.
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
