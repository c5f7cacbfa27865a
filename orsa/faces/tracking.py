# Copyright (c) orsa contributors. All rights reserved.
"""Which face in a frame is which in the last ones, and calm scores."""
import dataclasses
import math
from typing import Dict, List, Sequence

import numpy as np
import torch
from torchvision.ops import box_iou

from orsa.evaluation.calibration import OCCLUDED
from .results import FaceResult


def pairwise_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The intersection over the union of boxes (N, 4) and (M, 4), (N, M)."""
    found = box_iou(*(torch.from_numpy(b) for b in (boxes, others))).numpy()
    return np.nan_to_num(found)  # of boxes without an area there is none


@dataclasses.dataclass
class _Track:
    number: int
    box: np.ndarray
    seen: float  # when a face was last found, in seconds
    scores: Dict[str, float]
    said: float  # when the scores were last changed


class FaceTracker:
    """Follow faces through a video and smooth their scores over time.

    Boxes of a frame are given to those of the frames before such that the
    intersections over the unions are largest together (the Hungarian method,
    scipy's). A score s becomes s' + (1 - exp(-dt / smoothing)) (s - s'), where
    s' is what it was dt seconds ago: the same at any frame rate, and after a
    gap the new frame counts for more. Of a frame in which too little of the
    face is visible the scores are not taken.

    Args:
        smoothing (float): Time constant in seconds; 0 for none. Defaults to
            0.5.
        min_iou (float): Boxes that share less are of different faces.
            Defaults to 0.2.
        max_gap (float): Seconds after which a face that was not found is
            forgotten. Defaults to 1.

    Raises:
        ValueError: If one of these is negative.
    """

    def __init__(self,
                 smoothing: float = 0.5,
                 min_iou: float = 0.2,
                 max_gap: float = 1.):
        for name, value in (('smoothing', smoothing), ('min_iou', min_iou),
                            ('max_gap', max_gap)):
            if not value >= 0:
                raise ValueError(f'{name} should not be negative, but is '
                                 f'{value}')
        self.smoothing = smoothing
        self.min_iou = min_iou
        self.max_gap = max_gap
        self.num_tracks = 0
        self._tracks: List[_Track] = []

    def update(self, faces: Sequence[FaceResult], time: float) -> None:
        """Number the faces of the next frame and smooth their scores.

        Args:
            faces (Sequence[FaceResult]): Get ``track`` and ``frame_scores``;
                their ``scores`` become the smoothed ones.
            time (float): Of the frame, in seconds; not before the last.
        """
        self._tracks = [
            t for t in self._tracks if time - t.seen <= self.max_gap
        ]
        pairs = self._match(faces)
        for i, face in enumerate(faces):
            face.frame_scores = face.scores
            track = pairs.get(i)
            if track is None:
                self.num_tracks += 1
                track = _Track(self.num_tracks, np.array(face.box), time,
                               face.scores, time)
                self._tracks.append(track)
            elif OCCLUDED not in face.reasons:
                track.scores = self._mix(track, face.scores, time)
                track.said = time
            track.box, track.seen = np.array(face.box), time
            face.track, face.scores = track.number, dict(track.scores)

    def _match(self, faces: Sequence[FaceResult]) -> Dict[int, _Track]:
        from scipy.optimize import linear_sum_assignment
        if not faces or not self._tracks:
            return {}
        iou = pairwise_iou(
            np.array([f.box for f in faces]),
            np.stack([t.box for t in self._tracks]))
        rows, columns = linear_sum_assignment(iou, maximize=True)
        return {
            int(i): self._tracks[j]
            for i, j in zip(rows, columns)
            if iou[i, j] >= max(self.min_iou, 1e-9)
        }

    def _mix(self, track: _Track, scores: Dict[str, float],
             time: float) -> Dict[str, float]:
        if not self.smoothing:
            return scores
        share = 1 - math.exp(-max(time - track.said, 0.) / self.smoothing)
        return {
            name: old + share * (scores[name] - old)
            for name, old in track.scores.items()
        }
