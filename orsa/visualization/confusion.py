# Copyright (c) orsa contributors. All rights reserved.
from typing import Sequence

import numpy as np

from .figures import saved_figure


def plot_confusion_matrix(matrix: np.ndarray,
                          classes: Sequence[str],
                          out: str,
                          title: str = '',
                          cmap: str = 'cividis') -> None:
    """Draw a confusion matrix with counts and fractions of the rows.

    Args:
        matrix (np.ndarray): Counts of shape (C, C), rows are the truth.
        classes (Sequence[str]): The C class names.
        out (str): The PNG to write.
        title (str): Written above the matrix. Defaults to ''.
        cmap (str): The colours, by matplotlib's name. Defaults to 'cividis'.
    """
    matrix = np.asarray(matrix)
    totals = matrix.sum(1)
    fractions = matrix / np.maximum(totals, 1)[:, None]
    size = 1.6 + .85 * len(classes)
    with saved_figure(out, (size + .8, size), dpi=110) as (figure, axis):
        image = axis.imshow(fractions, cmap=cmap, vmin=0, vmax=1)
        ticks = range(len(classes))
        axis.set_xticks(ticks, classes, rotation=40, ha='right')
        axis.set_yticks(
            ticks,
            [f'{name}\n(n={int(n)})' for name, n in zip(classes, totals)])
        axis.set(xlabel='predicted', ylabel='truth', title=title)
        for i, j in np.ndindex(matrix.shape):
            if totals[i]:
                axis.text(
                    j,
                    i,
                    f'{100 * fractions[i, j]:.0f}%\n{matrix[i, j]}',
                    ha='center',
                    va='center',
                    fontsize=8,
                    color='black' if fractions[i, j] > .55 else 'white')
        figure.colorbar(image, ax=axis, shrink=.8, label='fraction of the row')
