# Copyright (c) orsa contributors. All rights reserved.
"""Draw a grid of every kind of occluder at every severity.

Faces come from a folder in RAF-DB's layout with landmarks68.json, or are
synthetic.
"""
import argparse
import os

import cv2

from orsa.datasets import RAFDB, OccludeFace, SyntheticFaces
from orsa.utils.command import run_script
from orsa.visualization.grids import draw_occluder_grid


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', required=True, help='PNG to write')
    parser.add_argument(
        '--kinds',
        nargs='+',
        default=OccludeFace.KINDS,
        choices=OccludeFace.KINDS)
    parser.add_argument(
        '--data-root',
        default=os.environ.get('ORSA_RAFDB'),
        help='default: $ORSA_RAFDB; without it all faces are synthetic')
    parser.add_argument(
        '--faces',
        type=int,
        default=4,
        help='number of faces; one in four is synthetic')
    parser.add_argument(
        '--first', type=int, default=0, help='index of the first face')
    parser.add_argument('--size', type=int, default=128)
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def load_faces(args):
    num_synthetic = -(-args.faces // 4) if args.data_root else args.faces
    faces = []
    if args.data_root:
        dataset = RAFDB(args.data_root, split='test', with_annotations=True)
        for i in range(args.faces - num_synthetic):
            info = dataset.get_data_info((args.first + 7 * i) % len(dataset))
            faces.append(dict(info, img=dataset.read_image(info)[0]))
    synthetic = SyntheticFaces(
        args.first + num_synthetic,
        size=128,
        pipeline=[dict(type='orsa.DrawSyntheticFace')])
    faces += [synthetic[args.first + i] for i in range(num_synthetic)]
    for face in faces:
        scale = args.size / len(face['img'])
        face['gt_keypoints'] = (face['gt_keypoints'] + .5) * scale - .5
        face['img'] = cv2.resize(
            face['img'], (args.size, args.size),
            interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        face.pop('gt_seg_map', None)
    return faces


def main():
    args = parse_args()
    faces = load_faces(args)
    rows = []
    for kind in args.kinds:
        row = []
        for face in faces:
            for severity in range(1, 6):
                out = OccludeFace(severity, kind, args.seed)(dict(face))
                row.append((out['img'], out['occlusion_ratio']))
        rows.append((kind, row))
    draw_occluder_grid(rows, args.out)
    print(f'{args.out}: rows {", ".join(args.kinds)}; {len(faces)} faces at '
          'severities 1 to 5 each')


if __name__ == '__main__':
    run_script(main)
