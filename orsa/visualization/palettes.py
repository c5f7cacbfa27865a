# Copyright (c) orsa contributors. All rights reserved.
"""The colours of plots and grids; those of face classes are LaPa's own."""
# Okabe and Ito's palette, which colour-blind readers tell apart.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9',
           '#000000')
# Where black is the mean's: two that go with the others.
SERIES = (*COLOURS[:6], '#882255', '#7A7A7A')
MARKERS = 'osD^vP*X'

# BGR, for OpenCV: of the same palette, text and captions
BLUE, ORANGE, SKY_BLUE = (178, 114, 0), (0, 94, 213), (233, 180, 86)
INK, FAINT = (40, 40, 40), (150, 150, 150)


def series_style(index: int, colours: tuple = COLOURS) -> dict:
    """Colour and marker of a series, as keyword arguments of matplotlib.

    Args:
        index (int): Its number.
        colours (tuple[str]): A palette. Defaults to :data:`COLOURS`.

    Returns:
        dict: ``color`` and ``marker``.
    """
    return dict(
        color=colours[index % len(colours)],
        marker=MARKERS[index % len(MARKERS)])
