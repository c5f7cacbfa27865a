# Copyright (c) orsa contributors. All rights reserved.
"""Glasses, and the things that hide parts of a face.

``painted`` is what drawn faces wear, painted on the frontal sheet. All else is
laid over finished pictures, a family of kinds in a file: ``held`` in front of
the face, ``worn`` on it, ``plain`` colour, ``texture``; ``kinds`` lists them.
"""
from .base import Occluder
from .held import HELD, held_cover, paint_held, place_held, usual_amount
from .kinds import COMMON_SHARES, KINDS, SHARES, build_occluder
from .measure import covered_share, landmark_hull, reach_share
from .painted import OCCLUDERS, WORN, paint_glasses, paint_worn, pick_occluder

__all__ = [
    'COMMON_SHARES', 'HELD', 'KINDS', 'OCCLUDERS', 'Occluder', 'SHARES',
    'WORN', 'build_occluder', 'covered_share', 'held_cover', 'landmark_hull',
    'paint_glasses', 'paint_held', 'paint_worn', 'pick_occluder', 'place_held',
    'reach_share', 'usual_amount'
]
