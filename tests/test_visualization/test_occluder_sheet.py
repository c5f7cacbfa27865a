# Copyright (c) orsa contributors. All rights reserved.
import cv2
import numpy as np
import pytest

from orsa.visualization.grids import draw_occluder_grid


def test_a_sheet_holds_every_face(tmp_path):
    out = str(tmp_path / 'sheet.png')
    rows = [(title, [(np.full((32, 32, 3), v, np.uint8), v / 255)
                     for v in (60, 120, 180)]) for title in ('hat', 'mask')]
    draw_occluder_grid(rows, out, size=64)
    sheet = cv2.imread(out)
    for v in (60, 120, 180):
        assert (sheet == v).all(2).sum() >= 2 * 64 * 64
    with pytest.raises(ValueError, match='equally many'):
        draw_occluder_grid([('hat', rows[0][1]), ('mask', [])], out)
