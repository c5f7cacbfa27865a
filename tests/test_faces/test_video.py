# Copyright (c) orsa contributors. All rights reserved.
"""Every frame of a video is read and drawn at its time, in constant memory."""
import csv
import json
import struct
import tracemalloc

import cv2
import numpy as np
import pytest

from orsa.apis import FERInferencer, annotate_video, init_model, video
from orsa.apis.video import stream_video
from orsa.faces import video_files
from orsa.faces.images import ImageError
from orsa.faces.results import FaceResult
from orsa.faces.tracking import faces_between
from orsa.faces.video_files import VideoReader, VideoWriter

SIZE = (97, 161)  # odd on purpose


@pytest.fixture(scope='module')
def face(faces_dir):
    path = faces_dir / 'basic/Image/aligned/test_00130_aligned.jpg'
    return cv2.resize(cv2.imread(str(path)), (64, 64))


def frame(face, k):
    image = np.full((*SIZE, 3), 110, np.uint8)
    image[16:80, 10 + k:74 + k] = face
    return image


@pytest.fixture(scope='module')
def clip(face, tmp_path_factory):
    path = tmp_path_factory.mktemp('clip') / 'my clip.avi'
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*'MJPG'), 20., SIZE[::-1])
    for k in range(30):
        writer.write(frame(face, k))
    writer.release()
    return path


def where_it_was_drawn(image):
    """A detector that knows: the face is where the grey ends."""
    columns = np.flatnonzero(np.abs(image[40].astype(int) - 110).max(1) > 25)
    return [[columns[0], 16, columns[0] + 64, 80]]


@pytest.fixture(scope='module')
def inferencer():
    return FERInferencer(
        init_model('orsanet_lite'), detector=where_it_was_drawn)


def test_everything_is_written(inferencer, clip, tmp_path):
    summary = annotate_video(inferencer, clip, str(tmp_path), every=3)
    assert (summary.frames, summary.faces, summary.tracks) == (30, 10, 1)
    assert summary.error is None and summary.seconds == pytest.approx(29 / 20)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        'my_clip_faces.csv', 'my_clip_faces.jsonl', 'my_clip_faces.mp4'
    ]
    with open(summary.files['jsonl']) as file:
        lines = [json.loads(line) for line in file]
    with open(summary.files['csv'], newline='') as file:
        rows = list(csv.DictReader(file))
    assert [r['frame'] for r in lines] == list(range(0, 30, 3))
    for line, row in zip(lines, rows, strict=True):
        assert line['time'] == pytest.approx(line['frame'] / 20)
        # the face moves a pixel a frame
        assert line['box'][0] == pytest.approx(10 + line['frame'], abs=6)
        assert float(row['x0']) == line['box'][0] and row['face'] == '1'
        assert float(row['happiness']) == line['scores']['happiness']
        assert row['abstain'] == str(int(line['abstain']))
    written = cv2.VideoCapture(summary.files['video'])
    frames = 0
    while written.read()[0]:
        frames += 1
    assert frames == 30
    assert written.get(cv2.CAP_PROP_FPS) == pytest.approx(20, rel=.01)


def test_scores_are_smoothed_over_time(inferencer, clip):
    with VideoReader(clip) as reader:
        results = list(stream_video(inferencer, reader))
    raw = [r.faces[0].frame_scores['happiness'] for r in results]
    smooth, expected = [r.faces[0].scores['happiness']
                        for r in results], raw[0]
    assert [r.frame for r in results] == list(range(30))
    for k in range(1, 30):
        share = 1 - np.exp(-(1 / 20) / .5)
        expected += share * (raw[k] - expected)
        assert smooth[k] == pytest.approx(expected, abs=1e-4)


def test_batches_change_nothing(inferencer, clip):
    found = []
    for batch in (1, 8):
        with VideoReader(clip) as reader:
            found.append([
                r.faces[0].scores for r in stream_video(
                    inferencer, reader, batch_frames=batch, max_seconds=.5)
            ])
    assert len(found[0]) == len(found[1]) == 10
    for a, b in zip(*found):
        assert a == pytest.approx(b, abs=1e-5)


