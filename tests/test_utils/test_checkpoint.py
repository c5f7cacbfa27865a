# Copyright (c) orsa contributors. All rights reserved.
"""Checkpoints are read by orsa and by MMEngine, and run no code."""
import os
import re
import subprocess
import sys
from pathlib import Path

import mmpretrain
import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from orsa.apis import init_model
from orsa.utils.checkpoint import load_checkpoint_file
from orsa.utils.checkpoint_records import CheckpointError
from orsa.utils.shipped import zoo_path


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
    with pytest.raises(CheckpointError, match='evil.pth'):
        load_checkpoint_file(path)
    # through MMEngine too, which is what a Runner calls
    with pytest.raises(CheckpointError, match='evil.pth'):
        CheckpointLoader.load_checkpoint(str(path))
    assert not trace.exists()


def test_getattr_serves_history_buffers_alone(tmp_path):

    class Reach:

        def __reduce__(self):
            return getattr, (np.ndarray, 'tofile')

    path = tmp_path / 'reach.pth'
    torch.save(dict(x=Reach()), path)
    with pytest.raises(CheckpointError, match='reach.pth'):
        load_checkpoint_file(path)


def test_truncated_file(tmp_path):
    path = tmp_path / 'whole.pth'
    torch.save(dict(w=torch.zeros(1000)), path)
    data = path.read_bytes()
    cut = tmp_path / 'cut.pth'
    cut.write_bytes(data[:len(data) // 2])
    with pytest.raises(CheckpointError, match='cut.pth'):
        load_checkpoint_file(cut)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.pth'):
        load_checkpoint_file(tmp_path / 'nothing.pth')


def test_zoo_names():
    assert zoo_path('plain/name.pth') == 'plain/name.pth'
    assert zoo_path('orsa://x.pth').endswith(os.path.join('zoo', 'x.pth'))


_PLAIN = """
import os, sys
import orsa
assert 'torch' not in sys.modules
from mmengine.runner.checkpoint import CheckpointLoader, load_from_local
from orsa.utils.checkpoint import load_checkpoint_file
load = CheckpointLoader.load_checkpoint
assert len(load('orsa://orsanet_lite.pth')['meta']['dataset_meta']['classes']
           ) == 7
assert CheckpointLoader._get_checkpoint_loader('whole.pth') is load_from_local
for _ in range(2):  # reading one in our way does not end it
    hub = load('whole.pth')['message_hub']
    assert hub['train/loss'].mean() == 2. and hub['scalar'] == 2.5
    load_checkpoint_file('whole.pth')
try:
    load('evil.pth')
except Exception as error:
    print(type(error).__name__, os.path.exists('trace'))
"""


def test_import_is_enough_for_mmengine(tmp_path):
    """``import orsa`` comes first and brings no torch; MMEngine's own loader
    then reads a training's records, and still runs no code."""
    torch.save(
        dict(
            state_dict=dict(w=torch.zeros(2)),
            message_hub={
                'train/loss': HistoryBuffer([1., 2., 3.], [1, 1, 1]),
                'scalar': np.float64(2.5)
            }), tmp_path / 'whole.pth')
    torch.save(dict(state_dict=Attack('trace')), tmp_path / 'evil.pth')
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', _PLAIN],
                          capture_output=True,
                          text=True,
                          cwd=tmp_path)
    assert done.stdout.endswith('UnpicklingError False\n'), done.stderr


def test_mmpretrain_tests_our_checkpoints(tmp_path, repo_root):
    """Its own tool on our config and a checkpoint with records."""
    model = init_model('orsa::orsanet_demo.py')
    torch.save(
        dict(
            state_dict=model.state_dict(),
            meta=dict(dataset_meta=model.dataset_meta),
            message_hub=dict(
                log_scalars={'train/loss': HistoryBuffer([1.], [1])})),
        tmp_path / 'epoch_1.pth')
    tool = Path(mmpretrain.__file__).parent / '.mim/tools/test.py'
    # formatting the logged config takes longer than the test
    code = ('import runpy, sys, mmengine.config.config as config;'
            'config.FormatCode = lambda text, **kwargs: (text, True);'
            'del sys.argv[0];'
            'runpy.run_path(sys.argv[0], run_name="__main__")')
    done = subprocess.run([
        sys.executable, '-W', 'ignore', '-c', code,
        str(tool),
        str(repo_root / 'configs/orsanet_demo.py'), 'epoch_1.pth',
        '--cfg-options', 'test_dataloader.dataset.num_samples=7',
        'test_dataloader.num_workers=0',
        'test_dataloader.persistent_workers=False'
    ],
                          capture_output=True,
                          text=True,
                          cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r'Epoch\(test\) .* accuracy: \d', done.stdout)
