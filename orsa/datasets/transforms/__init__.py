# Copyright (c) orsa contributors. All rights reserved.
from .as_pose_sample import AsPoseSample
from .as_seg_sample import AsSegSample
from .draw_synthetic_face import DrawSyntheticFace
from .encode_label_sets import EncodeLabelSets
from .keep_image import KeepImage
from .load_cached_priors import LoadCachedPriors
from .load_face import LoadFace
from .occlude_face import OccludeFace
from .parse_landmarks import ParseLandmarks
from .paste_occluder import PasteOccluder
from .random_face_affine import RandomFaceAffine
from .random_occluder import RandomOccluder

__all__ = [
    'AsPoseSample', 'AsSegSample', 'DrawSyntheticFace', 'EncodeLabelSets',
    'KeepImage', 'LoadCachedPriors', 'LoadFace', 'OccludeFace',
    'ParseLandmarks', 'PasteOccluder', 'RandomFaceAffine', 'RandomOccluder'
]
