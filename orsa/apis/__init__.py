# Copyright (c) orsa contributors. All rights reserved.
from .faces import align_face, crop_face, find_faces
from .inference import FacePrediction, landmark_locator, predict_faces
from .model import build_model, init_model, load_config
from .zoo import available_models

__all__ = [
    'FacePrediction', 'align_face', 'available_models', 'build_model',
    'crop_face', 'find_faces', 'init_model', 'landmark_locator', 'load_config',
    'predict_faces'
]
