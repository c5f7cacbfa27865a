# Copyright (c) orsa contributors. All rights reserved.
from typing import Iterable, List, Optional, Sequence, Tuple

import cv2
import numpy as np

from orsa.utils.fileio import atomic_path

# BGR; blue and orange are told apart by colour-blind readers too.
_RIGHT, _WRONG, _INK = (178, 114, 0), (0, 94, 213), (40, 40, 40)


def draw_prediction_sheet(faces: Iterable[Tuple[np.ndarray, str, str, float]],
                          out: str,
                          columns: int = 8,
                          size: int = 128) -> None:
    """Draw faces with what was predicted for them, as one picture.

    A right prediction has a blue frame and one line; a wrong one an orange
    frame and the true expression below.

    Args:
        faces (Iterable[tuple]): Per face the image (H, W, 3) as BGR uint8,
            the true expression, the predicted one and its score in [0, 1].
        out (str): The PNG to write.
        columns (int): Faces in a row. Defaults to 8.
        size (int): Side of a face, in pixels. Defaults to 128.
    """
    sheet = prediction_sheet(faces, columns, size)
    with atomic_path(out) as temporary:
        cv2.imwrite(temporary, sheet)


def prediction_sheet(faces: Iterable[Tuple[np.ndarray, str, str, float]],
                     columns: int = 8,
                     size: int = 128) -> np.ndarray:
    """The picture of :func:`draw_prediction_sheet`, (H, W, 3), BGR uint8.

    Args:
        faces, columns, size: As there.

    Raises:
        ValueError: If there is no face.
    """
    cells = [prediction_cell(*face, size) for face in faces]
    if not cells:
        raise ValueError('there is no face to draw')
    return in_rows(cells, min(columns, len(cells)))


def in_rows(cells: List[np.ndarray], columns: int) -> np.ndarray:
    """Pictures of one size (h, w, 3) in rows, (H, columns * w, 3).

    What the last row lacks is white.
    """
    cells = cells + [np.full_like(cells[0], 255)] * (-len(cells) % columns)
    return np.vstack([
        np.hstack(cells[i:i + columns]) for i in range(0, len(cells), columns)
    ])


def prediction_cell(image: np.ndarray,
                    truth: str,
                    predicted: str,
                    score: float,
                    size: int = 128,
                    note: Optional[str] = None) -> np.ndarray:
    """Draw one face of :func:`draw_prediction_sheet`.

    Args:
        image (np.ndarray): (H, W, 3), BGR uint8.
        truth (str): The true expression.
        predicted (str): The predicted one.
        score (float): Its score, in [0, 1].
        size (int): Side of the face, in pixels. Defaults to 128.
        note (str, optional): One more line below. Defaults to None.

    Returns:
        np.ndarray: (size + 44, size + 12, 3), 15 more rows for a note.
    """
    right = truth == predicted
    rows = size + 44 + 15 * (note is not None)
    cell = np.full((rows, size + 12, 3), 255, np.uint8)
    face = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    colour = _RIGHT if right else _WRONG
    cv2.rectangle(cell, (2, 2), (size + 9, size + 9), colour, -1)
    cell[6:6 + size, 6:6 + size] = face
    lines = [f'{predicted} {100 * score:.0f}%']
    lines += [] if right else [f'is {truth}']
    lines += [] if note is None else [note]
    for index, line in enumerate(lines):
        put_text(cell, line, (6, size + 23 + 15 * index),
                 _INK if index else colour, size)
    return cell


def put_text(picture: np.ndarray,
             text: str,
             place: Sequence[int],
             colour: Sequence[int],
             width: int,
             scale: float = .42) -> None:
    """Write a line into a picture, smaller if it is too long.

    Args:
        picture (np.ndarray): (H, W, 3), is changed.
        text (str): The line.
        place (Sequence[int]): x and y of its lower left end.
        colour (Sequence[int]): BGR.
        width (int): Pixels that it may take.
        scale (float): Of the letters. Defaults to .42.
    """
    font = cv2.FONT_HERSHEY_SIMPLEX
    # OpenCV ends the process at a name of a file that is no UTF-8
    text = text.encode(errors='replace').decode()
    taken = cv2.getTextSize(text, font, scale, 1)[0][0]
    scale *= min(1., width / max(taken, 1))
    cv2.putText(picture, text, tuple(place), font, scale, colour, 1,
                cv2.LINE_AA)


def spread(labels: Sequence[int], count: int) -> np.ndarray:
    """Indices of ``count`` samples, equally many of every label.

    Args:
        labels (Sequence[int]): Label of every sample.
        count (int): How many samples are wanted.

    Returns:
        np.ndarray: Indices, ordered by label.
    """
    labels = np.asarray(labels)
    values = np.unique(labels)
    share = -(-count // max(len(values), 1))
    chosen = [np.flatnonzero(labels == v)[:share] for v in values]
    return np.concatenate(chosen)[:count] if chosen else np.zeros(0, int)
