# Copyright (c) orsa contributors. All rights reserved.
from typing import Iterable, Sequence, Tuple

import cv2
import numpy as np

from orsa.utils.fileio import atomic_path

_INK = (40, 40, 40)


def draw_occluder_sheet(rows: Iterable[Tuple[str, Sequence[Tuple[np.ndarray,
                                                                 float]]]],
                        out: str,
                        size: int = 128) -> None:
    """Draw occluded faces with their measured shares, as one picture.

    Args:
        rows (Iterable[tuple]): Per row its title and its faces: the image
            (H, W, 3) as BGR uint8 and the covered share in [0, 1].
        out (str): The PNG to write.
        size (int): Side of a face, in pixels. Defaults to 128.

    Raises:
        ValueError: If there is no face, or rows are of different lengths.
    """
    rows = [(title, list(faces)) for title, faces in rows]
    lengths = {len(faces) for _, faces in rows}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError('expected rows of equally many faces, one at least, '
                         f'but got {sorted(lengths)}')
    strips = [
        np.hstack([_title(title, size)] +
                  [_cell(*face, size) for face in faces])
        for title, faces in rows
    ]
    with atomic_path(out) as temporary:
        cv2.imwrite(temporary, np.vstack(strips))


def _title(text: str, size: int) -> np.ndarray:
    cell = np.full((size + 18, 96, 3), 255, np.uint8)
    for i, line in enumerate(text.split()):
        _put(cell, line, (4, size // 2 + 16 * i))
    return cell


def _cell(image: np.ndarray, share: float, size: int) -> np.ndarray:
    cell = np.full((size + 18, size + 4, 3), 255, np.uint8)
    mode = cv2.INTER_AREA if len(image) > size else cv2.INTER_CUBIC
    cell[2:size + 2, 2:size + 2] = cv2.resize(
        image, (size, size), interpolation=mode)
    _put(cell, f'{100 * share:.0f}%', (4, size + 14))
    return cell


def _put(cell: np.ndarray, text: str, place: Tuple[int, int]) -> None:
    cv2.putText(cell, text, place, cv2.FONT_HERSHEY_SIMPLEX, .4, _INK, 1,
                cv2.LINE_AA)
