# Copyright (c) orsa contributors. All rights reserved.
"""From pictures of people to what their faces show, in one call."""
import dataclasses
import itertools
import os.path as osp
from collections.abc import Iterable
from typing import Iterator, List, NamedTuple, Optional, Sequence, Union

import cv2
import numpy as np
import torch.nn as nn
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.infer import BaseInferencer

from orsa.evaluation.calibration import Calibration, load_calibration
from orsa.faces.align import align_faces, align_five, crop_face
from orsa.faces.detectors import (Detections, Detector, build_detector,
                                  check_detections)
from orsa.faces.pictures import (MAX_PIXELS, ImageError, Inputs, Picture,
                                 is_video, list_pictures, load_picture,
                                 one_by_one)
from orsa.faces.results import FaceResult, ImageResult
from orsa.utils.warp import map_points
from .inference import (FacePrediction, batch_locator, predict_faces,
                        test_pipeline)
from .model import build_model, init_model, load_config
from .zoo import looks_like_name, resolve_model

# A chunk of pictures is worked off when they have so many pixels together,
# whether they fill a batch with faces or not: 200 MB of memory.
_CHUNK_PIXELS = 64_000_000


class _Loaded(NamedTuple):
    """A picture on its way, and where its faces are; None if it is one."""
    result: ImageResult
    found: Optional[Detections] = None


@dataclasses.dataclass
class _Row:
    """A face on its way; ``face`` is the aligned crop and its matrix."""
    owner: ImageResult
    box: Sequence[float]
    points: Optional[np.ndarray] = None
    sure: Optional[float] = None
    face: Optional[tuple] = None


class _Packed(NamedTuple):
    """A network as data, see :func:`orsa.apis.init_model`."""
    cfg: Config
    dataset_meta: dict
    weights: dict
    device: str

    @classmethod
    def of(cls, model: nn.Module) -> '_Packed':
        weights = model.state_dict()
        device = next(iter(weights.values())).device
        return cls(model.cfg, model.dataset_meta, {
            k: v.cpu()
            for k, v in weights.items()
        }, str(device))

    def build(self) -> nn.Module:
        model = build_model(load_config(self.cfg), pretrained=False)
        model.load_state_dict(self.weights)
        model.cfg, model.dataset_meta = self.cfg, self.dataset_meta
        return model.to(self.device).eval()


def _rows(result: ImageResult, found: Optional[Detections]) -> List[_Row]:
    if result.image is None:
        return []
    if found is None:  # it is a face
        return [
            _Row(
                result, (0., 0., *map(float, result.size)),
                face=(result.image, np.eye(2, 3)))
        ]
    return [
        _Row(result, box, None if found.points is None else found.points[i],
             None if found.scores is None else float(found.scores[i]))
        for i, box in enumerate(found.boxes)
    ]


