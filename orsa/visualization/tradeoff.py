# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict

from .figures import plain_axes, saved_figure, series_style


def plot_tradeoff(points: Dict[str, dict], out: str) -> None:
    """Draw the accuracy of models against the time that they take.

    Full markers are faces as they are, hollow ones below or above them the
    faces occluded.

    Args:
        points (dict[str, dict]): By title ``latency`` and ``value``;
            ``spread`` over seeds, and ``occluded``, both None or missing
            where there is none.
        out (str): The PNG to write.
    """
    # matplotlib takes a second to import
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
    best_first = sorted(points.items(), key=lambda item: -item[1]['value'])
    with saved_figure(out, (8.6, 4.8), dpi=140) as (_, axis):
        for number, (name, point) in enumerate(best_first):
            # 7 colours and 8 markers: 56 models before two look the same
            style = dict(series_style(number), markersize=8, linestyle='none')
            x, value = point['latency'], point['value']
            axis.errorbar(
                x,
                value,
                yerr=point.get('spread'),
                capsize=4,
                label=f'{name}: {value:.1f}',
                **style)
            occluded = point.get('occluded')
            if occluded is not None:
                axis.plot([x, x], [value, occluded],
                          color=style['color'],
                          linewidth=.8,
                          linestyle=(0, (2, 3)))
                axis.plot(x, occluded, markerfacecolor='white', **style)
        axis.set_xscale('log')
        # a log axis over less than a decade has no labels of its own
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(StrMethodFormatter('{x:g}'))
        axis.xaxis.set_minor_formatter(NullFormatter())
        latencies = [p['latency'] for p in points.values()]
        axis.set_xlim(min(latencies) / 1.5, max(latencies) * 1.5)
        axis.set(
            xlabel='milliseconds for one face, one thread',
            ylabel='accuracy (%)')
        plain_axes(axis)
        hollow = any(p.get('occluded') is not None for p in points.values())
        axis.legend(
            loc='center left',
            bbox_to_anchor=(1., .5),
            frameon=False,
            title='full: as they are\nhollow: occluded' if hollow else None)
