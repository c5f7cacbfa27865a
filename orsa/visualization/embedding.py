# Copyright (c) orsa contributors. All rights reserved.
from typing import Sequence

import numpy as np

from orsa.utils.fileio import atomic_path
from .curves import COLOURS

_MARKERS = 'osD^vP*X'


def plot_embedding(points: np.ndarray,
                   labels: Sequence[int],
                   classes: Sequence[str],
                   out: str,
                   title: str = '') -> None:
    """Draw points of the plane by their class, each with a mark of its own.

    Args:
        points (np.ndarray): (N, 2). Only their distances count: the axes are
            without numbers.
        labels (Sequence[int]): (N, ).
        classes (Sequence[str]): Their names; those without a point are left
            out.
        out (str): The PNG to write.
        title (str): Above the picture. Defaults to ''.
    """
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    labels = np.asarray(labels)
    figure, axis = plt.subplots(figsize=(8.4, 6.4), constrained_layout=True)
    for index, name in enumerate(classes):
        chosen = labels == index
        if chosen.any():
            axis.scatter(
                *points[chosen].T,
                s=36,
                color=COLOURS[index % len(COLOURS)],
                marker=_MARKERS[index % len(_MARKERS)],
                edgecolors='white',
                linewidths=.3,
                alpha=.85,
                label=f'{name} ({chosen.sum()})')
    axis.set(xticks=[], yticks=[], title=title)
    axis.set_aspect('equal', adjustable='datalim')
    axis.spines[:].set_color('#BBBBBB')
    axis.legend(loc='center left', bbox_to_anchor=(1., .5), frameon=False)
    with atomic_path(out) as temporary:
        figure.savefig(temporary, format='png', dpi=120)
    plt.close(figure)
