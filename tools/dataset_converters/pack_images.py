# Copyright (c) orsa contributors. All rights reserved.
"""Pack the images of a config into an LMDB file.

``python tools/dataset_converters/pack_images.py configs/orsanet_rafdb.py
--out data/raf-db.lmdb``, see docs/datasets.md.
"""
import argparse

from orsa.prepare.pack import add_pack_arguments, pack
from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(
        description='Pack the images of a config into one file')
    add_pack_arguments(parser)
    pack(parser.parse_args())


if __name__ == '__main__':
    run_script(main)
