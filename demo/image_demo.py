# Copyright (c) orsa contributors. All rights reserved.
"""Name the expression of the faces in photographs, and draw what was seen.

``python demo/image_demo.py PHOTO.jpg`` prints a line for each face and writes
``PHOTO_face0.png``: the face with its landmarks, its parsing map and the
scores.
"""
import argparse
import os.path as osp
import sys
from collections import Counter
from typing import List

import cv2
import numpy as np

from orsa.apis import (align_face, crop_face, find_faces, init_model,
                       landmark_locator, predict_faces)
from orsa.datasets.fer_dataset import unreadable_reason
from orsa.visualization import draw_face_card

# Side of an aligned face, in pixels.
SIZE = 256


def read_faces(path: str, aligned: bool, locate) -> List[np.ndarray]:
    """The aligned faces of a picture, the largest first.

    Raises:
        OSError: If it cannot be read.
        ValueError: If there is no face, or it is not the aligned face that it
            was said to be.
    """
    reason = unreadable_reason(path)
    if reason is not None:
        raise OSError(f'{reason}; give a JPEG or PNG file')
    image = cv2.imread(path, cv2.IMREAD_COLOR)
    if aligned:
        height, width = image.shape[:2]
        if height != width:
            raise ValueError(f'it is {width}x{height}, and an aligned face is '
                             'square; for a photograph leave out --aligned')
        return [image]
    boxes = find_faces(image)
    if not boxes:
        raise ValueError('no face was found; if the picture is one, cut out '
                         'as the training data are, add --aligned')
    if locate is None:
        return [crop_face(image, box, SIZE)[0] for box in boxes]
    return [align_face(image, box, locate, SIZE)[0] for box in boxes]


def show(path: str, name: str, faces: List[np.ndarray], model,
         out_dir: str) -> None:
    """Print what the faces of a picture express, and draw them."""
    predictions = predict_faces(model, faces)
    for k, (face, found) in enumerate(zip(faces, predictions)):
        scores = sorted(found.scores.items(), key=lambda item: -item[1])
        text = ', '.join(f'{n} {score:.2f}' for n, score in scores[:3])
        out = osp.join(out_dir, f'{name}_face{k}.png')
        draw_face_card(
            face,
            found.scores,
            out,
            found.parsing,
            found.landmarks,
            title=f'{osp.basename(path)}, face {k + 1} of {len(faces)}: '
            f'{found.expression}')
        print(f'{path}: face {k + 1} of {len(faces)}: {text} -> {out}')


def parse_args(argv=None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Name the expression of the faces in photographs')
    parser.add_argument('images', nargs='+', metavar='IMAGE')
    parser.add_argument(
        '--model',
        default='orsanet_lite',
        help='a model that ships, a config file or orsa::NAME.py '
        '(default: orsanet_lite)')
    parser.add_argument(
        '--checkpoint', help='its weights; needed with a config')
    parser.add_argument(
        '--aligned',
        action='store_true',
        help='each picture is an aligned face: look for none')
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
    try:
        model = init_model(args.model, args.checkpoint, args.device)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    locate = landmark_locator(model)
    failed, seen = 0, Counter()
    for path in args.images:
        try:
            faces = read_faces(path, args.aligned, locate)
        except (OSError, ValueError) as error:
            print(f'{path}: {error}', file=sys.stderr)
            failed += 1
            continue
        # pictures of one name in several folders
        name = osp.splitext(osp.basename(path))[0]
        seen[name] += 1
        name += f'_{seen[name]}' if seen[name] > 1 else ''
        show(path, name, faces, model, args.out_dir)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
