# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict, Sequence, Tuple

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
    plot_embeddings(points, {'': (labels, classes)}, out, title)


def plot_embeddings(points: np.ndarray,
                    panels: Dict[str, Tuple[Sequence[int], Sequence[str]]],
                    out: str,
                    title: str = '') -> None:
    """Draw the same points by several divisions, side by side.

    Args:
        points (np.ndarray): (N, 2), see :func:`plot_embedding`.
        panels (dict[str, tuple]): By the title of a panel the labels (N, )
            and the names that they number.
        out (str): The PNG to write.
        title (str): Above the picture. Defaults to ''.
    """
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(
        1,
        len(panels),
        figsize=(8.4 * len(panels), 6.4),
        squeeze=False,
        constrained_layout=True)
    for axis, (name, (labels, classes)) in zip(axes[0], panels.items()):
        _scatter(axis, points, np.asarray(labels), classes)
        axis.set(title=name)
    figure.suptitle(title)
    with atomic_path(out) as temporary:
        figure.savefig(temporary, format='png', dpi=120)
    plt.close(figure)


def _scatter(axis, points: np.ndarray, labels: np.ndarray,
             classes: Sequence[str]) -> None:
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
    axis.set(xticks=[], yticks=[])
    axis.set_aspect('equal', adjustable='datalim')
    axis.spines[:].set_color('#BBBBBB')
    axis.legend(loc='center left', bbox_to_anchor=(1., .5), frameon=False)
