# Copyright (c) orsa contributors. All rights reserved.
"""Curves of a training are plotted from all of its records."""
import contextlib
import json

import cv2
import pytest

from orsa.visualization import (confusion, plot_confusion_matrix, plot_curves,
                                read_scalars)


def test_scalars_of_a_resumed_training(tmp_path):
    for name, records in (('1', [(1, 5.), (2, 4.)]), ('2', [(2, 3.),
                                                            (3, 2.)])):
        folder = tmp_path / name / 'vis_data'
        folder.mkdir(parents=True)
        lines = [json.dumps(dict(iter=i, loss=v)) for i, v in records]
        lines.append(json.dumps(dict(step=int(name), accuracy=50., uar=40.)))
        (folder / 'scalars.json').write_text('\n'.join(lines))
    train, val = read_scalars(str(tmp_path))
    assert [r['loss'] for r in train] == [5., 3., 2.]
    assert [r['step'] for r in val] == [1, 2]
    out = tmp_path / 'curves.png'
    plot_curves(str(tmp_path), str(out))
    assert cv2.imread(str(out)).std() > 5
    with pytest.raises(FileNotFoundError, match='scalars.json'):
        read_scalars(str(tmp_path / '1' / 'vis_data' / 'none'))


def test_scalars_of_a_killed_training(tmp_path):
    whole = [json.dumps(dict(iter=i, loss=float(i))) for i in (1, 2)]
    path = tmp_path / 'scalars.json'
    for cut in range(1, len(whole[1])):
        path.write_text(whole[0] + '\n' + whole[1][:cut])
        assert [r['iter'] for r in read_scalars(str(tmp_path))[0]] == [1]
    path.write_text('\n'.join((whole[0], '{"iter": 2, "lo', whole[1])) + '\n')
    with pytest.raises(ValueError, match=r'scalars\.json., line 2'):
        read_scalars(str(tmp_path))


def test_matrix_with_an_absent_class(tmp_path):
    out = tmp_path / 'matrix.png'
    plot_confusion_matrix([[3, 1], [0, 0]], ('a', 'b'), str(out))
    assert cv2.imread(str(out)).std() > 5


def test_the_text_of_a_matrix(tmp_path, monkeypatch):
    kept, figure_of = [], confusion.saved_figure

    @contextlib.contextmanager
    def keep(*args, **kwargs):
        with figure_of(*args, **kwargs) as (figure, axis):
            yield figure, axis
            kept.append(axis)

    monkeypatch.setattr(confusion, 'saved_figure', keep)
    plot_confusion_matrix([[3, 1], [0, 0]], ('a', 'b'),
                          str(tmp_path / 'x.png'))
    axis, = kept
    # of x, the predicted class, and y, the label
    assert {
        t.get_position(): t.get_text()
        for t in axis.texts
    } == {
        (0, 0): '75%\n3',
        (1, 0): '25%\n1'
    }
    assert axis.images[0].get_array().tolist() == [[.75, .25], [0, 0]]