class FERInferencer(BaseInferencer):
    """Name the expressions of all faces in pictures.

    It finds the faces, aligns them as the model's training data are, asks the
    model in batches across faces and pictures, and says where nothing should
    be taken from its answer.

    Args:
        model (str | Config | nn.Module): The name of a model that ships (see
            :func:`orsa.apis.available_models`), a config file,
            'orsa::NAME.py', a Config, what :func:`orsa.apis.init_model` gave,
            or an ONNX file of ``tools/deployment/export.py``. Defaults to
            'orsanet_lite'.
        weights (str, optional): Its checkpoint; needed with a config.
            Defaults to None, those that ship.
        device (str, optional): Defaults to None, a GPU where there is one.
        detector (str | dict | Callable): What finds faces, see
            :func:`orsa.apis.build_detector`: 'cascade', 'yunet:FILE',
            'mmdet:CONFIG,CHECKPOINT', 'mmpose:CONFIG,CHECKPOINT', or any
            function from a picture to boxes. Defaults to 'cascade'.
        calibration (Calibration, optional): How to read the scores. Defaults
            to None, what lies beside the weights; without such a file scores
            stay as the model gives them.
        min_confidence (float, optional): Abstain below this confidence.
            Defaults to None, the calibration's.
        max_covered (float, optional): Abstain above this covered share of the
            face. Defaults to None, the calibration's.
        face_size (int): Side of an aligned face, in pixels. Defaults to 128,
            as ``press_faces`` has them.
        max_pixels (int): A larger picture is refused. Defaults to 89 million.
        show_progress (bool): Whether calls show a progress bar.
            Defaults to False.

    It can be pickled, for other processes: with a model in PyTorch whole, of
    an ONNX file its path.

    Raises:
        ValueError: If a config comes without weights, or an argument is none
            of these.
        FileNotFoundError: If the weights or the detector's file are not
            there.
        ImportError: If the detector's library is not installed.

    Examples:
        >>> from orsa.apis import FERInferencer
        >>> inferencer = FERInferencer()
        >>> for picture in inferencer('photos/')['predictions']:
        ...     for face in picture.faces:
        ...         if not face.abstain:
        ...             print(picture.name, face.box, face.expression)
    """

    preprocess_kwargs = {'aligned'}
    visualize_kwargs = {'return_vis', 'draw_landmarks', 'draw_parsing'}
    postprocess_kwargs = {'keep_images'}

    def __init__(self,
                 model: Union[str, Config, object] = 'orsanet_lite',
                 weights: Optional[str] = None,
                 device: Optional[str] = None,
                 detector: Union[str, dict, Detector] = 'cascade',
                 calibration: Optional[Calibration] = None,
                 min_confidence: Optional[float] = None,
                 max_covered: Optional[float] = None,
                 face_size: int = 128,
                 max_pixels: int = MAX_PIXELS,
                 show_progress: bool = False):
        if face_size < 16:
            raise ValueError('face_size should be 16 pixels or more, but is '
                             f'{face_size}')
        device = device or get_device()
        self.detector = build_detector(detector, device)
        self.model, weights = _load(model, weights, device)
        if calibration is None:
            exported = getattr(self.model, 'exported', None)
            calibration = (
                exported.calibration
                if exported else load_calibration(weights))
        given = dict(min_confidence=min_confidence, max_covered=max_covered)
        self.calibration = dataclasses.replace(
            calibration, **{
                k: v
                for k, v in given.items() if v is not None
            })
        self.cfg = self.model.cfg
        self.pipeline = self._init_pipeline(self.cfg)
        self.face_size = face_size
        self.max_pixels = max_pixels
        self.show_progress = show_progress

    def _init_pipeline(self, cfg: Config):
        # what predict_faces uses; built here, so that a config without one
        # is refused at once
        return test_pipeline(cfg)

    def __getstate__(self) -> dict:
        """What another process needs: torch pickles no parametrized module,
        so that a network goes as its config and weights."""
        state = dict(vars(self))
        if not hasattr(self.model, 'exported'):
            state['model'] = _Packed.of(self.model)
        return state

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        if isinstance(self.model, _Packed):
            self.model = self.model.build()

    @property
    def classes(self) -> Sequence[str]:
        """The expressions, in the model's order."""
        return self.model.dataset_meta['classes']

    def __call__(self,
                 inputs: Inputs,
                 return_datasamples: bool = False,
                 batch_size: int = 32,
                 **kwargs) -> dict:
        """Look at pictures, and return all results at once.

        :meth:`stream` gives them one by one, for more pictures than fit into
        memory; :func:`orsa.apis.annotate_video` is for long videos.

        Args:
            inputs (Picture | Iterable[Picture]): A file, a folder, a pattern,
                a video, an array (H, W), (H, W, 3) BGR, (H, W, 4) or
                (N, H, W, C), the bytes of a file, a file that is open, a
                picture of Pillow's, or any iterable of these.
            return_datasamples (bool): MMEngine's; there are none here.
            batch_size (int): Faces at a time. Defaults to 32.
            aligned (bool): Whether each picture is a face, aligned as the
                training data are. Defaults to False.
            return_vis (bool): Whether to draw the faces. Defaults to False.
            draw_landmarks (bool): Whether to draw landmarks with them.
                Defaults to True.
            draw_parsing (bool): Whether to colour the parts of the faces.
                Defaults to False.
            keep_images (bool): Whether results keep the picture they are of.
                Defaults to False.

        Returns:
            dict: ``predictions``, a list of :class:`orsa.apis.ImageResult` in
            the order of the inputs, one for each picture or frame (what
            cannot be read has an ``error``), and ``visualization``, a list of
            pictures (H, W, 3), BGR uint8, None where there was an error;
            empty without ``return_vis``.

        Raises:
            ValueError: With ``return_datasamples``, or for an unknown
                argument.
            TypeError: If an input is of another kind.
        """
        if return_datasamples:
            raise ValueError('return_datasamples=True is not offered: the '
                             'predictions are orsa.apis.ImageResult')
        preprocess, _, visualize, postprocess = self._dispatch_kwargs(**kwargs)
        results, drawings = [], []
        for result in self.stream(inputs, batch_size, **preprocess):
            drawings.extend(self.visualize([result], [result], **visualize))
            results.append(self._keep(result, **postprocess))
        return self.postprocess(results, drawings)

    def stream(self,
               inputs: Inputs,
               batch_size: int = 32,
               aligned: bool = False) -> Iterator[ImageResult]:
        """Look at pictures one by one, in memory that does not grow.

        Args:
            inputs: See :meth:`__call__`.
            batch_size (int): Faces at a time. Defaults to 32.
            aligned (bool): See :meth:`__call__`. Defaults to False.

        Yields:
            ImageResult: With its picture.
        """
        if batch_size < 1:
            raise ValueError(
                f'batch_size should be positive, got {batch_size}')
        # one after the other: a generator may have more than memory holds
        for video, some in itertools.groupby(
                one_by_one(inputs), is_video_input):
            if video:
                for one in some:
                    yield from self._stream_video(one)
            else:
                if isinstance(inputs, Sequence):
                    some = list(some)
                yield from self._stream_pictures(some, batch_size, aligned)

    def _stream_video(self, path: Picture) -> Iterator[ImageResult]:
        from .video import VideoReader, stream_video
        try:
            reader = VideoReader(path)
        except ImageError as error:
            yield ImageResult(str(path), error=str(error))
            return
        with reader:
            yield from stream_video(self, reader)
        if reader.error:
            yield ImageResult(str(path), error=reader.error)

    def _stream_pictures(self, pictures: Iterable[Picture], batch_size: int,
                         aligned: bool) -> Iterator[ImageResult]:
        chunks = self.preprocess(pictures, batch_size, aligned=aligned)
        if self.show_progress:
            from rich.progress import track
            total = None
            if isinstance(pictures, list):
                total = sum(1 for _ in list_pictures(pictures))
            results = (r for chunk in chunks for r in self.forward(chunk))
            yield from track(results, 'Pictures', total=total)
            return
        for chunk in chunks:
            yield from self.forward(chunk)

    def preprocess(self,
                   inputs: Iterable[Picture],
                   batch_size: int = 32,
                   aligned: bool = False) -> Iterator[List[_Loaded]]:
        """Read pictures and find their faces.

        Yields:
            list: Pictures that have about ``batch_size`` faces together.
        """
        chunk: List[_Loaded] = []
        faces = pixels = 0
        for source in list_pictures(inputs):
            loaded = self.load(source.name, source.picture, source.error,
                               aligned)
            chunk.append(loaded)
            if loaded.result.image is not None:
                faces += 1 if loaded.found is None else len(loaded.found.boxes)
                pixels += loaded.result.image[..., 0].size
            if faces >= batch_size or pixels >= _CHUNK_PIXELS:
                yield chunk
                chunk, faces, pixels = [], 0, 0
        if chunk:
            yield chunk

    def load(self,
             name: str,
             picture: Picture,
             error: Optional[str] = None,
             aligned: bool = False) -> _Loaded:
        """Read a picture and find its faces; what fails is noted in it.

        Args:
            name (str): What the result is called.
            picture: As of :func:`orsa.faces.pictures.read_picture`.
            error (str, optional): Why there is nothing to do.
            aligned (bool): Whether it is an aligned face.

        Returns:
            tuple: For :meth:`forward`.
        """
        result = ImageResult(name, error=error)
        if error:
            return _Loaded(result)
        try:
            image, result.notes = load_picture(picture, self.max_pixels)
            height, width = image.shape[:2]
            result.size = (width, height)
            if aligned and width != height:
                raise ValueError(
                    f'it is {width}x{height}, and an aligned face is square; '
                    'for a photograph leave out --aligned (aligned=True)')
        except (OSError, TypeError, ValueError) as failure:
            result.error = str(failure)
            return _Loaded(result)
        result.image = image
        return _Loaded(result) if aligned else self.find(result)

    def find(self,
             result: ImageResult,
             detector: Optional[Detector] = None) -> _Loaded:
        """Find the faces in a picture that is read; a failure is noted in it.

        Args:
            result (ImageResult): With its picture.
            detector (Callable, optional): Defaults to None, the inferencer's.

        Returns:
            tuple: For :meth:`forward`.
        """
        try:
            found = (detector or self.detector)(result.image)
            return _Loaded(result, check_detections(found))
        # detectors of all libraries fail in their own ways, at one picture
        except (OSError, TypeError, ValueError, RuntimeError,
                cv2.error) as failure:
            result.error = ('the detector failed: ' +
                            str(failure).strip().split('\n')[0])
            result.image = None
            return _Loaded(result)

    def forward(self,
                inputs: Sequence[_Loaded],
                batch_size: int = 32) -> List[ImageResult]:
        """Align the faces of several pictures and ask the model about all.

        Args:
            inputs (list): As of :meth:`preprocess` or :meth:`load`.
            batch_size (int): Faces at a time. Defaults to 32.

        Returns:
            list[ImageResult]: One for each picture.
        """
        rows = [row for one in inputs for row in _rows(*one)]
        todo = [row for row in rows if row.face is None]
        aligned = self._align([row.owner.image for row in todo],
                              [row.box for row in todo],
                              [row.points for row in todo], batch_size)
        for row, face in zip(todo, aligned):
            row.face = face
        said = predict_faces(self.model, [row.face[0] for row in rows],
                             batch_size)
        for row, one in zip(rows, said):
            row.owner.faces.append(self._result(row, one))
        return [result for result, _ in inputs]

    def _align(self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray],
               points: Sequence[Optional[np.ndarray]],
               batch_size: int) -> List[tuple]:
        locate = batch_locator(self.model, batch_size)
        if locate is not None:
            return align_faces(
                images, boxes, locate, self.face_size, points, strict=False)
        return [
            crop_face(image, box, self.face_size)
            if five is None else align_five(image, five, self.face_size)
            for image, box, five in zip(images, boxes, points)
        ]

    def _result(self, row: '_Row', said: FacePrediction) -> FaceResult:
        crop, matrix = row.face
        landmarks = said.landmarks
        if landmarks is not None:
            landmarks = landmarks.copy()
            landmarks[:, :2] = map_points(landmarks[:, :2],
                                          cv2.invertAffineTransform(matrix))
        covered = self.calibration.covered(said.covered)
        result = FaceResult(
            box=tuple(float(v) for v in row.box),
            scores=self.calibration.scores(said.scores, covered),
            covered=covered,
            landmarks=landmarks,
            parsing=said.parsing,
            crop=crop,
            matrix=matrix,
            detection_score=row.sure)
        self.judge(result)
        return result

    def judge(self, face: FaceResult) -> None:
        """Say in a face whether to abstain, by its scores as they are now."""
        face.reasons = self.calibration.reasons(face.confidence, face.covered)

    def visualize(self,
                  inputs: Sequence[ImageResult],
                  preds: Sequence[ImageResult],
                  show: bool = False,
                  return_vis: bool = True,
                  draw_landmarks: bool = True,
                  draw_parsing: bool = False) -> List[Optional[np.ndarray]]:
        """Draw the faces of pictures into them.

        Returns:
            list[np.ndarray | None]: BGR uint8, None where there is no
            picture; empty unless ``return_vis``.
        """
        if not return_vis:
            return []
        from orsa.visualization import draw_faces
        return [
            None if one.image is None else draw_faces(
                one.image, one.faces, draw_landmarks, draw_parsing)
            for one in preds
        ]

    def postprocess(self,
                    preds: List[ImageResult],
                    visualization: List[Optional[np.ndarray]],
                    return_datasamples: bool = False,
                    **kwargs) -> dict:
        """Pack results and drawings."""
        return dict(predictions=preds, visualization=visualization)

    @staticmethod
    def _keep(result: ImageResult, keep_images: bool = False) -> ImageResult:
        if not keep_images:
            result.image = None
        return result


def is_video_input(one: Picture) -> bool:
    """Whether an input is a video that is there."""
    return is_video(one) and osp.isfile(one) if isinstance(
        one, (str, osp.os.PathLike)) else False


def _load(model, weights: Optional[str], device: str):
    """A model, and the file of its weights where it is known."""
    from .exported import ExportedClassifier, is_exported, load_exported
    if is_exported(model):
        if weights is not None:
            raise ValueError(f"{model} has its weights inside: leave out "
                             f"weights='{weights}'")
        # the same two as onnxruntime and torch have in common
        device = 'cuda' if str(device).startswith('cuda') else 'cpu'
        return ExportedClassifier(load_exported(model, device)), None
    if hasattr(model, 'dataset_meta') and hasattr(model, 'cfg'):
        if weights is not None:
            raise ValueError('a model that is built already has its weights: '
                             f"leave out weights='{weights}'")
        return model.to(device).eval(), None
    if isinstance(model, str) and looks_like_name(model):
        model, weights = resolve_model(model, weights)
    elif weights is None:
        name = getattr(model, 'filename', None) or model
        raise ValueError(f'{name} comes without weights: give a checkpoint '
                         '(weights=, --checkpoint), or a model that ships')
    return init_model(model, weights, device), weights
