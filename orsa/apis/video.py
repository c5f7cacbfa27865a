# Copyright (c) orsa contributors. All rights reserved.
"""Predictions for videos and cameras, in constant memory."""
import contextlib
import dataclasses
import itertools
import os
import os.path as osp
from functools import partial
from typing import (Any, Callable, Dict, Iterator, List, Optional, Sequence,
                    Union)

import numpy as np
from tqdm import tqdm

from orsa.faces.detectors import detect
from orsa.faces.h264_files import H264Writer, has_pyav
from orsa.faces.images import ImageError, file_stem
from orsa.faces.result_files import write_results
from orsa.faces.results import ImageResult
from orsa.faces.tracking import FaceTracker, faces_between
from orsa.faces.video_files import VideoReader, VideoWriter
from orsa.utils.fileio import check_writable
from orsa.utils.prefetch import WriteBehind, read_ahead
from orsa.visualization import draw_faces


def stream_video(inferencer,
                 frames: VideoReader,
                 tracker: Optional[FaceTracker] = None,
                 every: int = 1,
                 batch_frames: int = 8,
                 max_seconds: Optional[float] = None,
                 detect_every: int = 4) -> Iterator[ImageResult]:
    """Predict for the frames of a video one after the other.

    The detector looks at some of the frames. Between them boxes are
    interpolated, and each face is aligned by its own landmarks.

    Args:
        inferencer (FERInferencer): The model.
        frames (VideoReader): The video.
        tracker (FaceTracker, optional): Defaults to None, a new one.
        every (int): Predict for every so many frames only; the others get the
            faces of the last one. Defaults to 1.
        batch_frames (int): Frames at a time. Defaults to 8; a camera should
            have 1.
        max_seconds (float, optional): Stop there. Defaults to None.
        detect_every (int): Detect in every so many of the frames that are
            predicted, and in the last of a batch. Defaults to 4.

    Yields:
        ImageResult: Of each frame, with its image; numbered faces with
        smoothed scores.

    Raises:
        ValueError: If ``every``, ``batch_frames`` or ``detect_every`` is less
            than 1.
    """
    if min(every, batch_frames, detect_every) < 1:
        raise ValueError('every, batch_frames and detect_every should be 1 or '
                         f'more, but are {every}, {batch_frames} and '
                         f'{detect_every}')
    tracker = tracker or FaceTracker()
    # a detector may have a mode that is fast enough for every frame
    for_video = getattr(inferencer.detector, 'for_video', None)
    detector = for_video() if for_video else inferencer.detector
    last: List = []
    before: Optional[ImageResult] = None
    for chunk in _chunks(frames, every * batch_frames, max_seconds):
        predicted = [r for r in chunk if r.frame % every == 0]
        before = _detect_some(
            predicted, before, detect_every,
            partial(detect, detector=detector, min_face=inferencer.min_face))
        inferencer.forward(predicted)
        for result in chunk:
            if result.frame % every == 0:
                tracker.update(result.faces, result.time)
                for face in result.faces:
                    inferencer.set_reasons(face)
                last = result.faces
            else:
                result.faces, result.held = last, True
            yield result


def _detect_some(results: Sequence[ImageResult], before: Optional[ImageResult],
                 step: int, find: Callable) -> Optional[ImageResult]:
    """Find faces in every so many frames, and interpolate between them.

    ``before`` is the last frame before these, in which they were detected.
    That of these is returned; None if there is none, as all has failed.
    """
    if not results:
        return before
    found = {-1: before} if before is not None else {}
    for k, result in enumerate(results):
        if not found or (k + 1) % step == 0 or k == len(results) - 1:
            find(result)
            if not result.error:
                found[k] = result
    if not found:
        return None
    last, now = max(found.items())
    # behind the last one, where the detector has failed, faces stay
    detected = [*found.items(), (len(results), now)]
    for (i, one), (j, other) in itertools.pairwise(detected):
        for k in range(i + 1, j):
            if not results[k].error:
                results[k].faces = faces_between(one.faces, other.faces,
                                                 (k - i) / (j - i))
    return now if last >= 0 else None


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
    """Counts of a video.

    Attributes:
        name (str): The video.
        frames (int): How many were read.
        seconds (float): The time of the last one.
        faces (int): Faces in all frames that were predicted.
        abstained (int): Of these, those for which the model abstained.
        tracks (int): How many faces were followed.
        error (str, optional): What was wrong; what was read before is kept.
        note (str, optional): What may be wrong.
        failed (int): Frames in which no faces could be looked for.
        interrupted (bool): Whether it was stopped by Ctrl-C.
        left_out (float): Seconds that the drawn video is shorter, as pauses
            of more than a minute are shortened to it.
        files (dict[str, str]): 'video', 'csv' and 'jsonl', as written.
        codec (str, optional): Of the drawn video: 'H.264' with the sound,
            or, without PyAV, 'MPEG-4', which browsers do not play.
    """
    name: str
    frames: int = 0
    seconds: float = 0.
    faces: int = 0
    abstained: int = 0
    tracks: int = 0
    error: Optional[str] = None
    note: Optional[str] = None
    failed: int = 0
    interrupted: bool = False
    left_out: float = 0.
    files: Dict[str, str] = dataclasses.field(default_factory=dict)
    codec: Optional[str] = None

    def add(self, result: ImageResult) -> None:
        """Count a frame."""
        self.frames += 1
        self.seconds = result.time
        if result.error:
            self.failed += 1
            self.error = self.error or (
                f'frame {result.frame}: {result.error}')
        if not result.held:
            self.faces += len(result.faces)
            self.abstained += sum(face.abstain for face in result.faces)


