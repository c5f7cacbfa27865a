# Copyright (c) orsa contributors. All rights reserved.
from .concat_fusion import ConcatFusion
from .cross_interaction import MultiScaleCrossInteraction
from .orsanet_neck import ORSANetNeck
from .prior_encoders import KeypointEncoder, MapEncoder
from .semantic_guidance import SemanticGuidance

__all__ = [
    'ConcatFusion', 'KeypointEncoder', 'MapEncoder',
    'MultiScaleCrossInteraction', 'ORSANetNeck', 'SemanticGuidance'
]
