# Copyright (c) orsa contributors. All rights reserved.
from .concat_fusion import ConcatFusion
from .cross_interaction import MultiScaleCrossInteraction
from .orsanet_neck import ORSANetNeck
from .poster_neck import PosterNeck
from .posterv2_neck import PosterV2Neck
from .prior_encoders import KeypointEncoder, MapEncoder
from .semantic_guidance import SemanticGuidance

__all__ = [
    'ConcatFusion', 'KeypointEncoder', 'MapEncoder',
    'MultiScaleCrossInteraction', 'ORSANetNeck', 'PosterNeck', 'PosterV2Neck',
    'SemanticGuidance'
]
