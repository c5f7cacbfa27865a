# Copyright (c) orsa contributors. All rights reserved.
"""Plots of a test under occlusion."""
from typing import Dict, Optional, Sequence, Tuple

import numpy as np

from .figures import SERIES, plain_axes, saved_figure, series_style

Curve = Tuple[Sequence[float], Sequence[float]]


def plot_occlusion_curves(panels: Dict[str, Dict[str, Curve]],
                          out: str,
                          mean: Optional[Curve] = None,
                          title: str = '',
                          chance: Optional[float] = None) -> None:
    """Draw how UAR falls with the occluded fraction, by kind of occluder.

    Args:
        panels (dict): Title of a panel -> name of a kind -> occlusion ratios
            and UARs, both in percent.
        out (str): The PNG to write.
        mean (Curve, optional): Over the kinds of the first panel. Defaults to
            None.
        title (str): Above the plot. Defaults to ''.
        chance (float, optional): What guessing reaches. Defaults to None.
    """
    with saved_figure(
            out, (1.2 + 4.8 * len(panels), 5.2),
            columns=len(panels),
            dpi=130,
            sharey=True,
            squeeze=False) as (figure, axes):
        for axis, (name, curves) in zip(axes[0], panels.items()):
            for i, (kind, (ratios, values)) in enumerate(curves.items()):
                axis.plot(
                    ratios,
                    values,
                    **series_style(i, SERIES),
                    markersize=4.5,
                    linewidth=1.2,
                    label=kind)
            if mean is not None and axis is axes[0, 0]:
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
            axis.set_xlabel('occluded fraction of the face, measured (%)')
            plain_axes(axis)
            axis.legend(
                loc='upper center',
                bbox_to_anchor=(.5, -.14),
                ncols=3,
                fontsize=9,
                frameon=False)
        axes[0, 0].set_ylabel('UAR (%)')
        axes[0, 0].set_ylim(bottom=0)
        figure.suptitle(title, fontsize=11)


def plot_occlusion_heatmap(rows: Sequence[Tuple[str, Sequence[dict]]],
                           severities: Sequence[int],
                           out: str,
                           clean: float,
                           title: str = '') -> None:
    """Draw UARs and what is lost, a row per kind of occluder.

    Args:
        rows (Sequence[tuple]): A name and per severity a dict of ``value``
            and ``lost``, in percent and points.
        severities (Sequence[int]): Of the columns.
        out (str): The PNG to write.
        clean (float): The value of the faces as they are.
        title (str): Above the plot. Defaults to ''.
    """
    lost = np.array([[cell['lost'] for cell in cells] for _, cells in rows])
    high = max(lost.max(initial=0), 1.)
    with saved_figure(
            out, (2.6 + 1.05 * len(severities), 1.7 + .5 * len(rows)),
            dpi=130) as (figure, axis):
        image = axis.imshow(
            lost, cmap='YlOrBr', vmin=0, vmax=high, aspect='auto')
        for i, (name, cells) in enumerate(rows):
            for j, cell in enumerate(cells):
                axis.text(
                    j,
                    i,
                    f"{cell['value']:.1f}\n({-cell['lost']:+.1f})",
                    ha='center',
                    va='center',
                    fontsize=8,
                    color='white' if cell['lost'] > .62 * high else 'black')
            if name.startswith('mean'):  # white rules around it
                axis.axhline(i - .5, color='white', linewidth=3)
                axis.axhline(i + .5, color='white', linewidth=3)
        axis.set_xticks(range(len(severities)), severities)
        axis.set_yticks(range(len(rows)), [name for name, _ in rows])
        axis.set_xlabel('severity')
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.set_title(
            f'{title}\nUAR, and points lost of {clean:.1f} clean', fontsize=10)
        figure.colorbar(image, ax=axis, shrink=.8, label='points lost')


def plot_robustness(curves: Dict[str, np.ndarray],
                    severities: Sequence[int],
                    out: str,
                    title: str = '') -> None:
    """Draw how UAR falls with the severity of occlusion.

    Args:
        curves (dict[str, np.ndarray]): title -> array (seeds, severities);
            the line is the mean, the band the range of the seeds.
        severities (Sequence[int]): 0 is clean.
        out (str): The PNG to write.
        title (str): Above the plot. Defaults to ''.
    """
    with saved_figure(out, (7.5, 4.8), dpi=150) as (_, axis):
        for number, (name, values) in enumerate(curves.items()):
            style = series_style(number, SERIES)
            axis.plot(
                severities, values.mean(0), **style, linewidth=1.8, label=name)
            if len(values) > 1:
                axis.fill_between(
                    severities,
                    values.min(0),
                    values.max(0),
                    color=style['color'],
                    alpha=.12,
                    linewidth=0)
        axis.set_xticks(
            list(severities), ['clean' if s == 0 else s for s in severities])
        axis.set(xlabel='severity of occlusion', ylabel='UAR (%)', title=title)
        axis.legend(fontsize=9)
        plain_axes(axis)
