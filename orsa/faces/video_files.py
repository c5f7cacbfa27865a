# Copyright (c) orsa contributors. All rights reserved.
"""Reading videos and cameras frame by frame, and writing MP4, by OpenCV."""
import contextlib
import os
import os.path as osp
import time as clock
from typing import Iterator, Optional, Tuple, Union

import cv2
import numpy as np

from orsa.utils.fileio import atomic_path
from orsa.utils.image_files import file_fault
from orsa.utils.own_files import is_own_file
from .images import MAX_PIXELS, ImageError
from .results import ImageResult

# FFmpeg's own messages, hundreds of a damaged file; -8 is quiet. OpenCV reads
# it with the first video.
os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')

# FFmpeg plays texts that name other files or addresses, and goes by what a
# file holds, not by its name. These containers hold videos.
CONTAINERS = ('avi,flv,matroska,mov,mpeg,mpegts,mpegvideo,ogg,asf,mxf,'
              'h264,hevc,m4v,gif')
_OPTIONS = 'OPENCV_FFMPEG_CAPTURE_OPTIONS'

# Of a video without a rate; most have it.
_USUAL_FPS = 25.
# The rate of a drawn video is measured on so many frames.
_FIRST = 64
# Frames a second of a drawn video; seconds for which a frame is repeated.
_FASTEST, _LONGEST = 120., 60.


class VideoReader:
    """The frames of a video file or a camera, one by one.

    Args:
        source (str | os.PathLike | int): A file, or the number of a camera.

    Attributes:
        name (str): Of the source.
        fps (float): Frames a second; 25 where it is not known.
        size (tuple[int, int]): Width and height in pixels.
        total (int): The number of frames by the file; 0 if it has none.
        error (str, optional): After the last frame, what was wrong.
        note (str, optional): The same, what may be wrong.
        source (str | int): The absolute path, or the number.

    Raises:
        ImageError: In one line, if it cannot be opened, or its frames are
            of more than 89 million pixels.
    """

    def __init__(self, source: Union[str, os.PathLike, int]):
        self.is_camera = isinstance(source, int)
        self.name = f'camera {source}' if self.is_camera else os.fspath(source)
        if not self.is_camera:
            source = osp.abspath(osp.expanduser(self.name))
            _check_file(source)
        self.source, self.note = source, None
        self._capture = _open(source)
        if not self._capture.isOpened():
            self.close()
            raise ImageError(
                f'there is no camera {source}, or another program uses it'
                if self.is_camera else 'it is no video that OpenCV reads, or '
                'is cut off before its index; images are for orsa predict')
        get = self._capture.get
        fps = get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else _USUAL_FPS
        self.size = (int(get(cv2.CAP_PROP_FRAME_WIDTH)),
                     int(get(cv2.CAP_PROP_FRAME_HEIGHT)))
        total = get(cv2.CAP_PROP_FRAME_COUNT)
        self.total = int(total) if 0 < total < 1e9 else 0
        self.error = _too_large(self.size)
        if self.error:
            self.close()
            raise ImageError(self.error)

    def __iter__(self) -> Iterator[ImageResult]:
        """Frames without faces, with ``image``, ``frame`` and ``time``."""
        start, last, count = clock.monotonic(), -1., 0
        while True:
            image = self._read()
            if image is None:
                break
            if self.is_camera:
                time = clock.monotonic() - start
            else:
                time = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                if not time > last:  # not in every container
                    time = max(count / self.fps, last + 1e-3)
            last = time
            yield ImageResult(
                self.name,
                size=image.shape[1::-1],
                frame=count,
                time=time,
                image=image)
            count += 1
        self.error = self.error or self._missing(count, last + 1 / self.fps)

    def _read(self) -> Optional[np.ndarray]:
        """The next frame in BGR, or None and perhaps ``error``."""
        try:
            with _quiet():
                good, image = self._capture.read()
        except cv2.error as error:  # of a size that it cannot convert
            self.error = f'OpenCV cannot go on ({error.err or error})'
            return None
        if not good or image is None:
            return None
        self.error = _too_large(image.shape[1::-1])  # it may change
        if self.error:
            return None
        return image if image.ndim == 3 else cv2.cvtColor(
            image, cv2.COLOR_GRAY2BGR)

    def _missing(self, count: int, end: float) -> Optional[str]:
        if self.is_camera:
            return 'the camera returns no more images'
        if not count:
            return 'no frame of it can be read: it is damaged'
        if count >= .98 * self.total - 2:
            return None
        length = self.total / self.fps
        # the number of frames is a guess in some containers
        what = f'{count} of about {self.total} frames'
        if end >= .98 * length - 2 / self.fps:
            self.note = (f'it has {what}: its rate varies, or it is damaged')
        elif is_whole_matroska(self.source):
            self.note = (f'its picture ends at {end:.1f} of {length:.1f} s: '
                         'its sound is longer, or it is damaged')
        else:
            return (f'it ends after {count} of {self.total} frames: it is cut '
                    'off or damaged')
        return None

    def drawing_rate(self) -> float:
        """Frames a second that a drawn video needs, so that none is lost.

        A file's own rate is the average, in some over pauses too. This is the
        rate of the first 64 frames, unless both nearly agree.
        """
        if self.is_camera:
            return self.fps
        capture, times = _open(self.source), []
        while len(times) < _FIRST and capture.grab():
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        capture.release()
        gaps = np.diff(times)
        gaps = gaps[gaps > 0]
        if not gaps.size:
            return self.fps
        rate = 1 / gaps[gaps < 1.5 * np.median(gaps)].mean()
        if .9 < rate / self.fps < 1.1:
            return self.fps
        return round(min(rate, _FASTEST), 2)

    def close(self) -> None:
        """Release the file or the camera."""
        self._capture.release()

    def __enter__(self) -> 'VideoReader':
        return self

    def __exit__(self, *args) -> None:
        self.close()


