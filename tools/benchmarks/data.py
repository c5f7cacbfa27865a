# Copyright (c) orsa contributors. All rights reserved.
"""Samples a second: ``python tools/benchmarks/data.py CONFIG``."""
import argparse

from orsa.apis.speed.report import add_speed_arguments, run

if __name__ == '__main__':
    parser = argparse.ArgumentParser(
        description='Time of a sample in the pipeline, by transform; one '
        'worker is one process')
    parser.add_argument(
        'config', nargs='*', default=['configs/orsanet_lite_rafdb.py'])
    parser.add_argument(
        '--part', default='train', choices=['train', 'val', 'test'])
    parser.add_argument('--count', type=int, default=64, help='a round')
    add_speed_arguments(parser)
    args = parser.parse_args()
    variants = {
        config: dict(config=config, part=args.part, count=args.count)
        for config in args.config
    }
    found = run(args, 'orsa.apis.speed.data:make_samples', variants,
                args.config[0], f'A sample of the {args.part} pipeline')
    for name, timing in found.items():
        print(f'{name}: {1 / timing.median():.0f} samples a second and '
              'worker')
