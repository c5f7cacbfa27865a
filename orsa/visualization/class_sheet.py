# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict, Sequence

import cv2
import numpy as np

from orsa.utils.fileio import atomic_path

_INK, _FAINT = (40, 40, 40), (150, 150, 150)
_MARGIN, _HEAD, _LABEL, _GAP = 12, 40, 116, 4


def thumbnail(image: np.ndarray, size: int) -> np.ndarray:
    """Fit an image into a white square, without distorting it.

    Args:
        image (np.ndarray): BGR uint8 of shape (H, W, 3).
        size (int): Side of the square, in pixels.

    Returns:
        np.ndarray: Shape (size, size, 3).
    """
    height, width = image.shape[:2]
    scale = size / max(height, width)
    height, width = (max(1, round(scale * n)) for n in (height, width))
    image = cv2.resize(
        image, (width, height),
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    square = np.full((size, size, 3), 255, np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    square[top:top + height, left:left + width] = image
    return square


def draw_class_sheet(samples: Dict[str, Sequence[np.ndarray]],
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
    pitch = size + _GAP
    height = _HEAD + pitch * len(samples) + _MARGIN
    width = _MARGIN + _LABEL + pitch * columns + _MARGIN
    sheet = np.full((height, width, 3), 255, np.uint8)
    _put(sheet, title, (_MARGIN, 26), _INK, 0.55)
    for i, (name, images) in enumerate(samples.items()):
        top = _HEAD + i * pitch
        middle = top + size // 2
        _put(sheet, name, (_MARGIN, middle - 2), _INK, 0.5)
        _put(sheet, f'{counts.get(name, 0):,}', (_MARGIN, middle + 18), _FAINT,
             0.45)
        for j, image in enumerate(images[:columns]):
            left = _MARGIN + _LABEL + j * pitch
            sheet[top:top + size, left:left + size] = thumbnail(image, size)
        if not images:
            _put(sheet, 'no image', (_MARGIN + _LABEL + 6, middle + 5), _FAINT,
                 0.5)
    with atomic_path(out) as temporary:
        cv2.imwrite(temporary, sheet)


def _put(sheet: np.ndarray, text: str, place: Sequence[int],
         colour: Sequence[int], scale: float) -> None:
    cv2.putText(sheet, text, tuple(place), cv2.FONT_HERSHEY_SIMPLEX, scale,
                colour, 1, cv2.LINE_AA)
