# Copyright (c) orsa contributors. All rights reserved.
"""What a model predicts for a photograph, and with the face occluded.

``python demo/occlusion_demo.py PHOTO.jpg`` writes ``occlusion_demo.jpg``: the
largest face of the photograph as it is, and with sunglasses, a mask and a
scarf in front of it, each with its prediction.
"""
import argparse

import cv2
import numpy as np

from orsa.apis import FERInferencer
from orsa.apis.zoo import DEFAULT_MODEL
from orsa.datasets import OccludeFace
from orsa.faces.align import align_five
from orsa.utils.command import run_script
from orsa.utils.face_regions import five_points
from orsa.visualization import draw_faces

SIDE = 320  # pixels, of one panel


def crop_around(image: np.ndarray, box, ratio: float = 1.7) -> tuple:
    """Cut a square around a box, with what is outside of the image grey.

    Args:
        image (np.ndarray): (H, W, 3), BGR uint8.
        box (Sequence[float]): x0, y0, x1, y1 in pixels.
        ratio (float): Side of the square, in sides of the box.

    Returns:
        tuple[np.ndarray, np.ndarray]: The crop (SIDE, SIDE, 3), and the
        2 x 3 matrix from pixels of the image to its own.
    """
    x0, y0, x1, y1 = box
    scale = SIDE / (max(x1 - x0, y1 - y0) * ratio)
    matrix = np.array([[scale, 0, SIDE / 2 - scale * (x0 + x1) / 2],
                       [0, scale, SIDE / 2 - scale * (y0 + y1) / 2]])
    crop = cv2.warpAffine(
        image,
        matrix, (SIDE, SIDE),
        flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC,
        borderValue=(110, 110, 110))
    return crop, matrix


def main(argv=None) -> int:
    """Run the demo, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('photo')
    parser.add_argument('--model', default=DEFAULT_MODEL)
    parser.add_argument(
        '--kinds',
        nargs='+',
        choices=OccludeFace.KINDS,
        metavar='KIND',
        default=['sunglasses', 'mask', 'scarf'],
        help=f'what occludes: {", ".join(OccludeFace.KINDS)}')
    parser.add_argument('--severity', type=int, choices=range(1, 6), default=2)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', default='occlusion_demo.jpg')
    args = parser.parse_args(argv)

    inferencer = FERInferencer(args.model)
    photo = next(inferencer.stream([args.photo]))
    if photo.error or not photo.faces:
        raise ValueError(f'{args.photo}: {photo.error or "no face was found"}')
    face = photo.faces[0]
    crop, matrix = crop_around(photo.image, face.box)
    points = face.landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    panels = []
    for kind in (None, *args.kinds):
        sample = dict(img=crop, name='photo', gt_keypoints=points[None])
        if kind:
            occlude = OccludeFace(args.severity, kind, seed=args.seed)
            sample = occlude.transform(sample)
        # the landmarks are those of the photograph: only the model is tried
        aligned = align_five(sample['img'], five_points(points))[0]
        found = inferencer(aligned, aligned=True)['predictions'][0].faces[0]
        box = np.asarray(face.box).reshape(2, 2)
        found.box = (box @ matrix[:, :2].T + matrix[:, 2]).ravel()
        print(f'{kind or "as it is"}: {found.expression} '
              f'{found.confidence:.2f}{" (abstains)" * found.abstain}')
        panels.append(
            draw_faces(sample['img'], [found], landmarks=False, min_side=SIDE))
    if not cv2.imwrite(args.out, cv2.hconcat(panels)):
        raise OSError(f"'{args.out}' cannot be written")
    return 0


if __name__ == '__main__':
    run_script(main)
