# Copyright (c) orsa contributors. All rights reserved.
"""Files that ship with the package: ``orsa://NAME``."""
import os.path as osp

ZOO_PREFIX = 'orsa://'


def zoo_path(filename: str) -> str:
    """Resolve ``orsa://NAME`` to the file that ships with the package.

    Any other name is returned as it is.
    """
    if not str(filename).startswith(ZOO_PREFIX):
        return filename
    package = osp.dirname(osp.dirname(osp.abspath(__file__)))
    return osp.join(package, 'zoo', str(filename)[len(ZOO_PREFIX):])
