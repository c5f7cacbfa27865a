# Copyright (c) orsa contributors. All rights reserved.
"""Predictions are read from JSON alone, and a wrong file is named."""
import pickle

import pytest

from orsa.evaluation.predictions import (DumpPredictions, read_predictions,
                                         read_records)
from orsa.utils.fileio import dump_json


def test_no_pickle_is_read(tmp_path):
    path = tmp_path / 'predictions.pkl'
    path.write_bytes(pickle.dumps([dict(pred_label=1)]))
    with pytest.raises(ValueError, match='pickle'):
        read_records(str(path))
    with pytest.raises(FileNotFoundError, match='tools/test.py'):
        read_records(str(tmp_path / 'none.json'))
    for content in ('{"predictions"', '[]', '{"other": 1}'):
        path = tmp_path / 'predictions.json'
        path.write_text(content)
        with pytest.raises(ValueError, match='predictions.json'):
            read_records(str(path))
    with pytest.raises(ValueError, match="--out .*'a.txt'"):
        DumpPredictions('a.txt')


def test_a_dump_keeps_its_own_classes(tmp_path):
    records = [
        dict(name='a', pred_score=[.9, .1], gt_label=[0]),
        dict(name='b', pred_score=[.2, .8], gt_label=[1])
    ]
    dump = tmp_path / 'dump.json'
    dump_json(dict(classes=['anger', 'happiness'], predictions=records), dump)
    # of another test, whose order is another
    dump_json(dict(classes=['happiness', 'anger']), tmp_path / 'metrics.json')
    found = read_predictions(str(dump))
    assert found.labels == ['anger', 'happiness']
    assert found.classes == ['anger', 'happiness']
    # of a model with other classes the scores mean something else
    dump_json(dict(model_classes=['fear']), tmp_path / 'metrics.json')
    with pytest.raises(ValueError, match='other classes'):
        read_predictions(str(dump))