def test_between_detections_faces_are_followed(inferencer, clip):
    """The face moves a pixel a frame: so does the box."""
    asked = []
    real = inferencer.detector

    def counted(image):
        asked.append(1)
        return real(image)

    inferencer.detector = counted
    found = {}
    try:
        for step in (1, 5):
            asked.clear()
            with VideoReader(clip) as reader:
                found[step] = [
                    r.faces[0] for r in stream_video(
                        inferencer, reader, detect_every=step)
                ]
            assert len(asked) == (30 if step == 1 else 9)
    finally:
        inferencer.detector = real
    for one, other in zip(found[1], found[5], strict=True):
        np.testing.assert_allclose(one.box, other.box, atol=1.5)
        assert one.track == other.track == 1
        # aligned by its own landmarks, from a box a little elsewhere
        assert abs(one.scores['happiness'] - other.scores['happiness']) < .1


def test_faces_between_two_frames():
    before = [
        FaceResult((0., 0, 10, 10), {}, detection_score=.8),
        FaceResult((50., 50, 60, 60), {})
    ]
    after = [
        FaceResult((90., 90, 95, 95), {}),
        FaceResult((4., 2, 14, 12), {}, detection_score=.9)
    ]
    early, late = (faces_between(before, after, t) for t in (.25, .75))
    assert [f.box for f in early] == [(1, .5, 11, 10.5), (50, 50, 60, 60)]
    assert early[0].detection_score == pytest.approx(.825)
    assert [f.box for f in late] == [(3, 1.5, 13, 11.5), (90, 90, 95, 95)]


def test_errors_of_threads_arrive(inferencer, clip, tmp_path, monkeypatch):
    """Of the reader and of the writer, with nothing half written."""

    def fail(*args):
        raise OSError('no space left')

    for writer in (video.H264Writer, VideoWriter):
        monkeypatch.setattr(writer, 'write', fail)
    with pytest.raises(OSError, match='no space'):
        annotate_video(inferencer, clip, str(tmp_path / 'a'))
    monkeypatch.undo()
    monkeypatch.setattr(VideoReader, '_read', fail)
    with pytest.raises(OSError, match='no space'):
        annotate_video(inferencer, clip, str(tmp_path / 'b'))
    for name in 'ab':
        assert not list((tmp_path / name).glob('*'))


def test_a_call_takes_videos_among_images(inferencer, clip, face):
    found = inferencer([frame(face, 0), str(clip)])['predictions']
    assert [one.frame for one in found] == [None, *range(30)]
    assert found[0].faces[0].track is None and found[9].faces[0].track == 1


