# Copyright (c) orsa contributors. All rights reserved.
"""Samples a second: ``python tools/benchmarks/data.py CONFIG``."""
import argparse

from speed.report import add_speed_arguments, run

from orsa.utils.command import run_script
from orsa.utils.configs import OptionsAction


def main():
    parser = argparse.ArgumentParser(
        description='Time of a sample in the pipeline, by transform; one '
        'worker is one process')
    parser.add_argument(
        'config', nargs='*', default=['configs/orsanet_lite_rafdb.py'])
    parser.add_argument(
        '--part', default='train', choices=['train', 'val', 'test'])
    parser.add_argument('--count', type=int, default=64, help='a round')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        help='changes to every config, as key=value')
    parser.add_argument(
        '--against',
        nargs='+',
        action=OptionsAction,
        help='time the first config with these changes as well, as key=value')
    add_speed_arguments(parser)
    args = parser.parse_args()
    options = args.cfg_options or {}
    variants = {
        config:
        dict(config=config, part=args.part, count=args.count, options=options)
        for config in args.config
    }
    if args.against:
        variants['changed'] = dict(
            variants[args.config[0]], options=dict(options, **args.against))
    found = run(args, 'speed.data:make_samples', variants, args.config[0],
                f'A sample of the {args.part} pipeline')
    for name, timing in found.items():
        print(f'{name}: {1 / timing.median():.0f} samples a second and '
              'worker')


if __name__ == '__main__':
    run_script(main)
