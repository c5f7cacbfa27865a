# Copyright (c) orsa contributors. All rights reserved.
"""The ``orsa`` command.

Each subcommand imports what it needs when it runs, so that ``orsa --help``
is fast.
"""
import argparse
import os.path as osp
import sys
from argparse import ArgumentParser as Parser
from importlib.util import find_spec
from typing import Callable, Dict, List, NamedTuple, Optional

from orsa.utils.command import ENVIRONMENT, OK, fail, run_command
from . import media, occlusion, results

_CODES = """\
exit codes:
  0    all is done
  1    some inputs failed; the others are done
  2    wrong usage: an argument, a model, weights or a detector
  3    something is missing in this installation: see orsa doctor
  75   a training was stopped and has saved: --resume continues
  130  stopped by Ctrl-C; what was done before is kept
"""


class Command(NamedTuple):
    """A subcommand.

    Attributes:
        title (str): What it does, in a line.
        add (Callable): Adds its arguments to a parser.
        run (Callable): Runs it, and returns the exit code.
        examples (str): A command a line.
    """
    title: str
    add: Callable[[Parser], None]
    run: Callable[[argparse.Namespace], int]
    examples: str


def _add_web(parser: Parser) -> None:
    media.add_flags(
        parser,
        (('--host ADDRESS', '127.0.0.1', str, 'where to listen; the default '
          'is this machine alone, 0.0.0.0 is everybody who reaches it'),
         ('--port N', 7860, int, '0 for any that is free'),
         ('--second MODEL', None, str, 'a model to compare with'),
         ('--second-weights FILE', None, str,
          'its weights; needed with a config')))  # yapf: disable
    media.add_model_flags(parser)


def _web(args: argparse.Namespace) -> int:
    from orsa.web.serving import require_gradio
    require_gradio()
    if args.second_weights and not args.second:
        return fail('--second-weights needs --second MODEL')
    from orsa.web import Viewer, serve

    def title(model: str) -> str:
        return osp.splitext(osp.basename(model))[0]

    complete = all(map(find_spec, ('torch', 'mmengine', 'mmpretrain')))
    if args.backend == 'auto' and complete:
        args.backend = 'pytorch'  # whose models can be explained
    name, first, others = title(args.model), media.build_inferencer(args), {}
    if args.second:
        args.model, args.weights = args.second, args.second_weights
        # a model may be compared with itself, after another training
        second = title(args.second)
        second += ' (second)' * (second == name)
        others[second] = media.build_inferencer(args)
    serve(
        Viewer(name, first, others), args.host, args.port,
        lambda address, _: print(
            f'The page is at {address} (Ctrl-C ends it)', flush=True))
    return OK


def _add_train(parser: Parser) -> None:
    from orsa.apis.training import add_train_arguments
    add_train_arguments(parser)


def _train(args: argparse.Namespace) -> int:
    from orsa.apis.training import train
    train(args)
    return OK


def _add_test(parser: Parser) -> None:
    from orsa.apis.testing import add_test_arguments
    from orsa.studies.suite_command import add_suite_arguments
    add_test_arguments(parser)
    add_suite_arguments(parser)


def _test(args: argparse.Namespace) -> int:
    from orsa.studies.suite_command import run_test
    run_test(args, args.words)
    return OK


def _add_models(parser: Parser) -> None:
    parser.add_argument(
        '--configs', action='store_true', help='list the configs too')


def _models(args: argparse.Namespace) -> int:
    from orsa.apis.zoo import MODELS_BY_NAME
    from orsa.evaluation.calibration import load_calibration
    for name, (config, weights) in sorted(MODELS_BY_NAME.items()):
        fitted = load_calibration(weights).fitted_on
        print(f'{name}\n  config       {config}\n  weights      {weights}\n'
              f'  calibration  {fitted or "none"}')
    if args.configs:
        from pathlib import Path

        from orsa.utils.config_scope import config_path
        root = Path(config_path('orsanet_demo.py')).parent
        for path in sorted(root.rglob('*.py')):
            path = path.relative_to(root)
            if not any(part.startswith('_') for part in path.parts):
                print(f'orsa::{path}')
    return OK


def _doctor(args: argparse.Namespace) -> int:
    from .doctor import examine, report
    findings = examine()
    print(report(findings))
    return ENVIRONMENT if any(f.needed and f.hint for f in findings) else OK


