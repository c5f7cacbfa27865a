# Copyright (c) orsa contributors. All rights reserved.
"""Pictures of any kind that people have, as the arrays that models take."""
import glob
import os
import os.path as osp
import warnings
from typing import Iterator, NamedTuple, Optional, Sequence, Union

import numpy as np

from orsa.utils.image_files import MISSING, file_fault, picture_fault

# Pillow's own bound, from which on it warns of a decompression bomb. A file
# of some kilobytes can unpack to gigabytes.
MAX_PIXELS = 89_478_485

PICTURE_SUFFIXES = ('.bmp', '.dib', '.gif', '.jfif', '.jpe', '.jpeg', '.jpg',
                    '.jp2', '.pbm', '.pgm', '.png', '.ppm', '.tif', '.tiff',
                    '.webp')
# What Pillow may take a file for, whatever it is called: to read an EPS it
# runs a program.
_FORMATS = ('AVIF', 'BMP', 'DIB', 'GIF', 'JPEG', 'JPEG2000', 'PNG', 'PPM',
            'TIFF', 'WEBP')
VIDEO_SUFFIXES = ('.3gp', '.avi', '.flv', '.m4v', '.mkv', '.mov', '.mp4',
                  '.mpeg', '.mpg', '.mts', '.ogv', '.ts', '.webm', '.wmv')

_MAX_STEM = 190  # bytes

Picture = Union[str, os.PathLike, np.ndarray]


class PictureError(OSError):
    """A file is not there, or no picture; the message says what to do."""


class Source(NamedTuple):
    """One picture to be read.

    Attributes:
        name (str): Its path, or 'array 3' for the fourth one in memory.
        picture (str | np.ndarray): The path or the array.
        error (str, optional): Why there is nothing to read.
    """
    name: str
    picture: Union[str, np.ndarray]
    error: Optional[str] = None


def is_video(path: Picture) -> bool:
    """Whether a path has the suffix of a video."""
    return (not isinstance(path, np.ndarray)
            and osp.splitext(os.fspath(path))[1].lower() in VIDEO_SUFFIXES)


def list_pictures(
        inputs: Union[Picture, Sequence[Picture]]) -> Iterator[Source]:
    """What is to be read, one by one.

    Args:
        inputs (str | os.PathLike | np.ndarray | Sequence): A file, a folder
            (its pictures by suffix, without folders in it), a pattern such as
            ``'holiday/**/*.jpg'``, an array (H, W), (H, W, C) or
            (N, H, W, C), or a list of these.

    Yields:
        Source: In the order given, those of folders and patterns by name.
        What leads to no picture yields its error.

    Raises:
        TypeError: If it is something else.
    """
    count = 0
    for one in inputs if isinstance(inputs, (list, tuple)) else [inputs]:
        if isinstance(one, np.ndarray):
            for image in one if one.ndim == 4 else [one]:
                yield Source(f'array {count}', image)
                count += 1
        elif isinstance(one, (str, os.PathLike)):
            yield from _list_path(osp.expanduser(os.fspath(one)))
        else:
            raise TypeError('inputs should be paths and arrays, but got '
                            f'{type(one).__name__}')


