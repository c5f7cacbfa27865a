# Copyright (c) orsa contributors. All rights reserved.
"""What a picture's file says of itself, held against its bytes."""
import os
import os.path as osp
import re
import stat
import struct
from collections import Counter
from typing import IO, Dict, Iterator, List, NamedTuple, Optional, Tuple

MISSING = 'there is no such file'
PNG = b'\x89PNG\r\n\x1a\n'
_JPEG, _SCAN = b'\xff\xd8\xff', b'\xff\xda'
# The markers of a JPEG's frame; SOF2, 6, 10 and 14 are progressive.
_FRAMES = {*range(0xc0, 0xd0)} - {0xc4, 0xc8, 0xcc}
_PROGRESSIVE = {0xc2, 0xc6, 0xca, 0xce}
# A progressive JPEG has ten or so. Each is a walk over all pixels, and takes
# 14 bytes: a file of 1 MB could keep a decoder busy for a quarter of an hour.
_MAX_SCANS = 100
# In a scan 0xff is followed by 0, or by the number of a restart.
_MARKER = re.compile(rb'\xff[\x01-\xcf\xd8-\xfe]')
_PLAIN = {*range(1, 0xff)} - {*range(0xd0, 0xd8)}

# In lower case; what OpenCV opens, but for the formats of floating-point
# pixels (EXR, HDR, PFM), and HEIC, which needs a package.
IMAGE_SUFFIXES = ('.avif', '.bmp', '.dib', '.gif', '.heic', '.heif', '.jfif',
                  '.jp2', '.jpe', '.jpeg', '.jpg', '.pbm', '.pgm', '.png',
                  '.pnm', '.ppm', '.ras', '.sr', '.tif', '.tiff', '.webp')


def find_images(folder: str) -> Tuple[List[str], Dict[str, int]]:
    """List the pictures in a folder by their suffix, at any depth.

    Links are followed, but for those that lead back to where they are. What
    is hidden, by a dot or two underscores before its name, is passed over.

    Args:
        folder (str): The folder.

    Returns:
        tuple: Paths below ``folder``, by folder and name, and how many files
        (and hidden folders) were passed over, by kind.
    """
    found, passed = [], Counter()
    for parent, folders, files in os.walk(folder, followlinks=True):
        here = osp.realpath(parent)
        for name in list(folders):
            path = osp.realpath(osp.join(parent, name))
            if _hidden(name):
                passed['hidden folders'] += 1
                folders.remove(name)
            elif here == path or here.startswith(path + osp.sep):
                passed['links in a circle'] += 1
                folders.remove(name)
        for name in files:
            suffix = osp.splitext(name)[1].lower()
            if _hidden(name):
                passed['hidden files'] += 1
            elif suffix in IMAGE_SUFFIXES:
                found.append(osp.relpath(osp.join(parent, name), folder))
            else:
                passed[suffix or 'files without a suffix'] += 1
    return sorted(found, key=osp.split), dict(sorted(passed.items()))


def _hidden(name: str) -> bool:
    return name.startswith(('.', '__'))


def image_fault(data: bytes) -> Optional[str]:
    """Why the bytes of a picture should not be given to a decoder.

    Decoders believe what a file says: OpenCV takes up to 4 GB for a PNG of
    some bytes whose chunk claims to be as long, and libjpeg goes over all
    pixels of a JPEG as often as it has scans. The formats are known by their
    first bytes; others pass.

    Args:
        data (bytes): The file. Not copied.

    Returns:
        str | None: What is wrong, None if nothing is.
    """
    if data.startswith(PNG):
        return _long_chunk(data)
    if data.startswith(_JPEG) and len(data) > 8 * _MAX_SCANS:
        return _many_scans(data)
    return None


def _many_scans(data: bytes) -> Optional[str]:
    if not _has_scans(data):
        return None
    # within a scan 0xff is followed by 0
    scans = data.count(_SCAN)
    return None if scans <= _MAX_SCANS else (
        f'it is a JPEG of {scans} scans, more than the {_MAX_SCANS} that are '
        'read')


def _has_scans(data: bytes) -> bool:
    """Whether a JPEG may have more scans than one, by its header: to look
    for them in all of the file would be felt."""
    components = 0
    for marker, at in jpeg_markers(data):
        if marker in _PROGRESSIVE:
            return True
        if marker in _FRAMES:
            components = data[at + 9]
        if marker == 0xda:
            return data[at + 4] < components
    return False


def jpeg_markers(data: bytes) -> Iterator[Tuple[int, int]]:
    """The markers of a JPEG, and where they stand.

    Args:
        data (bytes): The file. Those in a scan's pixels are passed over.
    """
    at, size = 2, len(data)
    while True:
        # one segment follows another, but for a scan's pixels and damage
        if at + 2 > size or data[at] != 0xff or data[at + 1] not in _PLAIN:
            found = _MARKER.search(data, at)
            if not found:
                return
            at = found.start()
        marker = data[at + 1]
        if marker == 0xd9:
            yield marker, at
            return
        if at + 10 > size:
            return
        yield marker, at
        at += 2
        if marker not in (0x01, 0xd8):
            at += data[at] << 8 | data[at + 1]


class JpegFrame(NamedTuple):
    """What the header of a JPEG says, before it is turned."""
    height: int
    width: int
    components: int


def jpeg_frame(data: bytes) -> Optional[JpegFrame]:
    """The header of a JPEG, None of what is none."""
    if not data.startswith(_JPEG):
        return None
    for marker, at in jpeg_markers(data):
        if marker in _FRAMES:
            return JpegFrame(*struct.unpack_from('>HHB', data, at + 5))
    return None


def jpeg_ends(data: bytes) -> bool:
    """Whether a JPEG has its end marker, whatever stands behind it."""
    return data.endswith(b'\xff\xd9') or any(
        marker == 0xd9 for marker, _ in jpeg_markers(data))


def jpeg_lacks_scans(data: bytes) -> bool:
    """Whether a progressive JPEG lacks scans: some coefficient of a colour
    never gets its last bit."""
    frame, left = None, {}
    for marker, at in jpeg_markers(data):
        if marker in _FRAMES:
            if marker not in _PROGRESSIVE:
                return False
            frame = data[at + 9]
        if marker == 0xda:
            end = at + 5 + 2 * data[at + 4]
            if end + 3 > len(data):
                break
            first, last, bits = data[end:end + 3]
            for colour in data[at + 5:end:2]:
                for k in range(first, min(last, 63) + 1):
                    left[colour, k] = bits & 15
    return frame is not None and (len(left) < 64 * frame or any(left.values()))


def _long_chunk(data: bytes) -> Optional[str]:
    at, size = len(PNG), len(data)
    while at + 8 <= size:
        length, kind = struct.unpack_from('>I4s', data, at)
        if length > size:
            return (f'it is a PNG, damaged or cut off: at byte {at} a chunk '
                    f'{kind} claims {length} bytes, the file has {size}')
        at += length + 12
    return None


def file_fault(path: str) -> Optional[str]:
    """Why a path cannot be read as a file, None if it can be tried.

    Args:
        path (str): What to look at; opening a pipe would wait for ever.
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
    """Read a file that may be a picture.

    Raises:
        OSError: If it is no ordinary file, or a picture that no decoder
            should be given, see :func:`image_fault`.
    """
    with open_ordinary(path, 'rb', buffering=0) as file:
        data = file.read()
    fault = image_fault(data)
    if fault:
        raise OSError(f"'{osp.abspath(path)}' is not read: {fault}. Restore "
                      'it from the original archive, or remove it')
    return data
