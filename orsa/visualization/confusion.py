# Copyright (c) orsa contributors. All rights reserved.
from typing import Sequence

import numpy as np

from orsa.utils.fileio import atomic_path


def plot_confusion_matrix(matrix: np.ndarray,
                          classes: Sequence[str],
                          out: str,
                          title: str = '') -> None:
    """Draw a confusion matrix with counts and row shares.

    Args:
        matrix (np.ndarray): Counts of shape (C, C), rows are the truth.
        classes (Sequence[str]): The C class names.
        out (str): The PNG to write.
        title (str): Written above the matrix. Defaults to ''.
    """
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    matrix = np.asarray(matrix)
    totals = matrix.sum(1, keepdims=True)
    shares = np.divide(
        matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    size = 1.6 + 0.85 * len(classes)
    figure, axis = plt.subplots(
        figsize=(size + 0.8, size), constrained_layout=True)
    image = axis.imshow(shares, cmap='cividis', vmin=0, vmax=1)
    names = [
        f'{name}\n(n={int(total)})'
        for name, total in zip(classes, totals.ravel())
    ]
    ticks = range(len(classes))
    axis.set_xticks(ticks, classes, rotation=40, ha='right')
    axis.set_yticks(ticks, names)
    axis.set(xlabel='predicted', ylabel='truth', title=title)
    for i in ticks:
        for j in ticks:
            if not totals[i]:
                continue
            text = f'{100 * shares[i, j]:.0f}%\n{matrix[i, j]}'
            axis.text(
                j,
                i,
                text,
                ha='center',
                va='center',
                fontsize=8,
                color='black' if shares[i, j] > .55 else 'white')
    figure.colorbar(image, ax=axis, shrink=.8, label='share of the row')
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)
