# Copyright (c) orsa contributors. All rights reserved.
"""Image files: what they claim, held against their bytes."""
import os
import os.path as osp
import stat
import struct
from typing import IO, NamedTuple, Optional

MISSING = 'there is no such file'
PNG = b'\x89PNG\r\n\x1a\n'

# In lower case; what Pillow opens, but for formats of floating-point pixels.
# HEIC needs a package.
IMAGE_SUFFIXES = ('.avif', '.bmp', '.dib', '.gif', '.heic', '.heif', '.jfif',
                  '.jp2', '.jpe', '.jpeg', '.jpg', '.pbm', '.pgm', '.png',
                  '.pnm', '.ppm', '.ras', '.sr', '.tif', '.tiff', '.webp')


def name_of(info: dict) -> Optional[str]:
    """The name of a sample: its own, else its file's, else its number.

    Args:
        info (dict): Of ``get_data_info``, or the meta information that a
            pipeline packs.

    Returns:
        str | None: None if it has none of them.
    """
    if info.get('name') is not None:
        return str(info['name'])
    if info.get('img_path'):
        return osp.splitext(osp.basename(info['img_path']))[0]
    number = info.get('sample_idx')
    return None if number is None else str(number)


def image_fault(data: bytes) -> Optional[str]:
    """Why the bytes of an image should not be given to a decoder.

    OpenCV takes up to 4 GB for a PNG of some bytes whose chunk claims to be
    as long.

    Args:
        data (bytes): The file. Not copied; other formats than PNG pass.

    Returns:
        str | None: What is wrong, None if nothing is.
    """
    at, size = len(PNG), len(data)
    while data.startswith(PNG) and at + 8 <= size:
        length, kind = struct.unpack_from('>I4s', data, at)
        if length > size:
            return (f'it is a PNG, damaged or cut off: at byte {at} a chunk '
                    f'{kind} claims {length} bytes, the file has {size}')
        at += length + 12
    return None


class JpegHeader(NamedTuple):
    """What the header of a JPEG says, before EXIF data rotate it.

    Attributes:
        height (int): In pixels.
        width (int): In pixels.
        components (int): 1, 3, or 4 for CMYK.
        progressive (bool): Whether it is not of the baseline kind.
        complete (bool): Whether it has its end marker, whatever follows it.
    """
    height: int
    width: int
    components: int
    progressive: bool
    complete: bool


def jpeg_header(data: bytes) -> Optional[JpegHeader]:
    """The header of a JPEG, None of anything else."""
    at = 2
    while data.startswith(b'\xff\xd8\xff') and at + 10 <= len(data):
        marker, length = struct.unpack_from('>BH', data, at + 1)
        if data[at] != 0xff:
            break
        if 0xc0 <= marker < 0xd0 and marker not in (0xc4, 0xc8, 0xcc):
            # within pixels 0xff is followed by 0, or the number of a restart
            return JpegHeader(*struct.unpack_from('>HHB', data, at + 5), marker
                              > 0xc1,
                              data.find(b'\xff\xd9', at) > 0)
        at += 1 if marker == 0xff else 2 + length
    return None


def file_fault(path: str) -> Optional[str]:
    """Why a path cannot be read as a file, None if it can be tried.

    Args:
        path (str): Is not opened: a pipe would wait for ever.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return MISSING
    if stat.S_ISREG(mode):
        return None
    return ('it is a folder' if stat.S_ISDIR(mode) else
            'it is no file, but a pipe, socket or device')


def _open(path: str, flags: int) -> int:
    # a pipe that nobody writes to is opened at once
    return os.open(path, flags | getattr(os, 'O_NONBLOCK', 0))


def open_ordinary(path: str, mode: str = 'r', **kwargs) -> IO:
    """Open a file for reading, as ``open`` does, but no pipe and no device:
    these have no end, or wait for one that may never come.

    Args:
        path (str): The file.
        mode (str): Of ``open``. Defaults to 'r'.
        **kwargs: Of ``open``.

    Raises:
        OSError: If it is no ordinary file, or cannot be opened.
    """
    file = open(path, mode, opener=_open, **kwargs)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"'{path}' cannot be read: {file_fault(path)}. Save "
                      'what it gives as a file')
    return file


def read_bytes(path: str) -> bytes:
    """Read a file that may be an image.

    Raises:
        OSError: If it is no ordinary file, or an image that no decoder
            should be given, see :func:`image_fault`.
    """
    with open_ordinary(path, 'rb', buffering=0) as file:
        data = file.read()
    fault = image_fault(data)
    if fault:
        raise OSError(f"'{osp.abspath(path)}' is not read: {fault}. Restore "
                      'it from the original archive, or remove it')
    return data
