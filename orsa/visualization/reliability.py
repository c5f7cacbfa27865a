# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict, NamedTuple

import numpy as np

from .figures import COLOURS, plain_axes, saved_figure

_COLUMNS = 4


class Reliability(NamedTuple):
    """How often a model is right at each confidence.

    Attributes:
        counts (np.ndarray): (K, ), faces in each bin.
        confidence (np.ndarray): (K, ), the mean of their highest scores, in
            [0, 1]; NaN in an empty bin.
        accuracy (np.ndarray): (K, ), the fraction that is right; NaN likewise.
        interval (np.ndarray): (K, 2), Wilson's 95% interval of it.
        error (float): The expected calibration error, in percent.
    """
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    interval: np.ndarray
    error: float


def plot_reliability(panels: Dict[str, Dict[str, Reliability]],
                     out: str) -> None:
    """Draw accuracy against confidence, and below how many faces there are.

    On the diagonal a model is as often right as it is sure. Bars are 95%
    intervals of independent faces; where the same face comes several times,
    the true ones are wider.

    Args:
        panels (dict[str, dict[str, Reliability]]): By the title of a panel
            what is drawn in it, by name, e.g. before and after calibration.
        out (str): The PNG to write.
    """
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    with saved_figure(
            out, (4.2 * columns, 5.6 * rows),
            2 * rows,
            columns,
            squeeze=False,
            height_ratios=[3, 1] * rows) as (_, axes):
        pairs = zip(axes[::2].flat, axes[1::2].flat)
        for (upper, lower), (title, series) in zip(pairs, panels.items()):
            _draw_panel(upper, lower, title, series)
        for place in range(len(panels), rows * columns):
            axes[::2].flat[place].axis('off')
            axes[1::2].flat[place].axis('off')


def _draw_panel(upper, lower, title: str, series: Dict[str,
                                                       Reliability]) -> None:
    upper.plot((0, 100), (0, 100), color='#999999', linewidth=1, zorder=1)
    upper.annotate(
        'too sure', (97, 4), ha='right', color='#666666', fontsize=9)
    upper.annotate('not sure enough', (3, 92), color='#666666', fontsize=9)
    for number, (name, found) in enumerate(series.items()):
        colour = COLOURS[(1, 0, 2, 3, 4)[number % 5]]
        kept = found.counts > 0
        x, y = 100 * found.confidence[kept], 100 * found.accuracy[kept]
        ends = 100 * found.interval[kept].T
        upper.errorbar(
            x,
            y,
            # rounding must not make a length negative
            yerr=np.abs(np.stack([y - ends[0], ends[1] - y])),
            color=colour,
            marker='soD^v'[number % 5],
            markersize=5,
            linewidth=1.4,
            elinewidth=.8,
            alpha=.9,
            label=f'{name}: ECE {found.error:.1f}')
        edges = np.linspace(0, 100, len(found.counts) + 1)
        lower.stairs(found.counts, edges, color=colour, linewidth=1.6)
    total = int(next(iter(series.values())).counts.sum())
    upper.set(
        ylabel='accuracy (%)', xlim=(0, 100), ylim=(0, 100), xticklabels=[])
    # above the diagram, where it hides no point
    legend = upper.legend(
        title=f'{title} (n={total})',
        alignment='left',
        loc='lower left',
        bbox_to_anchor=(0., 1.),
        frameon=False,
        fontsize=9)
    legend.get_title().set_fontsize(12)
    lower.set(xlabel='confidence (%)', ylabel='faces', xlim=(0, 100))
    plain_axes(upper, lower)
