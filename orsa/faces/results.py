# Copyright (c) orsa contributors. All rights reserved.
"""The predictions for an image and for the faces in it."""
import dataclasses
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from orsa.faces.points import map_points
from orsa.utils.face_regions import FACE_CLASSES

# of the rows of JSON lines and tables: a change of their names is another one
SCHEMA = 2
# of a table, before a column of scores for each expression
COLUMNS = ('file', 'frame', 'time', 'face', 'x0', 'y0', 'x1', 'y1',
           'expression', 'confidence', 'abstain', 'reasons', 'part', 'covered',
           'detection_score')

_OF_A_FACE = (
    "an image may have several faces. For mmpretrain's pred_class type "
    'result.faces[0].expression, for pred_score .confidence, for '
    'pred_scores .scores')


@dataclasses.dataclass(repr=False)
class FaceResult:
    """The predictions for one face in an image.

    Attributes:
        box (tuple[float, ...]): x0, y0, x1, y1 in pixels of the image, as the
            detector has it; the complete image if it is an aligned face.
        scores (dict[str, float]): Of every expression, in [0, 1], together 1,
            calibrated where the weights have a calibration. In a video
            smoothed over time. Empty until the model has predicted.
        reasons (tuple[str, ...]): Why the model abstains, empty if it does
            not, see :class:`orsa.evaluation.calibration.Calibration`.
        covered (float, optional): The occluded fraction of the face, in
            [0, 1]; None if the model has no parser.
        landmarks (np.ndarray, optional): (K, 3) float32: x and y in pixels of
            the image (the centre of the first is 0), and a confidence in
            [0, 1]. None if the model has no landmarks.
        parsing (np.ndarray, optional): (S, S) uint8, the class of every pixel
            of ``crop``. None if the model has no parser.
        crop (np.ndarray, optional): (S, S, 3) BGR uint8, the aligned face,
            the model's input.
        matrix (np.ndarray, optional): 2 x 3, from pixels of the image to
            those of ``crop``.
        detection_score (float, optional): The detector's confidence.
        track (int, optional): In a video, the number of this face, the same
            in all frames.
        frame_scores (dict[str, float], optional): In a video, the scores of
            this frame alone.
        points (np.ndarray, optional): (5, 2), the detector's, see
            :class:`orsa.apis.Detections`.
        embedding (np.ndarray, optional): (E, ) float32, what the classifier
            gets, where it was asked for.
        visible (dict[str, float], optional): How visible brows, eyes, nose
            and mouth are, in [0, 1]. None if the model does not say.
    """
    box: Tuple[float, ...]
    scores: Dict[str, float]
    reasons: Tuple[str, ...] = ()
    covered: Optional[float] = None
    landmarks: Optional[np.ndarray] = None
    parsing: Optional[np.ndarray] = None
    crop: Optional[np.ndarray] = None
    matrix: Optional[np.ndarray] = None
    detection_score: Optional[float] = None
    track: Optional[int] = None
    frame_scores: Optional[Dict[str, float]] = None
    points: Optional[np.ndarray] = None
    embedding: Optional[np.ndarray] = None
    visible: Optional[Dict[str, float]] = None

    def __repr__(self) -> str:
        box = ', '.join(f'{v:.0f}' for v in self.box)
        what = 'not predicted'
        if self.scores:
            what = f'{self.expression} {self.confidence:.2f}'
            what += ', abstains' if self.abstain else ''
        return f'FaceResult({what}, box=({box}))'

    def top(self, k: int = 3) -> List[Tuple[str, float]]:
        """The ``k`` likeliest expressions and their scores."""
        return sorted(self.scores.items(), key=lambda item: -item[1])[:k]

    @property
    def expression(self) -> str:
        """The expression with the highest score."""
        return max(self.scores, key=self.scores.get)

    @property
    def confidence(self) -> float:
        """The highest score."""
        return self.scores[self.expression]

    @property
    def abstain(self) -> bool:
        """Whether the scores should not be used."""
        return bool(self.reasons)

    @property
    def part(self) -> Optional[str]:
        """Which part of the face the scores are of, where it is not all.

        'eyes only' where the mouth is hidden, 'mouth only' where the eyes
        are, 'neither eyes nor mouth'; None where both can be seen, or the
        model does not say.
        """
        if self.visible is None:
            return None
        eyes, mouth = (self.visible[k] >= .5 for k in ('eyes', 'mouth'))
        return {
            (True, False): 'eyes only',
            (False, True): 'mouth only',
            (False, False): 'neither eyes nor mouth'
        }.get((eyes, mouth))

    @property
    def crop_landmarks(self) -> Optional[np.ndarray]:
        """The landmarks in pixels of ``crop``, (K, 3)."""
        if self.landmarks is None or self.matrix is None:
            return self.landmarks
        points = self.landmarks.copy()
        points[:, :2] = map_points(points[:, :2], self.matrix)
        return points

    def class_fractions(self) -> Optional[Dict[str, float]]:
        """The fraction of ``crop`` that each class of the parser has."""
        if self.parsing is None:
            return None
        counts = np.bincount(self.parsing.ravel()) / self.parsing.size
        others = (f'class {k}' for k in range(len(FACE_CLASSES), len(counts)))
        names = [*FACE_CLASSES, *others]
        return {n: _round(v) for n, v in zip(names, counts) if v > 0}

    def to_dict(self) -> Dict[str, Any]:
        """All but the arrays, in plain numbers for JSON."""
        content = dict(
            box=[round(float(v), 1) for v in self.box],
            expression=self.expression,
            confidence=_round(self.confidence),
            abstain=self.abstain,
            reasons=list(self.reasons),
            part=self.part,
            visible=_round(self.visible),
            covered=_round(self.covered),
            detection_score=_round(self.detection_score),
            scores=_round(self.scores),
            landmarks=None if self.landmarks is None else
            [[round(float(x), 1) for x in p[:2]] for p in self.landmarks],
            parsing=self.class_fractions())
        if self.frame_scores is not None:
            content['frame_scores'] = _round(self.frame_scores)
        return content


