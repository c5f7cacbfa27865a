# Copyright (c) orsa contributors. All rights reserved.
"""Time of a SAM step: ``python tools/benchmarks/step.py [CONFIG]``."""
import argparse
from importlib.util import find_spec
from typing import Dict

from speed.beside import add_beside_argument
from speed.report import (add_compile_argument, add_speed_arguments,
                          compiled_variants, priors_of, run)

from orsa.apis.model import load_config
from orsa.utils.command import run_script

# glibc keeps much of what is freed, unless it is told not to; jemalloc, where
# it is installed, has less to keep
_ALLOCATORS = dict(
    returned=dict(
        MALLOC_MMAP_THRESHOLD_='65536', MALLOC_TRIM_THRESHOLD_='65536'),
    jemalloc=dict(LD_PRELOAD='libjemalloc.so.2', MALLOC_CONF='narenas:1'))


def main():
    parser = argparse.ArgumentParser(
        description='Time and peak memory of one SAM step, by stage, against '
        'a plain implementation of the same step. What a config may choose is '
        'timed by name alone, see --variants')
    parser.add_argument(
        'config', nargs='?', default='configs/orsanet_rafdb.py')
    parser.add_argument('--batch-size', type=int, default=4)
    parser.add_argument('--size', type=int, default=224, help='of the images')
    add_speed_arguments(parser)
    add_compile_argument(parser)
    add_beside_argument(parser)
    args = parser.parse_args()
    shared = dict(
        config=args.config, batch_size=args.batch_size, size=args.size)
    variants = dict(
        plain=dict(shared, plain=True),
        orsa=shared,
        cached=dict(shared, cached=True),
        bfloat16=dict(shared, dtype='bfloat16'))
    variants['bfloat16, cached'] = dict(shared, dtype='bfloat16', cached=True)
    if args.compile:
        variants.update(compiled_variants(shared))
    if args.beside:
        variants['beside'] = dict(shared, beside=args.beside)
    # all of the others at once would not fit into the memory of most machines
    args.variants = args.variants or list(variants)
    for name, options in _by_choice(args.config).items():
        variants[name] = dict(shared, options=options)
    for name in ('orsa', 'least memory', 'least memory, moments of 8 bits'):
        if name in variants:
            variants.update((f'{name}, {allocator}',
                             dict(variants[name], environment=variables))
                            for allocator, variables in _ALLOCATORS.items())
    run(
        args, 'speed.step:make_step', variants,
        'beside' if args.beside else 'plain',
        f'SAM step of {args.config}, {args.batch_size} images of '
        f'{args.size}x{args.size}')


def _by_choice(config: str) -> Dict[str, dict]:
    """What is off in the configs: changes to one by name."""
    names = priors_of(config)

    def of_priors(**changes):
        return {
            f'model.backbone.{prior}.{key}': value
            for prior in names
            for key, value in changes.items()
        }

    priors = of_priors(dtype='bfloat16')
    ascent = {'optim_wrapper.ascent_dtype': 'bfloat16'}
    step = {'optim_wrapper.step_in_backward': True}
    half = of_priors(half_weights=True)
    encoder = load_config(config).model.backbone.image_encoder
    again = {'model.backbone.image_encoder.with_cp': True}
    if encoder.type != 'orsa.IRNet':  # the others have no such option
        again = {}
    epsilon = {'optim_wrapper.perturbation_dtype': 'bfloat16'}
    least = dict(step, **half, **again, **epsilon)
    choices = {
        'priors in bfloat16': priors,
        'priors and ascent in bfloat16': dict(priors, **ascent),
        'step in backward': step,
        'half weights of priors': half,
        'checkpointing': again,
        'perturbation in bfloat16': epsilon,
        'least memory': least
    }
    if find_spec('bitsandbytes'):
        moments = {
            'optim_wrapper.optimizer':
            dict(_delete_=True, type='Adam8bit', lr=1e-5)
        }
        choices['moments of 8 bits'] = moments
        choices['least memory, moments of 8 bits'] = dict(least, **moments)
    return choices


if __name__ == '__main__':
    run_script(main)
