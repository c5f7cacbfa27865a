# Copyright (c) orsa contributors. All rights reserved.
"""Break the library on purpose, in a copy, and see whether a test notices.

Mutants are drawn by seed over losses, metrics, transforms, samplers, SAM and
converters. Run again after an interruption, it goes on; run again after a
change of tests, it tries the survivors again.
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
        '--parts', nargs='+', choices=mutants.TESTS, default=[*mutants.TESTS])
    parser.add_argument(
        '--seconds',
        type=float,
        default=float('inf'),
        help='begin no mutant after so long')
    args = parser.parse_args()
    rows = mutants.run(args.count, args.seed, args.work_dir, args.parts,
                       args.seconds)
    print(mutants.summary(rows))
