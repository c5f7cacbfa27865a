# Copyright (c) orsa contributors. All rights reserved.
"""Grids of images hold every face, and mark wrong predictions."""
import cv2
import numpy as np
import pytest

from orsa.visualization import draw_occluder_grid, draw_prediction_grid, spread


def test_a_grid_holds_every_face(tmp_path):
    out = str(tmp_path / 'grid.png')
    rows = [(title, [(np.full((32, 32, 3), v, np.uint8), v / 255)
                     for v in (60, 120, 180)]) for title in ('hat', 'mask')]
    draw_occluder_grid(rows, out, size=64)
    grid = cv2.imread(out)
    for v in (60, 120, 180):
        assert (grid == v).all(2).sum() >= 2 * 64 * 64
    with pytest.raises(ValueError, match='equally many'):
        draw_occluder_grid([('hat', rows[0][1]), ('mask', [])], out)


def test_spread_takes_every_class():
    labels = [0] * 50 + [1] * 50 + [2] * 50
    chosen = spread(labels, 6)
    assert sorted(np.array(labels)[chosen]) == [0, 0, 1, 1, 2, 2]
    assert len(spread([], 5)) == 0
    # seven classes, one with a single sample
    labels = np.array([*range(7)] * 9 + [7])
    for count in (8, 16, 30, 60):
        found = np.bincount(labels[spread(labels, count)], minlength=8)
        assert found.sum() == count and found[7] == 1
        assert np.ptp(found[:7]) <= 1


def test_grid_marks_right_and_wrong(tmp_path):
    face = np.full((40, 40, 3), 128, np.uint8)
    path = str(tmp_path / 'grid.png')
    draw_prediction_grid([(face, 'anger', 'anger', 0.9),
                          (face, 'anger', 'fear', 0.4)], path)
    grid = cv2.imread(path)
    left, right = grid[4, 4], grid[4, grid.shape[1] // 2 + 4]
    assert left[0] > left[2] and right[2] > right[0]  # blue and orange
