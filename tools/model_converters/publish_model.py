# Copyright (c) orsa contributors. All rights reserved.
"""Reduce a training checkpoint to its weights and class names, in float16."""
import argparse

from orsa.prepare.weights import publish
from orsa.utils.command import add_absent_flags, run_script
from orsa.utils.compat import setup_stack


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'src',
        nargs='+',
        help='a checkpoint of tools/train.py; of several the mean of their '
        'weights')
    parser.add_argument('dst', help='the file to write')
    parser.add_argument('--fp32', action='store_true', help='store float32')
    add_absent_flags(
        parser, {
            '--no-ema': "the weights written are always 'state_dict'",
            '--dataset-type': 'class names come from the checkpoint'
        })
    args = parser.parse_args()
    setup_stack()
    size = publish(args.src, args.dst, half=not args.fp32)
    print(f'wrote {args.dst}, {size / 2**20:.2f} MB')


if __name__ == '__main__':
    run_script(main)
