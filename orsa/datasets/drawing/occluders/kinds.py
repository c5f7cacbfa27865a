# Copyright (c) orsa contributors. All rights reserved.
"""The kinds of occluders and the fractions that their severities occlude."""
from typing import Dict, Sequence, Tuple, Type

import numpy as np

from .base import Occluder
from .held import Block, Hand, Object
from .plain import Crop, Grid, Patches, Square
from .texture import Texture
from .worn import Hat, Mask, Scarf, Sunglasses

# Fractions of the face, the landmarks' hull, for severities 1 to 5. Those that
# have an area of their own choosing share one scale. What is worn sits where
# it is worn: its fractions go from the smallest to the largest that people
# wear.
COMMON_FRACTIONS = (.1, .2, .3, .4, .5)
_KINDS: Dict[str, Tuple[Type[Occluder], Tuple[float, ...]]] = dict(
    hand=(Hand, COMMON_FRACTIONS),
    block=(Block, COMMON_FRACTIONS),
    object=(Object, COMMON_FRACTIONS),
    square=(Square, COMMON_FRACTIONS),
    grid=(Grid, COMMON_FRACTIONS),
    patches=(Patches, COMMON_FRACTIONS),
    texture=(Texture, COMMON_FRACTIONS),
    crop=(Crop, COMMON_FRACTIONS),
    sunglasses=(Sunglasses, (.08, .14, .2, .26, .32)),
    mask=(Mask, (.35, .42, .49, .56, .63)),
    scarf=(Scarf, (.12, .24, .36, .48, .6)),
    hat=(Hat, (.02, .06, .11, .17, .24)),
)  # yapf: disable

KINDS = tuple(_KINDS)
FRACTIONS = {kind: fractions for kind, (_, fractions) in _KINDS.items()}
NUM_SEVERITIES = len(COMMON_FRACTIONS)


def build_occluder(kind: str,
                   size: int,
                   points: np.ndarray,
                   seed: int,
                   fill: Sequence[float] = (0, 0, 0)) -> Occluder:
    """Build an occluder of a kind for one face, see :class:`Occluder`."""
    return _KINDS[kind][0](size, points, seed, fill)


def paint_occluder(image: np.ndarray, points: np.ndarray, kind: str,
                   severity: int, seed: int,
                   fill: Sequence[float]) -> np.ndarray:
    """Lay an occluder of a kind and severity (1 to 5) over a face, in place.

    Returns its occlusion mask, (size, size) in [0, 255].
    """
    occluder = build_occluder(kind, len(image), points, seed, fill)
    amount = occluder.reach(FRACTIONS[kind][severity - 1])
    return occluder.paint(image, amount)