def _list_path(path: str) -> Iterator[Source]:
    if osp.isdir(path):
        found = sorted(
            entry.path for entry in os.scandir(path)
            if osp.splitext(entry.name)[1].lower() in PICTURE_SUFFIXES
            # not of the entry, which raises for a link in a circle
            and not osp.isdir(entry.path))
        if not found:
            yield Source(
                path, path, 'there is no picture in this folder; for folders '
                "in it give a pattern, '*/*.jpg'")
    elif glob.has_magic(path) and not osp.exists(path):
        found = sorted(
            p for p in glob.iglob(path, recursive=True) if osp.isfile(p))
        if not found:
            yield Source(path, path, 'no file fits this pattern')
    else:
        found = [path]
    yield from (Source(p, p) for p in found)


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

    It is turned as its EXIF data say. Grey and palettes become colours, 16
    bits become 8 by their upper half, what is transparent is laid on white,
    CMYK is converted, and of several pictures in a file it is the first.

    Args:
        picture (str | os.PathLike | np.ndarray): A file, or an array (H, W),
            (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA, uint8 or uint16.
        max_pixels (int): A picture of more pixels is refused before it is
            unpacked. Defaults to Pillow's bound, 89 million.

    Returns:
        np.ndarray: (H, W, 3), BGR uint8, contiguous.

    Raises:
        PictureError: In one line, if a file cannot be read.
        TypeError: If an array is of another kind.
    """
    if isinstance(picture, np.ndarray):
        return _from_array(picture)
    path = os.fspath(picture)
    fault = file_fault(path)
    if fault == MISSING and '://' in path:
        fault = 'addresses are not read: download it first'
    if fault:
        raise PictureError(fault)
    if is_video(path):
        raise PictureError("this is a video: use 'orsa video'")
    try:
        size = osp.getsize(path)
        if not size:
            raise PictureError('the file is empty')
        return _decode(path, max_pixels)
    except PictureError:
        raise
    except PermissionError as error:
        raise PictureError('it may not be read: change its permissions') \
            from error
    except MemoryError as error:
        raise PictureError('there is not enough memory for it; make it '
                           'smaller') from error
    # Pillow's readers raise whatever comes up when a file is damaged
    except Exception as error:
        raise PictureError(
            f'its {size} bytes do not decode (cut off, or no picture): '
            f'{_one_line(error, path)}') from error


def _one_line(error: Exception, path: str) -> str:
    if type(error).__name__ == 'UnidentifiedImageError':
        return f"it is in none of the formats {', '.join(_FORMATS)}"
    text = str(error).replace(repr(path), 'it').split('\n')[0]
    return text or type(error).__name__


def _decode(path: str, max_pixels: int) -> np.ndarray:
    from PIL import Image, ImageOps
    with warnings.catch_warnings():
        # the bound is our own, and damaged EXIF data are no reason to stop
        warnings.simplefilter('ignore')
        Image.init()
        try:
            # a format that Pillow was built without is a KeyError there
            image = Image.open(
                path, formats=[f for f in _FORMATS if f in Image.OPEN])
        except Image.DecompressionBombError as error:
            raise PictureError(
                f'it unpacks to too many pixels ({error}); make it '
                'smaller') from error
        with image:
            width, height = image.size
            if image.format in ('JPEG', 'MPO'):
                _check_bytes(path)
            if width * height > max_pixels:
                raise PictureError(
                    f'it unpacks to {width}x{height} pixels, more than '
                    f'max_pixels={max_pixels}; make it smaller, or raise the '
                    'bound if you trust it')
            image.load()
            try:
                image = ImageOps.exif_transpose(image)
            except Exception:  # what is not understood does not turn it
                pass
            return _to_bgr(image)


def _check_bytes(path: str) -> None:
    with open(path, 'rb') as file:
        fault = picture_fault(file.read())
    if fault:
        raise PictureError(fault)


def _to_bgr(image) -> np.ndarray:
    from PIL import Image
    mode = image.mode
    if mode.startswith('I;16'):
        return _from_array(np.asarray(image).astype(np.uint16))
    if mode in ('I', 'F'):
        raise PictureError(f"its pixels are 32-bit numbers (mode '{mode}'), "
                           'whose range is not known; save it with 8 or 16 '
                           'bits')
    if mode in ('RGBA', 'LA', 'PA', 'La', 'RGBa') or ('transparency'
                                                      in image.info):
        image = image.convert('RGBA')
        white = Image.new('RGBA', image.size, 'white')
        image = Image.alpha_composite(white, image)
    rgb = np.asarray(image.convert('RGB'))
    return np.ascontiguousarray(rgb[..., ::-1])


def _from_array(array: np.ndarray) -> np.ndarray:
    channels = array.shape[2] if array.ndim == 3 else 1
    if not (array.ndim in (2, 3) and channels in (1, 3, 4) and array.size
            and array.dtype in (np.uint8, np.uint16)):
        raise TypeError(
            'a picture should be an array (H, W), (H, W, 1), (H, W, 3) BGR '
            f'or (H, W, 4) BGRA of uint8 or uint16, but is {array.dtype} of '
            f'shape {array.shape}')
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    array = array.reshape(*array.shape[:2], channels)
    if channels == 1:
        array = array.repeat(3, axis=2)
    elif channels == 4:
        alpha = array[..., 3:].astype(np.float32) / 255
        mixed = array[..., :3] * alpha + 255 * (1 - alpha)
        array = mixed.round().astype(np.uint8)
    return np.ascontiguousarray(array)
