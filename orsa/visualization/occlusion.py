# Copyright (c) orsa contributors. All rights reserved.
"""Pictures of a test under occlusion."""
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from orsa.utils.fileio import atomic_path
from .curves import COLOURS

# Okabe and Ito's without black, which the mean has, and two that go with them
_COLOURS = (*COLOURS[:6], '#882255', '#7A7A7A')
_MARKERS = 'osD^vPX*'
Curve = Tuple[Sequence[float], Sequence[float]]


def plot_occlusion_curves(panels: Dict[str, Dict[str, Curve]],
                          out: str,
                          mean: Optional[Curve] = None,
                          title: str = '',
                          figure_name: str = 'UAR (%)',
                          chance: Optional[float] = None) -> None:
    """Draw how a figure falls with what is hidden, by kind of occluder.

    Args:
        panels (dict): Title of a panel -> name of a kind -> covered shares
            and figures, both in percent.
        out (str): The PNG to write.
        mean (Curve, optional): Over the kinds of the first panel. Defaults to
            None.
        title (str): Above the picture. Defaults to ''.
        figure_name (str): Of the vertical axis. Defaults to 'UAR (%)'.
        chance (float, optional): What guessing reaches. Defaults to None.
    """
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(
        1,
        len(panels),
        figsize=(1.2 + 4.8 * len(panels), 5.2),
        sharey=True,
        squeeze=False,
        constrained_layout=True)
    for number, (axis, (name,
                        curves)) in enumerate(zip(axes[0], panels.items())):
        for i, (kind, (shares, values)) in enumerate(curves.items()):
            axis.plot(
                shares,
                values,
                color=_COLOURS[i % len(_COLOURS)],
                marker=_MARKERS[i % len(_MARKERS)],
                markersize=4.5,
                linewidth=1.2,
                label=kind)
        if mean is not None and not number:
            axis.plot(*mean, color='black', linewidth=2.8, label='mean')
        if chance is not None:
            axis.axhline(
                chance, color='black', linewidth=1, linestyle=(0, (1, 2)))
            axis.annotate(
                'guessing', (0, chance), (4, 3),
                xycoords=('axes fraction', 'data'),
                textcoords='offset points',
                fontsize=8)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel('covered share of the face, measured (%)')
        axis.grid(alpha=.25)
        axis.spines[['top', 'right']].set_visible(False)
        axis.legend(
            loc='upper center',
            bbox_to_anchor=(.5, -.14),
            ncols=3,
            fontsize=9,
            frameon=False)
    axes[0, 0].set_ylabel(figure_name)
    axes[0, 0].set_ylim(bottom=0)
    figure.suptitle(title, fontsize=11)
    with atomic_path(out) as part:
        figure.savefig(part, format='png', dpi=130)
    plt.close(figure)


def plot_occlusion_heatmap(rows: Sequence[Tuple[str, Sequence[dict]]],
                           severities: Sequence[int],
                           out: str,
                           clean: float,
                           title: str = '',
                           figure_name: str = 'UAR') -> None:
    """Draw figures and what is lost, a row per kind.

    Args:
        rows (Sequence[tuple]): A name and per severity a dict of ``value``
            and ``lost``, in percent and points, and ``share`` in [0, 1].
        severities (Sequence[int]): Of the columns.
        out (str): The PNG to write.
        clean (float): The figure of the faces as they are.
        title (str): Above the picture. Defaults to ''.
        figure_name (str): Defaults to 'UAR'.
    """
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    lost = np.array([[cell['lost'] for cell in cells] for _, cells in rows])
    high = max(lost.max(initial=0), 1.)
    figure, axis = plt.subplots(
        figsize=(2.6 + 1.05 * len(severities), 1.7 + .5 * len(rows)),
        constrained_layout=True)
    image = axis.imshow(lost, cmap='YlOrBr', vmin=0, vmax=high, aspect='auto')
    for i, (_, cells) in enumerate(rows):
        for j, cell in enumerate(cells):
            axis.text(
                j,
                i,
                f"{cell['value']:.1f}\n({-cell['lost']:+.1f})",
                ha='center',
                va='center',
                fontsize=8,
                color='white' if cell['lost'] > .62 * high else 'black')
    axis.set_xticks(range(len(severities)), severities)
    axis.set_yticks(range(len(rows)), [name for name, _ in rows])
    axis.set_xlabel('severity')
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    _draw_rules(axis, [name for name, _ in rows])
    axis.set_title(
        f'{title}\n{figure_name}, and points lost of {clean:.1f} clean',
        fontsize=10)
    figure.colorbar(image, ax=axis, shrink=.8, label='points lost')
    with atomic_path(out) as part:
        figure.savefig(part, format='png', dpi=130)
    plt.close(figure)


def _draw_rules(axis, names: List[str]) -> None:
    """A white rule below each mean and above it."""
    for i, name in enumerate(names):
        if name.startswith('mean'):
            for y in (i - .5, i + .5):
                axis.axhline(y, color='white', linewidth=3)
