# Copyright (c) orsa contributors. All rights reserved.
"""Faces followed through a video, and their scores smoothed over time."""
import dataclasses
import math
from typing import Dict, List, Sequence, Tuple

import numpy as np

from orsa.evaluation.calibration import OCCLUDED
from .results import FaceResult


@dataclasses.dataclass
class _Track:
    number: int
    box: np.ndarray
    scores: Dict[str, float]
    seen: float = 0.  # when the face was last found, in seconds
    scored: float = 0.  # when the scores were last updated


def match_boxes(ones: Sequence,
                others: Sequence,
                min_iou: float = 0.2) -> List[Tuple[int, int]]:
    """Match boxes, those that overlap most first.

    Args:
        ones (Sequence): What has a ``box``: x0, y0, x1, y1.
        others (Sequence): The same.
        min_iou (float): A pair whose intersection over union is less is none.
            Defaults to 0.2.

    Returns:
        list[tuple[int, int]]: Indices of the pairs.
    """
    a, b = (
        np.array([one.box for one in some], float).reshape(-1, 4)
        for some in (ones, others))
    a, b = a[:, None], b[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(
        a[..., :2], b[..., :2])
    common = np.prod(np.maximum(sides, 0), axis=-1)
    union = sum(np.prod(x[..., 2:] - x[..., :2], axis=-1)
                for x in (a, b)) - common
    # 0 for boxes without an area
    iou = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    enough = iou >= max(min_iou, 1e-9)
    order = np.argsort(-iou[enough], kind='stable')
    pairs: Dict[int, int] = {}
    for i, j in np.argwhere(enough)[order].tolist():
        if i not in pairs and j not in pairs.values():
            pairs[i] = j
    return list(pairs.items())


def faces_between(before: Sequence[FaceResult], after: Sequence[FaceResult],
                  share: float) -> List[FaceResult]:
    """Faces of a frame between two in which they were detected.

    Args:
        before (Sequence[FaceResult]): The faces of the frame before.
        after (Sequence[FaceResult]): Those of the frame behind.
        share (float): Where the frame lies between them, in [0, 1].

    Returns:
        list[FaceResult]: Without scores. The boxes of those in both are
        interpolated; one in a single frame stays until the middle.
    """

    def mixed(name: str, one: FaceResult, other: FaceResult):
        values = [getattr(face, name) for face in (one, other)]
        if any(value is None for value in values):
            return None
        return (1 - share) * np.asarray(values[0]) + share * np.asarray(
            values[1])

    pairs = dict(match_boxes(before, after))
    faces = [
        FaceResult(
            tuple(mixed('box', before[i], after[j]).tolist()), {},
            points=mixed('points', before[i], after[j]),
            detection_score=mixed('detection_score', before[i], after[j]))
        for i, j in pairs.items()
    ]
    near, taken = (before, pairs) if share < .5 else (after, pairs.values())
    return faces + [
        FaceResult(
            face.box, {},
            points=face.points,
            detection_score=face.detection_score)
        for k, face in enumerate(near) if k not in taken
    ]


class FaceTracker:
    """Follow faces through a video and smooth their scores over time.

    Boxes of a frame are matched with those of the frames before, the largest
    intersection over union first. A score s becomes
    s' + (1 - exp(-dt / smoothing)) (s - s'), where s' is what it was dt
    seconds ago: the same at any frame rate, and after a gap the new frame
    counts for more. The scores of a frame in which too little of the face is
    visible are not used.

    Args:
        smoothing (float): Time constant in seconds; 0 for none. Defaults to
            0.5.
        min_iou (float): Boxes that overlap less are of different faces.
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
                # the first frame in which the face is seen counts alone
                scored = -math.inf if OCCLUDED in face.reasons else time
                track = _Track(self.num_tracks, face.box, face.scores, time,
                               scored)
                self._tracks.append(track)
            elif OCCLUDED not in face.reasons:
                track.scores = self._mix(track, face.scores, time)
                track.scored = time
            track.box, track.seen = face.box, time
            face.track, face.scores = track.number, dict(track.scores)

    def _match(self, faces: Sequence[FaceResult]) -> Dict[int, _Track]:
        return {
            i: self._tracks[j]
            for i, j in match_boxes(faces, self._tracks, self.min_iou)
        }

    def _mix(self, track: _Track, scores: Dict[str, float],
             time: float) -> Dict[str, float]:
        if not self.smoothing:
            return scores
        weight = 1 - math.exp(-max(time - track.scored, 0.) / self.smoothing)
        return {
            name: old + weight * (scores[name] - old)
            for name, old in track.scores.items()
        }