def test_what_is_cut_off_is_kept(inferencer, clip, tmp_path):
    cut = tmp_path / 'cut.avi'
    content = clip.read_bytes()
    cut.write_bytes(content[:len(content) // 2])
    summary = annotate_video(inferencer, cut, str(tmp_path))
    assert 5 < summary.frames < 25
    assert f'ends after {summary.frames} of 30 frames' in summary.error
    with open(summary.files['jsonl']) as file:
        assert len(list(file)) == summary.frames
    found = inferencer(str(cut))['predictions']
    assert len(found) == summary.frames + 1 and found[-1].error


def test_intact_files_are_not_called_damaged(tmp_path):
    av = pytest.importorskip('av')
    path = str(tmp_path / 'varying.mkv')
    with av.open(path, 'w') as file:
        stream = file.add_stream('libx264', rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        # two seconds at 30 frames a second, then ten at 5
        for pts in [*range(60), *range(60, 360, 6)]:
            image = av.VideoFrame.from_ndarray(
                np.zeros((48, 64, 3), np.uint8), 'bgr24')
            image.pts = pts
            file.mux(stream.encode(image))
        file.mux(stream.encode(None))
    with VideoReader(path) as frames:
        assert len(list(frames)) == 110
        assert frames.total > 300  # by its length and first rate
        assert frames.error is None and 'its rate varies' in frames.note

    path = str(tmp_path / 'sound.mkv')
    with av.open(path, 'w') as file:
        video = file.add_stream('libx264', rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, 'yuv420p'
        audio = file.add_stream('pcm_s16le', rate=8000)
        for _ in range(50):
            image = np.zeros((48, 64, 3), np.uint8)
            file.mux(video.encode(av.VideoFrame.from_ndarray(image, 'bgr24')))
        file.mux(video.encode(None))
        sound = av.AudioFrame.from_ndarray(
            np.zeros((1, 32000), np.int16), 's16', 'mono')
        sound.rate = 8000
        file.mux(audio.encode(sound))
        file.mux(audio.encode(None))
    with VideoReader(path) as frames:
        assert len(list(frames)) == 50 and frames.error is None
        assert 'its sound is longer' in frames.note
    # what is cut off is shorter than it says
    with open(path, 'rb+') as file:
        file.truncate(file.seek(0, 2) * 2 // 3)
    with VideoReader(path) as frames:
        assert 0 < len(list(frames)) < 50
        assert 'it is cut off' in frames.error


def test_frames_whose_detection_fails_are_counted(clip, tmp_path):
    calls = []

    def fails_once(image):
        calls.append(image)
        if len(calls) == 3:
            raise RuntimeError('this one is bad')
        return where_it_was_drawn(image)

    broken = FERInferencer(init_model('orsanet_lite'), detector=fails_once)
    summary = annotate_video(broken, clip, str(tmp_path))
    assert (summary.frames, summary.failed) == (30, 1)
    assert 'frame 7: ' in summary.error and 'this one is bad' in summary.error
    assert len(shades(summary.files['video'])[0]) == 30
    with open(summary.files['jsonl']) as file:
        assert len(list(file)) == 29


def test_what_cannot_be_opened(inferencer, tmp_path):
    (tmp_path / 'empty.mp4').write_bytes(b'')
    (tmp_path / 'text.mp4').write_text('no video')
    for name, reason in (('empty.mp4', 'is empty'), ('text.mp4', 'no video'),
                         ('away.mp4', 'no such file')):
        with pytest.raises(ImageError, match=reason):
            annotate_video(inferencer, tmp_path / name, str(tmp_path / 'out'))
    assert not (tmp_path / 'out').exists()


def test_ctrl_c_keeps_what_was_done(inferencer, clip, tmp_path):

    def stop(drawn, result):
        if result.frame == 12:
            raise KeyboardInterrupt

    summary = annotate_video(
        inferencer, clip, str(tmp_path), on_frame=stop, batch_frames=4)
    assert summary.interrupted and summary.frames == 13
    with open(summary.files['csv']) as file:
        assert len(list(file)) == 1 + 13
    ended = annotate_video(
        inferencer, clip, on_frame=lambda drawn, result: result.frame < 4)
    assert ended.frames == 5 and not ended.interrupted and not ended.files


class _Endless:
    """In place of a camera: the same picture, as often as asked."""

    def __init__(self, image, count):
        self.image, self.left = image, count

    def isOpened(self):
        return True

    def get(self, what):
        return 0.

    def read(self):
        self.left -= 1
        return self.left >= 0, self.image.copy()

    def release(self):
        pass


def test_memory_does_not_grow(inferencer, face, monkeypatch):
    """Of 400 frames, 19 MB together, a few are held at a time."""
    monkeypatch.setattr(inferencer, 'detector', lambda image: [])
    monkeypatch.setattr(video_files.cv2, 'VideoCapture',
                        lambda source: _Endless(frame(face, 0), 400))
    peaks = []
    for count in (40, 360):
        tracemalloc.start()
        with VideoReader(0) as reader:
            results = stream_video(inferencer, reader, batch_frames=8)
            for _ in range(count):
                next(results)
            peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 3e6


def test_a_camera(inferencer, face, monkeypatch, tmp_path):
    monkeypatch.setattr(video_files.cv2, 'VideoCapture',
                        lambda source: _Endless(frame(face, 0), 3))
    summary = annotate_video(inferencer, 0, str(tmp_path))
    assert summary.frames == 3 and summary.name == 'camera 0'
    assert 'no more images' in summary.error
    assert (tmp_path / 'camera_0_faces.jsonl').is_file()


def shades(path):
    """The grey of each frame, in tens."""
    capture, found = cv2.VideoCapture(str(path)), []
    while True:
        good, image = capture.read()
        if not good:
            return found, capture.get(cv2.CAP_PROP_FPS)
        found.append(round(image.mean() / 10))


def test_without_pyav_it_is_said(inferencer, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(video, 'has_pyav', lambda: False)
    summary = annotate_video(inferencer, clip, str(tmp_path))
    assert summary.codec == 'MPEG-4'
    assert len(shades(summary.files['video'])[0]) == 30


def test_frames_are_drawn_at_their_time(tmp_path):
    """The last one is seen until then; of two at one place the first."""
    path = tmp_path / 'slow.mp4'
    with VideoWriter(str(path), 10.) as writer:
        for k, time in enumerate((3., 3.5, 3.52, 4.)):
            writer.write(np.full((32, 32, 3), 20 * k + 40, np.uint8), time)
    assert shades(path)[0] == [4] * 5 + [6] + [8] * 4 + [10]
    assert not writer.left_out


def test_long_pauses_are_shortened(tmp_path, monkeypatch):
    monkeypatch.setattr(video_files, '_LONGEST', 2.)
    with VideoWriter(str(tmp_path / 'a.mp4'), 10.) as writer:
        for time in (0., .1, 3600.1, 3600.2, 3601.2):
            writer.write(np.zeros((32, 32, 3), np.uint8), time)
    assert writer.left_out == pytest.approx(3598)
    assert writer.count == 1 + 1 + 20 + 1 + 10


def test_a_phones_pause_is_kept(inferencer, cases_dir, tmp_path, monkeypatch):
    """24 frames, 5 s between two of them: the file says 4 a second."""
    monkeypatch.setattr(inferencer, 'detector', lambda image: [])
    path = cases_dir / 'vfr_pause.mp4'
    with VideoReader(path) as reader:
        times = [one.time for one in reader]
    assert len(times) == 24 and times[12] - times[11] > 5
    seen = []
    summary = annotate_video(
        inferencer,
        path,
        str(tmp_path),
        on_frame=lambda drawn, result: seen.append(result.time))
    assert seen == times and summary.seconds == times[-1]
    with VideoReader(path) as reader, VideoWriter(
            str(tmp_path / 'a.mp4'), reader.drawing_rate()) as writer:
        for one in reader:
            writer.write(one.image, one.time)
    drawn, rate = shades(writer.path)
    assert rate == pytest.approx(1 / .033, rel=.01)
    assert len(drawn) / rate == pytest.approx(times[-1] + 1 / rate, abs=.05)
    if summary.codec == 'H.264':  # each frame at its own time
        import av
        with av.open(summary.files['video']) as file:
            kept = [frame.time for frame in file.decode(video=0)]
        np.testing.assert_allclose(kept, np.array(times) - times[0], atol=1e-3)


def test_clips_as_people_have_them(videos_dir, tmp_path):
    """All frames of Matroska files, at times that rise by a frame's, and as
    many in what is drawn of them."""
    for path in sorted(videos_dir.glob('*.mkv')):
        target = tmp_path / f'{path.stem}.mp4'
        with VideoReader(path) as reader, VideoWriter(str(target),
                                                      reader.fps) as writer:
            times = []
            for one in reader:
                writer.write(one.image, one.time)
                times.append(one.time)
        assert reader.error is None and reader.total - len(times) <= 1
        assert np.diff(times) == pytest.approx(1 / 30, abs=2e-3)
        assert len(shades(target)[0]) == len(times)


@pytest.mark.parametrize('turns, matrix', [
    (0, (1, 0, 0, 1)),
    (1, (0, 1, -1, 0)),
    (2, (-1, 0, 0, -1)),
    (3, (0, -1, 1, 0)),
])
def test_rotated_as_the_display_matrix_says(tmp_path, turns, matrix):
    image = np.full((48, 64, 3), 40, np.uint8)
    image[:24, :32] = 220
    path = tmp_path / 'a.mp4'
    with VideoWriter(str(path), 10.) as writer:
        for k in range(3):
            writer.write(image, k / 10)
    content = bytearray(path.read_bytes())
    # version and flags, five numbers, two reserved, four shorts
    at = content.index(b'tkhd') + 4 + 4 + 20 + 8 + 8
    assert content[at:at + 4] == struct.pack('>i', 1 << 16)
    a, b, c, d = (value << 16 for value in matrix)
    content[at:at + 36] = struct.pack('>9i', a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    with VideoReader(path) as reader:
        shown = next(iter(reader))
        assert reader.size == shown.size
    # by numpy, which turns the other way
    expected = np.rot90(image, -turns)
    assert shown.image.shape == expected.shape
    assert np.abs(shown.image.astype(int) - expected).mean() < 4


def test_a_failed_video_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError):
        with VideoWriter(str(tmp_path / 'a.mp4'), 10.) as writer:
            writer.write(np.zeros((32, 32, 3), np.uint8), 0.)
            raise RuntimeError
    assert not list(tmp_path.iterdir())