class VideoWriter:
    """An MP4 file, complete or not at all.

    OpenCV writes a constant rate. So that each frame is shown at its time,
    the one before it is repeated, or it is left out where two have one place.

    Args:
        path (str): The file, which should end with '.mp4'.
        fps (float): Frames a second.

    Attributes:
        count (int): How many frames were written.
        left_out (float): Seconds by which pauses of more than a minute were
            shortened.

    Raises:
        OSError: With the first frame, if OpenCV cannot write such a file.
    """

    codec = 'MPEG-4'

    def __init__(self, path: str, fps: float):
        self.path, self.fps = path, fps
        self._stack = contextlib.ExitStack()
        self._writer: Optional[cv2.VideoWriter] = None
        self._size = (0, 0)
        self._last: Optional[np.ndarray] = None
        self._begin = self._time = 0.
        self.count = 0
        self.left_out = 0.

    def write(self, image: np.ndarray, time: float) -> None:
        """Add a frame.

        Args:
            image (np.ndarray): (H, W, 3), BGR uint8.
            time (float): Of the frame, in seconds.
        """
        if self._writer is None:
            self._open(image)
            self._begin = self._time = time
        if image.shape[1::-1] != self._size:
            image = cv2.resize(image, self._size)
        self.left_out += max(time - self._time - _LONGEST, 0.)
        seconds = time - self._begin - self.left_out
        place = round(seconds * self.fps)
        repeated = [self._last] * (place - self.count)
        for frame in [*repeated, image][:max(place + 1 - self.count, 0)]:
            self._writer.write(frame)
            self.count += 1
        self._last, self._time = image, time

    def _open(self, image: np.ndarray) -> None:
        # MPEG-4 has even sides
        self._size = tuple(n + n % 2 for n in image.shape[1::-1])
        if not _is_text(self.path):
            raise OSError(f'OpenCV writes no video to {self.path!a}, whose '
                          'name is no UTF-8: choose another folder')
        temporary = self._stack.enter_context(atomic_path(self.path))
        with _quiet():
            writer = cv2.VideoWriter(temporary,
                                     cv2.VideoWriter_fourcc(*'mp4v'), self.fps,
                                     self._size)
        if not writer.isOpened():
            raise OSError(f"OpenCV cannot write the video '{self.path}' (MP4, "
                          f'{self._size[0]}x{self._size[1]}); is there space, '
                          'and was OpenCV built with FFmpeg?')
        self._writer = writer

    def __enter__(self) -> 'VideoWriter':
        return self

    def __exit__(self, *error) -> None:
        if self._writer is not None:
            self._writer.release()
        self._stack.__exit__(*error)


def is_whole_matroska(path: str) -> bool:
    """Whether a file is Matroska or WebM, and as long as it says.

    These state a length in seconds of all streams together, so that the end of
    the picture says little. See https://www.rfc-editor.org/rfc/rfc8794.
    """
    with open(path, 'rb') as file:
        head = file.read(4096)
    at = 0
    for identity in (b'\x1aE\xdf\xa3', b'\x18S\x80g'):  # EBML, Segment
        if head[at:at + 4] != identity or at + 12 > len(head):
            return False
        # as many bytes as the first one has leading zeros, and itself
        count = 9 - head[at + 4].bit_length()
        size = int.from_bytes(head[at + 4:at + 4 + count], 'big')
        size &= (1 << 7 * count) - 1
        begin = at + 4 + count
        at = begin + size
    unknown = size == (1 << 7 * count) - 1
    return not unknown and osp.getsize(path) >= at


def _check_file(path: str) -> None:
    fault = file_fault(path)
    if osp.isdir(path):
        fault = 'it is a folder, name the videos in it'
    elif not fault and is_own_file(path):
        fault = 'it was drawn by orsa: name the video that it was made from'
    elif not fault and not osp.getsize(path):
        fault = 'the file is empty'
    elif not fault and not _is_text(path):
        fault = 'its name is no UTF-8, which OpenCV needs: rename it'
    if fault:
        raise ImageError(fault)


def _too_large(size: Tuple[int, int]) -> Optional[str]:
    width, height = size
    if width * height <= MAX_PIXELS:
        return None
    return (f'its frames are {width}x{height} pixels, more than {MAX_PIXELS}; '
            'make it smaller')


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _open(source: Union[str, int]) -> cv2.VideoCapture:
    """Open a camera, or a file as a video and as nothing else."""
    with _quiet():
        if isinstance(source, int):
            return cv2.VideoCapture(source)
        has_ffmpeg = cv2.CAP_FFMPEG in cv2.videoio_registry.getStreamBackends()
        backend = cv2.CAP_FFMPEG if has_ffmpeg else cv2.CAP_ANY
        ours = _OPTIONS not in os.environ  # unless the user has set some
        if ours:
            os.environ[_OPTIONS] = f'format_whitelist;{CONTAINERS}'
        try:
            return cv2.VideoCapture(source, backend)
        finally:
            if ours:
                del os.environ[_OPTIONS]


@contextlib.contextmanager
def _quiet():
    """Without OpenCV's own messages: the errors here have the same."""
    # OpenCV 4.12 has it at the top, 4.14 in a module of its own
    logging = getattr(cv2.utils, 'logging', cv2)
    level = logging.setLogLevel(0)
    try:
        yield
    finally:
        logging.setLogLevel(level)
