# Copyright (c) orsa contributors. All rights reserved.
"""The ``orsa`` command.

What a subcommand needs is imported when it runs, so that ``orsa --help``
answers at once.
"""
import argparse
import os.path as osp
import sys
from typing import Callable, Dict, List, NamedTuple, Optional

from orsa.utils.command import (ENVIRONMENT, INTERRUPTED, OK, SOME_FAILED,
                                USAGE, fail, run_command)

_CODES = """\
exit codes:
  0    all is done
  1    some inputs failed; the others are done
  2    wrong usage: an argument, a model, weights or a detector
  3    something is missing in this installation: see orsa doctor
  75   a training was told to end and has saved: --resume goes on
  130  stopped by Ctrl-C; what was done before is kept
"""


class Command(NamedTuple):
    """A subcommand.

    Attributes:
        title (str): What it does, in a line.
        add (Callable): Adds its arguments to a parser.
        run (Callable): Does it, and returns the exit code.
        examples (str): A command a line.
    """
    title: str
    add: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    examples: str


# ------------------------------------------------------- pictures and videos


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--model',
        default='orsanet_lite',
        help="a model that ships ('orsa models'), a config file or "
        'orsa::NAME.py (default: %(default)s)')
    parser.add_argument(
        '--weights',
        '--checkpoint',
        metavar='FILE',
        help='its weights; needed with a config')
    parser.add_argument(
        '--device', help="'cpu', 'cuda:0', ... (default: a GPU if there is)")
    parser.add_argument(
        '--detector',
        default='cascade',
        metavar='SPEC',
        help="what finds faces: 'cascade', 'yunet:FILE.onnx', "
        "'mmdet:CONFIG,CHECKPOINT' or 'mmpose:CONFIG,CHECKPOINT' "
        '(default: %(default)s)')
    parser.add_argument(
        '--min-confidence',
        type=_share,
        metavar='P',
        help='abstain below this confidence (default: as calibrated)')
    parser.add_argument(
        '--max-covered',
        type=_share,
        metavar='P',
        help='abstain above this covered share of the face (default: as '
        'calibrated)')


def _add_drawing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--no-landmarks',
        action='store_true',
        help='do not draw the landmarks')
    parser.add_argument(
        '--parsing', action='store_true', help='colour the parts of the faces')


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not between 0 and 1')
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is not 1 or more')
    return value


def _camera(text: str) -> int:
    value = int(text)
    # OpenCV takes others, and crashes
    if not 0 <= value < 100:
        raise argparse.ArgumentTypeError(f'{text} is no number of a camera, '
                                         '0 to 99')
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f'{text} is less than 0')
    return value


def _inferencer(args: argparse.Namespace, **kwargs):
    from mmengine.logging import MMLogger

    from orsa.apis import FERInferencer

    # what was loaded from where is for trainings
    MMLogger.get_current_instance().setLevel('WARNING')
    return FERInferencer(
        args.model,
        args.weights,
        args.device,
        args.detector,
        min_confidence=args.min_confidence,
        max_covered=args.max_covered,
        **kwargs)


def _draw(args: argparse.Namespace) -> dict:
    return dict(landmarks=not args.no_landmarks, parsing=args.parsing)


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'paths',
        nargs='+',
        metavar='PATH',
        help="pictures, folders, or patterns in quotes such as '*/*.jpg'")
    parser.add_argument(
        '--out',
        default='orsa_predictions',
        metavar='DIR',
        help='folder of predictions.jsonl, summary.json and the drawings '
        '(default: %(default)s)')
    parser.add_argument(
        '--aligned',
        action='store_true',
        help='each picture is an aligned face: look for none')
    parser.add_argument(
        '--cards',
        action='store_true',
        help='draw each face with its landmarks, parsing map and scores too')
    parser.add_argument(
        '--masks',
        action='store_true',
        help='write the parsing map of each face too')
    parser.add_argument(
        '--no-pictures', action='store_true', help='do not draw the pictures')
    parser.add_argument(
        '--max-pixels',
        type=_positive,
        metavar='N',
        help='refuse larger pictures (default: 89 million)')
    parser.add_argument('--batch-size', type=_positive, default=32)
    parser.add_argument(
        '--quiet', action='store_true', help='print errors only')
    _add_model(parser)
    _add_drawing(parser)


def _predict(args: argparse.Namespace) -> int:
    from orsa.apis.predicting import predict_to_files
    bound = {} if args.max_pixels is None else dict(max_pixels=args.max_pixels)
    inferencer = _inferencer(args, **bound)

    def report(result, files) -> None:
        for note in result.notes:
            fail(f'{result.name} is read, with a warning: {note}')
        if result.error:
            fail(f'{result.name}: {result.error}')
        elif not args.quiet:
            print(_describe(result))

    summary = predict_to_files(
        inferencer,
        args.paths,
        args.out,
        args.aligned,
        args.batch_size,
        not args.no_pictures,
        args.cards,
        args.masks,
        _draw(args),
        report=report)
    if not args.quiet:
        print(f'{_count(summary.faces, "face")} in '
              f'{_count(summary.pictures, "picture")}, '
              f'{summary.abstained} abstained, {len(summary.errors)} failed: '
              f"{osp.join(args.out, 'predictions.jsonl')}")
    if summary.interrupted:
        return INTERRUPTED
    return SOME_FAILED if summary.errors else OK


