# Copyright (c) orsa contributors. All rights reserved.
from .action_units import EXPRESSIONS, ActionUnits, sample_action_units
from .face import draw_face
from .identity import Identity, sample_identity
from .occluders import OCCLUDERS
from .pose import Pose

__all__ = [
    'EXPRESSIONS', 'OCCLUDERS', 'ActionUnits', 'Identity', 'Pose', 'draw_face',
    'sample_action_units', 'sample_identity'
]
