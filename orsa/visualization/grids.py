# Copyright (c) orsa contributors. All rights reserved.
"""Grids of small images with a few words to each."""
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

import cv2
import numpy as np

from orsa.utils.fileio import atomic_path
from .annotations import overlay_heat
from .figures import BLUE, FAINT, INK, ORANGE

Face = Tuple[np.ndarray, str, str, float]
_SIZE = 128  # side of a face, in pixels


def _save(image: np.ndarray, out: str) -> None:
    """Write an image (H, W, 3), BGR uint8, as a PNG."""
    with atomic_path(out) as temporary:
        cv2.imwrite(temporary, image)


def _blank(height: int, width: int) -> np.ndarray:
    """A white image (height, width, 3), uint8."""
    return np.full((height, width, 3), 255, np.uint8)


def put_text(image: np.ndarray,
             text: str,
             place: Sequence[int],
             colour: Sequence[int] = INK,
             width: Optional[int] = None,
             scale: float = .42) -> None:
    """Write a line of text into an image, smaller if it is too long.

    Args:
        image (np.ndarray): (H, W, 3), is changed.
        text (str): The line.
        place (Sequence[int]): x and y of its lower left end.
        colour (Sequence[int]): BGR.
        width (int, optional): Pixels that it may take.
        scale (float): Of the letters. Defaults to .42.
    """
    font = cv2.FONT_HERSHEY_SIMPLEX
    # OpenCV ends the process at a name of a file that is no UTF-8
    text = text.encode(errors='replace').decode()
    width = width or image.shape[1] - place[0]
    taken = cv2.getTextSize(text, font, scale, 1)[0][0]
    scale *= min(1., width / max(taken, 1))
    cv2.putText(image, text, tuple(place), font, scale, colour, 1, cv2.LINE_AA)


def _in_rows(images: List[np.ndarray], columns: int) -> np.ndarray:
    """Images of one size (h, w, 3) in rows, filled up with white."""
    images = images + [np.full_like(images[0], 255)] * (-len(images) % columns)
    return np.vstack([
        np.hstack(images[i:i + columns])
        for i in range(0, len(images), columns)
    ])


