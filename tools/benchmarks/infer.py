# Copyright (c) orsa contributors. All rights reserved.
"""Inference speed: ``python tools/benchmarks/infer.py [CONFIG]``."""
import argparse

from speed.beside import add_beside_argument
from speed.report import (add_compile_argument, add_speed_arguments,
                          compiled_variants, priors_of, run)

from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(
        description='Latency of a batch, against a plain implementation of '
        'the same model')
    parser.add_argument(
        'config', nargs='?', default='configs/orsanet_rafdb.py')
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--size', type=int, default=224, help='of the images')
    parser.add_argument('--device', default='cpu')
    add_speed_arguments(parser, rounds=20)
    add_compile_argument(parser)
    parser.add_argument(
        '--exported', metavar='FILE', help='time an exported file too')
    add_beside_argument(parser)
    args = parser.parse_args()
    shared = dict(
        config=args.config,
        batch_size=args.batch_size,
        size=args.size,
        device=args.device)
    variants = dict(
        plain=dict(shared, plain=True),
        orsa=shared,
        bfloat16=dict(shared, dtype='bfloat16'))
    half = {
        f'model.backbone.{prior}.dtype': 'bfloat16'
        for prior in priors_of(args.config)
    }
    if half:
        variants['priors in bfloat16'] = dict(shared, options=half)
    if args.compile:
        variants.update(compiled_variants(shared))
        # weights are constants then, which inductor packs for oneDNN
        variants['float32, freezing'] = dict(
            shared,
            compiled='inductor',
            environment=dict(TORCHINDUCTOR_FREEZING='1'))
        variants['float32, oneDNN graph'] = dict(shared, graph=True)
    if args.exported:
        variants['exported'] = dict(shared, exported=args.exported)
    if args.beside:
        variants['beside'] = dict(shared, beside=args.beside)
    timings = run(
        args, 'speed.infer:make_forward', variants,
        'beside' if args.beside else 'plain',
        f'Prediction of {args.config}, {args.batch_size} images of '
        f'{args.size}x{args.size} on {args.device}')
    for name, timing in timings.items():
        print(f'{name}: {args.batch_size / timing.median():.1f} images per '
              'second')


if __name__ == '__main__':
    run_script(main)
