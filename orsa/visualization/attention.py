# Copyright (c) orsa contributors. All rights reserved.
from typing import Iterable, Tuple

import cv2
import numpy as np

from orsa.utils.fileio import atomic_path
from .cam import overlay_heat
from .prediction_sheet import in_rows, prediction_cell, put_text

_INK = (40, 40, 40)


def draw_attention_sheet(faces: Iterable[Tuple[np.ndarray, str, str, float,
                                               np.ndarray]],
                         out: str,
                         columns: int = 2,
                         size: int = 128) -> None:
    """Draw faces, each beside where its landmark tokens look.

    Three maps follow a face: the mean of all landmark tokens, of those of the
    upper half of the face, and of the lower half. Colours go from the least
    to the most that a place of this face gets in the three; the shares below
    a map say how much that is.

    Args:
        faces (Iterable[tuple]): Per face the image (H, W, 3) as BGR uint8,
            the true expression, the predicted one, its score in [0, 1] and
            the weights (N, h, w) of N = h * w landmark tokens.
        out (str): The PNG to write.
        columns (int): Faces in a row. Defaults to 2.
        size (int): Side of a picture, in pixels. Defaults to 128.

    Raises:
        ValueError: If there is no face.
    """
    strips = [_strip(*face, size) for face in faces]
    if not strips:
        raise ValueError('there is no face to draw')
    sheet = in_rows(strips, min(columns, len(strips)))
    with atomic_path(out) as temporary:
        cv2.imwrite(temporary, sheet)


def _strip(image: np.ndarray, truth: str, predicted: str, score: float,
           weights: np.ndarray, size: int) -> np.ndarray:
    # a landmark token is a place too, in the same grid
    half = len(weights) // 2
    maps = {
        'all landmarks': weights.mean(0),
        'upper half': weights[:half].mean(0),
        'lower half': weights[half:].mean(0)
    }
    lowest = min(m.min() for m in maps.values())
    span = max(m.max() for m in maps.values()) - lowest
    face = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    cells = [prediction_cell(face, truth, predicted, score, size)]
    for name, shares in maps.items():
        cell = np.full_like(cells[0], 255)
        heat = cv2.resize(
            ((shares - lowest) / max(span, 1e-12)).astype(np.float32),
            (size, size),
            interpolation=cv2.INTER_LINEAR)
        cell[6:6 + size, 6:6 + size] = overlay_heat(face, heat)
        lines = (name, f'{100 * shares.min():.1f} to '
                 f'{100 * shares.max():.1f}% a place')
        for index, line in enumerate(lines):
            put_text(cell, line, (6, size + 23 + 15 * index), _INK, size)
        cells.append(cell)
    gap = np.full((len(cells[0]), 16, 3), 255, np.uint8)
    return np.hstack([*cells, gap])
