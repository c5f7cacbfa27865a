# Copyright (c) orsa contributors. All rights reserved.
"""The one reader of images, for training, testing and prediction."""
import contextlib
import io
import os
import re
import struct
import threading
import warnings
from typing import Iterator, List, NamedTuple, Optional, Tuple

import cv2
import numpy as np
from PIL import Image, ImageOps

from .image_files import PNG, JpegHeader, image_fault, jpeg_header

# Pillow's own bound, from which on it warns of a decompression bomb. A file
# of some kilobytes can unpack to gigabytes.
MAX_PIXELS = 89_478_485
# What Pillow may take a file for, whatever its suffix: to read an EPS it runs
# a program.
_FORMATS = ('AVIF', 'BMP', 'DIB', 'GIF', 'JPEG', 'JPEG2000', 'MPO', 'PNG',
            'PPM', 'SUN', 'TIFF', 'WEBP')
_HEIC = (b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1'
         )  # brands, at byte 8
_REDUCED = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2
}
_END = b'\xff\xd9'


class ImageError(OSError):
    """A file is not there, or no image; the message says what to do."""


class Decoded(NamedTuple):
    """An image that was read.

    Attributes:
        image (np.ndarray): (H, W, 3), BGR uint8, contiguous.
        notes (tuple[str, ...]): What was wrong with the file, although it was
            read; empty as a rule.
    """
    image: np.ndarray
    notes: Tuple[str, ...] = ()


