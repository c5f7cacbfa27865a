# Copyright (c) orsa contributors. All rights reserved.
"""The kinds of occluders and the shares that their severities hide."""
from typing import Dict, Sequence, Tuple, Type

import numpy as np

from .base import Occluder
from .held import Block, Hand, Object
from .plain import Crop, Grid, Patches, Square
from .texture import Texture
from .worn import Hat, Mask, Scarf, Sunglasses

# Shares of the face, the landmarks' hull, for severities 1 to 5. Those that
# have an area of their own choosing share one scale. What is worn sits where
# it is worn: its shares go from the smallest to the largest that people wear.
COMMON_SHARES = (.1, .2, .3, .4, .5)
_KINDS: Dict[str, Tuple[Type[Occluder], Tuple[float, ...]]] = dict(
    hand=(Hand, COMMON_SHARES),
    block=(Block, COMMON_SHARES),
    object=(Object, COMMON_SHARES),
    square=(Square, COMMON_SHARES),
    grid=(Grid, COMMON_SHARES),
    patches=(Patches, COMMON_SHARES),
    texture=(Texture, COMMON_SHARES),
    crop=(Crop, COMMON_SHARES),
    sunglasses=(Sunglasses, (.08, .14, .2, .26, .32)),
    mask=(Mask, (.35, .42, .49, .56, .63)),
    scarf=(Scarf, (.12, .24, .36, .48, .6)),
    hat=(Hat, (.02, .06, .11, .17, .24)),
)  # yapf: disable

KINDS = tuple(_KINDS)
SHARES = {kind: shares for kind, (_, shares) in _KINDS.items()}
NUM_SEVERITIES = len(COMMON_SHARES)


def build_occluder(kind: str,
                   size: int,
                   points: np.ndarray,
                   seed: int,
                   fill: Sequence[float] = (0, 0, 0)) -> Occluder:
    """Something of a kind, for one face. See :class:`Occluder`."""
    return _KINDS[kind][0](size, points, seed, fill)
