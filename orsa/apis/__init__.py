# Copyright (c) orsa contributors. All rights reserved.
from importlib import import_module
from typing import TYPE_CHECKING

from orsa.evaluation.calibration import (Calibration, fit_temperature,
                                         load_calibration)
from orsa.faces.align import align_face, align_faces, crop_face
from orsa.faces.cascade import find_faces
from orsa.faces.detections import Detections
from orsa.faces.detectors import build_detector
from orsa.faces.predictions import FacePrediction
from orsa.faces.results import FaceResult, ImageResult
from orsa.faces.tracking import FaceTracker
from .hub import get_model, inference_model, list_models
from .inference import landmark_locator, predict_faces
from .inferencer import FERInferencer
from .video import annotate_video
from .zoo import available_models

if TYPE_CHECKING:  # and for the documentation
    from .model import build_model, init_model, load_config

# imported when they are used: they need PyTorch
_OF_PYTORCH = ('build_model', 'init_model', 'load_config')
# of mmpretrain, and what to type
_ABSENT = dict(
    ImageClassificationInferencer='type FERInferencer',
    FeatureExtractor='type FERInferencer()(IMAGE, return_embedding=True), '
    'whose faces have an embedding')

__all__ = [
    'Calibration', 'Detections', 'FERInferencer', 'FacePrediction',
    'FaceResult', 'FaceTracker', 'ImageResult', 'align_face', 'align_faces',
    'annotate_video', 'available_models', 'build_detector', 'build_model',
    'crop_face', 'find_faces', 'fit_temperature', 'get_model',
    'inference_model', 'init_model', 'landmark_locator', 'list_models',
    'load_calibration', 'load_config', 'predict_faces'
]


def __getattr__(name: str):
    if name in _OF_PYTORCH:
        return getattr(import_module(f'{__name__}.model'), name)
    if name in _ABSENT:
        # the text of an AttributeError is lost in `from orsa.apis import NAME`
        raise ImportError(f'orsa has no {name}: {_ABSENT[name]}')
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
