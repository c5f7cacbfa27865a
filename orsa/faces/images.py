# Copyright (c) orsa contributors. All rights reserved.
"""Images of any kind that people have, as the arrays that models take."""
import glob
import logging
import os
import os.path as osp
from collections.abc import Iterable, Mapping
from typing import IO, Iterator, NamedTuple, Optional, Union

import numpy as np
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

ImageLike = Union[str, os.PathLike, np.ndarray, bytes, IO[bytes], Image.Image]
Inputs = Union[ImageLike, Iterable[ImageLike]]
_KINDS = {
    (str, os.PathLike): 'path',
    np.ndarray: 'array',
    (bytes, bytearray, memoryview): 'bytes',
    Image.Image: 'image'
}


class Source(NamedTuple):
    """One image to be read.

    Attributes:
        name (str): Its path, or 'array 3' for the fourth one in memory.
        image (ImageLike): The path, or what is in memory.
        error (str, optional): Why there is nothing to read.
    """
    name: str
    image: ImageLike
    error: Optional[str] = None


def is_video(path: ImageLike) -> bool:
    """Whether a path has the suffix of a video."""
    return (isinstance(path, (str, os.PathLike))
            and osp.splitext(os.fspath(path))[1].lower() in VIDEO_SUFFIXES)


def is_video_file(path: ImageLike) -> bool:
    """Whether a path leads to a file that has the suffix of a video."""
    return is_video(path) and osp.isfile(osp.expanduser(path))


def _kind(one: ImageLike) -> Optional[str]:
    """What the name of an image in memory begins with, None if it is none."""
    for kinds, name in _KINDS.items():
        if isinstance(one, kinds):
            return name
    return 'file' if hasattr(one, 'read') else None


def iterate_inputs(inputs: Inputs) -> Iterable[ImageLike]:
    """Inputs as an iterable, be it one or several."""
    several = isinstance(inputs, Iterable) and not isinstance(inputs, Mapping)
    return inputs if several and not _kind(inputs) else [inputs]


def list_images(inputs: Inputs) -> Iterator[Source]:
    """List the images to be read, one by one.

    Args:
        inputs (ImageLike | Iterable[ImageLike]): A file, a folder (its images
            by suffix, without subfolders), a pattern such as
            ``'holiday/**/*.jpg'``, an array (H, W), (H, W, C) or
            (N, H, W, C), the bytes of a file, an open file, an image of
            Pillow's, or any iterable of these.

    Yields:
        Source: In the order given, those of folders and patterns by name.
        What leads to no image yields its error.

    Raises:
        TypeError: If it is something else.
    """
    count = 0
    for one in iterate_inputs(inputs):
        kind = _kind(one)
        if kind is None:
            raise TypeError('inputs should be paths, arrays, bytes, files or '
                            f'images of Pillow, but got {type(one).__name__}')
        if kind == 'path':
            yield from _list_path(osp.expanduser(os.fspath(one)))
            continue
        for image in one if kind == 'array' and one.ndim == 4 else [one]:
            yield Source(f'{kind} {count}', image)
            count += 1


def _list_path(path: str) -> Iterator[Source]:
    """The images of a path, a folder or a pattern, without orsa's drawings."""
    error = None
    if osp.isdir(path):
        entries = sorted(entry.path for entry in os.scandir(path))
        found = [
            entry for entry in entries
            if osp.splitext(entry)[1].lower() in IMAGE_SUFFIXES
            # not of the entry, which raises for a link in a circle
            and not osp.isdir(entry)
        ]
        videos = [e for e in entries if is_video(e) and not is_own_file(e)]
        if videos:
            logging.getLogger('orsa').warning(
                "'%s': videos are skipped, %d of them: name them, such as "
                "'%s'", path, len(videos), videos[0])
        error = ('there is no image in this folder; for its subfolders give a '
                 f"pattern, '{osp.join(path, '*', '*.jpg')}'")
    elif glob.has_magic(path) and not osp.lexists(path):
        found = sorted(
            p for p in glob.iglob(_as_pattern(path), recursive=True)
            if osp.isfile(p))
        error = 'no file matches this pattern'
    elif is_own_file(path):
        yield Source(
            path, path, 'it is a result of orsa, not a photograph: name the '
            'image that it was made from')
        return
    else:
        yield Source(path, path)
        return
    own = 0
    for one in found:
        if is_own_file(one):
            own += 1
        else:
            yield Source(one, one)
    if len(found) > own > 0:
        logging.getLogger('orsa').warning(
            "'%s': %d drawings and results of orsa are skipped", path, own)
    elif own:
        yield Source(path, path,
                     f'there is no image in it but the {own} drawn by orsa')
    elif not found:
        yield Source(path, path, error)


