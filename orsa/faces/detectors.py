# Copyright (c) orsa contributors. All rights reserved.
"""What finds the faces in a photograph."""
import functools
import importlib.util
import math
import os.path as osp
import threading
from typing import (Any, Callable, List, NamedTuple, Optional, Sequence, Tuple,
                    Union)

import cv2
import numpy as np

from orsa.utils.warp import map_points
from .align import check_image

# degrees; the cascade itself finds faces up to some 15 either way
_TURNS = (0, 20, -20, 40, -40)
# a cascade must not be asked by two threads at a time
_CASCADE_LOCK = threading.Lock()


class Detections(NamedTuple):
    """The faces in a photograph.

    Attributes:
        boxes (np.ndarray): (N, 4) float32: x0, y0, x1, y1 in pixels of the
            photograph, about from the brows to the chin.
        scores (np.ndarray, optional): (N, ), how sure the detector is, in
            [0, 1]. None if it does not say.
        points (np.ndarray, optional): (N, 5, 2) float32: the centres of the
            eyes, the tip of the nose and the corners of the mouth in pixels,
            what is left in the picture first. None if it does not say.
    """
    boxes: np.ndarray
    scores: Optional[np.ndarray] = None
    points: Optional[np.ndarray] = None


Detector = Callable[[np.ndarray], Union[Detections, np.ndarray]]


def check_detections(found: Any) -> Detections:
    """Bring what a detector returned into one form.

    Args:
        found (Detections | array): Or an array of boxes (N, 4), of boxes and
            scores (N, 5), or with five points behind them (N, 15).

    Returns:
        Detections: Without boxes that are empty or not finite.

    Raises:
        ValueError: If it is none of these.
    """
    if not isinstance(found, Detections):
        found = np.asarray(found, np.float32)
        if not found.size:
            return Detections(np.zeros((0, 4), np.float32))
        if found.ndim != 2 or found.shape[1] not in (4, 5, 15):
            raise ValueError(
                'a detector should return Detections, or an array (N, 4), '
                f'(N, 5) or (N, 15), but returned {found.shape}')
        found = Detections(
            found[:, :4], found[:, 4] if found.shape[1] > 4 else None,
            found[:, 5:].reshape(-1, 5, 2) if found.shape[1] > 5 else None)
    boxes = np.asarray(found.boxes, np.float32).reshape(-1, 4)
    scores, points = (None if v is None else np.asarray(v, np.float32)
                      for v in found[1:])
    count = len(boxes)
    for name, value, shape in (('scores', scores, (count, )),
                               ('points', points, (count, 5, 2))):
        if value is not None and value.shape != shape:
            raise ValueError(f'a detector returned {name} of shape '
                             f'{value.shape} for {count} boxes, expected '
                             f'{shape}')
    good = np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    if points is not None:
        good &= np.isfinite(points).all((1, 2))
    return Detections(
        boxes[good],
        *(None if v is None else v[good] for v in (scores, points)))


class CascadeDetector:
    """OpenCV's frontal cascade, which needs no file.

    Args:
        turned (bool): Whether to turn a photograph in which nothing is found,
            see :func:`find_faces`; that takes five times as long.
            Defaults to True.
        **kwargs: ``min_size``, ``max_side`` and ``closer`` of
            :func:`find_faces`.
    """

    def __init__(self, turned: bool = True, **kwargs):
        self.turned = turned
        self.kwargs = kwargs
        _cascade()  # refuses here if it is not there

    def __call__(self, image: np.ndarray) -> Detections:
        """Find the faces in (H, W, 3) BGR uint8."""
        turns = _TURNS if self.turned else _TURNS[:1]
        boxes = find_faces(image, turns=turns, **self.kwargs)
        return check_detections(np.array(boxes, np.float32))

    def for_video(self) -> 'CascadeDetector':
        """One that is fast enough for every frame: smaller, not turned."""
        return CascadeDetector(
            False, **{
                'max_side': 640,
                'min_size': 24,
                'closer': 1,
                **self.kwargs
            })


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
        model = osp.expanduser(model)
        if not osp.isfile(model):
            raise FileNotFoundError(
                f"there is no YuNet file '{model}'; it is "
                'face_detection_yunet_2023mar.onnx of the OpenCV Zoo')
        self._arguments = osp.abspath(model), score_threshold, max_side
        self.max_side = max_side
        try:
            self.model = cv2.FaceDetectorYN.create(model, '', (320, 320),
                                                   score_threshold)
        except cv2.error as error:
            raise ValueError(
                f"OpenCV cannot read '{model}' as a YuNet model; is it whole, "
                'and not a pointer file of Git LFS?') from error
        self._lock = threading.Lock()

    def __reduce__(self):
        return YuNetDetector, self._arguments

    def __call__(self, image: np.ndarray) -> Detections:
        """Find the faces in (H, W, 3) BGR uint8."""
        check_image(image)
        small, scale = _shrink(image, self.max_side)
        with self._lock:
            self.model.setInputSize(small.shape[1::-1])
            _, found = self.model.detect(small)
        if found is None:
            return check_detections([])
        boxes = found[:, :4] * scale
        boxes[:, 2:] += boxes[:, :2]
        # the subject's right eye, which is left in the picture, is first
        points = found[:, 4:14].reshape(-1, 5, 2) * scale
        return check_detections(
            Detections(boxes, found[:, 14].clip(0, 1), points))


