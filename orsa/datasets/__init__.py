# Copyright (c) orsa contributors. All rights reserved.
from .affectnet import AffectNet
from .face_landmarks import Face300WDataset, FaceLandmarkDataset
from .face_parsing import FaceParsingDataset, LaPaDataset, MaskFolderDataset
from .fer_dataset import FERDataset
from .ferplus import FERPlus
from .image_folder import ImageFolder
from .occlufer import OccluFER
from .rafdb import RAFDB
from .samplers import *  # noqa: F401,F403
from .synthetic_faces import SyntheticFaces
from .transforms import *  # noqa: F401,F403

__all__ = [
    'AffectNet', 'FERDataset', 'FERPlus', 'Face300WDataset',
    'FaceLandmarkDataset', 'FaceParsingDataset', 'ImageFolder', 'LaPaDataset',
    'MaskFolderDataset', 'OccluFER', 'RAFDB', 'SyntheticFaces'
]
