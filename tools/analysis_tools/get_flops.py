# Copyright (c) orsa contributors. All rights reserved.
"""Count parameters and multiply-adds of every module, by MMEngine's counter.

  python tools/analysis_tools/get_flops.py configs/orsanet_lite_rafdb.py

The input is a blank image after the test pipeline. No data and no weights are
needed.
"""
from orsa.analysis.inputs import analysis_parser, read_config
from orsa.apis.model import build_model
from orsa.studies.complexity import blank_input, count_complexity
from orsa.utils.command import run_script


def main():
    parser = analysis_parser(__doc__)
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        default=[224, 224],
        metavar='SIZE',
        help='height and width of the blank image, or its side, if the '
        'pipeline does not resize (default: 224)')
    args = parser.parse_args()
    if len(args.shape) > 2:
        parser.error(f'--shape should be H W, but got {args.shape}')
    cfg = read_config(args)
    model = build_model(cfg, pretrained=False)
    model.cfg = cfg
    inputs = blank_input(model, (2 * args.shape)[:2])
    complexity = count_complexity(model, inputs)
    print(f'input {tuple(inputs.shape[1:])}')
    print(f'{"module":<18}{"parameters":>14}{"trained":>14}{"MACs":>18}')
    for name, cost in (*complexity.modules.items(), ('all', complexity.total)):
        print(f'{name:<18}{cost.all:>14,}{cost.trained:>14,}{cost.macs:>18,}')
    if complexity.uncounted:
        names = ', '.join(
            k.split('::')[-1] for k in sorted(complexity.uncounted))
        print(f'not counted: {names}')


if __name__ == '__main__':
    run_script(main)
