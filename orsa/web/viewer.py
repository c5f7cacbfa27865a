# Copyright (c) orsa contributors. All rights reserved.
"""What the page does with an image, without the page."""
import os.path as osp
import threading
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
from mmengine.dataset import default_collate

from orsa.analysis.attention import cross_attention, find_cross_attention
from orsa.analysis.cam import grad_cam
from orsa.analysis.inputs import image_of
from orsa.apis import FaceResult, FERInferencer, ImageResult
from orsa.apis.inference import packed_crops
from orsa.apis.predicting import write_image
from orsa.datasets import OccludeFace, SyntheticFaces
from orsa.faces.images import file_stem
from orsa.faces.result_files import write_results
from orsa.visualization import draw_faces

# more are drawn, but cannot be chosen
MOST_FACES = 24
VARIANTS = 12
_FUSED = 'neck.semantic_guidance'


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


class Attention(NamedTuple):
    """A map of what a prediction depends on.

    Attributes:
        image (np.ndarray): (H, W, 3), BGR uint8, the model's input.
        heat (np.ndarray): (H, W), in [0, 1].
        fractions (tuple[float, float], optional): The fractions of the
            attention that 0 and 1 are; None of Grad-CAM, which has no unit.
    """
    image: np.ndarray
    heat: np.ndarray
    fractions: Optional[Tuple[float, float]]


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
             name: Optional[str] = None) -> Found:
        """Find the faces in a file and predict their expressions.

        Args:
            path (str): The file.
            aligned (bool): Whether it is one face, cropped as the training
                data are. Defaults to False.
            name (str, optional): The visitor's name of it. Defaults to None,
                the file's own.

        Returns:
            Found: The faces, drawn.

        Raises:
            Refusal: If it cannot be read, or no face is found.
        """
        name = name or osp.basename(path)
        with self._lock:
            result = self.inferencer.load(name, path, aligned)
            self.inferencer.forward([result])
        if result.error and result.size and len(set(result.size)) > 1:
            raise Refusal(
                f'“{name}” is {result.size[0]} × {result.size[1]} pixels, and '
                'a cropped face is square. Untick the box below it.')
        if result.error:
            raise Refusal(f'“{name}” cannot be read: {result.error}.')
        if not result.faces:
            raise Refusal(
                f'No face was found in “{name}”. If it is one cropped face, '
                'tick the box below it.')
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
            kind (str): One of ``orsa.OccludeFace.KINDS``.
            severity (int): 0 (nothing) to 5.
            variant (int): Another number, another place or look.
                Defaults to 1.

        Returns:
            tuple[np.ndarray, float]: The face, (S, S, 3), BGR uint8, and the
            occluded fraction of what its landmarks enclose.

        Raises:
            ValueError: If there is no such kind or severity.
        """
        sample = dict(img=face.crop, name='page')
        points = face.crop_landmarks
        if points is not None and len(points) == 68:
            sample['gt_keypoints'] = points[None, :, :2]
        occluder = OccludeFace(int(severity), kind, seed=int(variant))
        sample = occluder.transform(sample)
        return sample['img'], float(sample['occlusion_ratio'])

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
    def maps(self) -> List[str]:
        """The attention maps that the first model has.

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

    def attention(self, crop: np.ndarray, kind: str = 'image') -> Attention:
        """Map what a prediction of the first model depends on.

        Args:
            crop (np.ndarray): (S, S, 3), BGR uint8, an aligned face.
            kind (str): One of :attr:`maps`. Defaults to 'image'.

        Returns:
            Attention: The map.

        Raises:
            ValueError: If the model has no such map.
        """
        if kind not in ('image', 'fused', 'landmarks'):
            raise ValueError(f"there is no map '{kind}'")
        model = self.inferencer.model
        with self._lock:
            rows = packed_crops(model, [crop])
            image = image_of(rows[0])
            inputs = model.data_preprocessor(default_collate(rows))['inputs']
            if kind != 'landmarks':
                heat, _ = grad_cam(model, _FUSED if kind == 'fused' else None,
                                   inputs)
                return Attention(image, heat[0], None)
            weights = cross_attention(model, inputs).weights[0].mean(0)
        weights = weights.cpu().numpy()
        lowest, highest = float(weights.min()), float(weights.max())
        heat = (weights - lowest) / max(highest - lowest, 1e-12)
        heat = cv2.resize(heat.astype(np.float32), image.shape[1::-1])
        return Attention(image, heat, (lowest, highest))


def synthetic_faces() -> np.ndarray:
    """Three synthetic faces, side by side.

    Returns:
        np.ndarray: (H, W, 3), BGR uint8.
    """
    draw = [dict(type='orsa.DrawSyntheticFace')]
    faces = SyntheticFaces(
        7, split='test', size=320, grey_prob=0., pipeline=draw)
    return np.concatenate([faces[i]['img'] for i in (5, 6, 2)], axis=1)
