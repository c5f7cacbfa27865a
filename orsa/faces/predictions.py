# Copyright (c) orsa contributors. All rights reserved.
"""What a model computes of faces, and what follows for each of them."""
from typing import Dict, List, NamedTuple, Optional, Sequence

import cv2
import numpy as np

from .visibility import occluded_fractions, visible_parts


class FaceOutputs(NamedTuple):
    """The outputs of a model for a batch of faces.

    Attributes:
        scores (np.ndarray): (B, C), in [0, 1], together 1.
        parsing (np.ndarray, optional): (B, K, h, w), the probabilities of the
            parser's classes. None if the model has no parser, or its encoder
            alone.
        landmarks (np.ndarray, optional): (B, K, 3), x and y as fractions of
            the crop's sides, 0 being the left or upper edge, and a confidence
            in [0, 1]. None if the model has no estimator, or its encoder
            alone.
        embedding (np.ndarray, optional): (B, E), the features before the
            classifier, where they were asked for.
        gives_visibility (bool): Whether that confidence is the visibility of
            a landmark.
    """
    scores: np.ndarray
    parsing: Optional[np.ndarray] = None
    landmarks: Optional[np.ndarray] = None
    embedding: Optional[np.ndarray] = None
    gives_visibility: bool = False


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


def predictions_of(outputs: FaceOutputs, crops: Sequence[np.ndarray],
                   classes: Sequence[str]) -> List[FacePrediction]:
    """The predictions for each face of a batch.

    Args:
        outputs (FaceOutputs): What the model has computed.
        crops (Sequence[np.ndarray]): Aligned faces (H, W, 3), BGR uint8.
        classes (Sequence[str]): The expressions, in the model's order.

    Returns:
        list[FacePrediction]: One for each crop.
    """
    found = []
    occluded = occluded_fractions(outputs.parsing, outputs.landmarks,
                                  len(crops))
    masks = parsing_masks(outputs.parsing, crops)
    for i, crop in enumerate(crops):
        scores = dict(zip(classes, outputs.scores[i].tolist(), strict=True))
        points = visible = vector = None
        if outputs.landmarks is not None:
            points = outputs.landmarks[i].copy()
            points[:, :2] = points[:, :2] * crop.shape[1::-1] - .5
            if outputs.gives_visibility:
                visible = visible_parts(points)
        if outputs.embedding is not None:
            vector = outputs.embedding[i]
        found.append(
            FacePrediction(
                max(scores, key=scores.get), scores, masks[i], points,
                occluded[i], vector, visible))
    return found


def parsing_masks(probs: Optional[np.ndarray],
                  crops: Sequence[np.ndarray]) -> List[Optional[np.ndarray]]:
    """The class of each pixel of crops (H, W) uint8, of ``parsing``."""
    if probs is None:
        return [None] * len(crops)
    # interpolated before argmax, so that edges are smooth
    return [
        np.stack([
            cv2.resize(one, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            for one in maps
        ]).argmax(0).astype(np.uint8) for maps, crop in zip(probs, crops)
    ]
