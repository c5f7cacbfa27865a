# Copyright (c) orsa contributors. All rights reserved.
"""Glasses, and the things that occlude parts of a face.

``painted`` is what synthetic faces wear, painted on the frontal canvas. All
else is laid over finished images, a family of kinds in a file: ``held`` in
front of the face, ``worn`` on it, ``plain`` colour, ``texture``; ``kinds``
lists them.
"""
from .base import Occluder, landmark_hull, occluded_fraction, reach_fraction
from .held import HELD, paint_held
from .kinds import (COMMON_FRACTIONS, FRACTIONS, KINDS, NUM_SEVERITIES,
                    build_occluder, paint_occluder)
from .painted import OCCLUDERS, WORN, paint_glasses