def decode_image(data: bytes,
                 max_pixels: int = MAX_PIXELS,
                 reduce: int = 1) -> Decoded:
    """Decode an image as people see it.

    It is rotated as its EXIF data say. Grey and palettes become colours, what
    is transparent is laid on white, CMYK is converted, and of several images
    in a file it is the first. Of 16 bits the upper 8 are taken; if all values
    are below 1024, 4096 or 16384, they are taken for 10, 12 or 14 bits, which
    is noted.

    JPEG and PNG without transparency are decoded by OpenCV, what it does not
    do as described here by Pillow; where both do, the pixels are the same.
    A baseline JPEG without its end marker is read, and noted, if no pixel
    depends on what would follow; otherwise it is refused as cut off.

    Args:
        data (bytes): The file.
        max_pixels (int): An image of more pixels is refused before it is
            unpacked. Defaults to Pillow's bound, 89 million.
        reduce (int): A JPEG is decoded at 1/2, 1/4 or 1/8 of its size, which
            is less work. Defaults to 1.

    Returns:
        Decoded: The image and what was wrong with it.

    Raises:
        ImageError: In one line, if it cannot be decoded.
    """
    if not data:
        raise ImageError('the file is empty')
    fault = image_fault(data)
    if fault:
        raise ImageError(fault)
    try:
        header = jpeg_header(data)
        size = _opencv_size(data, header)
        if size is None or size[0] * size[1] > MAX_PIXELS:
            return _by_pillow(data, max_pixels)
        check_size(*size, max_pixels)
        notes = ()
        if header and not header.complete:
            data = _with_end(data, header.progressive)
            notes = ('its end marker is missing', )
        image = _imdecode(data, _REDUCED.get(reduce, cv2.IMREAD_COLOR))
        if image is None:  # what it is that OpenCV does not like
            image, more = _by_pillow(data, max_pixels)
            notes = ('it is damaged or lacks its end', *more)
        return Decoded(image, notes)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError('there is not enough memory for it; make it '
                         'smaller') from error
    # Pillow's readers raise whatever comes up when a file is damaged
    except Exception as error:
        reason = str(error).split('\n')[0] or type(error).__name__
        raise ImageError(f'its {len(data)} bytes do not decode (cut off, or '
                         f'no image): {reason}') from error


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise an error if an image has more pixels than that."""
    if width * height > max_pixels:
        raise ImageError(
            f'it unpacks to {width}x{height} pixels, more than '
            f'max_pixels={max_pixels}; make it smaller, or raise the bound '
            'if you trust it')


# ------------------------------------------------------------------ OpenCV


def _opencv_size(data: bytes,
                 header: Optional[JpegHeader]) -> Optional[Tuple[int, int]]:
    """Width and height of a file that OpenCV decodes as Pillow does."""
    if data.startswith(PNG) and len(data) >= 33:
        size, (bits, kind) = struct.unpack_from('>II', data, 16), data[24:26]
        clear = kind & 4 or data.find(b'tRNS', 33, data.find(b'IDAT')) > 0
        return None if bits > 8 or clear else size
    # OpenCV takes all CMYK for inverted, which Adobe's alone is
    if header is None or header.components == 4:
        return None
    return header.width, header.height


def _imdecode(data: bytes, flag: int) -> Optional[np.ndarray]:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:  # a size beyond all measure, or none
        return None


def _with_end(data: bytes, progressive: bool) -> bytes:
    """A JPEG with the end marker that it lacks.

    Whether more than the marker is missing is seen by what pixels are if
    something else follows: those that are all there stay as they are.

    Raises:
        ImageError: If it is more, or cannot be known.
    """
    cut = f'its {len(data)} bytes are a JPEG that is cut off: '
    if progressive:
        raise ImageError(f'{cut}its end marker is missing')
    data = data.rstrip(b'\xff')  # half a marker
    flag = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image, *others = (
        _imdecode(data + rest + _END, flag)
        for rest in (b'', b'\x55' * 64, b'\xaa' * 64))
    for other in others:
        if image is None or other is None:
            raise ImageError(f'{cut}it has no pixels')
        changed = (other != image).any((1, 2))
        if changed.any():
            raise ImageError(f'{cut}pixels are missing from row '
                             f'{changed.argmax()} of {len(image)} on')
    return data + _END


# ------------------------------------------------------------------ Pillow


def _by_pillow(data: bytes, max_pixels: int) -> Decoded:
    # what Pillow warns of becomes a note; the bound is our own
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter('always')
        with _open(data) as image:
            check_size(*image.size, max_pixels)
            found = from_pillow(image, data)
    notes = [
        str(w.message).split('\n')[0] for w in warned
        if w.category is not Image.DecompressionBombWarning
    ]
    return Decoded(found.image, (*notes, *found.notes))


def _open(data: bytes) -> Image.Image:
    formats = list(_FORMATS)
    if data[4:8] == b'ftyp' and data[8:12] in _HEIC:
        try:
            # optional
            from pillow_heif import HeifImagePlugin  # noqa: F401
        except ImportError as error:
            raise ImageError(
                'it is HEIC, which is read by pillow-heif: pip install '
                'pillow-heif, or save it as JPEG') from error
        formats.append('HEIF')
    Image.init()
    try:
        # a format that Pillow was built without is a KeyError there
        return Image.open(
            io.BytesIO(data), formats=[f for f in formats if f in Image.OPEN])
    except Image.DecompressionBombError as error:
        raise ImageError(f'it unpacks to too many pixels ({error}); make it '
                         'smaller') from error
    except Image.UnidentifiedImageError as error:
        hint = '' if 'AVIF' in Image.OPEN else (
            "; AVIF needs pip install 'pillow>=11.3'")
        raise ImageError('it is in none of the formats '
                         f'{", ".join(formats)}{hint}') from error


def from_pillow(image: Image.Image, data: Optional[bytes] = None) -> Decoded:
    """Bring an image of Pillow's to the form of :func:`decode_image`.

    Args:
        image (PIL.Image.Image): The image.
        data (bytes, optional): The file that it was opened from, from which
            colours of 16 bits are read, of which Pillow keeps 8.

    Returns:
        Decoded: The image and what was wrong with it.

    Raises:
        ImageError: If its pixels are of 32 bits.
    """
    tiles = getattr(image, 'tile', ())
    image.load()
    if data and any(';16' in str(tile[3]) for tile in tiles):
        deep = _imdecode(data, cv2.IMREAD_UNCHANGED)
        if deep is not None and deep.dtype == np.uint16:
            return from_array(deep)
    if image.mode == 'I' and image.format == 'PPM':  # scaled by Pillow
        return from_array(np.asarray(image).astype(np.uint16), 16)
    if image.mode in ('I', 'F'):
        raise ImageError(f"its pixels are 32-bit numbers (mode "
                         f"'{image.mode}'), whose range is not known; save "
                         'it with 8 or 16 bits')
    with contextlib.suppress(Exception):  # EXIF data that are damaged
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith('I;16'):
        return from_array(np.asarray(image).astype(np.uint16))
    if image.has_transparency_data:
        image = image.convert('RGBA')
        white = Image.new('RGBA', image.size, 'white')
        image = Image.alpha_composite(white, image)
    rgb = np.asarray(image.convert('RGB'))
    return Decoded(np.ascontiguousarray(rgb[..., ::-1]))


def from_array(array: np.ndarray, bits: Optional[int] = None) -> Decoded:
    """Bring an array to the form of :func:`decode_image`.

    Args:
        array (np.ndarray): (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4)
            BGRA, uint8 or uint16.
        bits (int, optional): Of uint16. Defaults to None, by the values: the
            fewest of 8, 10, 12, 14 and 16 that hold them.

    Returns:
        Decoded: The image, and a note if its bits were found by the values.

    Raises:
        TypeError: If it is of another kind.
    """
    channels = array.shape[2] if array.ndim == 3 else 1
    if not (array.ndim in (2, 3) and channels in (1, 3, 4) and array.size
            and array.dtype in (np.uint8, np.uint16)):
        raise TypeError(
            'an image should be an array (H, W), (H, W, 1), (H, W, 3) BGR or '
            f'(H, W, 4) BGRA of uint8 or uint16, but is {array.dtype} of '
            f'shape {array.shape}')
    notes = ()
    array = array.reshape(*array.shape[:2], channels)
    if array.dtype == np.uint16:
        if bits is None:
            top = int(array[..., :3].max())
            bits = next(n for n in (8, 10, 12, 14, 16) if top < 1 << n)
            if bits < 16:
                notes = (f'its 16-bit values end at {top}: they are taken '
                         f'for {bits} bits', )
        array = (array >> (bits - 8)).clip(0, 255).astype(np.uint8)
    if channels == 1:
        array = array.repeat(3, axis=2)
    elif channels == 4:
        rgba = cv2.cvtColor(array, cv2.COLOR_BGRA2RGBA)
        array = from_pillow(Image.fromarray(rgba)).image
    return Decoded(np.ascontiguousarray(array), notes)


# ------------------------------------------------------------ notes

_thread = threading.local()
_FD_LOCK = threading.Lock()
# how OpenCV begins a line: [ WARN:0@4.369] global grfmt_tiff.cpp:122 TIFF_..
_PREFIX = re.compile(r'^\[ ?[A-Z]+:\d+@[\d.]+\] global \S+ (\S+ )?')


def warn_notes(name: str, notes: Tuple[str, ...]) -> None:
    """Report what was wrong with an image that was read: to the caller of
    :func:`collect_notes`, or as a warning, once for each file and process."""
    for note in notes:
        heard = getattr(_thread, 'heard', None)
        if heard is None:
            warnings.warn(
                f"'{name}' is read, with a warning: {note}", stacklevel=3)
        else:
            heard.append(note)


@contextlib.contextmanager
def collect_notes() -> Iterator[List[str]]:
    """Collect what :func:`warn_notes` reports in this thread."""
    before = getattr(_thread, 'heard', None)
    _thread.heard = heard = []
    try:
        yield heard
    finally:
        _thread.heard = before


@contextlib.contextmanager
def decoder_messages() -> Iterator[List[str]]:
    """Collect what the decoders' own libraries print meanwhile.

    libjpeg, libpng and libtiff say on standard error, and nowhere else, that
    a file is damaged. What other threads print there meanwhile is taken too;
    a second thread waits.
    """
    said: List[str] = []
    with _FD_LOCK:
        try:
            kept = os.dup(2)
        except OSError:  # there is no standard error
            yield said
            return
        source, sink = os.pipe()
        # a decoder that says more than a pipe holds does not wait for us
        os.set_blocking(sink, False)
        os.set_blocking(source, False)
        os.dup2(sink, 2)
        try:
            yield said
        finally:
            os.dup2(kept, 2)
            for handle in (kept, sink):
                os.close(handle)
            text = b''
            with contextlib.suppress(BlockingIOError):
                text = os.read(source, 1 << 16)
            os.close(source)
            lines = text.decode(errors='replace').splitlines()
            lines = [_PREFIX.sub('', line).strip() for line in lines]
            said += dict.fromkeys(line for line in lines if line)
