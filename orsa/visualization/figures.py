# Copyright (c) orsa contributors. All rights reserved.
"""What plots and grids share: colours, the figure and its file."""
import contextlib
from typing import Any, Iterator, Optional, Tuple

from orsa.utils.fileio import atomic_path

# Okabe and Ito's palette, which colour-blind readers tell apart.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9',
           '#000000')
# Where black is the mean's: two that go with the others.
SERIES = (*COLOURS[:6], '#882255', '#7A7A7A')
MARKERS = 'osD^vP*X'

# BGR, for OpenCV: of the same palette, text and captions
BLUE, ORANGE, SKY_BLUE = (178, 114, 0), (0, 94, 213), (233, 180, 86)
AMBER = (0, 159, 230)
INK, FAINT = (40, 40, 40), (150, 150, 150)


def series_style(index: int, colours: tuple = COLOURS) -> dict:
    """Colour and marker of a series, as keyword arguments of matplotlib."""
    return dict(
        color=colours[index % len(colours)],
        marker=MARKERS[index % len(MARKERS)])


@contextlib.contextmanager
def saved_figure(out: str,
                 size: Tuple[float, float],
                 rows: int = 1,
                 columns: int = 1,
                 dpi: int = 120,
                 metadata: Optional[dict] = None,
                 **kwargs) -> Iterator[Tuple[Any, Any]]:
    """A figure of ``rows`` and ``columns`` of axes, written at the end.

    Args:
        out (str): The PNG to write.
        size (tuple[float, float]): Width and height, in inches.
        rows (int): Of axes. Defaults to 1.
        columns (int): Of axes. Defaults to 1.
        dpi (int): Pixels per inch. Defaults to 120.
        metadata (dict, optional): Of the file.
        **kwargs: Of matplotlib's ``Figure.subplots``.
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
