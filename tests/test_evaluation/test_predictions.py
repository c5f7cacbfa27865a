# Copyright (c) orsa contributors. All rights reserved.
"""Predictions are read from JSON alone, and a wrong file is named."""
import pickle

import pytest

from orsa.evaluation.predictions import read_predictions
from orsa.utils.fileio import dump_json


def test_no_pickle_is_read(tmp_path):
    path = tmp_path / 'predictions.pkl'
    path.write_bytes(pickle.dumps([dict(pred_label=1)]))
    with pytest.raises(ValueError, match='pickle'):
        read_predictions(str(path))
    with pytest.raises(FileNotFoundError, match='tools/test.py'):
        read_predictions(str(tmp_path / 'none.json'))
    for content in ('{"samples"', '[]', '{"other": 1}'):
        path = tmp_path / 'predictions.json'
        path.write_text(content)
        with pytest.raises(ValueError, match='predictions.json'):
            read_predictions(str(path))


def test_faces_without_names(tmp_path):
    path = tmp_path / 'predictions.json'
    samples = [dict(name=None, label=0, pred=0, scores=[.9, .1])]
    dump_json(dict(classes=['anger', 'happiness'], samples=samples), path)
    with pytest.raises(ValueError, match="add 'name' to the meta_keys"):
        read_predictions(str(path))
