# Copyright (c) orsa contributors. All rights reserved.
"""Predictions of a model for aligned faces in memory."""
from functools import partial
from typing import Callable, List, Optional, Sequence

import numpy as np

from orsa.deploy.export_info import EMBEDDING, LANDMARKS
from orsa.deploy.exported import ExportedModel
from orsa.faces.align import check_image
from orsa.faces.predictions import FacePrediction, predictions_of


def predict_faces(model,
                  crops: Sequence[np.ndarray],
                  batch_size: int = 32,
                  return_embedding: bool = False) -> List[FacePrediction]:
    """Predict expression, parsing map and landmarks of aligned faces.

    They go through the test pipeline of the model's config and its data
    preprocessor, as in ``tools/test.py``.

    Args:
        model (nn.Module | ExportedModel): As :func:`orsa.apis.init_model` or
            :func:`orsa.deploy.exported.load_exported` returns it.
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
            or embeddings are asked of a model that was exported without them.
    """
    if isinstance(model, ExportedModel):
        if return_embedding and EMBEDDING not in model.outputs:
            raise ValueError(f"'{model.path}' gives no embeddings: export it "
                             '--with-priors')
        classes, compute = model.classes, model.face_outputs
    else:
        from orsa.utils.classes import model_classes
        from .torch_inference import face_outputs  # imports torch
        classes = model_classes(model)
        compute = partial(
            face_outputs, model, return_embedding=return_embedding)
    for i, crop in enumerate(crops):
        check_image(crop, f'crops[{i}]')
    if batch_size < 1:
        raise ValueError(f'batch_size should be positive, got {batch_size}')
    predictions: List[FacePrediction] = []
    for i in range(0, len(crops), batch_size):
        batch = crops[i:i + batch_size]
        outputs = compute(batch)
        if not return_embedding:
            outputs = outputs._replace(embedding=None)
        predictions += predictions_of(outputs, batch, classes)
    return predictions


def landmark_locator(model) -> Optional[Callable[[np.ndarray], np.ndarray]]:
    """Make of a model the ``locate`` of :func:`orsa.apis.align_face`.

    Args:
        model (nn.Module | ExportedModel): As for :func:`predict_faces`.

    Returns:
        Callable, optional: Takes a crop (H, W, 3), BGR uint8, and returns
        (K, 3): x and y as fractions of the crop's sides, 0 being the left or
        upper edge, and a confidence. None if the model predicts no landmarks.
    """
    locate = batch_locator(model)
    return None if locate is None else lambda crop: locate([crop])[0]


def batch_locator(
    model,
    batch_size: int = 32
) -> Optional[Callable[[Sequence[np.ndarray]], np.ndarray]]:
    """Make of a model the ``locate`` of :func:`orsa.apis.align_faces`.

    Args:
        model (nn.Module | ExportedModel): As for :func:`predict_faces`.
        batch_size (int): Crops at a time. Defaults to 32.

    Returns:
        Callable, optional: As of :func:`landmark_locator`, for a list of
        crops: it returns (N, K, 3).
    """
    if isinstance(model, ExportedModel):
        locate_some = model.locate if LANDMARKS in model.outputs else None
    else:
        from .torch_inference import locator
        locate_some = locator(model)
    if locate_some is None:
        return None

    def locate(crops: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate([
            locate_some(crops[i:i + batch_size])
            for i in range(0, len(crops), batch_size)
        ])

    return locate
