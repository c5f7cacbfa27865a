# Copyright (c) orsa contributors. All rights reserved.
"""Predictions of a model for aligned faces in memory."""
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.dataset import Compose, default_collate

from orsa.faces.align import check_image, locate_from_edge
from orsa.faces.visibility import occluded_fractions, visible_parts
from orsa.utils.classes import model_classes
from orsa.utils.configs import scope_of, type_name

# Transforms that read the image, which is in memory already.
_LOADERS = ('LoadImageFromFile', 'LoadFace', 'DrawSyntheticFace',
            'LoadCachedPriors')


class FacePrediction(NamedTuple):
    """The predictions of a model for one face.

    Attributes:
        expression (str): The one with the highest score.
        scores (dict[str, float]): Of every expression, in [0, 1], together 1.
        parsing (np.ndarray, optional): The class of every pixel of the crop,
            (H, W) uint8, LaPa's where the parser is ours
            (:data:`orsa.utils.face_regions.FACE_CLASSES`). None if the model
            has no parser, or its encoder alone.
        landmarks (np.ndarray, optional): (K, 3) float32: x and y in pixels of
            the crop (the centre of the first is 0), and a confidence in
            [0, 1]. None if the model has no estimator, or its encoder alone.
        covered (float, optional): The occluded fraction of the face, in
            [0, 1], as :func:`orsa.faces.visibility.occluded_fractions`
            measures it. None without parser or 68 landmarks.
        embedding (np.ndarray, optional): (E, ) float32, the feature before
            the classifier, where it was asked for.
        visible (dict[str, float], optional): How visible brows, eyes, nose
            and mouth are, in [0, 1], see
            :func:`orsa.faces.visibility.visible_parts`. None if the landmark
            model does not say.
    """
    expression: str
    scores: Dict[str, float]
    parsing: Optional[np.ndarray]
    landmarks: Optional[np.ndarray]
    covered: Optional[float] = None
    embedding: Optional[np.ndarray] = None
    visible: Optional[Dict[str, float]] = None


def predict_faces(model: nn.Module,
                  crops: Sequence[np.ndarray],
                  batch_size: int = 32,
                  return_embedding: bool = False) -> List[FacePrediction]:
    """Predict expression, parsing map and landmarks of aligned faces.

    They go through the test pipeline of the model's config and its data
    preprocessor, as in ``tools/test.py``.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` returns it.
        crops (Sequence[np.ndarray]): Aligned faces (H, W, 3), BGR uint8, of
            any sizes (see :func:`orsa.apis.align_face`).
        batch_size (int): Faces at a time. Defaults to 32.
        return_embedding (bool): Whether to return embeddings too. Defaults to
            False.

    Returns:
        list[FacePrediction]: One for each crop.

    Raises:
        TypeError: If a crop is no such array.
        ValueError: If the model has no names for its classes or no config
            with a test pipeline, as one that was not made by ``init_model``,
            or embeddings are asked of an exported model.
    """
    if return_embedding and not hasattr(model, 'extract_feat'):
        raise ValueError('an exported model gives no embeddings: take the '
                         'model that it was exported from')
    for i, crop in enumerate(crops):
        check_image(crop, f'crops[{i}]')
    if batch_size < 1:
        raise ValueError(f'batch_size should be positive, got {batch_size}')
    classes = model_classes(model)
    predictions = []
    for start in range(0, len(crops), batch_size):
        batch = crops[start:start + batch_size]
        data = prepare(model, batch)
        vectors = [None] * len(batch)
        with torch.no_grad():
            if return_embedding:
                feats = model.extract_feat(data['inputs'])
                vectors = model.head.pre_logits(feats).float().cpu().numpy()
                samples = model.head.predict(feats, data['data_samples'])
            else:
                samples = model(**data, mode='predict')
        probs = _parse(model, data['inputs'])
        points = _locate(model, data['inputs'])
        occluded = occluded_fractions(probs, points, len(batch))
        visible = [None] * len(batch)
        if getattr(_landmark_prior(model), 'gives_visibility', False):
            visible = [visible_parts(p) for p in points]
        for i, (sample, crop) in enumerate(zip(samples, batch)):
            scores = dict(zip(classes, sample.pred_score.tolist(),
                              strict=True))  # yapf: disable
            predictions.append(
                FacePrediction(
                    max(scores, key=scores.get), scores,
                    None if probs is None else _mask(probs[i], crop),
                    None if points is None else _in_pixels(points[i], crop),
                    occluded[i], vectors[i], visible[i]))
    return predictions