class MMDetDetector:
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

    def __init__(self,
                 config: str,
                 checkpoint: Optional[str] = None,
                 device: str = 'cpu',
                 label: Optional[str] = None,
                 score_threshold: float = 0.5):
        _require('mmdet', 'mmdet>=3.2.0')
        from mmdet.apis import init_detector
        with _scope('mmdet'):
            self.model = init_detector(
                _config(config), checkpoint, device=device)
        self.score_threshold = score_threshold
        self.label = _face_label(self.model.dataset_meta, label, config)

    def __call__(self, image: np.ndarray) -> Detections:
        """Find the faces in (H, W, 3) BGR uint8."""
        check_image(image)
        from mmdet.apis import inference_detector
        with _scope('mmdet'):
            found = inference_detector(self.model, image).pred_instances
        found = found[(found.labels == self.label)
                      & (found.scores >= self.score_threshold)].cpu().numpy()
        return check_detections(Detections(found.bboxes, found.scores))


class MMPoseDetector:
    """A pose estimator of mmpose that finds faces with their landmarks.

    One that looks at whole photographs (bottom-up, or of one stage, as RTMO),
    and was trained on faces.

    Args:
        config (str): Its config, a file or ``mmpose::FOLDER/NAME.py``.
        checkpoint (str, optional): Its weights. Defaults to None, random
            ones.
        device (str): Defaults to 'cpu'.
        score_threshold (float): Of a box. Defaults to 0.5.

    Raises:
        ImportError: If mmpose is not installed.
    """

    def __init__(self,
                 config: str,
                 checkpoint: Optional[str] = None,
                 device: str = 'cpu',
                 score_threshold: float = 0.5):
        _require('mmpose', 'mmpose>=1.3.0')
        from mmpose.apis import init_model
        with _scope('mmpose'):
            self.model = init_model(_config(config), checkpoint, device=device)
        self.score_threshold = score_threshold

    def __call__(self, image: np.ndarray) -> Detections:
        """Find the faces in (H, W, 3) BGR uint8."""
        check_image(image)
        from mmpose.apis import inference_bottomup
        with _scope('mmpose'):
            found = inference_bottomup(self.model, image)[0].pred_instances
        return _from_pose(found, self.score_threshold)


def _from_pose(found, threshold: float) -> Detections:
    """Boxes and, of 5 or 68 landmarks, the five points."""
    from orsa.datasets.drawing.landmarks import NUM_LANDMARKS, five_points
    points = np.asarray(found.keypoints, np.float32)
    if not len(points):
        return check_detections([])
    scores = np.asarray(
        found.get('bbox_scores',
                  np.asarray(found.keypoint_scores).mean(1)))
    if 'bboxes' in found:
        boxes = np.asarray(found.bboxes, np.float32)
    else:
        boxes = np.concatenate([points.min(1), points.max(1)], axis=1)
    five = None
    if points.shape[1] == 5:
        five = points
    elif points.shape[1] == NUM_LANDMARKS:
        five = np.stack([five_points(p) for p in points])
    keep = scores >= threshold
    return check_detections(
        Detections(boxes[keep], scores[keep],
                   None if five is None else five[keep]))


_KINDS = {
    'cascade': CascadeDetector,
    'yunet': YuNetDetector,
    'mmdet': MMDetDetector,
    'mmpose': MMPoseDetector,
}


def build_detector(spec: Union[str, dict, Detector],
                   device: str = 'cpu') -> Detector:
    """Make a detector of what a person writes.

    Args:
        spec (str | dict | Callable): ``'cascade'``, ``'yunet:FILE'``,
            ``'mmdet:CONFIG,CHECKPOINT'``, ``'mmpose:CONFIG,CHECKPOINT'``; or
            ``dict(type='yunet', model=...)`` with the arguments of the
            class; or anything that takes a picture (H, W, 3), BGR uint8, and
            returns what :func:`check_detections` takes.
        device (str): Where mmdet and mmpose work. Defaults to 'cpu'.

    Returns:
        Callable: The detector.

    Raises:
        ValueError: If there is none of this name, or an argument is missing.
        FileNotFoundError: If its file is not there.
        ImportError: If its library is not installed.
    """
    if callable(spec):
        return spec
    if isinstance(spec, str):
        kind, _, rest = spec.partition(':')
        args = [a for a in rest.split(',') if a]
        kwargs = {}
    elif isinstance(spec, dict) and 'type' in spec:
        kwargs = dict(spec)
        kind, args = kwargs.pop('type'), []
    else:
        raise ValueError(f'detector should be one of {list(_KINDS)}, a dict '
                         f"with 'type', or a function, but is {spec!r}")
    if kind not in _KINDS:
        raise ValueError(f"there is no detector '{kind}', only "
                         f"{', '.join(_KINDS)}: 'cascade', 'yunet:FILE', "
                         "'mmdet:CONFIG,CHECKPOINT' or "
                         "'mmpose:CONFIG,CHECKPOINT'")
    if kind in ('mmdet', 'mmpose'):
        kwargs.setdefault('device', device)
    try:
        return _KINDS[kind](*args, **kwargs)
    except TypeError as error:
        raise ValueError(
            f'the detector {spec!r} lacks an argument or has one too many: '
            f'{error}') from error


