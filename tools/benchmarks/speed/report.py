# Copyright (c) orsa contributors. All rights reserved.
"""Tables of what took how long."""
import argparse
import platform
from typing import Dict, List, Optional

import torch

from orsa.utils.fileio import dump_json
from orsa.utils.tables import Table
from .turns import TOTAL, Timing, ratio, take_turns


def add_speed_arguments(parser: argparse.ArgumentParser,
                        rounds: int = 9) -> None:
    """Arguments that all benchmarks share."""
    parser.add_argument(
        '--rounds',
        type=int,
        default=rounds,
        help='that count, of each variant in turn (default: %(default)s)')
    parser.add_argument(
        '--warmup',
        type=int,
        default=2,
        help='rounds before these (default: %(default)s)')
    parser.add_argument(
        '--threads',
        type=int,
        default=1,
        help='of each process (default: %(default)s)')
    parser.add_argument(
        '--clock',
        choices=['wall', 'processor'],
        default='wall',
        help='whether to measure the time on the wall, or the time in which '
        'the process ran: on a busy machine, for one process of one thread '
        '(default: %(default)s)')
    parser.add_argument('--json', metavar='FILE', help='write figures to it')
    parser.add_argument(
        '--variants', nargs='+', help='some of them (default: all)')


def machine() -> dict:
    """What the figures were measured on."""
    return dict(
        processor=_processor(),
        capability=torch.backends.cpu.get_cpu_capability(),
        torch=torch.__version__,
        python=platform.python_version())


def _processor() -> str:
    try:
        with open('/proc/cpuinfo') as f:
            for line in f:
                if line.startswith('model name'):
                    return line.split(':', 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def run(args: argparse.Namespace, make: str, variants: Dict[str, dict],
        reference: str, title: str) -> Dict[str, Timing]:
    """Time variants by parsed arguments, print and write the table.

    Args:
        args (argparse.Namespace): Of :func:`add_speed_arguments`.
        make (str): See :func:`.turns.take_turns`.
        variants (dict[str, dict]): Arguments by variant.
        reference (str): What the others are compared with, if it is timed.
        title (str): What is done, in words.

    Returns:
        dict[str, Timing]: By variant.

    Raises:
        ValueError: If ``args.variants`` has one that does not exist.
    """
    chosen = args.variants or list(variants)
    unknown = set(chosen) - set(variants)
    if unknown:
        raise ValueError(f'there are no variants {sorted(unknown)}, only '
                         f'{list(variants)}')
    timings = take_turns(make, {k: variants[k]
                                for k in chosen}, args.rounds, args.warmup,
                         args.threads, args.clock == 'processor')
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
    """Markdown of medians by part, in ms, memory and ratios."""
    parts = list(
        dict.fromkeys(p for t in timings.values() for p in t.seconds
                      if p != TOTAL))
    reference: Optional[str] = about['reference']
    head = [
        'variant', *parts, 'ms', 'p5', 'p95', 'peak MiB',
        f'of {reference}' if reference else ''
    ]
    rows = []
    for name, timing in timings.items():
        against = ''
        if reference:
            against = f'{ratio(timing, timings[reference]):.3f}'
        rows.append([
            name,
            *(f'{timing.median(p) * 1e3:.1f}' if p in timing.seconds else ''
              for p in parts), f'{timing.median() * 1e3:.1f}',
            f'{timing.percentile(5) * 1e3:.1f}',
            f'{timing.percentile(95) * 1e3:.1f}',
            f'{timing.memory / 2**20:.0f}' if timing.memory else '', against
        ])
    if not reference:
        head, rows = head[:-1], [r[:-1] for r in rows]
    several = 's' if about['threads'] > 1 else ''
    return [
        f"{about['title']}: medians of {about['rounds']} rounds in turn, ms "
        f"of the {about['clock']}; {about['threads']} thread{several} a "
        f"process; {about['processor']} ({about['capability']}), torch "
        f"{about['torch']}.", '',
        Table(head, rows).markdown()
    ]
