# Copyright (c) orsa contributors. All rights reserved.
"""All that a GPU is to be measured for: ``python tools/benchmarks/gpu.py``.

Parity, SAM steps, memory, inference, ranks, determinism and a training. Each
result is stored as it ends, and a second call goes on with the others. Exits
with 1 if one failed, or is not measured yet.
"""
import argparse

import torch
from speed.gpu import about_machine, all_runs, measure, toy_runs

from orsa.utils.command import run_script


def parse_args():
    parser = argparse.ArgumentParser(
        description='Measure on a GPU: parity, speed, memory, several GPUs, '
        'determinism and a training')
    parser.add_argument(
        '--out',
        default='work_dirs/gpu',
        help='folder of gpu.json, gpu.md and the logs (default: %(default)s)')
    parser.add_argument(
        '--minutes',
        type=float,
        default=10,
        help='for this call (default: %(default)s)')
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='try every step with a small model on the CPU')
    return parser.parse_args()


def main():
    args = parse_args()
    if not args.dry_run and not torch.cuda.is_available():
        raise RuntimeError('torch finds no GPU here: nothing is measured. '
                           '--dry-run tries every step on the CPU')
    runs = (toy_runs if args.dry_run else all_runs)(args.out)
    about = about_machine(args.dry_run)
    return min(measure(runs, args.out, args.minutes, about), 1)


if __name__ == '__main__':
    run_script(main)
