# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict, Optional, Sequence

import cv2
import numpy as np

from orsa.utils.face_regions import LAPA_CLASSES, LAPA_PALETTE, LINES_68
from orsa.utils.own_files import MARK
from .figures import saved_figure
from .palettes import COLOURS

# Side of the images of the face, in pixels.
_SIDE = 384


def draw_face_card(face: np.ndarray,
                   scores: Dict[str, float],
                   out: str,
                   parsing: Optional[np.ndarray] = None,
                   landmarks: Optional[np.ndarray] = None,
                   title: str = '',
                   classes: Sequence[str] = LAPA_CLASSES,
                   palette: Sequence[Sequence[int]] = LAPA_PALETTE) -> None:
    """Draw one face with what a model predicts of it.

    From left to right: the face with its landmarks, the face below its
    parsing map with the names of the classes in it, and a bar for each score.
    What is not given is left out.

    Args:
        face (np.ndarray): (H, W, 3), BGR uint8.
        scores (dict[str, float]): Of every expression, in [0, 1].
        out (str): The PNG to write.
        parsing (np.ndarray, optional): (H, W), the class of each pixel; 0 is
            background and stays as it is. Defaults to None.
        landmarks (np.ndarray, optional): (K, 2 or 3), x and y in pixels of
            the face; 68 of them are joined by lines. Defaults to None.
        title (str): Above all. Defaults to ''.
        classes (Sequence[str]): Names of the parsing classes. Defaults to
            LaPa's.
        palette (Sequence): Of each its colour, RGB in [0, 255]. Defaults to
            LaPa's.

    Raises:
        ValueError: If ``parsing`` is of another size than the face, or has a
            class without a name.
    """
    if parsing is not None:
        _check_parsing(parsing, face, min(len(classes), len(palette)))
    panels = 2 + (parsing is not None)
    with saved_figure(
            out, (3.9 * panels + .6, 4.3),
            columns=panels,
            dpi=110,
            metadata=dict(Software=MARK)) as (figure, axes):
        image = _enlarge(cv2.cvtColor(face, cv2.COLOR_BGR2RGB))
        _show(axes[0], image, 'face' if landmarks is None else 'landmarks')
        if landmarks is not None:
            _draw_landmarks(axes[0], landmarks, face.shape[1], face.shape[0])
        if parsing is not None:
            mask = _enlarge(parsing, cv2.INTER_NEAREST)
            _show(axes[1], _overlay(image, mask, palette), 'parsing')
            _draw_legend(axes[1], mask, classes, palette)
        _draw_scores(axes[-1], scores)
        figure.suptitle(title)


def _check_parsing(parsing: np.ndarray, face: np.ndarray, count: int) -> None:
    if parsing.shape != face.shape[:2]:
        raise ValueError(f'parsing should be of the size of the face, '
                         f'{face.shape[:2]}, but is {parsing.shape}')
    if parsing.max() >= count:
        raise ValueError(f'parsing has the class {parsing.max()}, but there '
                         f'are names and colours for {count}')


def _enlarge(image: np.ndarray,
             interpolation: int = cv2.INTER_CUBIC) -> np.ndarray:
    scale = max(_SIDE / max(image.shape[:2]), 1.)
    return cv2.resize(
        image, None, fx=scale, fy=scale, interpolation=interpolation)


def _show(axis, image: np.ndarray, title: str) -> None:
    axis.imshow(image, extent=(0, image.shape[1], image.shape[0], 0))
    axis.set_title(title, fontsize=11)
    axis.set_axis_off()


def _draw_landmarks(axis, landmarks: np.ndarray, width: int,
                    height: int) -> None:
    left, right, bottom, top = axis.images[0].get_extent()
    points = (np.asarray(landmarks)[:, :2] + .5) * (right / width,
                                                    bottom / height)
    if len(points) == 68:
        for start, stop, closed in LINES_68:
            line = points[start:stop]
            if closed:
                line = np.concatenate([line, line[:1]])
            axis.plot(*line.T, color='white', linewidth=1.1, alpha=.8)
    axis.scatter(
        *points.T,
        s=11,
        color=COLOURS[5],
        edgecolors='black',
        linewidths=.5,
        zorder=3)
    # a point outside does not make the image smaller
    axis.set(xlim=(left, right), ylim=(bottom, top))


def _overlay(image: np.ndarray, mask: np.ndarray,
             palette: Sequence[Sequence[int]]) -> np.ndarray:
    colours = np.array(palette, np.float32)[mask]
    alpha = np.where(mask > 0, .55, 0.)[..., None]
    return (image * (1 - alpha) + colours * alpha).round().astype(np.uint8)


def _draw_legend(axis, mask: np.ndarray, classes: Sequence[str],
                 palette: Sequence[Sequence[int]]) -> None:
    from matplotlib.patches import Patch
    handles = [
        Patch(
            facecolor=np.array(palette[k]) / 255,
            edgecolor='black',
            linewidth=.5,
            label=classes[k]) for k in np.unique(mask) if k
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
    names, values = list(scores), list(scores.values())
    best = int(np.argmax(values))
    colours = [
        COLOURS[1] if i == best else '#9AA5B1' for i in range(len(names))
    ]
    bars = axis.barh(names, values, color=colours)
    axis.bar_label(bars, [f'{v:.2f}' for v in values], padding=3, fontsize=9)
    axis.set(xlim=(0, 1.12), title='expression')
    axis.title.set_fontsize(11)
    axis.set_xticks([0, .5, 1])
    axis.invert_yaxis()
    axis.spines[['top', 'right']].set_visible(False)
