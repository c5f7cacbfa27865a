# Copyright (c) orsa contributors. All rights reserved.
"""Videos and cameras, frame by frame, in memory that does not grow."""
import contextlib
import csv
import dataclasses
import json
import math
import os
import os.path as osp
import time as clock
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Union

import cv2
import numpy as np

from orsa.faces.pictures import MAX_PIXELS, ImageError, stem_of
from orsa.faces.results import ImageResult
from orsa.faces.tracking import FaceTracker
from orsa.utils.fileio import atomic_path, check_writable
from orsa.utils.image_files import file_fault
from orsa.utils.own_files import is_own_file

# FFmpeg's own messages, hundreds of a damaged file; -8 is quiet. OpenCV reads
# it with the first video.
os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')

# FFmpeg knows texts that name other files or addresses to be played, and
# looks at what a file holds, not at what it is called. These hold videos.
_CONTAINERS = ('avi,flv,matroska,mov,mpeg,mpegts,mpegvideo,ogg,asf,mxf,'
               'h264,hevc,m4v,gif')
_OPTIONS = 'OPENCV_FFMPEG_CAPTURE_OPTIONS'

# Of a video that does not say; most have it.
_USUAL_FPS = 25.
# From how many frames it is told how fast they follow each other.
_FIRST = 64
# What is written, frames a second; seconds for which a frame is repeated.
_FASTEST, _LONGEST = 120., 60.


class VideoReader:
    """The frames of a video file or a camera, one by one.

    Args:
        source (str | os.PathLike | int): A file, or the number of a camera.

    Attributes:
        name (str): Of the source.
        fps (float): Frames a second; 25 where it is not known.
        size (tuple[int, int]): Width and height in pixels.
        total (int): How many frames the file says to have; 0 if it does not
            say.
        error (str, optional): After the last frame, what was wrong.

    Raises:
        ImageError: In one line, if it cannot be opened, or its frames are
            of more than 89 million pixels.
    """

    def __init__(self, source: Union[str, os.PathLike, int]):
        self.is_camera = isinstance(source, int)
        self.name = f'camera {source}' if self.is_camera else os.fspath(source)
        if not self.is_camera:
            source = osp.abspath(osp.expanduser(self.name))
            fault = file_fault(source)
            if osp.isdir(source):
                fault = 'it is a folder, name the videos in it'
            if not fault and is_own_file(source):
                fault = ('it was drawn by orsa: name the video that it was '
                         'made from')
            if fault or not osp.getsize(source):
                raise ImageError(fault or 'the file is empty')
            if not _is_text(source):
                raise ImageError('its name is no UTF-8, which OpenCV needs: '
                                 'rename it')
        self._source = source
        self._capture = _open(source)
        if not self._capture.isOpened():
            self.close()
            raise ImageError(
                f'there is no camera {source}, or another program has it'
                if self.is_camera else 'it is no video that OpenCV reads, or '
                'is cut off before its index; pictures are for orsa predict')
        get = self._capture.get
        fps = get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else _USUAL_FPS
        self.size = (int(get(cv2.CAP_PROP_FRAME_WIDTH)),
                     int(get(cv2.CAP_PROP_FRAME_HEIGHT)))
        total = get(cv2.CAP_PROP_FRAME_COUNT)
        self.total = int(total) if 0 < total < 1e9 else 0
        self.error: Optional[str] = None
        if _too_large(self.size):
            self.close()
            raise ImageError(_too_large(self.size))

    def __iter__(self) -> Iterator[ImageResult]:
        """Frames without faces, with ``image``, ``frame`` and ``time``."""
        start, last, count = clock.monotonic(), -1., 0
        while True:
            good, image, self.error = self._read()
            if not good or image is None:
                break
            if self.is_camera:
                time = clock.monotonic() - start
            else:
                time = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                if not time > last:  # not every container says
                    time = max(count / self.fps, last + 1e-3)
            last = time
            yield ImageResult(
                self.name,
                size=image.shape[1::-1],
                frame=count,
                time=time,
                image=_three_channels(image))
            count += 1
        self.error = self.error or self._missing(count)

    def _read(self) -> Tuple[bool, Optional[np.ndarray], Optional[str]]:
        """The next frame, and what is wrong with it."""
        try:
            with _quiet():
                good, image = self._capture.read()
        except cv2.error as error:  # of a size that it cannot convert
            return False, None, f'OpenCV cannot go on ({error.err or error})'
        # it may change on the way
        large = good and image is not None and _too_large(image.shape[1::-1])
        return (False, None, large) if large else (good, image, None)

    def _missing(self, count: int) -> Optional[str]:
        if self.is_camera:
            return 'the camera gives no more pictures'
        if not count:
            return 'no frame of it can be read: it is damaged'
        # what a container says is an estimate in some
        if count < self.total - 2 - .02 * self.total:
            return (f'it ends after {count} of {self.total} frames: it is cut '
                    'off or damaged')
        return None

    def drawing_rate(self) -> float:
        """Frames a second that a drawn video needs, so that none is lost.

        What a file says is the average, in some over pauses too. This is how
        the first 64 frames follow each other, unless both nearly agree.
        """
        if self.is_camera:
            return self.fps
        capture, times = _open(self._source), []
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
        """Let go of the file or the camera."""
        self._capture.release()

    def __enter__(self) -> 'VideoReader':
        return self

    def __exit__(self, *args) -> None:
        self.close()


