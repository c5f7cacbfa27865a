# Copyright (c) orsa contributors. All rights reserved.
"""What the page does with an image, without the page."""
import os.path as osp
import shutil
import threading
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from orsa.apis import FaceResult, FERInferencer, ImageResult, annotate_video
from orsa.apis.predicting import Names, predict_to_files, write_image
from orsa.deploy.exported import ExportedModel
from orsa.faces.detectors import with_threshold
from orsa.faces.images import ImageError, file_stem, is_video
from orsa.faces.result_files import write_results
from orsa.visualization import draw_faces

# more are drawn, but cannot be chosen
MOST_FACES = 24
VARIANTS = 12
# of an upload of several files, and of each video in it
MOST_FILES, MOST_SECONDS = 200, 120


class Refusal(Exception):
    """Why nothing can be shown; the message is for the visitor."""


class Found(NamedTuple):
    """The faces in an image.

    Attributes:
        drawing (np.ndarray): (H, W, 3), BGR uint8, the image with its faces.
        faces (list[FaceResult]): The largest first; ``track`` is the number
            that is drawn, from 1.
        scale (float): From pixels of the image to those of the drawing.
        num_found (int): How many there are, of which ``faces`` are some.
        result (ImageResult): All of them, without the image.
    """
    drawing: np.ndarray
    faces: List[FaceResult]
    scale: float
    num_found: int
    result: ImageResult

    def face_at(self, x: float, y: float) -> Optional[int]:
        """The index of the smallest face around a place in the drawing."""
        x, y = x / self.scale, y / self.scale
        around = [(f.box[2] - f.box[0], i) for i, f in enumerate(self.faces)
                  if f.box[0] <= x <= f.box[2] and f.box[1] <= y <= f.box[3]]
        return min(around)[1] if around else None


class Batch(NamedTuple):
    """What was made of several files.

    Attributes:
        archive (str, optional): A ZIP of all that was written; None if there
            is nothing.
        video (str, optional): The last video with its faces.
        images (int): How many there were.
        faces (int): How many faces are in them.
        frames (int): Of the videos.
        errors (list[str]): What could not be read or found, and why.
    """
    archive: Optional[str]
    video: Optional[str]
    images: int
    faces: int
    frames: int
    errors: List[str]


