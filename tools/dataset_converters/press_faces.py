# Copyright (c) orsa contributors. All rights reserved.
"""Rebuild the real faces ``press_faces`` from a clone of public photographs.

``git clone https://github.com/muxspace/facial_expressions`` and then
``python tools/dataset_converters/press_faces.py facial_expressions
data/press_faces`` writes 1,699 aligned faces in RAF-DB's layout, with
landmarks and masks. ``ORSA_RAFDB=data/press_faces`` makes the configs use
them.
"""
import argparse
from collections import Counter

from orsa.datasets.press_faces import rebuild
from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(
        description='Rebuild press_faces from a clone of '
        'muxspace/facial_expressions')
    parser.add_argument('clone', help='the clone')
    parser.add_argument('out', help='the folder to write; must not exist')
    parser.add_argument(
        '--annotations', help='annotations.json.gz (default: the shipped one)')
    parser.add_argument(
        '--skip-missing',
        action='store_true',
        help='skip faces whose source image is missing or unreadable')
    args = parser.parse_args()
    result = rebuild(args.clone, args.out, args.annotations, args.skip_missing)
    for source in result['missing']:
        print(f'skipped, source image missing or unreadable: {source}')
    splits = Counter(name.split('_')[0] for name in result['written'])
    print(f"wrote {len(result['written'])} faces to {args.out} "
          f"({splits['train']} train, {splits['test']} test), skipped "
          f"{len(result['missing'])} source images")


if __name__ == '__main__':
    run_script(main)
