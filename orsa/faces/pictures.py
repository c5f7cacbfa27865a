# Copyright (c) orsa contributors. All rights reserved.
"""Pictures of any kind that people have, as the arrays that models take."""
import glob
import logging
import os
import os.path as osp
from collections.abc import Iterable, Mapping
from typing import IO, Iterator, NamedTuple, Optional, Union

import numpy as np
from mmengine.logging import print_log
from PIL import Image

from orsa.utils.image_files import (IMAGE_SUFFIXES, MISSING, file_fault,
                                    open_ordinary)
from orsa.utils.image_reader import (MAX_PIXELS, Decoded, ImageError,
                                     check_size, decode_image,
                                     decoder_messages, from_array, from_pillow,
                                     warn_notes)
from orsa.utils.own_files import is_own_file

VIDEO_SUFFIXES = ('.3gp', '.avi', '.flv', '.m4v', '.mkv', '.mov', '.mp4',
                  '.mpeg', '.mpg', '.mts', '.ogv', '.ts', '.webm', '.wmv')

_MAX_STEM = 190  # bytes

Picture = Union[str, os.PathLike, np.ndarray, bytes, IO[bytes], Image.Image]
Inputs = Union[Picture, Iterable[Picture]]
_KINDS = {
    (str, os.PathLike): 'path',
    np.ndarray: 'array',
    (bytes, bytearray, memoryview): 'bytes',
    Image.Image: 'image'
}


class Source(NamedTuple):
    """One picture to be read.

    Attributes:
        name (str): Its path, or 'array 3' for the fourth one in memory.
        picture (Picture): The path, or what is in memory.
        error (str, optional): Why there is nothing to read.
    """
    name: str
    picture: Picture
    error: Optional[str] = None


def is_video(path: Picture) -> bool:
    """Whether a path has the suffix of a video."""
    return (isinstance(path, (str, os.PathLike))
            and osp.splitext(os.fspath(path))[1].lower() in VIDEO_SUFFIXES)


def one_by_one(inputs: Inputs) -> Iterable[Picture]:
    """Inputs as what is iterated over, be it one or several."""
    several = isinstance(inputs, Iterable) and not isinstance(inputs, Mapping)
    if _kind(inputs) or not several:
        return [inputs]
    return inputs


def _kind(one: Picture) -> Optional[str]:
    """What the name of a picture begins with, None if it is none."""
    for kinds, name in _KINDS.items():
        if isinstance(one, kinds):
            return name
    return 'file' if hasattr(one, 'read') else None


def list_pictures(inputs: Inputs) -> Iterator[Source]:
    """What is to be read, one by one.

    Args:
        inputs (Picture | Iterable[Picture]): A file, a folder (its pictures
            by suffix, without folders in it), a pattern such as
            ``'holiday/**/*.jpg'``, an array (H, W), (H, W, C) or
            (N, H, W, C), the bytes of a file, a file that is open, a picture
            of Pillow's, or any iterable of these.

    Yields:
        Source: In the order given, those of folders and patterns by name.
        What leads to no picture yields its error.

    Raises:
        TypeError: If it is something else.
    """
    count = 0
    for one in one_by_one(inputs):
        kind = _kind(one)
        if kind is None:
            raise TypeError('inputs should be paths, arrays, bytes, files or '
                            'pictures of Pillow, but got '
                            f'{type(one).__name__}')
        if kind == 'path':
            path = osp.expanduser(os.fspath(one))
            yield from _without_own(path, _list_path(path))
            continue
        for image in one if kind == 'array' and one.ndim == 4 else [one]:
            yield Source(f'{kind} {count}', image)
            count += 1


def _without_own(path: str, sources: Iterator[Source]) -> Iterator[Source]:
    """All but what orsa itself has drawn and written.

    In folders and patterns it is passed over, which is said; where it is what
    was asked for, it is an error.
    """
    own = others = 0
    for source in sources:
        if source.error or not is_own_file(source.picture):
            others += 1
            yield source
        elif source.picture == path:
            yield source._replace(
                error='it is a result of orsa, not a photograph: name the '
                'picture that it was made from')
        else:
            own += 1
    if own and not others:
        yield Source(
            path, path, 'there is no picture in it but the '
            f'{own} that orsa has drawn')
    elif own:
        print_log(
            f"'{path}': {own} drawings and results of orsa are passed over",
            logger='current',
            level=logging.WARNING)


