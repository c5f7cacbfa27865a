# Copyright (c) orsa contributors. All rights reserved.
"""What the page does with a picture, without the page."""
import os.path as osp
import threading
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
from mmengine.dataset import default_collate

from orsa.analysis.attention import cross_attention, find_cross_attention
from orsa.analysis.inputs import image_of
from orsa.apis import FaceResult, FERInferencer, ImageResult
from orsa.apis.inference import packed_crops

# more are drawn, but not offered for a closer look
MOST_FACES = 24
VARIANTS = 12
_FUSED = 'neck.semantic_guidance'


class Refusal(Exception):
    """Why nothing can be shown; the message is for the visitor."""


class Look(NamedTuple):
    """What was found in a picture.

    Attributes:
        drawing (np.ndarray): (H, W, 3), BGR uint8, the picture with its faces.
        faces (list[FaceResult]): The largest first; ``track`` is the number
            that is drawn, from 1.
        scale (float): From pixels of the picture to those of the drawing.
        num_found (int): How many there are, of which ``faces`` are some.
    """
    drawing: np.ndarray
    faces: List[FaceResult]
    scale: float
    num_found: int

    def face_at(self, x: float, y: float) -> Optional[int]:
        """The index of the smallest face around a place in the drawing."""
        x, y = x / self.scale, y / self.scale
        around = [(f.box[2] - f.box[0], i) for i, f in enumerate(self.faces)
                  if f.box[0] <= x <= f.box[2] and f.box[1] <= y <= f.box[3]]
        return min(around)[1] if around else None


class Covered(NamedTuple):
    """A face with something in front of it.

    Attributes:
        image (np.ndarray): (S, S, 3), BGR uint8.
        share (float): How much of what the landmarks enclose is hidden.
    """
    image: np.ndarray
    share: float


class Attention(NamedTuple):
    """Where a model looks in a face.

    Attributes:
        picture (np.ndarray): (H, W, 3), BGR uint8, what the model sees.
        heat (np.ndarray): (H, W), in [0, 1].
        shares (tuple[float, float], optional): What 0 and 1 are as shares of
            the attention; None of Grad-CAM, which has no unit.
    """
    picture: np.ndarray
    heat: np.ndarray
    shares: Optional[Tuple[float, float]]


