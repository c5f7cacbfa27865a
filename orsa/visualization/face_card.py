# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict, Optional, Sequence

import numpy as np

from orsa.utils.face_regions import FACE_CLASSES, FACE_PALETTE, LINES_68
from orsa.utils.own_files import MARK
from .annotations import draw_annotations
from .figures import COLOURS, saved_figure

# Longer side of the images of the face, at least, in pixels.
_SIDE = 384


def draw_face_card(face: np.ndarray,
                   scores: Dict[str, float],
                   out: str,
                   parsing: Optional[np.ndarray] = None,
                   landmarks: Optional[np.ndarray] = None,
                   title: str = '') -> None:
    """Draw one face with what a model predicts of it.

    From left to right: the face with its landmarks, the face below its
    parsing map with the names of the classes in it, and a bar for each score.
    What is not given is left out.

    Args:
        face (np.ndarray): (H, W, 3), BGR uint8.
        scores (dict[str, float]): Of every expression, in [0, 1].
        out (str): The PNG to write.
        parsing (np.ndarray, optional): (H, W), LaPa's class of each pixel; 0
            is background and stays as it is. Defaults to None.
        landmarks (np.ndarray, optional): (K, 2 or 3), x and y in pixels of
            the face; 68 of them are joined by lines. Defaults to None.
        title (str): Above all. Defaults to ''.

    Raises:
        ValueError: If ``parsing`` is of another size than the face.
    """
    size = max(_SIDE, *face.shape[:2])
    panels = dict(face=draw_annotations(face, size=size))
    if parsing is not None:
        panels['parsing'] = draw_annotations(face, seg_map=parsing, size=size)
    with saved_figure(
            out, (3.9 * len(panels) + 4.5, 4.3),
            columns=len(panels) + 1,
            dpi=110,
            metadata=dict(Software=MARK)) as (figure, axes):
        for axis, (name, image) in zip(axes, panels.items()):
            # in pixels of the face, whose borders are at halves
            axis.imshow(
                image[..., ::-1],
                extent=(-.5, face.shape[1] - .5, face.shape[0] - .5, -.5))
            axis.set_title(name, fontsize=11)
            axis.set_axis_off()
        if landmarks is not None:
            _draw_landmarks(axes[0], np.asarray(landmarks)[:, :2])
        if parsing is not None:
            _draw_legend(axes[1], np.unique(parsing))
        _draw_scores(axes[-1], scores)
        figure.suptitle(title, parse_math=False)


def _draw_landmarks(axis, points: np.ndarray) -> None:
    axis.set_title('landmarks', fontsize=11)
    axis.autoscale(False)  # a point outside does not shrink the image
    if len(points) == 68:
        for start, stop, closed in LINES_68:
            line = points[[*range(start, stop), *[start] * closed]]
            axis.plot(*line.T, color='white', linewidth=1.1, alpha=.8)
    axis.scatter(
        *points.T,
        s=11,
        color=COLOURS[5],
        edgecolors='black',
        linewidths=.5,
        zorder=3)


def _draw_legend(axis, present: Sequence[int]) -> None:
    from matplotlib.patches import Patch  # saves start-up
    handles = [
        Patch(
            facecolor=np.array(FACE_PALETTE[k]) / 255,
            edgecolor='black',
            linewidth=.5,
            label=FACE_CLASSES[k]) for k in present
        if 0 < k < len(FACE_CLASSES)  # another parser may have more
    ]
    if handles:
        axis.legend(
            handles=handles,
            loc='upper center',
            bbox_to_anchor=(.5, 0.),
            ncols=4,
            fontsize=8,
            frameon=False,
            handlelength=1.,
            columnspacing=1.)


def _draw_scores(axis, scores: Dict[str, float]) -> None:
    values = list(scores.values())
    bars = axis.barh(
        list(scores),
        values,
        color=[COLOURS[1] if v == max(values) else '#9AA5B1' for v in values])
    axis.bar_label(bars, [f'{v:.2f}' for v in values], padding=3, fontsize=9)
    axis.set(xlim=(0, 1.12), xticks=[0, .5, 1])
    axis.set_title('expression', fontsize=11)
    axis.invert_yaxis()
    axis.spines[['top', 'right']].set_visible(False)