def _open_writer(path: str,
                 frames: VideoReader) -> Union[H264Writer, VideoWriter]:
    if has_pyav():
        return H264Writer(path, None if frames.is_camera else frames.source)
    return VideoWriter(path, frames.drawing_rate())


def annotate_video(inferencer,
                   source: Union[str, os.PathLike, int],
                   out_dir: Optional[str] = None,
                   name: Optional[str] = None,
                   smoothing: float = 0.5,
                   every: int = 1,
                   detect_every: int = 4,
                   batch_frames: Optional[int] = None,
                   max_seconds: Optional[float] = None,
                   draw: Optional[Dict[str, Any]] = None,
                   with_folders: bool = True,
                   on_frame: Optional[Callable[[np.ndarray, ImageResult],
                                               bool]] = None,
                   show_progress: bool = False) -> VideoSummary:
    """Predict the expressions in a video, and write the results.

    ``NAME_faces.mp4`` shows the frames with the faces in them,
    ``NAME_faces.csv`` has a row and ``NAME_faces.jsonl`` a line for each face
    in each frame that was predicted. Of a video that is cut off, what could
    be read is kept. Memory does not grow with the length of the video.

    Args:
        inferencer (FERInferencer): The model.
        source (str | os.PathLike | int): A file, or the number of a camera.
        out_dir (str, optional): Folder of the files. Defaults to None, none
            are written.
        name (str, optional): Of the files. Defaults to None, the video's.
        smoothing (float): See :class:`FaceTracker`. Defaults to 0.5.
        every (int): See :func:`stream_video`. Defaults to 1.
        detect_every (int): See :func:`stream_video`. Defaults to 4.
        batch_frames (int, optional): See :func:`stream_video`. Defaults to
            None, 8 or, for a camera, 1.
        max_seconds (float, optional): Stop there. Defaults to None.
        draw (dict, optional): ``landmarks`` and ``parsing`` of
            :func:`orsa.visualization.draw_faces`. Defaults to None.
        with_folders (bool): Whether the video is named by its path, or by the
            name of its file alone. Defaults to True.
        on_frame (Callable, optional): Is called with each frame, drawn, and
            its result; False ends the video. Defaults to None.
        show_progress (bool): Whether to show a progress bar.
            Defaults to False.

    Returns:
        VideoSummary: Counts, and what went wrong.

    Raises:
        ImageError: If the video cannot be opened or has no frame.
        OSError: If a file cannot be written.
    """
    with VideoReader(source) as frames, contextlib.ExitStack() as stack:
        if not with_folders:
            frames.name = osp.basename(frames.name)
        summary, writer = VideoSummary(frames.name), None
        # frames that are left out are no gap
        tracker = FaceTracker(
            smoothing, max_gap=max(1, 2 * every / frames.fps))
        source = frames if frames.is_camera else stack.enter_context(
            contextlib.closing(read_ahead(frames)))
        results = stream_video(inferencer, source, tracker, every, batch_frames
                               or (1 if frames.is_camera else 8), max_seconds,
                               detect_every)
        if show_progress:
            results = tqdm(
                results,
                osp.basename(frames.name),
                frames.total or None,
                unit='frame')
        if out_dir is not None:
            out_dir = osp.expanduser(out_dir)
            check_writable(out_dir)
            stem = osp.join(out_dir, f'{name or file_stem(frames.name)}_faces')
            summary.files = dict(
                video=f'{stem}.mp4', csv=f'{stem}.csv', jsonl=f'{stem}.jsonl')
            write_row = stack.enter_context(
                write_results(stem, inferencer.classes))
            writer = stack.enter_context(
                _open_writer(summary.files['video'], frames))
            summary.codec = writer.codec
            # what waits is written before the file is closed
            behind = stack.enter_context(WriteBehind())
        draw_frame = partial(draw_faces, min_side=480, **(draw or {}))
        try:
            for result in results:
                summary.add(result)
                if writer:
                    for row in [] if result.held else result.to_dicts():
                        write_row(row)
                if on_frame:
                    drawn = draw_frame(result.image, result.faces)
                    if writer:
                        writer.write(drawn, result.time)
                elif writer:
                    behind(
                        lambda r: writer.write(
                            draw_frame(r.image, r.faces), r.time), result)
                if on_frame and on_frame(drawn, result) is False:
                    break
        except KeyboardInterrupt:
            summary.interrupted = True
        summary.error = frames.error or summary.error
        summary.note = frames.note
        summary.tracks = tracker.num_tracks
        if not summary.frames and not summary.interrupted:
            raise ImageError(frames.error or 'it has no frame')
    summary.left_out = writer.left_out if writer else 0.
    return summary
