# Copyright (c) orsa contributors. All rights reserved.
import os
import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from orsa.utils.checkpoint import load_checkpoint_file, zoo_path


class Attack:
    """What a hostile checkpoint holds: a call that leaves a trace."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path, )


def test_reads_what_mmengine_writes(tmp_path):
    buffer = HistoryBuffer([1., 2., 3.], [1, 1, 1])
    content = dict(
        state_dict=dict(w=torch.arange(3)),
        message_hub=dict(
            log_scalars={'train/loss': buffer},
            array=np.arange(3),
            scalar=np.float64(2.5),
            count=np.int64(7)))
    path = tmp_path / 'whole.pth'
    torch.save(content, path)
    loaded = load_checkpoint_file(path)
    assert torch.equal(loaded['state_dict']['w'], torch.arange(3))
    hub = loaded['message_hub']
    assert hub['log_scalars']['train/loss'].mean() == 2.
    assert hub['scalar'] == 2.5 and hub['count'] == 7
    np.testing.assert_array_equal(hub['array'], np.arange(3))


def test_runs_no_code(tmp_path):
    trace = tmp_path / 'trace'
    path = tmp_path / 'evil.pth'
    torch.save(dict(state_dict=Attack(trace)), path)
    with pytest.raises(pickle.UnpicklingError, match='evil.pth.*refused'):
        load_checkpoint_file(path)
    # through MMEngine too, which is what a Runner calls
    with pytest.raises(pickle.UnpicklingError, match='refused'):
        CheckpointLoader.load_checkpoint(str(path))
    assert not trace.exists()


def test_getattr_serves_history_buffers_alone(tmp_path):

    class Reach:

        def __reduce__(self):
            return getattr, (np.ndarray, 'tofile')

    path = tmp_path / 'reach.pth'
    torch.save(dict(x=Reach()), path)
    with pytest.raises(pickle.UnpicklingError, match='refused'):
        load_checkpoint_file(path)


def test_truncated_file(tmp_path):
    path = tmp_path / 'whole.pth'
    torch.save(dict(w=torch.zeros(1000)), path)
    data = path.read_bytes()
    cut = tmp_path / 'cut.pth'
    cut.write_bytes(data[:len(data) // 2])
    with pytest.raises(RuntimeError, match='cut.pth.*truncated'):
        load_checkpoint_file(cut)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.pth'):
        load_checkpoint_file(tmp_path / 'nothing.pth')


def test_zoo_names():
    assert zoo_path('plain/name.pth') == 'plain/name.pth'
    assert zoo_path('orsa://x.pth').endswith(os.path.join('zoo', 'x.pth'))
