# Copyright (c) orsa contributors. All rights reserved.
from .cross_interaction import MultiScaleCrossInteraction
from .orsanet_neck import ORSANetNeck
from .prior_encoders import KeypointEncoder, MapEncoder
from .semantic_guidance import SemanticGuidance

__all__ = [
    'KeypointEncoder', 'MapEncoder', 'MultiScaleCrossInteraction',
    'ORSANetNeck', 'SemanticGuidance'
]
