# Copyright (c) orsa contributors. All rights reserved.
from .fold_priors import FoldPriors
from .frozen_prior import FrozenPrior
from .landmark_prior import (LandmarkPrior, keypoints_from_heatmaps,
                             locate_from_edge)
from .landmark_pyramid import LandmarkPyramid
from .parsing_prior import ParsingPrior
from .wrapped_model import build_wrapped, skip_pretrained

__all__ = [
    'FoldPriors', 'FrozenPrior', 'LandmarkPrior', 'LandmarkPyramid',
    'ParsingPrior', 'build_wrapped', 'keypoints_from_heatmaps',
    'locate_from_edge', 'skip_pretrained'
]
