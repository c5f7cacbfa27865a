# Copyright (c) orsa contributors. All rights reserved.
"""Time of a SAM step: ``python tools/benchmarks/step.py [CONFIG]``."""
import argparse

from speed.report import add_speed_arguments, run

from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(
        description='Time and peak memory of one SAM step, by stage, against '
        'a plain implementation of the same step')
    parser.add_argument(
        'config', nargs='?', default='configs/orsanet_rafdb.py')
    parser.add_argument('--batch-size', type=int, default=4)
    parser.add_argument('--size', type=int, default=224, help='of the images')
    add_speed_arguments(parser)
    args = parser.parse_args()
    shared = dict(
        config=args.config, batch_size=args.batch_size, size=args.size)
    variants = dict(
        plain=dict(shared, plain=True),
        orsa=shared,
        cached=dict(shared, cached=True),
        bfloat16=dict(shared, dtype='bfloat16'))
    variants['bfloat16, cached'] = dict(shared, dtype='bfloat16', cached=True)
    run(
        args, 'speed.step:make_step', variants, 'plain',
        f'SAM step of {args.config}, {args.batch_size} images of '
        f'{args.size}x{args.size}')


if __name__ == '__main__':
    run_script(main)