def _require(module: str, package: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise ImportError(
            f'this detector needs {module}, which is not installed: pip '
            f'install "{package}" (docs/install.md), or use '
            "detector='cascade'")
    from orsa.utils.compat import setup_stack
    setup_stack()


def _config(name: str):
    """A path as it is; of 'mmdet::FOLDER/NAME.py' the config it names."""
    if '::' not in name:
        return name
    from mmengine.hub import get_config
    return get_config(name)


def _scope(name: str):
    from mmengine.registry import DefaultScope
    return DefaultScope.overwrite_default_scope(name)


def _face_label(meta: dict, label: Optional[str], config: str) -> int:
    classes = list((meta or {}).get('classes') or ())
    names = [c.lower() for c in classes]
    wanted = (label or 'face').lower()
    if wanted in names:
        return names.index(wanted)
    if label is None and len(classes) <= 1:
        return 0
    raise ValueError(
        f"'{config}' finds {classes}, of which none is called '{wanted}': "
        "give the one that is a face by dict(type='mmdet', config=..., "
        'label=...)')


def _shrink(image: np.ndarray, max_side: int) -> Tuple[np.ndarray, float]:
    """A picture not larger than that, and how many times smaller it is."""
    scale = max(max(image.shape[:2]) / max_side, 1.)
    if scale > 1:
        size = [max(round(s / scale), 1) for s in image.shape[1::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return image, scale


@functools.lru_cache(maxsize=1)
def _cascade() -> cv2.CascadeClassifier:
    path = osp.join(cv2.data.haarcascades, 'haarcascade_frontalface_alt2.xml')
    cascade = cv2.CascadeClassifier(path)
    if cascade.empty():
        raise FileNotFoundError(
            f"OpenCV's face detector, '{path}', is not there or cannot be "
            "read: install 'opencv-python' anew")
    return cascade


def find_faces(image: np.ndarray,
               min_size: int = 32,
               max_side: int = 1280,
               turns: Sequence[float] = _TURNS,
               closer: float = 2.) -> List[Tuple]:
    """Find the faces in a photograph that look at the camera.

    By OpenCV's frontal cascade, which needs no weights of ours. It misses
    faces from the side and many that are occluded. Only if it finds nothing
    a large photograph is looked at more closely, and then turned.

    Args:
        image (np.ndarray): The photograph, (H, W, 3) BGR uint8.
        min_size (int): The side of the smallest face, in pixels of the
            photograph (once it is made smaller). Defaults to 32.
        max_side (int): A larger photograph is made smaller before.
            Defaults to 1280.
        turns (Sequence[float]): Degrees to turn it by, one after the other
            until a face is found. Defaults to 0, then 20 and 40 either way.
        closer (float): How many times ``max_side`` a photograph may have
            when it is looked at for small faces, upright, as no other was
            found; 1 for never. Defaults to 2.

    Returns:
        list[tuple[int, int, int, int]]: Squares (x0, y0, x1, y1) in pixels,
        x1 and y1 behind the last, from brows to chin, the largest first. They
        may reach over the border.

    Raises:
        TypeError: If it is no such array.
    """
    check_image(image)
    whole = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    tries = [(max_side, angle) for angle in turns]
    if closer > 1 and max(whole.shape) > max_side:
        tries.insert(1, (round(closer * max_side), 0))
    size = None
    for side, angle in tries:
        if side != size:
            small, scale = _shrink(whole, side)
            size = side
        boxes = _find_turned(small, angle, min_size)
        if boxes:
            return [tuple(round(scale * v) for v in box) for box in boxes]
    return []


def _find_turned(image: np.ndarray, angle: float,
                 min_size: int) -> List[Tuple]:
    """Boxes, upright ones, in a grey picture that is turned meanwhile."""
    height, width = image.shape
    side = math.ceil(math.hypot(height, width)) if angle else 0
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.)
    if angle:
        turn[:, 2] += side / 2 - np.array([width, height]) / 2
        image = cv2.warpAffine(image, turn, (side, side))
    with _CASCADE_LOCK:
        found = _cascade().detectMultiScale(
            image, 1.1, minNeighbors=4, minSize=(min_size, min_size))
    back = cv2.invertAffineTransform(turn)
    boxes = []
    for x, y, w, h in sorted(found, key=lambda b: -b[2] * b[3]):
        cx, cy = map_points(np.array([x + w / 2, y + h / 2]), back)
        boxes.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
    return boxes
