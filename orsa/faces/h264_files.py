# Copyright (c) orsa contributors. All rights reserved.
"""Writing MP4 that browsers play, by PyAV."""
import contextlib
import importlib.util
from fractions import Fraction
from itertools import chain
from typing import Any, Iterator, Optional

import cv2
import numpy as np

from orsa.utils.fileio import atomic_path
from .video_files import CONTAINERS

_TICKS = 90_000  # a second
# of AAC, samples a second
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000,
              12000, 11025, 8000, 7350)


def has_pyav() -> bool:
    """Whether PyAV is installed."""
    return importlib.util.find_spec('av') is not None


class H264Writer:
    """An MP4 file in H.264, complete or not at all.

    Each frame has its own time, so that a variable rate is kept.

    Args:
        path (str): The file, which should end with '.mp4'.
        sound_of (str, optional): A video whose sound it gets.
            Defaults to None, none.

    Attributes:
        count (int): How many frames were written.
        left_out (float): 0; see :class:`.VideoWriter`.

    Raises:
        OSError: If it cannot be written.
    """

    codec, left_out = 'H.264', 0.

    def __init__(self, path: str, sound_of: Optional[str] = None):
        self.path, self.sound_of = path, sound_of
        self.count = 0
        self._stack = contextlib.ExitStack()
        self._file: Any = None

    def _open(self, image: np.ndarray, time: float) -> None:
        import av

        # 4:2:0 has even sides
        self._size = tuple(n + n % 2 for n in image.shape[1::-1])
        temporary = self._stack.enter_context(atomic_path(self.path))
        self._file = self._stack.enter_context(
            av.open(
                temporary,
                'w',
                format='mp4',
                options=dict(movflags='+faststart')))
        self._stack.push(self._flush)  # an error in it still closes the file
        self._video = self._file.add_stream(
            'libx264', options=dict(preset='veryfast', crf='20'))
        self._video.width, self._video.height = self._size
        self._video.pix_fmt = 'yuv420p'
        self._video.codec_context.time_base = Fraction(1, _TICKS)
        self._begin, self._last = time, -1
        self._sound = self._read_sound() if self.sound_of else iter(())
        self._next = next(self._sound, None)

    def write(self, image: np.ndarray, time: float) -> None:
        """Add a frame.

        Args:
            image (np.ndarray): (H, W, 3), BGR uint8.
            time (float): Of the frame, in seconds.
        """
        import av
        if self._file is None:
            self._open(image, time)
        if image.shape[1::-1] != self._size:
            image = cv2.resize(image, self._size)
        frame = av.VideoFrame.from_ndarray(image, format='bgr24')
        self._last = max(round((time - self._begin) * _TICKS), self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
        self._file.mux(self._video.encode(frame))
        self.count += 1
        self._write_sound(self._last / _TICKS)

    def _read_sound(self) -> Iterator[tuple]:
        """Time and frame of the sound, in the form that AAC has."""
        import av
        options = dict(format_whitelist=CONTAINERS, protocol_whitelist='file')
        try:
            source = self._stack.enter_context(
                av.open(self.sound_of, options=options))
            if not source.streams.audio:
                return
            stream = source.streams.audio[0]
            rate = stream.rate if stream.rate in _AAC_RATES else 48_000
            self._audio = self._file.add_stream('aac', rate=rate)
            self._audio.layout = 'stereo'
            convert = av.AudioResampler('fltp', 'stereo', rate)
            # 0 is the first picture, before or after which the sound begins
            start = _start(source)
            position = 0
            for frame in source.decode(stream):
                at = position
                if frame.time is not None:
                    at = round((frame.time - start) * rate)
                if at < 0:
                    continue
                parts = convert.resample(frame)
                # the encoder closes pauses
                if at > position + rate / 20:
                    parts = chain(_silence(at - position, rate), parts)
                for part in parts:
                    part.rate, part.pts = rate, position
                    part.time_base = Fraction(1, rate)
                    yield position / rate, part
                    position += part.samples
        except av.error.FFmpegError:
            return  # what can be heard is kept, as what can be seen is

    def _write_sound(self, until: float) -> None:
        while self._next is not None and self._next[0] <= until:
            self._file.mux(self._audio.encode(self._next[1]))
            self._next = next(self._sound, None)

    def __enter__(self) -> 'H264Writer':
        return self

    def __exit__(self, kind, *error) -> None:
        self._stack.__exit__(kind, *error)

    def _flush(self, kind, *error) -> None:
        if kind is None:
            self._file.mux(self._video.encode(None))
            if self._file.streams.audio:
                self._file.mux(self._audio.encode(None))


def _silence(samples: int, rate: int) -> Iterator[Any]:
    """Frames without sound, of a second each at the most."""
    import av
    for begin in range(0, samples, rate):
        still = np.zeros((2, min(rate, samples - begin)), np.float32)
        yield av.AudioFrame.from_ndarray(still, 'fltp', 'stereo')


def _start(source: Any) -> float:
    """The time of the first picture of a video, in seconds."""
    for stream in source.streams.video:
        if stream.start_time is not None:
            return float(stream.start_time * stream.time_base)
    return 0.
