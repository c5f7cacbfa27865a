# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/test.py CONFIG CHECKPOINT --occlusion-suite`` does."""
import argparse

from orsa.apis.model import load_config
from orsa.apis.testing import check_checkpoint, merge_test_arguments
from orsa.datasets.drawing.occluders import KINDS
from .occlusion_suite import SEVERITIES, OcclusionSuite


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


def run_suite(args: argparse.Namespace) -> dict:
    """Run the suite by parsed arguments and return its report.

    Raises:
        ValueError: For arguments of a test that it does not support.
    """
    refused = [
        name for name, value in (('--amp', args.amp), ('--out', args.out),
                                 ('--tta', args.tta), ('--show', args.show),
                                 ('--show-dir', args.show_dir),
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
