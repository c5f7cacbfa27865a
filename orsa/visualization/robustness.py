# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict, Sequence

import numpy as np

from orsa.utils.fileio import atomic_path

# Okabe and Ito's colours, which colour-blind people can tell apart, and grey
_COLOURS = ('#000000', '#E69F00', '#56B4E9', '#009E73', '#0072B2', '#D55E00',
            '#CC79A7', '#777777')


def plot_robustness(curves: Dict[str, np.ndarray],
                    severities: Sequence[int],
                    out: str,
                    title: str = '',
                    figure_name: str = 'UAR (%)') -> None:
    """Draw how a figure falls with the severity of occlusion.

    Args:
        curves (dict[str, np.ndarray]): title -> array (seeds, severities);
            the line is the mean, the band the range of the seeds.
        severities (Sequence[int]): 0 is clean.
        out (str): The PNG to write.
        title (str): Above the picture. Defaults to ''.
        figure_name (str): Of the vertical axis. Defaults to 'UAR (%)'.
    """
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(figsize=(7.5, 4.8), constrained_layout=True)
    for number, (name, values) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        axes.plot(
            severities,
            values.mean(0),
            color=colour,
            marker='osD^vPX*'[number % 8],
            linewidth=1.8,
            label=name)
        if len(values) > 1:
            axes.fill_between(
                severities,
                values.min(0),
                values.max(0),
                color=colour,
                alpha=0.12,
                linewidth=0)
    axes.set_xticks(list(severities))
    axes.set_xticklabels(['clean' if s == 0 else str(s) for s in severities])
    axes.set_xlabel('severity of occlusion')
    axes.set_ylabel(figure_name)
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    with atomic_path(out) as part:
        figure.savefig(part, format='png', dpi=150)
    plt.close(figure)
