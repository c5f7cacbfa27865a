# Copyright (c) orsa contributors. All rights reserved.
from .fold_priors import FoldPriors
from .frozen_prior import FrozenPrior, build_foreign, skip_pretrained
from .landmark_prior import (LandmarkPrior, keypoints_from_heatmaps,
                             keypoints_from_simcc)
from .landmark_pyramid import LandmarkPyramid
from .parsing_prior import ParsingPrior

__all__ = [
    'FoldPriors', 'FrozenPrior', 'LandmarkPrior', 'LandmarkPyramid',
    'ParsingPrior', 'build_foreign', 'keypoints_from_heatmaps',
    'keypoints_from_simcc', 'skip_pretrained'
]
