# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/test.py CONFIG CHECKPOINT`` does beside a plain test."""
import argparse
import os.path as osp
import shlex
from typing import Sequence, Tuple

from orsa.apis.model import load_config
from orsa.apis.testing import (FACES, check_checkpoint, merge_test_arguments,
                               test)
from orsa.datasets.drawing.occluders import KINDS
from .occlusion_suite import SEVERITIES, OcclusionSuite
from .result_file import check_about, write_result


def add_occluder_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--kinds`` and ``--severities`` to a parser."""
    parser.add_argument(
        '--kinds', nargs='+', choices=KINDS, help='of occluders; default: all')
    parser.add_argument(
        '--severities',
        nargs='*',
        type=int,
        choices=SEVERITIES,
        default=SEVERITIES,
        help='of occluders (default: all); none tests clean faces alone')


def add_suite_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the suite's arguments of ``tools/test.py`` to a parser."""
    group = parser.add_argument_group('test under occlusion')
    group.add_argument(
        '--occlusion-suite',
        action='store_true',
        help='test with every kind of occluder at every severity, and on '
        'lists of really occluded faces, see docs/occlusion_benchmark.md')
    add_occluder_arguments(group)
    group.add_argument(
        '--lists',
        nargs='*',
        metavar='FILE',
        help='lists of really occluded faces (default: those of the config, '
        "or of the data's folder)")
    group.add_argument(
        '--workers',
        type=int,
        help="processes that make the images (default: the config's)")
    group.add_argument(
        '--occlusion-seed',
        type=int,
        default=0,
        help='another seed, other occluders (default: 0)')
    group = parser.add_argument_group('result, see docs/leaderboard.md')
    group.add_argument(
        '--result',
        metavar='FILE.json',
        help='a result that can be checked and compared; the run of another '
        'seed is added to a file that is there')
    add_about_argument(
        group, 'title, seed (of the training), epoch (last or best), '
        'selected_on (nothing, validation or test); and paper, code, '
        'starts_from, data (a title)')


def add_about_argument(parser: argparse.ArgumentParser, keys: str) -> None:
    """Add ``--about`` to a parser, which takes some ``keys``."""
    parser.add_argument(
        '--about',
        nargs='+',
        type=_pair,
        default=[],
        metavar='KEY=VALUE',
        help=f'what a result says of the method: {keys}')


def _pair(text: str) -> Tuple[str, str]:
    key, mark, value = text.partition('=')
    if not mark:
        raise argparse.ArgumentTypeError(f"'{text}' should be KEY=VALUE")
    return key, value


def run_test(args: argparse.Namespace, words: Sequence[str]) -> dict:
    """Test by parsed arguments, and write a result if it is asked for.

    Args:
        args (Namespace): See :func:`orsa.apis.testing.add_test_arguments` and
            :func:`add_suite_arguments`.
        words (Sequence[str]): Of the command, after ``orsa``.

    Returns:
        dict: The metrics, or the report of the suite.

    Raises:
        ValueError: For arguments that do not go together.
    """
    do = run_suite if args.occlusion_suite else test
    if not args.result:
        return do(args)
    if args.max_samples is not None or args.launcher != 'none':
        raise ValueError('--result is of all faces and of one process: leave '
                         'out --max-samples and --launcher')
    about = dict(args.about)
    check_about(about)
    found = do(args)
    cfg = merge_test_arguments(load_config(args.config), args)
    report = 'occlusion_suite.json' if args.occlusion_suite else FACES
    write_result(args.result, osp.join(cfg.work_dir, report), cfg,
                 args.checkpoint, about, shlex.join(['orsa', *words]))
    print(f'wrote {args.result}')
    return found


def run_suite(args: argparse.Namespace) -> dict:
    """Run the suite by parsed arguments and return its report.

    Raises:
        ValueError: For arguments of a test that it does not support.
    """
    refused = [
        name for name, value in (('--amp', args.amp), ('--out', args.out),
                                 ('--launcher', args.launcher != 'none'))
        if value
    ]
    if refused:
        raise ValueError(f'--occlusion-suite does not go with {refused}')
    check_checkpoint(args.checkpoint)
    cfg = merge_test_arguments(load_config(args.config), args)
    workers = args.workers
    if workers is None:
        workers = cfg.test_dataloader.get('num_workers', 0)
    suite = OcclusionSuite(
        cfg,
        args.checkpoint,
        kinds=args.kinds,
        severities=args.severities,
        lists=args.lists,
        work_dir=cfg.work_dir,
        seed=args.occlusion_seed,
        workers=workers)
    suite.config = args.config
    return suite.run()
