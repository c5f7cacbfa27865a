# Copyright (c) orsa contributors. All rights reserved.
"""The card of a face: parsing, landmarks and scores where they belong."""
import cv2
import numpy as np
import pytest

from orsa.utils.face_regions import (FACE_CLASSES, FACE_PALETTE, LAPA_PALETTE,
                                     LINES_68)
from orsa.visualization import draw_face_card

SCORES = dict(happiness=.7, anger=.2, neutral=.1)
GREY = np.full((64, 64, 3), 128, np.uint8)


def draw(tmp_path, **kwargs):
    path = tmp_path / 'card.png'
    draw_face_card(GREY, SCORES, str(path), **kwargs)
    assert [p.name for p in tmp_path.iterdir()] == ['card.png']
    return cv2.imread(str(path)).astype(int)


def pixels_of(card, rgb):
    return np.argwhere(np.abs(card - np.array(rgb)[::-1]).max(-1) < 3)


def face_box(card):
    """Where the image of the face is: the grey of the leftmost panel."""
    grey = pixels_of(card[:, :card.shape[1] // 3], (128, 128, 128))
    edges = []
    for axis in (0, 1):
        # letters have a few grey pixels too
        lines, counts = np.unique(grey[:, axis], return_counts=True)
        edges.append(lines[counts > 60][[0, -1]])
    (top, bottom), (left, right) = edges
    return top, left, bottom, right


def test_everything_is_where_it_belongs(tmp_path):
    parsing = np.zeros((64, 64), np.uint8)
    parsing[40:48, 16:48] = 6
    points = np.full((68, 3), 32., np.float32)
    points[:, 0] = np.linspace(8, 56, 68)
    card = draw(tmp_path, parsing=parsing, landmarks=points, title='one')
    top, left, bottom, right = face_box(card)
    # the mask: half of its colour over the grey, at its place
    nose = .5 * np.array(LAPA_PALETTE[6]) + .5 * 128
    rows = pixels_of(card, nose)[:, 0]
    assert rows.min() == pytest.approx(top + 40 / 64 * (bottom - top), abs=6)
    assert rows.max() == pytest.approx(top + 48 / 64 * (bottom - top), abs=6)
    # its name's colour is in the legend, that of other classes is not
    assert len(pixels_of(card, LAPA_PALETTE[6]))
    assert not len(pixels_of(card, LAPA_PALETTE[2]))
    # the row of landmarks
    dots = pixels_of(card, (0x56, 0xB4, 0xE9))
    assert np.abs(dots[:, 0] - (top + bottom) / 2).max() < 12
    assert dots[:, 1].min() == pytest.approx(
        left + 8.5 / 64 * (right - left), abs=8)


def test_an_occluder_has_a_colour_too(tmp_path):
    parsing = np.zeros((64, 64), np.uint8)
    parsing[40:48, 16:48] = FACE_CLASSES.index('occluder')
    card = draw(tmp_path, parsing=parsing)
    occluder = .5 * np.array(FACE_PALETTE[11]) + .5 * 128
    assert len(pixels_of(card, occluder)) > 1000


def test_classes_of_another_parser_and_dollars(tmp_path):
    parsing = np.full((64, 64), 15, np.uint8)
    card = draw(tmp_path, parsing=parsing, title='of $a_$b, 3 $')
    assert card is not None


def test_bars_have_the_lengths_of_the_scores(tmp_path):
    card = draw(tmp_path)
    best = pixels_of(card, (0xD5, 0x5E, 0))
    others = pixels_of(card, (0x9A, 0xA5, 0xB1))
    assert best[:, 0].max() < others[:, 0].min()  # the first, at the top
    length = np.ptp(best[:, 1]) / np.ptp(others[:, 1])
    assert length == pytest.approx(.7 / .2, rel=.08)


def test_what_is_not_known_is_left_out(tmp_path):
    wide = draw(tmp_path, parsing=np.zeros((64, 64), np.uint8))
    card = draw(tmp_path)
    assert card.shape[1] < wide.shape[1]
    assert not len(pixels_of(card, (0x56, 0xB4, 0xE9)))


def test_a_point_outside_does_not_shrink_the_face(tmp_path):
    points = np.array([[32, 32], [300, -200]], np.float32)
    assert face_box(draw(tmp_path, landmarks=points)) == pytest.approx(
        face_box(draw(tmp_path)), abs=2)


def test_what_does_not_fit_is_refused(tmp_path):
    path = str(tmp_path / 'no.png')
    with pytest.raises(ValueError, match='seg_map'):
        draw_face_card(GREY, SCORES, path, np.zeros((32, 64), np.uint8))
    assert not list(tmp_path.iterdir())


def test_lines_cover_every_landmark_once():
    covered = [i for start, stop, _ in LINES_68 for i in range(start, stop)]
    assert covered == list(range(68))
