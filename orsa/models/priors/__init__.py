# Copyright (c) orsa contributors. All rights reserved.
from .frozen_prior import FrozenPrior, build_foreign, skip_pretrained
from .landmark_prior import (LandmarkPrior, keypoints_from_heatmaps,
                             keypoints_from_simcc)
from .parsing_prior import ParsingPrior

__all__ = [
    'FrozenPrior', 'LandmarkPrior', 'ParsingPrior', 'build_foreign',
    'keypoints_from_heatmaps', 'keypoints_from_simcc', 'skip_pretrained'
]