class Viewer:
    """The models behind the page, used by one visitor at a time.

    Args:
        name (str): The page's name of the first model.
        inferencer (FERInferencer): It finds and aligns the faces.
        others (dict[str, FERInferencer | Callable], optional): By name, the
            models to compare with; a function is called for one when it is
            first used. Defaults to None, none.
    """

    def __init__(self,
                 name: str,
                 inferencer: FERInferencer,
                 others: Optional[Dict[str, object]] = None):
        self.name = name
        self.inferencer = inferencer
        self.others = dict(others or {})
        # grad_cam hooks into the model, and pipelines are built in a scope
        self._lock = threading.RLock()

    def find(self,
             path: str,
             aligned: bool = False,
             name: Optional[str] = None,
             min_face: Optional[float] = None,
             detector_score: Optional[float] = None) -> Found:
        """Find the faces in a file and predict their expressions.

        Args:
            path (str): The file.
            aligned (bool): Whether it is one face, cropped as the training
                data are. Defaults to False.
            name (str, optional): The visitor's name of it. Defaults to None,
                the file's own.
            min_face (float, optional): Leave out faces whose box is narrower,
                in pixels. Defaults to None, the inferencer's.
            detector_score (float, optional): Leave out faces of which the
                detector is less sure. Defaults to None, the detector's.

        Returns:
            Found: The faces, drawn.

        Raises:
            Refusal: If it cannot be read, or no face is found.
        """
        name = name or osp.basename(path)
        with self._lock:
            detector = self.inferencer.detector
            if detector_score not in (None, self.detector_score):
                detector = with_threshold(detector, detector_score)
            result = self.inferencer.load(name, path, aligned, detector,
                                          min_face)
            self.inferencer.forward([result])
        if aligned and result.error and len(set(result.size or ())) > 1:
            raise Refusal(
                f'“{name}” is {result.size[0]} × {result.size[1]} pixels, and '
                'a cropped face is square. Untick the box below it.')
        if result.error:
            raise Refusal(f'“{name}” cannot be read: {result.error}.')
        if not result.faces:
            small = (f' {result.too_small} smaller than asked for.'
                     if result.too_small else '')
            raise Refusal(
                f'No face was found in “{name}”.{small} If it is one cropped '
                'face, tick the box below it.')
        for number, face in enumerate(result.faces, 1):
            face.track = number
        drawing = draw_faces(result.image, result.faces, landmarks=False)
        result.image = None
        return Found(drawing, result.faces[:MOST_FACES],
                     drawing.shape[1] / result.size[0], len(result.faces),
                     result)

    def save(self, found: Found, folder: str) -> Tuple[str, str]:
        """Write what ``orsa predict`` writes of an image.

        Args:
            found (Found): Of :meth:`find`.
            folder (str): Where to.

        Returns:
            tuple[str, str]: The drawing and the table of the faces.
        """
        stem = osp.join(folder, file_stem(found.result.name) or 'image')
        write_image(found.drawing, f'{stem}_faces.jpg')
        with write_results(stem, self.inferencer.classes) as write_row:
            for row in found.result.to_dicts():
                write_row(row)
        return f'{stem}_faces.jpg', f'{stem}.csv'

    def occlude(self,
                face: FaceResult,
                kind: str,
                severity: int,
                variant: int = 1) -> Tuple[np.ndarray, float]:
        """Occlude a face, placed by its landmarks.

        Args:
            face (FaceResult): Of :meth:`find`.
            kind (str): One of ``orsa.OccludeFace.KINDS``, as
                ``orsa.web.explain.KINDS``.
            severity (int): 0 (nothing) to 5.
            variant (int): Another number, another place or look.
                Defaults to 1.

        Returns:
            tuple[np.ndarray, float]: The face, (S, S, 3), BGR uint8, and the
            occluded fraction of what its landmarks enclose.

        Raises:
            ValueError: If there is no such kind or severity.
        """
        from .explain import occlude
        return occlude(face, kind, severity, variant)

    def rows(self, data: bytes, name: str) -> List[dict]:
        """Predict for an image in memory.

        Args:
            data (bytes): Of the file.
            name (str): Of the file, for the rows.

        Returns:
            list[dict]: Of each face what ``orsa predict`` writes in a line of
            ``predictions.jsonl``.

        Raises:
            Refusal: If it cannot be read.
        """
        with self._lock:
            result = self.inferencer.load(name, data)
            self.inferencer.forward([result])
        if result.error:
            raise Refusal(f'“{name}” cannot be read: {result.error}.')
        return result.to_dicts()

    def process(self, paths: Sequence[str], folder: str) -> Batch:
        """Do for several files what ``orsa predict`` does.

        Args:
            paths (Sequence[str]): Images and videos.
            folder (str): Where to write.

        Returns:
            Batch: What was written and counted.

        Raises:
            Refusal: If there are too many.
        """
        if len(paths) > MOST_FILES:
            raise Refusal(f'These are {len(paths)} files, and {MOST_FILES} at '
                          'a time are taken; orsa predict takes any number.')
        videos = [path for path in paths if is_video(path)]
        images = [path for path in paths if path not in videos]
        out, names, errors = osp.join(folder, 'results'), Names(), []
        faces = frames = 0
        drawn = None
        with self._lock:
            if images:
                summary = predict_to_files(
                    self.inferencer, images, out, with_folders=False)
                faces += summary.faces
                errors += [
                    f"“{osp.basename(e['file'])}”: {e['error']}"
                    for e in summary.errors
                ]
                errors += [
                    f"“{osp.basename(n['file'])}”: {n['note']}"
                    for n in summary.notes
                ]
                errors += [
                    f'“{osp.basename(path)}”: no face was found'
                    for path in summary.without_faces
                ]
            for path in videos:
                try:
                    done = annotate_video(
                        self.inferencer,
                        path,
                        out,
                        names.of(path),
                        max_seconds=MOST_SECONDS,
                        with_folders=False)
                    frames += done.frames
                    drawn = done.files['video']
                    errors += [
                        f'“{osp.basename(path)}”: {text}'
                        for text in (done.error, done.note) if text
                    ]
                except ImageError as error:
                    errors.append(f'“{osp.basename(path)}”: {error}')
        archive = None
        if osp.isdir(out):
            archive = shutil.make_archive(osp.join(folder, 'orsa'), 'zip', out)
        return Batch(archive, drawn, len(images), faces, frames, errors)

    def predict(self, name: str,
                crops: Sequence[np.ndarray]) -> List[FaceResult]:
        """Predict for aligned faces.

        Args:
            name (str): The first model's, or one of the others.
            crops (Sequence[np.ndarray]): (S, S, 3), BGR uint8.

        Returns:
            list[FaceResult]: One for each.

        Raises:
            Refusal: If there is no such model, or it does not load.
        """
        with self._lock:
            results = self._model(name)(list(crops), aligned=True)
        for result in results['predictions']:
            if result.error:
                raise Refusal(f'The face cannot be read: {result.error}.')
        return [result.faces[0] for result in results['predictions']]

    def _model(self, name: str) -> FERInferencer:
        if name == self.name:
            return self.inferencer
        if name not in self.others:
            raise Refusal(f'There is no model “{name}” here.')
        if not isinstance(self.others[name], FERInferencer):
            try:
                self.others[name] = self.others[name]()
            except (OSError, ImportError, ValueError) as error:
                raise Refusal(
                    f'The model “{name}” does not load: {error}') from error
        return self.others[name]

    @property
    def detector_score(self) -> Optional[float]:
        """The least score of a face; None where the detector has none that
        can be changed."""
        return getattr(self.inferencer.detector, 'score_threshold', None)

    @property
    def explains(self) -> bool:
        """Whether :meth:`attention` and :meth:`occlude` are there: of models
        in PyTorch."""
        return not isinstance(self.inferencer.model, ExportedModel)

    @property
    def maps(self) -> List[str]:
        """The attention maps that the first model has.

        'image' is Grad-CAM of the image branch, 'fused' of the map that the
        parsing prior has steered, 'landmarks' the attention of landmark
        tokens to image tokens.
        """
        from .explain import maps_of  # imports torch
        return maps_of(self.inferencer.model)

    def attention(self, crop: np.ndarray, kind: str = 'image') -> Any:
        """Map what a prediction of the first model depends on.

        Args:
            crop (np.ndarray): (S, S, 3), BGR uint8, an aligned face.
            kind (str): One of :attr:`maps`. Defaults to 'image'.

        Returns:
            orsa.web.explain.Attention: The map.

        Raises:
            ValueError: If the model has no such map.
        """
        from .explain import attention
        with self._lock:
            return attention(self.inferencer.model, crop, kind)
