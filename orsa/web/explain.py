# Copyright (c) orsa contributors. All rights reserved.
"""What a prediction depends on, and how it changes under occlusion.

For models in PyTorch; the page goes without where it is not installed.
"""
from typing import List, NamedTuple, Optional, Tuple

import cv2
import numpy as np
import torch.nn as nn
from mmengine.dataset import default_collate

from orsa.analysis.attention import cross_attention, find_cross_attention
from orsa.analysis.cam import grad_cam
from orsa.analysis.inputs import image_of
from orsa.apis import FaceResult
from orsa.apis.torch_inference import packed_crops
from orsa.datasets import OccludeFace

KINDS = tuple(OccludeFace.KINDS)
_FUSED = 'neck.semantic_guidance'


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


def maps_of(model: nn.Module) -> List[str]:
    """The maps that a model has, see :attr:`orsa.web.Viewer.maps`."""
    found = ['image']
    if _FUSED in dict(model.named_modules()):
        found.append('fused')
    try:
        find_cross_attention(model)
    except ValueError:
        return found
    return [*found, 'landmarks']


def attention(model: nn.Module, crop: np.ndarray, kind: str) -> Attention:
    """The map ``kind`` of a face, see :meth:`orsa.web.Viewer.attention`."""
    if kind not in ('image', 'fused', 'landmarks'):
        raise ValueError(f"there is no map '{kind}'")
    rows = packed_crops(model, [crop])
    image = image_of(rows[0])
    inputs = model.data_preprocessor(default_collate(rows))['inputs']
    if kind != 'landmarks':
        heat, _ = grad_cam(model, _FUSED if kind == 'fused' else None, inputs)
        return Attention(image, heat[0], None)
    weights = cross_attention(model, inputs).weights[0].mean(0).cpu().numpy()
    lowest, highest = float(weights.min()), float(weights.max())
    heat = (weights - lowest) / max(highest - lowest, 1e-12)
    heat = cv2.resize(heat.astype(np.float32), image.shape[1::-1])
    return Attention(image, heat, (lowest, highest))


def occlude(face: FaceResult, kind: str, severity: int,
            variant: int) -> Tuple[np.ndarray, float]:
    """Occlude a face, see :meth:`orsa.web.Viewer.occlude`."""
    sample = dict(img=face.crop, name='page')
    points = face.crop_landmarks
    if points is not None and len(points) == 68:
        sample['gt_keypoints'] = points[None, :, :2]
    occluder = OccludeFace(int(severity), kind, seed=int(variant))
    sample = occluder.transform(sample)
    return sample['img'], float(sample['occlusion_ratio'])