def _count(number: int, name: str) -> str:
    return f'{number} {name}{"" if number == 1 else "s"}'


def _describe(result) -> str:
    name = result.name
    if result.frame is not None:
        name += f', frame {result.frame}'
    if not result.faces:
        return (f'{name}: no face was found; if it is one, cut out as '
                'the training data are, add --aligned')
    said = [
        f'{f.expression} {f.confidence:.2f}' +
        (f' (abstains: {"; ".join(f.reasons)})' if f.abstain else '')
        for f in result.faces
    ]
    return f'{name}: {", ".join(said)}'


def _add_video(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('videos', nargs='+', metavar='VIDEO')
    parser.add_argument(
        '--out',
        default='orsa_videos',
        metavar='DIR',
        help='folder of NAME_faces.mp4, .csv and .jsonl '
        '(default: %(default)s)')
    parser.add_argument(
        '--every',
        type=_positive,
        default=1,
        metavar='N',
        help='look at every Nth frame only (default: 1)')
    parser.add_argument(
        '--quiet', action='store_true', help='print errors only')
    _add_stream(parser)


def _add_stream(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--smoothing',
        type=_seconds,
        default=0.5,
        metavar='S',
        help='time constant of the scores in seconds, 0 for none '
        '(default: %(default)s)')
    parser.add_argument(
        '--seconds', type=_seconds, metavar='S', help='stop after S seconds')
    _add_model(parser)
    _add_drawing(parser)


def _video(args: argparse.Namespace) -> int:
    from orsa.apis import annotate_video
    from orsa.apis.predicting import Names
    from orsa.faces.pictures import ImageError
    inferencer, names, failed = _inferencer(args), Names(args.out), 0
    for path in args.videos:
        try:
            summary = annotate_video(
                inferencer,
                path,
                args.out,
                names.of(path),
                args.smoothing,
                args.every,
                max_seconds=args.seconds,
                draw=_draw(args),
                show_progress=not args.quiet)
        except ImageError as error:
            fail(f'{path}: {error}')
            failed += 1
            continue
        if not args.quiet:
            print(f'{path}: {_count(summary.tracks, "face")} in '
                  f'{_count(summary.frames, "frame")} '
                  f'({summary.seconds:.1f} s): {summary.files["video"]}')
        if summary.left_out:
            fail(f'{path}: pauses of more than a minute are shortened in the '
                 f'drawn video, by {summary.left_out:.0f} s; the tables have '
                 'the times of the frames')
        if summary.interrupted:
            return INTERRUPTED
        if summary.error:
            fail(f'{path}: {summary.error}; what was read is kept')
            failed += 1
    return SOME_FAILED if failed else OK


def _add_webcam(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--camera',
        type=_camera,
        default=0,
        metavar='N',
        help='its number (default: 0)')
    parser.add_argument(
        '--out',
        metavar='DIR',
        help='write video, CSV and JSON lines as orsa video does '
        '(default: nothing is written)')
    parser.add_argument(
        '--no-window', action='store_true', help='show no window')
    _add_stream(parser)


def _webcam(args: argparse.Namespace) -> int:
    if args.no_window and not args.out:
        return fail('--no-window without --out DIR would do nothing', USAGE)
    import cv2

    from orsa.apis import annotate_video
    from orsa.faces.pictures import ImageError

    def show(drawn, result) -> bool:
        cv2.imshow('orsa (q ends)', drawn)
        return cv2.waitKey(1) & 0xff not in (ord('q'), 27)

    inferencer = _inferencer(args)
    try:
        summary = annotate_video(
            inferencer,
            args.camera,
            args.out,
            'camera',
            args.smoothing,
            max_seconds=args.seconds,
            draw=_draw(args),
            on_frame=None if args.no_window else show)
    except ImageError as error:
        return fail(str(error), SOME_FAILED)
    except cv2.error as error:
        return fail(
            'OpenCV cannot open a window here: add --no-window --out DIR '
            f'({str(error).strip().splitlines()[-1]})', ENVIRONMENT)
    print(f'{_count(summary.tracks, "face")} in '
          f'{_count(summary.frames, "frame")}')
    if summary.error and args.seconds is None and not summary.interrupted:
        return fail(summary.error, SOME_FAILED)
    return OK  # Ctrl-C is how a camera without a window is ended


# ---------------------------------------------------------------- a web page


def _add_web(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='the address to listen at (default: %(default)s, this machine '
        'alone; 0.0.0.0 is everybody who reaches it)')
    parser.add_argument(
        '--port',
        type=int,
        default=7860,
        help='0 for any that is free (default: %(default)s)')
    parser.add_argument(
        '--second',
        metavar='MODEL',
        help='a model to compare with, as --model')
    parser.add_argument(
        '--second-weights',
        metavar='FILE',
        help='its weights; needed with a config')
    _add_model(parser)


def _web(args: argparse.Namespace) -> int:
    from orsa.web.serving import require_gradio
    require_gradio()
    if args.second_weights and not args.second:
        return fail('--second-weights needs --second MODEL')
    from orsa.web import Viewer, serve
    name, first, others = _title(args.model), _inferencer(args), {}
    if args.second:
        other = argparse.Namespace(**vars(args))
        other.model, other.weights = args.second, args.second_weights
        # a model may be compared with itself, after another training
        title = _title(args.second)
        title += ' (second)' * (title == name)
        others[title] = _inferencer(other)
    serve(
        Viewer(name, first, others), args.host, args.port,
        lambda address, _: print(
            f'The page is at {address} (Ctrl-C ends it)', flush=True))
    return OK


def _title(model: str) -> str:
    return osp.splitext(osp.basename(model))[0]


# --------------------------------------------------------- training, testing


def _add_train(parser: argparse.ArgumentParser) -> None:
    from orsa.apis.training import add_train_arguments
    add_train_arguments(parser)


def _train(args: argparse.Namespace) -> int:
    from orsa.apis.training import train
    train(args)
    return OK


def _add_test(parser: argparse.ArgumentParser) -> None:
    from orsa.apis.testing import add_test_arguments
    from orsa.studies.occlusion_suite import add_suite_arguments
    add_test_arguments(parser)
    add_suite_arguments(parser)


def _test(args: argparse.Namespace) -> int:
    from orsa.apis.testing import test
    from orsa.studies.occlusion_suite import run_suite
    run_suite(args) if args.occlusion_suite else test(args)
    return OK


# -------------------------------------------------------------- what there is


def _add_models(parser: argparse.ArgumentParser) -> None:
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
        from orsa.utils.config_scope import config_path
        for path in _configs(osp.dirname(config_path('orsanet_demo.py'))):
            print(f'orsa::{path}')
    return OK


def _configs(root: str) -> List[str]:
    import glob
    found = glob.glob(osp.join(root, '**', '*.py'), recursive=True)
    found = sorted(osp.relpath(path, root) for path in found)
    return [
        path for path in found
        if not any(part.startswith('_') for part in path.split(osp.sep))
    ]


def _add_nothing(parser: argparse.ArgumentParser) -> None:
    pass


def _doctor(args: argparse.Namespace) -> int:
    from orsa.utils.doctor import examine, report
    findings = examine()
    print(report(findings))
    return ENVIRONMENT if any(f.needed and f.remedy for f in findings) else OK


COMMANDS: Dict[str, Command] = {
    'predict':
    Command(
        'name the expressions in pictures', _add_predict, _predict,
        'orsa predict photo.jpg --out results\n'
        "orsa predict holiday/ 'more/*/*.png' --out results --cards\n"
        'orsa predict aligned/ --aligned --out results'),
    'video':
    Command(
        'name the expressions in videos', _add_video, _video,
        'orsa video clip.mp4 --out results\n'
        'orsa video clip.mp4 --every 3 --smoothing 1 --seconds 60'),
    'webcam':
    Command(
        'name the expressions before a camera', _add_webcam, _webcam,
        'orsa webcam\n'
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
    Command('say what is installed, what is missing and what to type',
            _add_nothing, _doctor, 'orsa doctor'),
}


def build_parser(chosen: Optional[str] = None) -> argparse.ArgumentParser:
    """The command line.

    Args:
        chosen (str, optional): The subcommand that gets its arguments, as
            those of some need the whole stack. Defaults to None, none.

    Returns:
        argparse.ArgumentParser: With all subcommands.
    """
    from orsa.version import __version__
    parser = argparse.ArgumentParser(
        prog='orsa',
        description='Facial expression recognition under occlusion.',
        epilog='examples:\n  orsa predict photo.jpg --out results\n'
        '  orsa video clip.mp4 --out results\n  orsa doctor\n'
        f'  orsa predict --help\n\n{_CODES}',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--version', action='version', version=f'orsa {__version__}')
    commands = parser.add_subparsers(
        dest='command', metavar='COMMAND', required=True)
    for name, command in COMMANDS.items():
        lines = command.examples.splitlines()
        sub = commands.add_parser(
            name,
            help=command.title,
            description=command.title[0].upper() + command.title[1:] + '.',
            epilog='examples:\n  ' + '\n  '.join(lines) + f'\n\n{_CODES}',
            formatter_class=argparse.RawDescriptionHelpFormatter)
        if name == chosen:
            command.add(sub)
    return parser


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command, and return its exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    chosen = next((a for a in argv if not a.startswith('-')), None)
    if hasattr(sys.stdout, 'reconfigure'):  # names of files may be no text
        sys.stdout.reconfigure(errors='backslashreplace')

    def run() -> int:
        args = build_parser(chosen).parse_args(argv)
        return COMMANDS[args.command].run(args)

    return run_command(run, training=chosen == 'train')


if __name__ == '__main__':
    sys.exit(main())
