# Copyright (c) orsa contributors. All rights reserved.
"""Predictions are read from JSON alone, and a wrong file is named."""
import pickle

import pytest

from orsa.evaluation.predictions import DumpPredictions, read_records


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