COMMANDS: Dict[str, Command] = {
    'predict':
    Command(
        'predict the expressions in images', media.add_predict_flags,
        media.predict, 'orsa predict photo.jpg --out results\n'
        "orsa predict holiday/ 'more/*/*.png' --out results --cards\n"
        'orsa predict aligned/ --aligned --out results'),
    'video':
    Command(
        'predict the expressions in videos', media.add_video_flags,
        media.video, 'orsa video clip.mp4 --out results\n'
        'orsa video clip.mp4 --every 3 --smoothing 1 --seconds 60'),
    'webcam':
    Command(
        'predict the expressions in front of a camera', media.add_webcam_flags,
        media.webcam, 'orsa webcam\n'
        'orsa webcam --camera 1 --no-window --out results --seconds 30'),
    'train':
    Command(
        'train a model, as tools/train.py', _add_train, _train,
        'orsa train orsa::orsanet_demo.py --dry-run\n'
        'orsa train configs/orsanet_lite_rafdb.py --work-dir work_dirs/mine'),
    'test':
    Command(
        'test a checkpoint, as tools/test.py', _add_test, _test,
        'orsa test configs/orsanet_lite_rafdb.py orsa/zoo/orsanet_lite.pth\n'
        'orsa test configs/orsanet_demo.py CHECKPOINT --occlusion-suite'),
    'occlude':
    Command(
        'write the images of the test under occlusion, for any framework',
        occlusion.add_occlude_flags, occlusion.occlude,
        'orsa occlude configs/orsanet_lite_rafdb.py --out occluded\n'
        'orsa occlude configs/orsanet_face.py --out occluded --kinds hand mask'
    ),
    'score':
    Command(
        'score predictions for the images of orsa occlude',
        occlusion.add_score_flags, occlusion.score,
        'orsa score predictions.csv --manifest occluded/manifest.csv '
        '--out work_dirs/theirs/occlusion_suite.json'),
    'validate':
    Command(
        'check a result: its schema, figures, files and data',
        results.add_validate_flags, results.validate,
        'orsa validate docs/results/orsanet_face_press_faces.json\n'
        'orsa validate RESULT.json --data configs/orsanet_lite_rafdb.py'),
    'models':
    Command('list the models that ship', _add_models, _models,
            'orsa models\norsa models --configs'),
    'web':
    Command(
        'serve a page that shows what a model sees', _add_web, _web,
        'orsa web\n'
        'orsa web --second configs/baselines/posterv2_lite_rafdb.py '
        '--second-weights FILE\n'
        'orsa web --host 0.0.0.0 --port 8000'),
    'doctor':
    Command('list what is installed, what is missing and what to type',
            lambda parser: None, _doctor, 'orsa doctor'),
}


class _CommandParser(Parser):
    """What it does not know is an error with its own usage, not orsa's."""

    def parse_known_args(self, args=None, namespace=None):
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f'unrecognized arguments: {" ".join(unknown)}')
        return found, unknown


def build_parser(chosen: Optional[str] = None) -> Parser:
    """Build the parser of the command line.

    Args:
        chosen (str, optional): The subcommand that gets its arguments, as
            those of some import all of orsa. Defaults to None, none.

    Returns:
        argparse.ArgumentParser: With all subcommands.
    """
    from orsa.version import __version__
    parser = Parser(
        prog='orsa',
        description='Facial expression recognition under occlusion.',
        epilog='examples:\n  orsa predict photo.jpg --out results\n'
        '  orsa video clip.mp4 --out results\n  orsa doctor\n'
        f'  orsa predict --help\n\n{_CODES}',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--version', action='version', version=f'orsa {__version__}')
    commands = parser.add_subparsers(
        dest='command',
        metavar='COMMAND',
        required=True,
        parser_class=_CommandParser)
    for name, command in COMMANDS.items():
        examples = command.examples.replace('\n', '\n  ')
        sub = commands.add_parser(
            name,
            help=command.title,
            description=command.title[0].upper() + command.title[1:] + '.',
            epilog=f'examples:\n  {examples}\n\n{_CODES}',
            formatter_class=argparse.RawDescriptionHelpFormatter)
        if name == chosen:
            command.add(sub)
    return parser


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command.

    Args:
        argv (list[str], optional): Defaults to None, the command line.

    Returns:
        int: The exit code.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    chosen = next((a for a in argv if not a.startswith('-')), None)
    if hasattr(sys.stdout, 'reconfigure'):  # names of files may be no text
        sys.stdout.reconfigure(errors='backslashreplace')

    def run() -> int:
        args = build_parser(chosen).parse_args(argv)
        args.words = argv
        return COMMANDS[args.command].run(args)

    return run_command(run, training=chosen == 'train')
