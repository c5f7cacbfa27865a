# Copyright (c) orsa contributors. All rights reserved.
"""Scaling over ranks: ``python tools/benchmarks/scale.py [CONFIG]``."""
import argparse

from speed.report import add_speed_arguments, run

from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(
        description='Time of a SAM step on 1, 2 and 4 ranks, joined by gloo')
    parser.add_argument('config', nargs='?', default='configs/orsanet_demo.py')
    parser.add_argument(
        '--batch-size', type=int, default=16, help='of each rank')
    parser.add_argument('--size', type=int, default=64, help='of the images')
    parser.add_argument('--ranks', type=int, nargs='+', default=[1, 2, 4])
    add_speed_arguments(parser)
    args = parser.parse_args()
    variants = {}
    for count in args.ranks:
        shared = dict(
            config=args.config,
            world_size=count,
            batch_size=args.batch_size,
            size=args.size)
        variants[f'{count}'] = shared
        if count > 1:
            variants[f'{count}, own ascent'] = dict(
                shared, options={'optim_wrapper.sync_perturbation': False})
    timings = run(
        args, 'speed.scale:make_ranks', variants, f'{args.ranks[0]}',
        f'SAM step of {args.config} on several ranks, '
        f'{args.batch_size} images each')
    for name, timing in timings.items():
        total = args.batch_size * int(name.split(',')[0])
        print(f'{name} ranks: {total / timing.median():.1f} images per '
              'second')


if __name__ == '__main__':
    run_script(main)
