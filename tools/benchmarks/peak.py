# Copyright (c) orsa contributors. All rights reserved.
"""Share of the processor's peak: ``python tools/benchmarks/peak.py``."""
import argparse
import os.path as osp
import tempfile

import torch
from speed.peak import PRODUCT, count_flops, time_by_kind
from speed.report import add_compile_argument, add_speed_arguments, run

from orsa.apis.exporting import load_for_export
from orsa.deploy.export import export_model
from orsa.deploy.sample_faces import crop_pipeline, crop_size
from orsa.utils.command import run_script
from orsa.utils.tables import Table


def main():
    parser = argparse.ArgumentParser(
        description='Answers of small models in PyTorch and ONNX Runtime, and '
        "their training steps, against the processor's rate in a product of "
        'two matrices of 2048x2048')
    parser.add_argument(
        'config',
        nargs='*',
        default=['configs/orsanet_face.py', 'configs/orsanet_lite_rafdb.py'])
    parser.add_argument('--batch-size', type=int, nargs='+', default=[1, 32])
    add_compile_argument(parser)
    parser.add_argument(
        '--profile',
        action='store_true',
        help='show where the time goes in PyTorch')
    add_speed_arguments(parser)
    args = parser.parse_args()
    variants = {PRODUCT: dict(engine=PRODUCT)}
    with tempfile.TemporaryDirectory() as folder:
        for config in args.config:
            name = osp.splitext(osp.basename(config))[0]
            path = osp.join(folder, f'{name}.onnx')
            model, _ = load_for_export(config, allow_untrained=True)
            # predictions of random weights are near ties
            export_model(model, path, limits=(1., 0.))
            shared = dict(
                config=config, size=crop_size(crop_pipeline(model.cfg))[0])
            for count in args.batch_size:
                one = dict(shared, batch_size=count)
                variants[f'{name}, {count}: PyTorch'] = dict(
                    one, engine='PyTorch')
                if args.compile:
                    variants[f'{name}, {count}: compiled'] = dict(
                        one, engine='compiled')
                variants[f'{name}, {count}: ONNX Runtime'] = dict(
                    one, engine='ONNX Runtime', path=path)
            largest = max(args.batch_size)
            variants[f'{name}, {largest}: training step'] = dict(
                shared, batch_size=largest, engine='step')
        timings = run(args, 'speed.peak:make_work', variants, PRODUCT,
                      f'Small models, {args.batch_size} images')
    torch.set_num_threads(args.threads)
    peak = count_flops(PRODUCT) / timings[PRODUCT].median()
    rows = []
    for name, timing in timings.items():
        flops = count_flops(**variants[name])
        rate = flops / timing.median()
        rows.append([
            name, f'{timing.median() * 1e3:.1f}', f'{flops / 1e9:.2f}',
            f'{rate / 1e9:.0f}', f'{100 * rate / peak:.0f}'
        ])
    print()
    print(
        Table(['', 'ms', 'GFLOP', 'GFLOP/s', '% of the peak'],
              rows).markdown())
    if not args.profile:
        return
    found = {
        name: time_by_kind(**variants[name])
        for name in timings if name.endswith(('PyTorch', 'training step'))
    }
    kinds = list(dict.fromkeys(k for shares in found.values() for k in shares))
    print()
    print(
        Table(['% of the time', *kinds],
              [[name, *(f'{shares.get(k, 0):.0f}' for k in kinds)]
               for name, shares in found.items()]).markdown())


if __name__ == '__main__':
    run_script(main)
