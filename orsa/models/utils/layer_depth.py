# Copyright (c) orsa contributors. All rights reserved.
"""Depths of parameters, by which learning rates can decay."""
from typing import Sequence, Tuple


def layer_depth(stages: Sequence[Sequence],
                param_name: str,
                prefix: str = '') -> Tuple[int, int]:
    """Depth of a parameter of a network of stages of units.

    Args:
        stages (Sequence[Sequence]): Its stages, called ``stages``.
        param_name (str): The name of the parameter.
        prefix (str): The prefix of this network's parameters.

    Returns:
        tuple[int, int]: 0 for what comes before the stages, then one more
        with each unit, and last what is not of this network; and the number
        of layers, as of mmpretrain's ``get_layer_depth``.
    """
    depths = [len(stage) for stage in stages]
    num_layers = sum(depths) + 2
    if not param_name.startswith(prefix):
        return num_layers - 1, num_layers
    name = param_name[len(prefix):].split('.')
    if name[0] != 'stages':
        return 0, num_layers
    return sum(depths[:int(name[1])]) + int(name[2]) + 1, num_layers
