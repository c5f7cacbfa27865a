# Copyright (c) orsa contributors. All rights reserved.
"""Found faces are counted as one would by hand."""
import numpy as np
from detectors import Photograph, count_found, photograph_sets


def test_counts_by_hand():
    image = np.zeros((100, 100, 3), np.uint8)
    faces = np.array([[10., 10, 30, 40], [60, 60, 80, 90]])
    answers = iter([
        # one a little off; one three times as wide as the second
        [[12, 8, 34, 45], [40, 40, 100, 100]],
        # twice the same face, and one whose centre is outside
        [[10, 10, 30, 40], [11, 11, 31, 41], [75, 60, 95, 90]],
        [],
    ])
    found = count_found(lambda image: next(answers),
                        [Photograph(image, faces)] * 3)
    assert (found.faces, found.found, found.others) == (6, 2, 3)
    assert [e.shape[:2] for e in found.examples] == [(60, 60), (30, 20),
                                                     (30, 20)]


def test_sets_have_their_labels(face300w_dir, mask_folders):
    """Where a changed photograph has a face, its labels say so."""
    sets = photograph_sets(
        str(face300w_dir), str(mask_folders / 'lfw_parts'),
        str(mask_folders / 'masked_faces'), 110)
    widths = {}
    for title, photographs in sets.items():
        photographs = list(photographs())
        boxes = np.concatenate([p.boxes for p in photographs])
        assert len(boxes) >= 1, title
        for image, some in photographs:
            height, width = image.shape[:2]
            centres = (some[:, :2] + some[:, 2:]) / 2
            assert (centres > 0).all() and (centres < (width, height)).all()
        widths[title] = boxes[:, 2] - boxes[:, 0]
    np.testing.assert_allclose(widths['12 faces of 24 pixels in 960'], 24)
    np.testing.assert_allclose(widths['a face of 1,000 pixels'], 1000)
    # a face is rotated about the middle, and stays as large
    plain, turned = widths['HELEN'], widths['HELEN, rotated by 30 degrees']
    assert (np.abs(turned / plain - 1) < .35).all()
