# Copyright (c) orsa contributors. All rights reserved.
"""Mutate a copy of the library, and check that a test fails.

Mutants are sampled by seed from losses, metrics, transforms, samplers, SAM and
converters. A second run resumes an interrupted one, and tries survivors again
after a change of their tests.
"""
import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
sys.path.insert(0,
                str(Path(__file__).resolve().parents[1] / 'tests' / 'stress'))

import mutants  # noqa: E402

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--count', type=int, default=300)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--work-dir', type=Path, default='work_dirs/mutants')
    parser.add_argument(
        '--groups',
        '--parts',
        nargs='+',
        choices=mutants.TESTS,
        default=[*mutants.TESTS],
        help='groups of modules (default: all)')
    parser.add_argument(
        '--seconds',
        type=float,
        default=float('inf'),
        help='start no mutant after this time')
    args = parser.parse_args()
    rows = mutants.run(args.count, args.seed, args.work_dir, args.groups,
                       args.seconds)
    print(mutants.summary(rows))