@dataclasses.dataclass(repr=False)
class ImageResult:
    """The predictions for one image, or for one frame of a video.

    Attributes:
        name (str): The path, or 'array 3' for the fourth in memory.
        faces (list[FaceResult]): The largest first; those of a detector of
            one's own in its order.
        error (str, optional): Why there is no prediction: it could not be
            read, or the detector failed. There are no faces then.
        notes (tuple[str, ...]): What was wrong with a file that was read
            nevertheless.
        size (tuple[int, int], optional): Width and height in pixels.
        frame (int, optional): In a video, the number of the frame, from 0.
        time (float, optional): In a video, seconds since its beginning.
        held (bool): In a video, whether the frame was skipped, and has the
            faces of an earlier one.
        image (np.ndarray, optional): (H, W, 3) BGR uint8, as it was read.
            Dropped where many results are stored.
        too_small (int): How many faces were left out for their size.
    """
    name: str
    faces: List[FaceResult] = dataclasses.field(default_factory=list)
    error: Optional[str] = None
    size: Optional[Tuple[int, int]] = None
    frame: Optional[int] = None
    time: Optional[float] = None
    held: bool = False
    image: Optional[np.ndarray] = None
    notes: Tuple[str, ...] = ()
    too_small: int = 0

    def __repr__(self) -> str:
        what = f'error={self.error!r}' if self.error else f'{self.faces}'
        where = '' if self.frame is None else f', frame {self.frame}'
        return f'ImageResult({self.name!r}{where}, {what})'

    def __getitem__(self, key):
        raise TypeError(f'ImageResult has no {key!r}: {_OF_A_FACE}')

    def __getattr__(self, name: str):
        what = f': {_OF_A_FACE}' if name.startswith('pred_') else ''
        raise AttributeError(f'ImageResult has no {name!r}{what}')

    def to_dicts(self) -> List[Dict[str, Any]]:
        """A dict for each face, for JSON lines.

        ``face`` is the number that is drawn: from 1 in a photograph, and in
        a video the same in all frames.
        """
        time = None if self.frame is None else round(self.time or 0., 4)
        where = dict(
            schema=SCHEMA, file=self.name, frame=self.frame, time=time)
        return [
            dict(
                where,
                face=face.track or k,
                num_faces=len(self.faces),
                **face.to_dict()) for k, face in enumerate(self.faces, 1)
        ]


def table_row(row: Dict[str, Any], classes: Sequence[str]) -> List[Any]:
    """The cells of a face in a table.

    Args:
        row (dict): Of :meth:`ImageResult.to_dicts`.
        classes (Sequence[str]): The expressions, in the order of the columns.

    Returns:
        list: Of ``COLUMNS`` and the score of each expression.
    """
    row = dict(
        row, abstain=int(row['abstain']), reasons='; '.join(row['reasons']))
    row.update(zip(('x0', 'y0', 'x1', 'y1'), row['box']))
    return [*(row[name] for name in COLUMNS),
            *(row['scores'][name] for name in classes)]  # yapf: disable


class Predictions(list):
    """The results of several images: a list of :class:`ImageResult`.

    Args:
        results (Iterable[ImageResult]): The results.
        classes (Sequence[str]): The expressions, in the model's order.
    """

    def __init__(self,
                 results: Iterable[ImageResult] = (),
                 classes: Sequence[str] = ()):
        super().__init__(results)
        self.classes = tuple(classes)

    def to_dataframe(self):
        """A row for each face, with the columns of ``predictions.csv``.

        Returns:
            pandas.DataFrame: Without images that have no face.

        Raises:
            ImportError: If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                'to_dataframe needs pandas: pip install pandas') from error
        rows = [
            table_row(row, self.classes) for one in self
            for row in one.to_dicts()
        ]
        frame = pandas.DataFrame(rows, columns=[*COLUMNS, *self.classes])
        return frame.astype(dict(abstain=bool))


def _round(value):
    """Four digits of a number or of the values of a dict; None is None."""
    if isinstance(value, dict):
        return {k: round(float(v), 4) for k, v in value.items()}
    return None if value is None else round(float(value), 4)
