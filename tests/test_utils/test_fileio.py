# Copyright (c) orsa contributors. All rights reserved.
import json
import os

import numpy as np
import pytest

from orsa.utils.fileio import atomic_path, dump_json


def test_an_error_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / 'deep' / 'file.txt'
    with atomic_path(path) as temporary:
        assert temporary.endswith('.txt')
        with open(temporary, 'w') as file:
            file.write('old')
    with pytest.raises(RuntimeError):
        with atomic_path(path) as temporary:
            with open(temporary, 'w') as file:
                file.write('half')
            raise RuntimeError
    assert path.read_text() == 'old'
    assert os.listdir(path.parent) == ['file.txt']


def test_json_is_strict(tmp_path):
    path = tmp_path / 'x.json'
    dump_json(dict(a=float('nan'), b=np.float32(1.5), c=np.eye(2)), path)

    def refuse(name):
        raise ValueError(name)

    content = json.loads(path.read_text(), parse_constant=refuse)
    assert content == dict(a=None, b=1.5, c=[[1., 0.], [0., 1.]])
