# Copyright (c) orsa contributors. All rights reserved.
"""What ``orsa occlude`` and ``score`` do, and ``test`` beside a plain test."""
import argparse
import os.path as osp
import shlex
from typing import Sequence, Tuple

from mmengine.config import Config

from orsa.apis.model import load_config
from orsa.apis.testing import (check_checkpoint, check_test_data,
                               merge_data_arguments, merge_test_arguments,
                               test)
from orsa.apis.zoo import looks_like_name, resolve_model
from orsa.datasets.drawing.occluders import KINDS
from orsa.evaluation.predictions import PREDICTIONS
from orsa.utils.configs import add_cfg_options
from .occlusion_conditions import conditions_of
from .occlusion_faces import SuiteFaces
from .occlusion_images import write_images
from .occlusion_score import score_file
from .occlusion_suite import SEVERITIES, OcclusionSuite, some_of
from .result_file import check_about, check_method, write_result


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
        help='of occluders (default: all); no value is clean faces alone')


def _add_protocol_arguments(parser) -> None:
    """Add what chooses the images of a test under occlusion."""
    add_occluder_arguments(parser)
    parser.add_argument(
        '--lists',
        nargs='*',
        metavar='FILE',
        help='lists of really occluded faces (default: those of the config, '
        "or of the data's folder)")
    parser.add_argument(
        '--workers',
        type=int,
        help="processes that make the images (default: the config's)")
    parser.add_argument(
        '--occlusion-seed',
        type=int,
        default=0,
        help='another seed, other occluders (default: 0)')


def add_suite_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the suite's arguments of ``tools/test.py`` to a parser."""
    group = parser.add_argument_group('test under occlusion')
    group.add_argument(
        '--occlusion-suite',
        action='store_true',
        help='test with every kind of occluder at every severity, and on '
        'lists of really occluded faces, see docs/occlusion_benchmark.md')
    _add_protocol_arguments(group)
    add_result_arguments(parser)


def add_result_arguments(parser: argparse.ArgumentParser,
                         more: str = '') -> None:
    """Add ``--result`` and ``--about``, with ``more`` keys, to a parser."""
    group = parser.add_argument_group('result, see docs/leaderboard.md')
    group.add_argument(
        '--result',
        metavar='FILE.json',
        help='a result that can be checked and compared; the run of another '
        'seed is added to a file that is there')
    add_about_argument(
        group, f'{more}title, seed (of the training), epoch (last or best), '
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
    cfg = merge_test_arguments(load_config(args.config), args)
    check_method(args.result, cfg, args.checkpoint, about)
    found = do(args)
    report = 'occlusion_suite.json' if args.occlusion_suite else PREDICTIONS
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
                                 ('--tta', args.tta), ('--show', args.show),
                                 ('--show-dir', args.show_dir),
                                 ('--launcher', args.launcher != 'none'))
        if value
    ]
    if refused:
        raise ValueError(f'--occlusion-suite does not go with {refused}')
    check_checkpoint(args.checkpoint)
    cfg = merge_test_arguments(load_config(args.config), args)
    suite = OcclusionSuite(
        cfg,
        args.checkpoint,
        kinds=args.kinds,
        severities=args.severities,
        lists=args.lists,
        work_dir=cfg.work_dir,
        seed=args.occlusion_seed,
        workers=_workers(cfg, args))
    suite.config = args.config
    return suite.run()


def _workers(cfg: Config, args: argparse.Namespace) -> int:
    if args.workers is None:
        return cfg.test_dataloader.get('num_workers', 0)
    return args.workers


def add_occlude_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``orsa occlude`` to a parser."""
    parser.add_argument(
        'config',
        help='config file with test data, orsa::NAME.py, or the name of a '
        'model that ships')
    parser.add_argument(
        '--out', required=True, metavar='DIR', help='folder of the images')
    _add_protocol_arguments(parser)
    parser.add_argument(
        '--max-samples',
        type=int,
        metavar='N',
        help='take N faces, spread evenly over the split')
    add_cfg_options(parser)


def run_occlude(args: argparse.Namespace) -> str:
    """Write occluded images by parsed arguments; see :func:`write_images`."""
    config = args.config
    if looks_like_name(config):
        config, _ = resolve_model(config)
    cfg = load_config(config)
    check_test_data(cfg, config)
    merge_data_arguments(cfg, args)
    kinds = some_of(args.kinds, KINDS, 'kinds')
    severities = some_of(args.severities, SEVERITIES, 'severities')
    faces = SuiteFaces(cfg, conditions_of(kinds, severities),
                       args.occlusion_seed, args.lists)
    return write_images(faces, kinds, severities, args.out,
                        _workers(cfg, args))


def run_score(args: argparse.Namespace, words: Sequence[str]) -> dict:
    """Score predictions, and write a result if it is asked for.

    Args:
        args (Namespace): Of ``orsa score``.
        words (Sequence[str]): Of the command, after ``orsa``.

    Returns:
        dict: The report.

    Raises:
        ValueError: For arguments that do not go together.
    """
    about = dict(args.about)
    if args.result:
        if not (args.out and args.data):
            raise ValueError('--result is made of the report and of the '
                             'faces: give --out and --data too')
        check_about(about, elsewhere=True)
    report = score_file(args.predictions, args.manifest, args.out)
    if args.result:
        write_result(args.result, args.out, load_config(args.data), None,
                     about, shlex.join(['orsa', *words]))
        print(f'wrote {args.result}')
    return report
