# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict, Sequence, Tuple

import cv2
import numpy as np

from orsa.utils.fileio import atomic_path
from .prediction_sheet import in_rows, prediction_cell, put_text

_INK, _HEIGHT = (40, 40, 40), 30


def draw_mistake_sheet(rows: Dict[str, Sequence[Tuple[np.ndarray, str, str,
                                                      float, str]]],
                       out: str,
                       columns: int = 8,
                       size: int = 128) -> None:
    """Draw wrongly classified faces, a heading for each true expression.

    Args:
        rows (dict[str, list[tuple]]): By heading the faces under it: the
            image (H, W, 3) as BGR uint8, the true expression, the predicted
            one, its score in [0, 1] and the name of the file. A heading may
            have no faces.
        out (str): The PNG to write.
        columns (int): Faces in a row. Defaults to 8.
        size (int): Side of a face, in pixels. Defaults to 128.

    Raises:
        ValueError: If there is no face.
    """
    widest = max(map(len, rows.values()), default=0)
    if not widest:
        raise ValueError('there is no face to draw')
    # room for a heading even above a single column
    columns = max(min(columns, widest), 3)
    strips = []
    for heading, faces in rows.items():
        cells = [prediction_cell(*face[:4], size, face[4]) for face in faces]
        width = columns * (size + 12)
        strip = np.full((_HEIGHT, width, 3), 255, np.uint8)
        put_text(strip, heading, (6, 21), _INK, width - 12, .55)
        strips.append(strip)
        if cells:
            strips.append(in_rows(cells, columns))
    with atomic_path(out) as temporary:
        cv2.imwrite(temporary, np.vstack(strips))
