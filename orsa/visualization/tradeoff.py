# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict

from orsa.utils.fileio import atomic_path
from .curves import COLOURS

_MARKERS = 'osD^vP*X'


def plot_tradeoff(points: Dict[str, dict],
                  out: str,
                  title: str = '',
                  latency_name: str = 'milliseconds for one face, one thread',
                  figure_name: str = 'accuracy (%)') -> None:
    """Draw what models reach against the time that they take.

    Full marks are faces as they are, hollow ones below or above them the same
    faces with something in front of them.

    Args:
        points (dict[str, dict]): By title ``latency`` and ``value``;
            ``spread`` over seeds, and ``occluded``, both None or missing
            where there is none.
        out (str): The PNG to write.
        title (str): Above the picture. Defaults to ''.
        latency_name (str): Of the horizontal axis, which is logarithmic.
        figure_name (str): Of the vertical axis. Defaults to 'accuracy (%)'.

    Raises:
        ValueError: If there is no point.
    """
    if not points:
        raise ValueError('there is no model to draw')
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
    figure, axis = plt.subplots(figsize=(8.6, 4.8), constrained_layout=True)
    best_first = sorted(points.items(), key=lambda item: -item[1]['value'])
    for number, (name, point) in enumerate(best_first):
        # 7 colours and 8 marks: 56 models before two look the same
        style = dict(
            color=COLOURS[number % len(COLOURS)],
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=8,
            linestyle='none')
        axis.errorbar(
            point['latency'],
            point['value'],
            yerr=point.get('spread'),
            capsize=4,
            label=f"{name}: {point['value']:.1f}",
            **style)
        if point.get('occluded') is not None:
            axis.plot(
                [point['latency']] * 2, [point['value'], point['occluded']],
                color=style['color'],
                linewidth=.8,
                linestyle=(0, (2, 3)))
            axis.plot(
                point['latency'],
                point['occluded'],
                markerfacecolor='white',
                **style)
    axis.set_xscale('log')
    # a log axis over less than a decade has no labels of its own
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(StrMethodFormatter('{x:g}'))
    axis.xaxis.set_minor_formatter(NullFormatter())
    latencies = [p['latency'] for p in points.values()]
    axis.set_xlim(min(latencies) / 1.5, max(latencies) * 1.5)
    axis.set(xlabel=latency_name, ylabel=figure_name, title=title)
    axis.grid(alpha=.25)
    axis.spines[['top', 'right']].set_visible(False)
    hollow = any(p.get('occluded') is not None for p in points.values())
    axis.legend(
        loc='center left',
        bbox_to_anchor=(1., .5),
        frameon=False,
        title='full: as they are\nhollow: occluded' if hollow else None)
    with atomic_path(out) as temporary:
        figure.savefig(temporary, format='png', dpi=140)
    plt.close(figure)