def measure_occlusion(
        model: nn.Module,
        crops: Sequence[np.ndarray],
        batch_size: int = 32) -> Tuple[List[Optional[float]], List]:
    """Measure how much of aligned faces is occluded, by the priors alone.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` returns it.
        crops (Sequence[np.ndarray]): Aligned faces (H, W, 3), BGR uint8.
        batch_size (int): Faces at a time. Defaults to 32.

    Returns:
        tuple[list, list]: Of each face ``covered`` and ``parsing`` of
        :class:`FacePrediction`.
    """
    covered, masks = [], []
    for start in range(0, len(crops), batch_size):
        batch = crops[start:start + batch_size]
        inputs = prepare(model, batch)['inputs']
        probs = _parse(model, inputs)
        covered += occluded_fractions(probs, _locate(model, inputs),
                                      len(batch))
        masks += [None] * len(batch) if probs is None else list(
            map(_mask, probs, batch))
    return covered, masks


def _parse(model: nn.Module, inputs: torch.Tensor) -> Optional[torch.Tensor]:
    """Probabilities (B, K, h, w) of the classes of a parser."""
    prior = getattr(model.backbone, 'parsing_prior', None)
    if not getattr(prior, 'can_parse', False):
        return None
    return prior.parse(inputs).float().cpu()


def _mask(probs: torch.Tensor, crop: np.ndarray) -> np.ndarray:
    # interpolated before argmax, so that edges are smooth
    return F.interpolate(
        probs[None], crop.shape[:2], mode='bilinear',
        align_corners=False)[0].argmax(0).byte().numpy()


def _landmark_prior(model: nn.Module) -> Optional[nn.Module]:
    prior = getattr(model.backbone, 'landmark_prior', None)
    return prior if getattr(prior, 'can_locate', False) else None


def _locate(model: nn.Module, inputs: torch.Tensor) -> Optional[np.ndarray]:
    prior = _landmark_prior(model)
    if prior is None:
        return None
    return locate_from_edge(prior, inputs).float().cpu().numpy()


def _in_pixels(points: np.ndarray, crop: np.ndarray) -> np.ndarray:
    found = points.copy()
    found[:, :2] = found[:, :2] * crop.shape[1::-1] - .5
    return found


def landmark_locator(
        model: nn.Module) -> Optional[Callable[[np.ndarray], np.ndarray]]:
    """Make of a model the ``locate`` of :func:`orsa.apis.align_face`.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` returns it.

    Returns:
        Callable, optional: Takes a crop (H, W, 3), BGR uint8, and returns
        (K, 3): x and y as fractions of the crop's sides, 0 being the left or
        upper edge, and a confidence. None if the model predicts no landmarks.
    """
    locate = batch_locator(model)
    return None if locate is None else lambda crop: locate([crop])[0]


def batch_locator(
    model: nn.Module,
    batch_size: int = 32
) -> Optional[Callable[[Sequence[np.ndarray]], np.ndarray]]:
    """Make of a model the ``locate`` of :func:`orsa.apis.align_faces`.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` returns it.
        batch_size (int): Crops at a time. Defaults to 32.

    Returns:
        Callable, optional: As of :func:`landmark_locator`, for a list of
        crops: it returns (N, K, 3).
    """
    if _landmark_prior(model) is None:
        return None

    def locate(crops: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate([
            _locate(model,
                    prepare(model, crops[i:i + batch_size])['inputs'])
            for i in range(0, len(crops), batch_size)
        ])

    return locate


def test_pipeline(cfg: dict) -> Compose:
    """The transforms that an image in memory goes through in a test.

    Args:
        cfg (dict): The experiment, with ``test_dataloader``.

    Returns:
        Compose: Without those that read the image.

    Raises:
        ValueError: If the config has none.
    """
    loader = (cfg or {}).get('test_dataloader') or {}
    pipeline = (loader.get('dataset') or {}).get('pipeline')
    if pipeline is None:
        raise ValueError('predict_faces needs the test pipeline, expected '
                         'model.cfg.test_dataloader.dataset.pipeline, as '
                         'init_model sets it')
    with scope_of(cfg):
        return Compose([t for t in pipeline if type_name(t) not in _LOADERS])


def packed_crops(model: nn.Module, crops: Sequence[np.ndarray]) -> List[dict]:
    """Pack crops as in a test.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` returns it.
        crops (Sequence[np.ndarray]): (H, W, 3), BGR uint8 each.

    Returns:
        list[dict]: ``inputs`` (3, H, W) and ``data_samples`` of each.
    """
    pipeline = test_pipeline(getattr(model, 'cfg', None))
    return [
        pipeline(
            dict(img=crop, img_shape=crop.shape[:2], ori_shape=crop.shape[:2]))
        for crop in crops
    ]


def prepare(model: nn.Module, crops: Sequence[np.ndarray]) -> dict:
    """The batch as the model gets it in a test.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` returns it.
        crops (Sequence[np.ndarray]): (H, W, 3), BGR uint8 each.

    Returns:
        dict: ``inputs`` (B, 3, H, W), normalised, and ``data_samples``.
    """
    rows = packed_crops(model, crops)
    return model.data_preprocessor(default_collate(rows), False)
