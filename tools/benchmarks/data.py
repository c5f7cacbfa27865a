# Copyright (c) orsa contributors. All rights reserved.
"""Samples per second: ``python tools/benchmarks/data.py CONFIG``."""
import argparse

from speed.report import add_speed_arguments, run

from orsa.utils.command import RenamedFlag, run_script
from orsa.utils.configs import OptionsAction, add_cfg_options


def main():
    parser = argparse.ArgumentParser(
        description='Time per sample of the data pipeline, by transform, '
        'in one process')
    parser.add_argument(
        'config', nargs='*', default=['configs/orsanet_lite_rafdb.py'])
    parser.add_argument(
        '--split', default='train', choices=['train', 'val', 'test'])
    parser.add_argument(
        '--part',
        dest='split',
        choices=['train', 'val', 'test'],
        action=RenamedFlag)
    parser.add_argument(
        '--count', type=int, default=64, help='samples per round')
    add_cfg_options(parser)
    parser.add_argument(
        '--against',
        nargs='+',
        action=OptionsAction,
        help='time the first config with these changes as well, as key=value')
    add_speed_arguments(parser)
    args = parser.parse_args()
    variants = {
        config:
        dict(
            config=config,
            split=args.split,
            count=args.count,
            options=args.cfg_options)
        for config in args.config
    }
    if args.against:
        variants['changed'] = dict(
            variants[args.config[0]],
            options=dict(args.cfg_options, **args.against))
    timings = run(args, 'speed.data:make_samples', variants, args.config[0],
                  f'One sample of the {args.split} pipeline')
    for name, timing in timings.items():
        print(f'{name}: {1 / timing.median():.0f} samples per second and '
              'worker')


if __name__ == '__main__':
    run_script(main)