class VideoWriter:
    """An MP4 file, whole or not at all, by OpenCV.

    OpenCV writes a constant rate. So that each frame is seen at its time, the
    one before it is repeated, or it is left out where two have one place.

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
        """Add a frame (H, W, 3), BGR uint8, of a time in seconds."""
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


def stream_video(inferencer,
                 frames: VideoReader,
                 tracker: Optional[FaceTracker] = None,
                 every: int = 1,
                 batch_frames: int = 8,
                 max_seconds: Optional[float] = None) -> Iterator[ImageResult]:
    """Look at the frames of a video one after the other.

    Args:
        inferencer (FERInferencer): What looks.
        frames (VideoReader): The video.
        tracker (FaceTracker, optional): Defaults to None, a new one.
        every (int): Look at every so many frames only; the others keep the
            faces of the last one. Defaults to 1.
        batch_frames (int): How many frames are asked about at a time.
            Defaults to 8; a camera should have 1.
        max_seconds (float, optional): Stop there. Defaults to None.

    Yields:
        ImageResult: Of each frame, with its picture; numbered faces with
        smoothed scores.

    Raises:
        ValueError: If ``every`` or ``batch_frames`` is less than 1.
    """
    if every < 1 or batch_frames < 1:
        raise ValueError('every and batch_frames should be 1 or more, but are '
                         f'{every} and {batch_frames}')
    tracker = tracker or FaceTracker()
    # a detector may have a way that is fast enough for every frame
    for_video = getattr(inferencer.detector, 'for_video', None)
    detector = for_video() if for_video else inferencer.detector
    last: List = []
    for chunk in _chunks(frames, every * batch_frames, max_seconds):
        looked = [r for r in chunk if r.frame % every == 0]
        inferencer.forward([inferencer.find(r, detector) for r in looked])
        for result in chunk:
            if result.frame % every == 0:
                tracker.update(result.faces, result.time)
                for face in result.faces:
                    inferencer.judge(face)
                last = result.faces
            else:
                result.faces, result.held = last, True
            yield result


def _chunks(frames: VideoReader, size: int,
            max_seconds: Optional[float]) -> Iterator[List[ImageResult]]:
    chunk: List[ImageResult] = []
    for result in frames:
        if max_seconds is not None and result.time >= max_seconds:
            break
        chunk.append(result)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


@dataclasses.dataclass
class VideoSummary:
    """What became of a video.

    Attributes:
        name (str): The video.
        frames (int): How many were read.
        seconds (float): The time of the last one.
        faces (int): Faces in all frames that were looked at.
        abstained (int): Of these, those of which nothing was said.
        tracks (int): How many faces were followed.
        error (str, optional): What was wrong; what was read before is kept.
        interrupted (bool): Whether it was stopped by Ctrl-C.
        left_out (float): Seconds that the drawn video is shorter, as pauses
            of more than a minute are shortened to it.
        files (dict[str, str]): 'video', 'csv' and 'jsonl', as written.
    """
    name: str
    frames: int = 0
    seconds: float = 0.
    faces: int = 0
    abstained: int = 0
    tracks: int = 0
    error: Optional[str] = None
    interrupted: bool = False
    left_out: float = 0.
    files: Dict[str, str] = dataclasses.field(default_factory=dict)


def annotate_video(inferencer,
                   source: Union[str, os.PathLike, int],
                   out_dir: Optional[str] = None,
                   name: Optional[str] = None,
                   smoothing: float = 0.5,
                   every: int = 1,
                   batch_frames: Optional[int] = None,
                   max_seconds: Optional[float] = None,
                   draw: Optional[Dict[str, Any]] = None,
                   on_frame: Optional[Callable[[np.ndarray, ImageResult],
                                               bool]] = None,
                   show_progress: bool = False) -> VideoSummary:
    """Name the expressions in a video, and write what was found.

    ``NAME_faces.mp4`` shows the frames with the faces in them,
    ``NAME_faces.csv`` has a row and ``NAME_faces.jsonl`` a line for each face
    in each frame that was looked at. A video that is cut off gives what could
    be read. Memory does not grow with the length of the video.

    Args:
        inferencer (FERInferencer): What looks.
        source (str | os.PathLike | int): A file, or the number of a camera.
        out_dir (str, optional): Folder of the files. Defaults to None, none
            are written.
        name (str, optional): Of the files. Defaults to None, the video's.
        smoothing (float): See :class:`FaceTracker`. Defaults to 0.5.
        every (int): See :func:`stream_video`. Defaults to 1.
        batch_frames (int, optional): See :func:`stream_video`. Defaults to
            None, 8 or, for a camera, 1.
        max_seconds (float, optional): Stop there. Defaults to None.
        draw (dict, optional): ``landmarks`` and ``parsing`` of
            :func:`orsa.visualization.draw_faces`. Defaults to None.
        on_frame (Callable, optional): Is given each frame, drawn, and its
            result; False ends the video. Defaults to None.
        show_progress (bool): Whether to show a progress bar.
            Defaults to False.

    Returns:
        VideoSummary: What was done, and what went wrong.

    Raises:
        ImageError: If the video cannot be opened or has no frame.
        OSError: If a file cannot be written.
    """
    with VideoReader(source) as frames, contextlib.ExitStack() as stack:
        summary = VideoSummary(frames.name)
        stem = name or stem_of(frames.name)
        tracker = FaceTracker(smoothing)
        results = stream_video(inferencer, frames, tracker, every, batch_frames
                               or (1 if frames.is_camera else 8), max_seconds)
        if show_progress:
            results = _with_bar(results, frames, max_seconds)
        sinks = []
        if out_dir is not None:
            check_writable(out_dir)
            paths = {
                kind: osp.join(out_dir, f'{stem}_faces.{suffix}')
                for kind, suffix in (('video', 'mp4'), ('csv', 'csv'),
                                     ('jsonl', 'jsonl'))
            }
            sinks = [
                stack.enter_context(_Tables(paths, inferencer.classes)),
                stack.enter_context(
                    VideoWriter(paths['video'], frames.drawing_rate()))
            ]
            summary.files = paths
        try:
            _work_off(results, summary, sinks, draw or {}, on_frame)
        except KeyboardInterrupt:
            summary.interrupted = True
        summary.error = frames.error
        summary.left_out = sinks[1].left_out if sinks else 0.
        summary.tracks = tracker.num_tracks
        if not summary.frames and not summary.interrupted:
            raise ImageError(frames.error or 'it has no frame')
    return summary


def _work_off(results, summary, sinks, draw, on_frame) -> None:
    from orsa.visualization import draw_faces
    for result in results:
        summary.frames += 1
        summary.seconds = result.time
        if not result.held:
            summary.faces += len(result.faces)
            summary.abstained += sum(f.abstain for f in result.faces)
        if sinks or on_frame:
            drawn = draw_faces(
                result.image, result.faces, min_side=480, **draw)
        if sinks:
            tables, video = sinks
            tables.write(result)
            video.write(drawn, result.time)
        if on_frame is not None and on_frame(drawn, result) is False:
            return


class _Tables:
    """The CSV and the JSON lines of a video, whole or not at all."""

    def __init__(self, paths: Dict[str, str], classes):
        self.paths, self.classes = paths, list(classes)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> '_Tables':
        files = {}
        for kind in ('csv', 'jsonl'):
            path = self._stack.enter_context(atomic_path(self.paths[kind]))
            files[kind] = self._stack.enter_context(
                open(
                    path,
                    'w',
                    newline='',
                    encoding='utf-8',
                    errors='backslashreplace'))
        self._lines, self._rows = files['jsonl'], csv.writer(files['csv'])
        self._rows.writerow([
            'frame', 'time', 'track', 'x0', 'y0', 'x1', 'y1', 'expression',
            'confidence', 'covered', 'abstain', 'reasons', *self.classes
        ])
        return self

    def write(self, result: ImageResult) -> None:
        """Add the faces of a frame, unless they are of an earlier one."""
        if result.held:
            return
        for row in result.to_dicts():
            self._lines.write(json.dumps(row, ensure_ascii=False) + '\n')
            covered = row['covered']
            self._rows.writerow([
                row['frame'], row['time'], row['track'], *row['box'],
                row['expression'], row['confidence'],
                '' if covered is None else covered,
                int(row['abstain']), '; '.join(row['reasons']),
                *(row['scores'][name] for name in self.classes)
            ])

    def __exit__(self, *error) -> None:
        self._stack.__exit__(*error)


def _with_bar(results: Iterator[ImageResult], frames: VideoReader,
              max_seconds: Optional[float]) -> Iterator[ImageResult]:
    from rich.progress import track
    total = frames.total or None
    if max_seconds is not None:
        limit = math.ceil(max_seconds * frames.fps)
        total = min(total, limit) if total else limit
    return track(results, osp.basename(frames.name), total=total)


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
        with _option(f'format_whitelist;{_CONTAINERS}'):
            return cv2.VideoCapture(source, backend)


@contextlib.contextmanager
def _option(value: str):
    """Give FFmpeg an option, unless the user has given some."""
    if _OPTIONS in os.environ:
        yield
        return
    os.environ[_OPTIONS] = value
    try:
        yield
    finally:
        os.environ.pop(_OPTIONS, None)


def _three_channels(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 3 else cv2.cvtColor(image,
                                                      cv2.COLOR_GRAY2BGR)


@contextlib.contextmanager
def _quiet():
    """Without OpenCV's own messages: the errors here say the same."""
    # OpenCV 4.12 has it at the top, 4.14 in a module of its own
    logging = getattr(cv2.utils, 'logging', cv2)
    level = logging.setLogLevel(0)
    try:
        yield
    finally:
        logging.setLogLevel(level)