def _as_pattern(path: str) -> str:
    """A pattern in which existing folders are taken literally, be there
    brackets or stars in their names."""
    folder = osp.dirname(path)
    while folder and not osp.isdir(folder):
        folder = osp.dirname(folder)
    return glob.escape(folder) + path[len(folder):]


def display_name(path: str) -> str:
    """The name of a file as text that can be drawn and written.

    Names are bytes on some systems. Python carries those that are no UTF-8 as
    lone surrogates, with which every function of OpenCV ends the process.
    """
    return os.fsencode(osp.basename(path)).decode('utf-8', 'replace')


def file_stem(path: str) -> str:
    """What the names of files about an image or video begin with.

    It leaves room for what is added, where names have 255 bytes.
    """
    stem = osp.splitext(display_name(path))[0].replace(' ', '_')
    return stem.encode()[:_MAX_STEM].decode(errors='ignore')


def read_image(image: ImageLike, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read an image as people see it; a damaged one is a warning.

    Args:
        image (ImageLike): A file, its bytes, or one that is open for
            reading, see :func:`orsa.utils.image_reader.decode_image`; an
            image of Pillow's; or an array (H, W), (H, W, 1), (H, W, 3) BGR
            or (H, W, 4) BGRA, uint8 or uint16.
        max_pixels (int): An image of more pixels is refused before it is
            unpacked. Defaults to Pillow's bound, 89 million.

    Returns:
        np.ndarray: (H, W, 3), BGR uint8, contiguous.

    Raises:
        ImageError: In one line, if a file cannot be read.
        TypeError: If an array is of another kind.
    """
    array, notes = load_image(image, max_pixels)
    kind = _kind(image)
    warn_notes(os.fspath(image) if kind == 'path' else kind, notes)
    return array


def load_image(image: ImageLike, max_pixels: int = MAX_PIXELS) -> Decoded:
    """As :func:`read_image`, with the decoders' warnings.

    Args:
        image (ImageLike): See there.
        max_pixels (int): See there. Defaults to 89 million.

    Returns:
        Decoded: The image (H, W, 3), BGR uint8, and the warnings.

    Raises:
        ImageError: In one line, if a file cannot be read.
        TypeError: If an array is of another kind.
    """
    if isinstance(image, np.ndarray):
        return from_array(image)
    try:
        if isinstance(image, Image.Image):
            check_size(*image.size, max_pixels)
            return from_pillow(image)
        data = _read(image)
        with decoder_messages() as messages:
            found = decode_image(data, max_pixels)
    except ImageError:
        raise
    except PermissionError as error:
        raise ImageError('permission denied: change its permissions') \
            from error
    except (OSError, ValueError) as error:
        raise ImageError(f'it cannot be read ({error})') from error
    return found if found.notes else Decoded(found.image, tuple(messages))


def _read(image: ImageLike) -> bytes:
    if hasattr(image, 'read'):
        data = image.read()
        if isinstance(data, str):
            raise ImageError("the file is open for text: open it with 'rb'")
        return data
    if not isinstance(image, (str, os.PathLike)):
        return bytes(image)
    path = os.fspath(image)
    fault = file_fault(path)
    if fault == MISSING and '://' in path:
        fault = 'addresses are not read: download it first'
    elif not fault and is_video(path):
        fault = "this is a video: use 'orsa video'"
    if fault:
        raise ImageError(fault)
    with open_ordinary(path, 'rb') as file:
        return file.read()
