# Copyright (c) orsa contributors. All rights reserved.
"""Predict the expressions of the faces in photographs, and draw them.

``python demo/image_demo.py PHOTO.jpg`` prints a line for each face and writes
``PHOTO_face1.png``: the face with its landmarks, its parsing map and the
scores. ``orsa predict`` does more.
"""
import argparse
import os.path as osp
import sys

from orsa.apis import FERInferencer, ImageResult
from orsa.apis.predicting import Names, draw_card
from orsa.apis.zoo import DEFAULT_MODEL
from orsa.utils.command import run_script


def show(result: ImageResult, name: str, out_dir: str) -> None:
    """Print the expressions of the faces in an image, and draw them."""
    for k, face in enumerate(result.faces, 1):
        text = ', '.join(f'{n} {score:.2f}' for n, score in face.top())
        if face.abstain:
            text += f" (abstains: {'; '.join(face.reasons)})"
        out = osp.join(out_dir, f'{name}_face{k}.png')
        draw_card(result, k, out)
        print(f'{result.name}: face {k} of {len(result.faces)}: {text} '
              f'-> {out}')


def parse_args(argv=None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Predict the expressions in photographs')
    parser.add_argument('images', nargs='+', metavar='IMAGE')
    parser.add_argument(
        '--model',
        default=DEFAULT_MODEL,
        help='a model that ships, a config file or orsa::NAME.py '
        '(default: %(default)s)')
    parser.add_argument(
        '--checkpoint', help='its weights; needed with a config')
    parser.add_argument(
        '--aligned',
        action='store_true',
        help='each image is an aligned face: detect none')
    parser.add_argument('--device', default='cpu')
    parser.add_argument(
        '--out-dir',
        default='work_dirs/image_demo',
        help='folder for the drawings (default: %(default)s)')
    args = parser.parse_args(argv)
    is_config = '::' in args.model or args.model.endswith('.py')
    if is_config and args.checkpoint is None:
        parser.error(f'{args.model} comes without weights: give its '
                     '--checkpoint, or a model that ships')
    return args


def main(argv=None) -> int:
    """Run the demo, and return the exit code."""
    args = parse_args(argv)
    inferencer = FERInferencer(args.model, args.checkpoint, args.device)
    failed, names = 0, Names(args.out_dir)
    for result in inferencer.stream(args.images, aligned=args.aligned):
        error = result.error
        if not error and not result.faces:
            error = ('no face was found; if the image is one, cropped as the '
                     'training data are, add --aligned')
        if error:
            print(f'{result.name}: {error}', file=sys.stderr)
            failed += 1
            continue
        show(result, names.of(result.name), args.out_dir)
    return 1 if failed else 0


if __name__ == '__main__':
    run_script(main)
