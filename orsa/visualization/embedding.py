# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict, Sequence, Tuple

import numpy as np

from .figures import saved_figure, series_style


def plot_embedding(points: np.ndarray,
                   panels: Dict[str, Tuple[Sequence[int], Sequence[str]]],
                   out: str,
                   title: str = '') -> None:
    """Draw points of the plane by their class, each with a marker of its own.

    Args:
        points (np.ndarray): (N, 2), of which only the distances count.
        panels (dict[str, tuple]): By the title of each panel the labels (N, )
            of the points and the names that they number.
        out (str): The PNG to write.
        title (str): Above all panels. Defaults to ''.
    """
    with saved_figure(
            out, (8.4 * len(panels), 6.4), columns=len(panels),
            squeeze=False) as (figure, axes):
        figure.suptitle(title)
        for axis, (name, (labels, classes)) in zip(axes[0], panels.items()):
            for index, label in enumerate(classes):
                chosen = np.asarray(labels) == index
                if chosen.any():
                    axis.scatter(
                        *points[chosen].T,
                        s=36,
                        **series_style(index),
                        edgecolors='white',
                        linewidths=.3,
                        alpha=.85,
                        label=f'{label} ({chosen.sum()})')
            axis.set(xticks=[], yticks=[], title=name)
            axis.set_aspect('equal', adjustable='datalim')
            axis.spines[:].set_color('#BBBBBB')
            axis.legend(
                loc='center left', bbox_to_anchor=(1., .5), frameon=False)
