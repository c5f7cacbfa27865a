# Copyright (c) orsa contributors. All rights reserved.
"""What all plots share: the figure, its file and its look."""
import contextlib
from typing import Any, Iterator, Optional, Tuple

from orsa.utils.fileio import atomic_path


@contextlib.contextmanager
def saved_figure(out: str,
                 size: Tuple[float, float],
                 rows: int = 1,
                 columns: int = 1,
                 dpi: int = 120,
                 metadata: Optional[dict] = None,
                 **kwargs) -> Iterator[Tuple[Any, Any]]:
    """A figure that is written where the ``with`` block ends.

    Args:
        out (str): The PNG to write.
        size (tuple[float, float]): Width and height, in inches.
        rows (int): Of axes. Defaults to 1.
        columns (int): Of axes. Defaults to 1.
        dpi (int): Pixels per inch. Defaults to 120.
        metadata (dict, optional): Of the file. Defaults to None.
        **kwargs: Of matplotlib's ``Figure.subplots``.

    Yields:
        tuple[Figure, Axes | np.ndarray]: The figure and its axes.
    """
    # matplotlib takes a second to import; no pyplot, so no window system
    from matplotlib.figure import Figure
    figure = Figure(size, layout='constrained')
    yield figure, figure.subplots(rows, columns, **kwargs)
    with atomic_path(out) as temporary:
        figure.savefig(temporary, format='png', dpi=dpi, metadata=metadata)


def plain_axes(*axes) -> None:
    """Leave out the upper and the right border, and draw a faint grid."""
    for axis in axes:
        axis.spines[['top', 'right']].set_visible(False)
        axis.grid(alpha=.25)
