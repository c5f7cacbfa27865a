# Copyright (c) orsa contributors. All rights reserved.
"""What a model says of aligned faces that are pictures in memory."""
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.dataset import Compose, default_collate

from orsa.faces.align import check_image
from orsa.faces.visibility import covered_shares
from orsa.utils.configs import scope_of, type_name

# Transforms that bring the picture, which is there already.
_LOADERS = ('LoadImageFromFile', 'LoadFace', 'DrawSyntheticFace',
            'LoadCachedPriors')


class FacePrediction(NamedTuple):
    """What a model says of one face.

    Attributes:
        expression (str): The one with the highest score.
        scores (dict[str, float]): Of every expression, in [0, 1], together 1.
        parsing (np.ndarray, optional): The class of every pixel of the crop,
            (H, W) uint8, LaPa's where the parser is ours
            (:data:`orsa.utils.face_regions.LAPA_CLASSES`). None if the model
            has no parser, or its encoder alone.
        landmarks (np.ndarray, optional): (K, 3) float32: x and y in pixels of
            the crop (the centre of the first is 0), and a confidence in
            [0, 1]. None if the model has no estimator, or its encoder alone.
        covered (float, optional): The share of the face, of what the
            landmarks enclose, that the parser does not take for face, in
            [0, 1], as :func:`orsa.faces.visibility.covered_shares` measures
            it. None without parser or 68 landmarks.
    """
    expression: str
    scores: Dict[str, float]
    parsing: Optional[np.ndarray]
    landmarks: Optional[np.ndarray]
    covered: Optional[float] = None


def predict_faces(model: nn.Module,
                  crops: Sequence[np.ndarray],
                  batch_size: int = 32) -> List[FacePrediction]:
    """Ask a model for expression, parsing map and landmarks of faces.

    They go through the test pipeline of the model's config and its data
    preprocessor, as in ``tools/test.py``.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` gives it.
        crops (Sequence[np.ndarray]): Aligned faces (H, W, 3), BGR uint8, of
            any sizes (see :func:`orsa.apis.align_face`).
        batch_size (int): Faces at a time. Defaults to 32.

    Returns:
        list[FacePrediction]: One for each crop.

    Raises:
        TypeError: If a crop is no such array.
        ValueError: If the model has no names for its classes or no config
            with a test pipeline, as one that was not made by ``init_model``.
    """
    for i, crop in enumerate(crops):
        check_image(crop, f'crops[{i}]')
    if batch_size < 1:
        raise ValueError(f'batch_size should be positive, got {batch_size}')
    classes = model_classes(model)
    predictions = []
    for start in range(0, len(crops), batch_size):
        batch = crops[start:start + batch_size]
        data = prepare(model, batch)
        with torch.no_grad():
            samples = model(**data, mode='predict')
        probs = _parse(model, data['inputs'])
        points = _locate(model, data['inputs'])
        seen = zip(samples, _masks(probs, batch), _in_pixels(points, batch),
                   covered_shares(probs, points, len(batch)))
        for sample, mask, landmarks, covered in seen:
            scores = sample.pred_score.tolist()
            named = dict(zip(classes, scores, strict=True))
            predictions.append(
                FacePrediction(
                    max(named, key=named.get), named, mask, landmarks,
                    covered))
    return predictions


def landmark_locator(
        model: nn.Module) -> Optional[Callable[[np.ndarray], np.ndarray]]:
    """Make of a model what :func:`orsa.apis.align_face` asks for landmarks.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` gives it.

    Returns:
        Callable, optional: Takes a crop (H, W, 3), BGR uint8, and gives
        (K, 3): x and y as shares of the crop's sides, 0 being the left or
        upper edge, and a confidence. None if the model does not know
        landmarks.
    """
    locate = batch_locator(model)
    return None if locate is None else lambda crop: locate([crop])[0]


def batch_locator(
    model: nn.Module,
    batch_size: int = 32
) -> Optional[Callable[[Sequence[np.ndarray]], np.ndarray]]:
    """Make of a model what :func:`orsa.apis.align_faces` asks for landmarks.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` gives it.
        batch_size (int): Crops at a time. Defaults to 32.

    Returns:
        Callable, optional: As of :func:`landmark_locator`, for a list of
        crops: it gives (N, K, 3). None if the model does not know landmarks.
    """
    if _landmark_prior(model) is None:
        return None

    def locate(crops: Sequence[np.ndarray]) -> np.ndarray:
        found = [
            _locate(model,
                    prepare(model, crops[i:i + batch_size])['inputs'])
            for i in range(0, len(crops), batch_size)
        ]
        return np.concatenate(found)

    return locate


