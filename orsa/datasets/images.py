# Copyright (c) orsa contributors. All rights reserved.
"""Finding and reading images, and errors that name the sample."""
import contextlib
import os
import os.path as osp
from collections import Counter
from typing import Callable, Dict, Iterator, List, Optional, Tuple

import numpy as np

from orsa.utils.image_files import IMAGE_SUFFIXES, file_fault
from orsa.utils.image_reader import ImageError, decode_image, warn_notes

_HIDDEN = ('.', '__')
# The image, BGR uint8 of shape (H, W, 3), and None; or None and the reason.
ImageOrReason = Tuple[Optional[np.ndarray], Optional[str]]


def read_image(path: str) -> ImageOrReason:
    """Read an image, or find out why it cannot be read.

    Args:
        path (str): The file.

    Returns:
        tuple: The image, BGR uint8 of shape (H, W, 3), and None; or None and
        the reason, :data:`orsa.utils.image_files.MISSING` where there is no
        file.
    """
    fault = file_fault(path)
    if fault:
        return None, fault
    try:
        with open(path, 'rb') as file:
            data = file.read()
    except OSError as error:
        return None, f'it cannot be read ({error.strerror})'
    return decode(data, path)


def decode(data: bytes, path: str) -> ImageOrReason:
    """As :func:`read_image`, of the content of a file; ``path`` names it."""
    try:
        image, notes = decode_image(data)
    except ImageError as error:
        return None, str(error)
    warn_notes(path, notes)
    return image, None


def check_inside(path: str, root: str, where: str) -> None:
    """Refuse, by a ValueError, a listed path that leads out of a folder.

    Absolute paths are taken where ``root`` is empty. Links are not followed:
    what lies in the folder was put there by its owner.
    """
    first = osp.normpath(path).split(osp.sep, 1)[0]
    outside = root and (osp.isabs(path) or first == osp.pardir)
    if outside or len(path) > 4096 or '\0' in path:
        raise ValueError(
            f"{where}: '{path[:100]}' is no path below '{root}', where the "
            'images are')


def unreadable_file(info: dict) -> Optional[str]:
    """The image or mask of a record that cannot be read and why, or None."""
    for key in ('img_path', 'seg_map_path'):
        reason = info.get(key) and read_image(info[key])[1]
        if reason:
            return f"'{info[key]}' ({key}): {reason}"
    return None


@contextlib.contextmanager
def name_sample(
    dataset: object,
    idx: int,
    info: dict,
    fault: Callable[[dict],
                    Optional[str]] = unreadable_file) -> Iterator[None]:
    """Let an error of a pipeline name the sample at which it occurred.

    It becomes an OSError if ``fault`` finds a file of the record that cannot
    be read.
    """
    before, name = dict(info), type(dataset).__name__
    try:
        yield
    except Exception as error:
        found = fault(before)
        if found:
            raise OSError(
                f'{name}: cannot read {found} (sample {idx}). Restore it from '
                'the original archive, or set skip_unreadable=True if the '
                'dataset has it') from error
        error.add_note(f'{name}: at sample {idx}, '
                       f"'{before.get('img_path') or before.get('name')}'")
        raise


def find_images(folder: str) -> Tuple[List[str], Dict[str, int]]:
    """List the images in a folder by their suffix, at any depth.

    Links are followed, but for those that lead back to where they are. What is
    hidden, by a dot or two underscores before its name, is skipped.

    Returns:
        tuple: Paths below ``folder``, by folder and name, and how many files
        (and hidden folders) were skipped, by kind.
    """
    found, skipped = [], Counter()
    for parent, folders, files in os.walk(folder, followlinks=True):
        here = osp.realpath(parent)
        for name in list(folders):
            path = osp.realpath(osp.join(parent, name))
            if name.startswith(_HIDDEN):
                skipped['hidden folders'] += 1
                folders.remove(name)
            elif here == path or here.startswith(path + osp.sep):
                skipped['links in a circle'] += 1
                folders.remove(name)
        for name in files:
            suffix = osp.splitext(name)[1].lower()
            if name.startswith(_HIDDEN):
                skipped['hidden files'] += 1
            elif suffix in IMAGE_SUFFIXES:
                found.append(osp.relpath(osp.join(parent, name), folder))
            else:
                skipped[suffix or 'files without a suffix'] += 1
    return sorted(found, key=osp.split), dict(sorted(skipped.items()))