def _resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """An image resized, by area if it becomes smaller."""
    smaller = max(image.shape[:2]) > max(width, height)
    return cv2.resize(
        image, (width, height),
        interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def thumbnail(image: np.ndarray, size: int) -> np.ndarray:
    """Fit an image into a white square, without distorting it.

    Args:
        image (np.ndarray): BGR uint8 of shape (H, W, 3).
        size (int): Side of the square, in pixels.
    """
    scale = size / max(image.shape[:2])
    height, width = (max(1, round(scale * n)) for n in image.shape[:2])
    square = _blank(size, size)
    top, left = (size - height) // 2, (size - width) // 2
    square[top:top + height, left:left + width] = _resize(image, width, height)
    return square


def _captioned(image: np.ndarray,
               lines: Sequence[str],
               size: int,
               colour: Optional[Sequence[int]] = None,
               max_lines: int = 2) -> np.ndarray:
    """An image above lines; a colour is of a frame and the first line."""
    cell = _blank(size + 14 + 15 * max_lines, size + 12)
    if colour:
        cell[2:size + 10, 2:size + 10] = colour
    cell[6:6 + size, 6:6 + size] = _resize(image, size, size)
    for index, line in enumerate(lines):
        put_text(cell, line, (6, size + 23 + 15 * index),
                 INK if index else colour or INK, size)
    return cell


def spread(labels: Sequence[int], count: int) -> np.ndarray:
    """Indices of ``count`` samples, as even over labels as can be, by label.

    Args:
        labels (Sequence[int]): Label of every sample.
        count (int): How many samples are wanted.
    """
    labels = np.asarray(labels)
    rank = np.zeros(len(labels), int)  # of a sample among those of its label
    for value in np.unique(labels):
        rank[labels == value] = np.arange((labels == value).sum())
    chosen = np.lexsort((labels, rank))[:count]  # round by round
    return chosen[np.argsort(labels[chosen], kind='stable')]


# -------------------------------------------------- samples, a row per class


def draw_class_grid(samples: Dict[str, Sequence[np.ndarray]],
                    counts: Dict[str, int],
                    out: str,
                    title: str = '',
                    columns: int = 10,
                    size: int = 96) -> None:
    """Draw a row of samples for each class, with its name and number.

    Args:
        samples (dict[str, Sequence[np.ndarray]]): By class images (H, W, 3)
            as BGR uint8; of more than ``columns`` the first are drawn.
        counts (dict[str, int]): By class how many there are.
        out (str): The PNG to write.
        title (str): Written above. Defaults to ''.
        columns (int): Samples in a row. Defaults to 10.
        size (int): Side of a sample, in pixels. Defaults to 96.
    """
    margin, head, left, pitch = 12, 40, 128, size + 4
    grid = _blank(head + pitch * len(samples) + margin,
                  left + pitch * columns + margin)
    put_text(grid, title, (margin, 26), scale=.55)
    for i, (name, images) in enumerate(samples.items()):
        top = head + i * pitch
        middle = top + size // 2
        put_text(grid, name, (margin, middle - 2), scale=.5)
        put_text(
            grid,
            f'{counts.get(name, 0):,}', (margin, middle + 18),
            FAINT,
            scale=.45)
        for j, image in enumerate(images[:columns]):
            x = left + j * pitch
            grid[top:top + size, x:x + size] = thumbnail(image, size)
        if not images:
            put_text(grid, 'no image', (left + 6, middle + 5), FAINT, scale=.5)
    _save(grid, out)


def draw_step_grid(samples: Dict[str, Sequence[np.ndarray]],
                   captions: Dict[str, Sequence[str]],
                   out: str,
                   title: str = '',
                   columns: int = 10,
                   size: int = 128) -> None:
    """Draw samples below their titles, each as several images side by side.

    Args:
        samples (dict[str, Sequence[np.ndarray]]): By title the images
            (H, W, 3) of a sample, BGR uint8.
        captions (dict[str, Sequence[str]]): What is written below each, two
            lines at most.
        out (str): The PNG to write.
        title (str): Written above. Defaults to ''.
        columns (int): Images in a row: of as many samples as it has room
            for, of one at least. Defaults to 10.
        size (int): Side of an image, in pixels. Defaults to 128.
    """
    longest, strips = max(map(len, samples.values())), []
    for name, images in samples.items():
        cells = [
            _captioned(thumbnail(image, size), caption.split('\n'), size)
            for image, caption in zip(images, captions[name])
        ]
        cells += [np.full_like(cells[0], 255)] * (longest - len(cells))
        strip = np.pad(
            np.hstack(cells), ((26, 8), (0, 24), (0, 0)), constant_values=255)
        put_text(strip, name, (6, 20), scale=.5)
        strips.append(strip)
    grid = _in_rows(strips, max(1, min(columns // longest, len(strips))))
    grid = np.pad(grid, ((40, 0), (6, 0), (0, 0)), constant_values=255)
    put_text(grid, title, (12, 26), scale=.55)
    _save(grid, out)


# --------------------------------------------------------------- predictions


def _prediction_cell(image: np.ndarray,
                     truth: str,
                     predicted: str,
                     score: float,
                     *notes: str,
                     size: int = _SIZE) -> np.ndarray:
    right = truth == predicted
    lines = [f'{predicted} {100 * score:.0f}%']
    lines += [] if right else [f'is {truth}']
    return _captioned(image, [*lines, *notes], size, BLUE if right else ORANGE,
                      2 + len(notes))


def draw_prediction_grid(faces: Iterable[Face],
                         out: str,
                         columns: int = 8,
                         size: int = _SIZE) -> None:
    """Draw faces with what was predicted for them.

    A right prediction has a blue frame and one line; a wrong one an orange
    frame and the true expression below.

    Args:
        faces (Iterable[tuple]): Per face the image (H, W, 3) as BGR uint8,
            the true expression, the predicted one and its score in [0, 1].
        out (str): The PNG to write.
        columns (int): Faces in a row. Defaults to 8.
        size (int): Side of a face, in pixels. Defaults to 128.

    Raises:
        ValueError: If there is no face.
    """
    cells = [_prediction_cell(*face, size=size) for face in faces]
    if not cells:
        raise ValueError('there is no face to draw')
    _save(_in_rows(cells, min(columns, len(cells))), out)


def draw_mistake_grid(rows: Dict[str, Sequence[tuple]],
                      out: str,
                      columns: int = 8) -> None:
    """Draw wrongly classified faces, a heading for each true expression.

    Args:
        rows (dict[str, list[tuple]]): By heading its faces, as those of
            :func:`draw_prediction_grid`, and the name of the file.
        out (str): The PNG to write.
        columns (int): Faces in a row. Defaults to 8.
    """
    # room for a heading even above a single column
    columns = max(min(columns, max(map(len, rows.values()))), 3)
    strips = []
    for heading, faces in rows.items():
        strips.append(_blank(30, columns * (_SIZE + 12)))
        put_text(strips[-1], heading, (6, 21), scale=.55)
        cells = [_prediction_cell(*face) for face in faces]
        strips += [_in_rows(cells, columns)] if cells else []
    _save(np.vstack(strips), out)


# ----------------------------------------------------------------- occlusion


def draw_occluder_grid(rows: Iterable[Tuple[str, Sequence[tuple]]],
                       out: str,
                       size: int = 128) -> None:
    """Draw occluded faces with their measured ratios, as one image.

    Args:
        rows (Iterable[tuple]): Per row its title and its faces, equally many:
            the image (H, W, 3), BGR uint8, and its occlusion ratio in [0, 1].
        out (str): The PNG to write.
        size (int): Side of a face, in pixels. Defaults to 128.
    """
    rows = [(title, list(faces)) for title, faces in rows]
    lengths = {len(faces) for _, faces in rows}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError('expected rows of equally many faces, one at least, '
                         f'but got {sorted(lengths)}')
    strips = []
    for title, faces in rows:
        cells = [
            _captioned(image, [f'{100 * ratio:.0f}%'], size, max_lines=1)
            for image, ratio in faces
        ]
        heading = _blank(len(cells[0]), 96)
        for i, line in enumerate(title.split()):
            put_text(heading, line, (4, size // 2 + 16 * i))
        strips.append(np.hstack([heading, *cells]))
    _save(np.vstack(strips), out)


# ----------------------------------------------------------------- attention


def draw_attention_grid(faces: Iterable[Tuple[np.ndarray, str, str, float,
                                              np.ndarray]], out: str) -> None:
    """Draw faces, each beside what its landmark tokens attend to.

    Three maps follow a face: the mean of all landmark tokens, of those of the
    upper half of the face, and of the lower half. Colours go from the least
    to the most weight that a place of this face gets in the three.

    Args:
        faces (Iterable[tuple]): Per face those of
            :func:`draw_prediction_grid` and the weights (N, h, w) of N = h * w
            landmark tokens.
        out (str): The PNG to write.
    """
    strips = []
    for *face, weights in faces:
        # a landmark token is a place too, in the same grid
        half = len(weights) // 2
        maps = {
            'all landmarks': weights.mean(0),
            'upper half': weights[:half].mean(0),
            'lower half': weights[half:].mean(0)
        }
        lowest = min(m.min() for m in maps.values())
        span = max(m.max() for m in maps.values()) - lowest
        cells = [_prediction_cell(*face)]
        for name, values in maps.items():
            heat = ((values - lowest) / max(span, 1e-12)).astype(np.float32)
            drawn = overlay_heat(
                _resize(face[0], _SIZE, _SIZE),
                cv2.resize(heat, (_SIZE, _SIZE)))
            extremes = f'{100 * values.min():.1f} to {100 * values.max():.1f}'
            cells.append(
                _captioned(drawn, [name, f'{extremes}% a place'], _SIZE))
        strips.append(np.hstack([*cells, _blank(len(cells[0]), 16)]))
    if not strips:
        raise ValueError('there is no face to draw')
    _save(_in_rows(strips, min(2, len(strips))), out)