def model_classes(model: nn.Module) -> Sequence[str]:
    """The names of a model's classes.

    Raises:
        ValueError: If it has none.
    """
    classes = (getattr(model, 'dataset_meta', None) or {}).get('classes')
    if not classes:
        raise ValueError('the model has no names for its classes, expected '
                         "model.dataset_meta['classes']: init_model gives "
                         'them, if the checkpoint or the config knows them')
    return classes


def test_pipeline(cfg: dict) -> Compose:
    """The transforms that a picture in memory goes through in a test.

    Args:
        cfg (dict): The experiment, of which ``test_dataloader`` is asked.

    Returns:
        Compose: Without those that bring the picture.

    Raises:
        ValueError: If the config has none.
    """
    loader = (cfg or {}).get('test_dataloader') or {}
    pipeline = (loader.get('dataset') or {}).get('pipeline')
    if pipeline is None:
        raise ValueError('predict_faces needs the test pipeline, expected '
                         'model.cfg.test_dataloader.dataset.pipeline: '
                         'init_model keeps the config that it was given')
    pipeline = [t for t in pipeline if type_name(t) not in _LOADERS]
    with scope_of(cfg):
        return Compose(pipeline)


def packed_crops(model: nn.Module, crops: Sequence[np.ndarray]) -> List[dict]:
    """Crops, (H, W, 3) BGR uint8 each, as a test packs them."""
    pipeline = test_pipeline(getattr(model, 'cfg', None))
    rows = []
    for crop in crops:
        shape = crop.shape[:2]
        rows.append(pipeline(dict(img=crop, img_shape=shape, ori_shape=shape)))
    return rows


def prepare(model: nn.Module, crops: Sequence[np.ndarray]) -> dict:
    """The batch as the model gets it in a test."""
    rows = packed_crops(model, crops)
    return model.data_preprocessor(default_collate(rows), False)


def _parse(model: nn.Module, inputs: torch.Tensor) -> Optional[torch.Tensor]:
    """Probabilities (B, K, h, w) of the classes of a parser."""
    prior = getattr(model.backbone, 'parsing_prior', None)
    if not getattr(prior, 'can_parse', False):
        return None
    return prior.parse(inputs).float().cpu()


def _masks(probs: Optional[torch.Tensor],
           crops: Sequence[np.ndarray]) -> List[Optional[np.ndarray]]:
    if probs is None:
        return [None] * len(crops)
    # interpolated before it is decided, so that edges are no stairs
    return [
        F.interpolate(
            one[None], crop.shape[:2], mode='bilinear',
            align_corners=False)[0].argmax(0).byte().numpy()
        for one, crop in zip(probs, crops)
    ]


def _landmark_prior(model: nn.Module) -> Optional[nn.Module]:
    prior = getattr(model.backbone, 'landmark_prior', None)
    return prior if getattr(prior, 'can_locate', False) else None


def locate_from_edge(prior: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """Landmarks (B, K, 3) of a prior, counted from the edge of the crop.

    The prior counts from the centre of the first pixel of its own input.
    """
    points = prior.locate(inputs)
    height, width = prior.input_size or inputs.shape[2:]
    return points + points.new_tensor([0.5 / width, 0.5 / height, 0.])


def _locate(model: nn.Module, inputs: torch.Tensor) -> Optional[np.ndarray]:
    prior = _landmark_prior(model)
    if prior is None:
        return None
    return locate_from_edge(prior, inputs).float().cpu().numpy()


def _in_pixels(points: Optional[np.ndarray],
               crops: Sequence[np.ndarray]) -> List[Optional[np.ndarray]]:
    if points is None:
        return [None] * len(crops)
    found = points.copy()
    for one, crop in zip(found, crops):
        height, width = crop.shape[:2]
        one[:, :2] = one[:, :2] * (width, height) - .5
    return list(found)
