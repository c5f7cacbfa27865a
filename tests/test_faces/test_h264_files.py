# Copyright (c) orsa contributors. All rights reserved.
"""Drawn videos have H.264, their frames' times and their sound."""
import numpy as np
import pytest

from orsa.faces.h264_files import H264Writer
from orsa.faces.video_files import VideoReader

av = pytest.importorskip('av')
RATE = 44100


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """Two seconds with a tone of 440 Hz, which begins after half a second."""
    path = str(tmp_path_factory.mktemp('sound') / 'tone.mkv')
    with av.open(path, 'w') as file:
        video = file.add_stream('libx264', rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, 'yuv420p'
        audio = file.add_stream('mp3', rate=RATE)
        for k in range(50):
            image = np.full((48, 64, 3), 4 * k, np.uint8)
            file.mux(video.encode(av.VideoFrame.from_ndarray(image, 'bgr24')))
        at = np.arange(RATE * 3 // 2) / RATE
        wave = (.4 * np.sin(2 * np.pi * 440 * at)).astype(np.float32)
        sound = av.AudioFrame.from_ndarray(wave[None], 'fltp', 'mono')
        sound.rate, sound.pts = RATE, RATE // 2
        file.mux(audio.encode(sound))
        file.mux(video.encode(None))
        file.mux(audio.encode(None))
    return path


def test_times_and_sound_are_kept(source, tmp_path):
    path = str(tmp_path / 'a.mp4')
    times = [3., 3.04, 3.5, 3.501, 5.]
    with H264Writer(path, source) as writer:
        for k, time in enumerate(times):
            # an odd size, which 4:2:0 does not have
            writer.write(np.full((47, 63, 3), 40 * k + 30, np.uint8), time)
    assert writer.count == 5
    with av.open(path) as file:
        assert file.streams.video[0].codec_context.name == 'h264'
        assert file.streams.video[0].codec_context.pix_fmt == 'yuv420p'
        frames = list(file.decode(video=0))
    np.testing.assert_allclose([f.time for f in frames],
                               np.array(times) - 3,
                               atol=1e-4)
    for k, frame in enumerate(frames):
        grey = frame.to_ndarray(format='bgr24')
        assert grey.shape == (48, 64, 3)
        assert abs(grey.mean() - (40 * k + 30)) < 4
    with av.open(path) as file:
        assert file.streams.audio[0].codec_context.name == 'aac'
        parts = [(f.time, f.to_ndarray()[0]) for f in file.decode(audio=0)]
    wave = np.concatenate([w for _, w in parts])
    pitch = np.abs(np.fft.rfft(wave)).argmax() / len(wave) * RATE
    assert pitch == pytest.approx(440, abs=2)
    loud = [time for time, w in parts if np.abs(w).max() > .1]
    assert loud[0] == pytest.approx(.5, abs=.1)
    assert loud[-1] == pytest.approx(2., abs=.1)


def test_sound_ends_with_the_frames_and_may_be_missing(source, tmp_path):
    image = np.zeros((48, 64, 3), np.uint8)
    for name, sound in (('cut', source), ('none', None),
                        ('text', str(tmp_path / 'a.txt'))):
        (tmp_path / 'a.txt').write_text('no video')
        path = str(tmp_path / f'{name}.mp4')
        with H264Writer(path, sound) as writer:
            for k in range(20):
                writer.write(image, k / 20)
        with av.open(path) as file:
            assert len(list(file.decode(video=0))) == 20
            assert len(file.streams.audio) == (name == 'cut')
            assert file.duration / av.time_base < 1.2


def write_clip(path, start, tones, rate=48000):
    """Three seconds whose picture begins at ``start`` and is white from
    ``start`` + 1 on, and a tone of a tenth of a second at each time."""
    with av.open(str(path), 'w') as file:
        video = file.add_stream('libx264', rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, 'yuv420p'
        audio = file.add_stream('pcm_s16le', rate=rate)
        for k in range(75):
            image = np.full((48, 64, 3), 255 * (k >= 25), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, 'bgr24')
            frame.pts = k + round(25 * start)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        for begin, end, loud in tones:
            wave = np.full((1, round((end - begin) * rate)), 20000 * loud)
            wave[:, np.arange(wave.size) % 400 < 200] *= -1
            sound = av.AudioFrame.from_ndarray(
                wave.astype(np.int16), 's16', 'mono')
            sound.rate, sound.pts = rate, round(begin * rate)
            file.mux(audio.encode(sound))
        file.mux(audio.encode(None))


@pytest.mark.parametrize(
    'start, tones, rate', [
        (1., [(0, 2, 0), (2, 2.1, 1), (2.1, 4, 0)], 48000),
        (0., [(0, .5, 0), (1, 1.1, 1), (1.1, 3, 0)], 48000),
        (0., [(0, 1, 0), (1, 1.1, 1), (1.1, 3, 0)], 192000),
        (0., [(1, 3, 1)], 48000),
    ],
    ids=['early', 'with a pause', 'of another rate', 'late, in one piece'])
def test_sound_is_in_step(start, tones, rate, tmp_path):
    write_clip(tmp_path / 'a.mkv', start, tones, rate)
    with VideoReader(str(tmp_path / 'a.mkv')) as frames, H264Writer(
            str(tmp_path / 'a.mp4'), frames.source) as writer:
        for one in frames:
            writer.write(one.image, one.time)
    with av.open(str(tmp_path / 'a.mp4')) as file:
        white = [
            f.time for f in file.decode(video=0) if f.to_ndarray().mean() > 150
        ]
    with av.open(str(tmp_path / 'a.mp4')) as file:
        loud = [
            f.time for f in file.decode(audio=0)
            if np.abs(f.to_ndarray()).max() > .1
        ]
    # frames of AAC are of 21 ms
    assert loud[0] == pytest.approx(white[0], abs=.05)
    assert white[0] == pytest.approx(1, abs=.01)


def test_half_a_file_is_none(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with H264Writer(str(tmp_path / 'a.mp4')) as writer:
            writer.write(np.zeros((48, 64, 3), np.uint8), 0.)
            raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    with H264Writer(str(tmp_path / 'a.mp4')):
        pass  # of no frame
    assert not list(tmp_path.iterdir())