class Viewer:
    """The models behind the page, asked by one visitor at a time.

    Args:
        name (str): What the page calls the first model.
        inferencer (FERInferencer): It finds and aligns the faces.
        others (dict[str, FERInferencer | Callable], optional): By name, what
            it may be compared with; a function is called for it when it is
            first asked for. Defaults to None, nothing.
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

    def look(self,
             path: str,
             aligned: bool = False,
             name: Optional[str] = None) -> Look:
        """Find the faces in a file and name what they show.

        Args:
            path (str): The file.
            aligned (bool): Whether it is one face, cut out as the training
                data are. Defaults to False.
            name (str, optional): What the visitor calls it. Defaults to None,
                the file's own.

        Raises:
            Refusal: If it cannot be read, or no face is found.
        """
        from orsa.visualization import draw_faces
        name = name or osp.basename(path)
        with self._lock:
            loaded = self.inferencer.load(name, path, aligned=aligned)
            result = self.inferencer.forward([loaded])[0]
        if result.error and result.size and len(set(result.size)) > 1:
            raise Refusal(
                f'“{name}” is {result.size[0]} × {result.size[1]} pixels, and '
                'a face that is cut out already is square. Untick the box '
                'below it.')
        if result.error:
            raise Refusal(f'“{name}” cannot be read: {result.error}.')
        if not result.faces:
            raise Refusal(
                f'No face was found in “{name}”. The detector finds faces '
                'that look at the camera and are not too small. If the '
                'picture is one face, cut out already, tick the box below '
                'it.')
        for number, face in enumerate(result.faces, 1):
            face.track = number
        drawing = draw_faces(result.image, result.faces, landmarks=False)
        return Look(drawing, result.faces[:MOST_FACES],
                    drawing.shape[1] / result.size[0], len(result.faces))

    def cover(self,
              face: FaceResult,
              kind: str,
              severity: int,
              variant: int = 1) -> Covered:
        """Hide a part of a face, where its landmarks are.

        Args:
            face (FaceResult): Of :meth:`look`.
            kind (str): One of ``orsa.OccludeFace.KINDS``.
            severity (int): 0 (nothing) to 5.
            variant (int): Another number, another place or look.
                Defaults to 1.

        Raises:
            ValueError: If there is no such kind or severity.
        """
        from orsa.datasets import OccludeFace
        sample = dict(img=face.crop, name='page')
        points = face.crop_landmarks
        if points is not None and len(points) == 68:
            sample['gt_keypoints'] = points[None, :, :2]
        hide = OccludeFace(int(severity), kind, seed=int(variant))
        sample = hide.transform(sample)
        return Covered(sample['img'], float(sample['occlusion_ratio']))

    def ask(self, name: str, crops: Sequence[np.ndarray]) -> List[FaceResult]:
        """Ask a model about aligned faces.

        Args:
            name (str): The first model's, or one of the others.
            crops (Sequence[np.ndarray]): (S, S, 3), BGR uint8.

        Raises:
            Refusal: If there is no such model, or it does not load.
        """
        with self._lock:
            found = self._model(name)(list(crops), aligned=True)
        return [self._one(result) for result in found['predictions']]

    @staticmethod
    def _one(result: ImageResult) -> FaceResult:
        if result.error:
            raise Refusal(f'The face cannot be read: {result.error}.')
        return result.faces[0]

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
    def looks_at(self) -> List[str]:
        """The maps of where the first model looks that it has.

        'image' is Grad-CAM of the image branch, 'fused' of the map that the
        parsing prior has steered, 'landmarks' the attention of landmark
        tokens to image tokens.
        """
        model, found = self.inferencer.model, ['image']
        if _FUSED in dict(model.named_modules()):
            found.append('fused')
        try:
            find_cross_attention(model)
        except ValueError:
            return found
        return [*found, 'landmarks']

    def attention(self, crop: np.ndarray, of: str = 'image') -> Attention:
        """Where the first model looks.

        Args:
            crop (np.ndarray): (S, S, 3), BGR uint8, an aligned face.
            of (str): One of :attr:`looks_at`. Defaults to 'image'.

        Raises:
            ValueError: If the model has no such map.
        """
        from orsa.analysis.cam import grad_cam
        if of not in ('image', 'fused', 'landmarks'):
            raise ValueError(f"there is no map '{of}'")
        model = self.inferencer.model
        with self._lock:
            rows = packed_crops(model, [crop])
            inputs = model.data_preprocessor(default_collate(rows))['inputs']
            if of == 'landmarks':
                shares = cross_attention(model, inputs).weights[0].mean(0)
                return _spread(image_of(rows[0]), shares.cpu().numpy())
            heat, _ = grad_cam(model, _FUSED if of == 'fused' else None,
                               inputs)
        return Attention(image_of(rows[0]), heat[0], None)


def _spread(picture: np.ndarray, shares: np.ndarray) -> Attention:
    """Shares of places (h, w) as a map of the picture's size."""
    lowest, highest = float(shares.min()), float(shares.max())
    heat = (shares - lowest) / max(highest - lowest, 1e-12)
    heat = cv2.resize(heat.astype(np.float32), picture.shape[1::-1])
    return Attention(picture, heat, (lowest, highest))


def drawn_people() -> np.ndarray:
    """Three faces that the program draws, side by side.

    Returns:
        np.ndarray: (H, W, 3), BGR uint8.
    """
    from orsa.datasets import SyntheticFaces
    draw = [dict(type='orsa.DrawSyntheticFace')]
    faces = SyntheticFaces(
        7, split='test', size=320, grey_prob=0., pipeline=draw)
    return np.concatenate([faces[i]['img'] for i in (5, 6, 2)], axis=1)
