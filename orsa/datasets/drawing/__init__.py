# Copyright (c) orsa contributors. All rights reserved.
"""Synthetic faces and what occludes them.

What the painters share: ``canvas`` holds the frontal face, ``points`` are its
68 landmarks, (68, 2) in units (see ``canvas``), ``units`` the intensities of
its action units, ``who`` is the person and ``rng`` the source of the
variation. Shapes are (N, 2) in units, colours BGR in [0, 255].
"""
from .action_units import EXPRESSIONS, ActionUnits, sample_action_units
from .face import draw_face
from .identity import Identity, sample_identity
from .occluders import OCCLUDERS
from .pose import Pose
