# Copyright (c) orsa contributors. All rights reserved.
from .face_landmarks import Face300WDataset, FaceLandmarkDataset
from .face_parsing import FaceParsingDataset, LaPaDataset
from .fer_dataset import FERDataset
from .rafdb import RAFDB
from .samplers import *  # noqa: F401,F403
from .synthetic_faces import SyntheticFaces
from .transforms import *  # noqa: F401,F403

__all__ = [
    'FERDataset', 'Face300WDataset', 'FaceLandmarkDataset',
    'FaceParsingDataset', 'LaPaDataset', 'RAFDB', 'SyntheticFaces'
]
