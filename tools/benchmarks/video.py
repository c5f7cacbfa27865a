# Copyright (c) orsa contributors. All rights reserved.
"""Frames a second of `orsa video`, and whether its memory grows.

A video is brought to one size, repeated to two lengths, and annotated by the
command, in turn. What a second more costs is the difference of the two.

Example:
  python tools/benchmarks/video.py clip.mp4 --size 640 360
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice

import cv2

from orsa.utils.command import run_script


def read(path: str, size: tuple) -> list:
    """The frames of a video, cut and scaled to a size."""
    reader, frames = cv2.VideoCapture(path), []
    while True:
        there, frame = reader.read()
        if not there:
            return frames
        height, width = frame.shape[:2]
        scale = max(size[0] / width, size[1] / height)
        frame = cv2.resize(
            frame, (round(width * scale), round(height * scale)),
            interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        top, left = ((have - want) // 2
                     for have, want in zip(frame.shape[:2], size[::-1]))
        frames.append(frame[top:top + size[1], left:left + size[0]])


def write(frames: list, count: int, path: str) -> None:
    """A video of so many frames, repeated forwards and backwards."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'mp4v'), 25,
                             (width, height))
    for frame in islice(cycle(frames + frames[::-1]), count):
        writer.write(frame)
    writer.release()


def annotate(path: str, out: str) -> tuple:
    """Seconds, processor seconds and MiB of memory of the command."""
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, '-m', 'orsa', 'video', path, '--out', out, '--quiet'])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f'orsa video {path} failed')
    return (time.monotonic() - start, usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss / 1024)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('video')
    parser.add_argument('--size', nargs=2, type=int, default=(640, 360))
    parser.add_argument(
        '--frames', nargs=2, type=int, default=(250, 1000), help='the lengths')
    parser.add_argument('--rounds', type=int, default=3)
    args = parser.parse_args()
    frames, rows = read(args.video, args.size), []
    if not frames:
        raise ValueError(f"'{args.video}' cannot be read as a video")
    with tempfile.TemporaryDirectory() as folder:
        clips = []
        for count in args.frames:
            clips.append(os.path.join(folder, f'{count}.mp4'))
            write(frames, count, clips[-1])
        for k in range(args.rounds):
            rows.append([
                annotate(clip, os.path.join(folder, str(k))) for clip in clips
            ])
    more = args.frames[1] - args.frames[0]
    rates = [more / (long[0] - short[0]) for short, long in rows]
    costs = [(long[1] - short[1]) / more * 1e3 for short, long in rows]
    print(f'{args.size[0]}x{args.size[1]}: {statistics.median(rates):.1f} '
          f'frames a second ({min(rates):.1f} to {max(rates):.1f}), '
          f'{statistics.median(costs):.1f} ms of processor time each')
    for i, count in enumerate(args.frames):
        print(f'{count} frames: {max(row[i][2] for row in rows):.0f} MiB, '
              f'{statistics.median(row[i][0] for row in rows):.1f} s')


if __name__ == '__main__':
    run_script(main)