def _list_path(path: str) -> Iterator[Source]:
    if osp.isdir(path):
        found = sorted(
            entry.path for entry in os.scandir(path)
            if osp.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES
            # not of the entry, which raises for a link in a circle
            and not osp.isdir(entry.path))
        if not found:
            yield Source(
                path, path, 'there is no picture in this folder; for folders '
                "in it give a pattern, '*/*.jpg'")
    elif glob.has_magic(path) and not osp.lexists(path):
        found = sorted(
            p for p in glob.iglob(_as_pattern(path), recursive=True)
            if osp.isfile(p))
        if not found:
            yield Source(path, path, 'no file fits this pattern')
    else:
        found = [path]
    yield from (Source(p, p) for p in found)


def _as_pattern(path: str) -> str:
    """A pattern in which folders that are there are meant as they are
    called, be there brackets or stars in their names."""
    folder = osp.dirname(path)
    while folder and not osp.isdir(folder):
        folder = osp.dirname(folder)
    return glob.escape(folder) + path[len(folder):]


def shown_name(path: str) -> str:
    """The name of a file as text that can be drawn and written.

    Names are bytes on some systems. Python carries those that are no UTF-8 as
    lone surrogates, with which every function of OpenCV ends the process.
    """
    return os.fsencode(osp.basename(path)).decode('utf-8', 'replace')


def stem_of(path: str) -> str:
    """What files about a picture or video begin with.

    It leaves room for what is added, where names have 255 bytes.
    """
    stem = osp.splitext(shown_name(path))[0].replace(' ', '_')
    return stem.encode()[:_MAX_STEM].decode(errors='ignore')


def read_picture(picture: Picture, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a picture as people see it.

    What is wrong with a file that is read nevertheless is a warning.

    Args:
        picture (Picture): A file, its bytes, or one that is open for
            reading, see :func:`orsa.utils.image_reader.decode_image`; a
            picture of Pillow's; or an array (H, W), (H, W, 1), (H, W, 3) BGR
            or (H, W, 4) BGRA, uint8 or uint16.
        max_pixels (int): A picture of more pixels is refused before it is
            unpacked. Defaults to Pillow's bound, 89 million.

    Returns:
        np.ndarray: (H, W, 3), BGR uint8, contiguous.

    Raises:
        ImageError: In one line, if a file cannot be read.
        TypeError: If an array is of another kind.
    """
    image, notes = load_picture(picture, max_pixels)
    kind = _kind(picture)
    warn_notes(os.fspath(picture) if kind == 'path' else kind, notes)
    return image


def load_picture(picture: Picture, max_pixels: int = MAX_PIXELS) -> Decoded:
    """The same, with what was wrong with the file.

    Returns:
        Decoded: The picture, and what decoders said of it.
    """
    if isinstance(picture, np.ndarray):
        return from_array(picture)
    try:
        if isinstance(picture, Image.Image):
            check_size(*picture.size, max_pixels)
            return from_pillow(picture)
        data = _read(picture)
        with decoder_messages() as said:
            found = decode_image(data, max_pixels)
    except ImageError:
        raise
    except PermissionError as error:
        raise ImageError('it may not be read: change its permissions') \
            from error
    except (OSError, ValueError) as error:
        raise ImageError(f'it cannot be read ({error})') from error
    return found if found.notes else Decoded(found.image, tuple(said))


def _read(picture: Picture) -> bytes:
    if hasattr(picture, 'read'):
        data = picture.read()
        if isinstance(data, str):
            raise ImageError("the file is open for text: open it with 'rb'")
        return data
    if not isinstance(picture, (str, os.PathLike)):
        return bytes(picture)
    path = os.fspath(picture)
    fault = file_fault(path)
    if fault == MISSING and '://' in path:
        fault = 'addresses are not read: download it first'
    if fault:
        raise ImageError(fault)
    if is_video(path):
        raise ImageError("this is a video: use 'orsa video'")
    with open_ordinary(path, 'rb') as file:
        return file.read()
