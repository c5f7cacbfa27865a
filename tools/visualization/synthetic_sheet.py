# Copyright (c) orsa contributors. All rights reserved.
"""Draw a grid of synthetic faces, one row per expression."""
import argparse

import cv2
import numpy as np

from orsa.datasets.drawing import EXPRESSIONS, OCCLUDERS, draw_face
from orsa.utils.command import run_script


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', required=True, help='image file to write')
    parser.add_argument(
        '--rows', nargs='+', default=EXPRESSIONS, choices=EXPRESSIONS)
    parser.add_argument('--columns', type=int, default=10)
    parser.add_argument('--size', type=int, default=128)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--occlude-prob', type=float, default=0.)
    parser.add_argument(
        '--occluders', nargs='+', default=OCCLUDERS, choices=OCCLUDERS)
    parser.add_argument(
        '--same-people',
        action='store_true',
        help='show the same person, pose and light down each column')
    parser.add_argument(
        '--clean', action='store_true', help='in colour, without degradation')
    return parser.parse_args()


def main():
    args = parse_args()
    grid = []
    for i, expression in enumerate(args.rows):
        row = []
        for column in range(args.columns):
            key = [args.seed, column, 0 if args.same_people else i]
            face = draw_face(
                expression,
                np.random.Generator(np.random.PCG64(key)),
                size=args.size,
                occlude_prob=args.occlude_prob,
                occluders=args.occluders,
                degrade=not args.clean)
            row.append(face['img'])
        grid.append(np.hstack(row))
    if not cv2.imwrite(args.out, np.vstack(grid)):
        raise OSError(f'cannot write {args.out}')
    print(f'{args.out}: rows {", ".join(args.rows)}')


if __name__ == '__main__':
    run_script(main)
