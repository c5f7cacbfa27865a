# Copyright (c) orsa contributors. All rights reserved.
"""Arguments, tables and JSON files of the benchmarks."""
import argparse
import platform
from typing import Dict, List, Optional

import torch

from orsa.apis.model import load_config
from orsa.studies.complexity import processor_name
from orsa.utils.fileio import dump_json
from orsa.utils.tables import Table
from .interleaved import TOTAL, Timing, ratio, time_interleaved


def add_speed_arguments(parser: argparse.ArgumentParser,
                        rounds: int = 9) -> None:
    """Add the arguments that all benchmarks share.

    Args:
        parser (argparse.ArgumentParser): Is changed.
        rounds (int): Default of ``--rounds``. Defaults to 9.
    """
    parser.add_argument(
        '--rounds',
        type=int,
        default=rounds,
        help='measured rounds of each variant (default: %(default)s)')
    parser.add_argument(
        '--warmup',
        type=int,
        default=2,
        help='unmeasured rounds before (default: %(default)s)')
    parser.add_argument(
        '--threads',
        type=int,
        default=1,
        help='of each process (default: %(default)s)')
    parser.add_argument(
        '--clock',
        choices=['wall', 'processor'],
        default='wall',
        help='measure wall-clock time, or CPU time (processor), which is for '
        'busy machines and one thread (default: %(default)s)')
    parser.add_argument(
        '--json', metavar='FILE', help='write the timings to it')
    parser.add_argument(
        '--variants', nargs='+', help='variants to time (default: all)')


def add_compile_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--compile``.

    Args:
        parser (argparse.ArgumentParser): Is changed.
    """
    parser.add_argument(
        '--compile',
        action='store_true',
        help='measure torch.compile (inductor) too, which takes minutes')


def compiled_variants(shared: dict) -> Dict[str, dict]:
    """What ``--compile`` adds to the variants of a model.

    Args:
        shared (dict): Arguments of each.

    Returns:
        dict[str, dict]: Arguments by variant.
    """
    compiled = {
        f'{dtype or "float32"}, compiled':
        dict(shared, dtype=dtype, compiled='inductor')
        for dtype in (None, 'bfloat16')
    }
    compiled['float32, max-autotune'] = dict(
        shared,
        compiled='inductor',
        environment=dict(TORCHINDUCTOR_MAX_AUTOTUNE='1'))
    return compiled


def priors_of(config: str) -> List[str]:
    """Return the names of a config's priors that are prepared.

    Args:
        config (str): The experiment.

    Returns:
        list[str]: Keys of its backbone.
    """
    backbone = load_config(config).model.backbone
    return [
        key for key in ('parsing_prior', 'landmark_prior')
        if (backbone.get(key) or {}).get('prepare') == 'fuse'
    ]


def machine() -> dict:
    """Describe the machine and the versions of the measurement.

    Returns:
        dict: ``processor``, ``capability``, ``torch`` and ``python``.
    """
    return dict(
        processor=processor_name(),
        capability=torch.backends.cpu.get_cpu_capability(),
        torch=torch.__version__,
        python=platform.python_version())


def run(args: argparse.Namespace, make: str, variants: Dict[str, dict],
        reference: str, title: str) -> Dict[str, Timing]:
    """Time variants, print the table and write the JSON file.

    Args:
        args (argparse.Namespace): Of :func:`add_speed_arguments`.
        make (str): See :func:`.interleaved.time_interleaved`.
        variants (dict[str, dict]): Arguments by variant.
        reference (str): The variant that the others are compared with, if it
            is timed.
        title (str): Title of the table.

    Returns:
        dict[str, Timing]: By variant.

    Raises:
        ValueError: If one of ``args.variants`` does not exist.
    """
    chosen = args.variants or list(variants)
    unknown = set(chosen) - set(variants)
    if unknown:
        raise ValueError(f'there are no variants {sorted(unknown)}, only '
                         f'{list(variants)}')
    timings = time_interleaved(make, {k: variants[k]
                                      for k in chosen}, args.rounds,
                               args.warmup, args.threads,
                               args.clock == 'processor')
    about = dict(
        title=title,
        rounds=args.rounds,
        threads=args.threads,
        clock=args.clock,
        reference=reference if reference in timings else None,
        **machine())
    print('\n'.join(table(timings, about)))
    if args.json:
        dump_json(
            dict(
                **about,
                variants={
                    k: dict(variants[k], **t._asdict(), median=t.median())
                    for k, t in timings.items()
                }), args.json)
        print(f'wrote {args.json}')
    return timings


def table(timings: Dict[str, Timing], about: dict) -> List[str]:
    """Write the table of medians per stage (ms), memory and ratios.

    Args:
        timings (dict[str, Timing]): By variant.
        about (dict): ``title``, ``rounds``, ``threads``, ``clock``,
            ``reference`` and what :func:`machine` returns.

    Returns:
        list[str]: A line of description and a Markdown table.
    """
    stages = list(
        dict.fromkeys(p for t in timings.values() for p in t.seconds
                      if p != TOTAL))
    reference: Optional[str] = about['reference']
    head = ['variant', *stages, 'ms', 'p5', 'p95', 'peak MiB']
    if reference:
        head[-1:] = [f'of {reference}', 'peak MiB', f'peak of {reference}']
    rows = []
    for name, timing in timings.items():
        row = [
            name,
            *(f'{timing.median(p) * 1e3:.1f}' if p in timing.seconds else ''
              for p in stages), f'{timing.median() * 1e3:.1f}',
            f'{timing.percentile(5) * 1e3:.1f}',
            f'{timing.percentile(95) * 1e3:.1f}'
        ]
        memory = [f'{timing.memory / 2**20:.0f}' if timing.memory else '']
        if reference:
            other = timings[reference]
            row.append(f'{ratio(timing, other):.3f}')
            memory.append(
                f'{timing.memory / other.memory:.2f}' if timing.memory else '')
        rows.append(row + memory)
    several = 's' if about['threads'] > 1 else ''
    return [
        f"{about['title']}: medians of {about['rounds']} interleaved "
        f"rounds, ms of {about['clock']} time; {about['threads']} "
        f"thread{several} per process; {about['processor']} "
        f"({about['capability']}), torch {about['torch']}.", '',
        Table(head, rows).markdown()
    ]
