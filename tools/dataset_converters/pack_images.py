# Copyright (c) orsa contributors. All rights reserved.
"""Put a config's images into one file, an LMDB.

``python tools/dataset_converters/pack_images.py configs/orsanet_rafdb.py
--out data/raf-db.lmdb``, see docs/datasets.md.
"""
import argparse
import sys

from orsa.apis.packing import add_pack_arguments, pack

if __name__ == '__main__':
    parser = argparse.ArgumentParser(
        description='Put the images of a config into one file')
    add_pack_arguments(parser)
    try:
        pack(parser.parse_args())
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f'error: {error}')
