# Copyright (c) orsa contributors. All rights reserved.
"""Fixtures of all tests: data beside the checkout, commands, seeds, scope."""
import orsa  # isort: skip # noqa: F401 before OpenCV, which it bounds
import gc
import os
import random
import sys
from collections import Counter
from pathlib import Path

import mmengine.config
import numpy as np
import pytest
import torch
from command_server import CommandServer
from mmengine.registry import DefaultScope

from orsa.utils.compat import setup_stack

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get('ORSA_SHARED', ROOT.parent / 'shared'))

setup_stack()
# yapf formats the config in MMEngine's log and dump for seconds
mmengine.config.config.FormatCode = lambda text, **kwargs: (text, True)
# package `speed` of the benchmarks, and `detectors`
sys.path.insert(0, str(ROOT / 'tools/benchmarks'))


@pytest.fixture(scope='session')
def repo_root() -> Path:
    return ROOT


@pytest.fixture(scope='session')
def commands(tmp_path_factory) -> CommandServer:
    """Runs commands and scripts in processes forked after slow imports."""
    server = CommandServer(tmp_path_factory.mktemp('commands'))
    yield server
    server.close()


def _shared(name: str) -> Path:
    path = SHARED / name
    if not path.is_dir():
        pytest.skip(f'the {name} folder is not beside this checkout '
                    '(set ORSA_SHARED to the folder that holds it)')
    return path


@pytest.fixture(scope='session')
def parity_dir() -> Path:
    """Expected outputs of the reference implementation."""
    return _shared('parity')


@pytest.fixture(scope='session')
def faces_dir() -> Path:
    """The real faces ``press_faces`` in RAF-DB's layout."""
    return _shared('faces')


@pytest.fixture(scope='session')
def ferplus_dir() -> Path:
    """FER+ as released, its faces in folders, with RAN's lists."""
    return _shared('ferplus')


@pytest.fixture(scope='session')
def face300w_dir() -> Path:
    """Faces of 300-W with their points."""
    return _shared('300w')


@pytest.fixture(scope='session')
def mask_folders() -> Path:
    """The folder of three public datasets of images with index masks."""
    for name in ('lfw_parts', 'fasseg', 'masked_faces'):
        folder = _shared(name)
    return folder.parent


@pytest.fixture(scope='session')
def videos_dir() -> Path:
    """Short clips of a person, as released."""
    return _shared('videos')


@pytest.fixture(scope='session')
def yunet_file() -> Path:
    """YuNet as released, for OpenCV's detector."""
    return _shared('detector') / 'face_detection_yunet_2023mar.onnx'


@pytest.fixture(scope='session')
def cases_dir() -> Path:
    """Small inputs on which the library failed once."""
    return _shared('cases')


_tried: Counter = Counter()


@pytest.fixture(scope='session')
def tried() -> Counter:
    """Counts of trials, which ``run_tests.sh --stress`` prints."""
    return _tried


def pytest_sessionfinish(session):
    """Send the counts of a worker of pytest-xdist."""
    if hasattr(session.config, 'workeroutput'):
        session.config.workeroutput['tried'] = dict(_tried)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Add the counts of a worker."""
    _tried.update(getattr(node, 'workeroutput', {}).get('tried', {}))


def pytest_terminal_summary(terminalreporter):
    if 'ORSA_STRESS' not in os.environ:
        return
    lost = sum(
        len(terminalreporter.stats.get(kind, []))
        for kind in ('failed', 'error'))
    terminalreporter.section('tried')
    for name, count in _tried.items():
        terminalreporter.write_line(f'{count:>8,} {name}')
    terminalreporter.write_line(
        f'lost: see the {lost} failures' if lost else 'lost: nothing')


@pytest.fixture(scope='module', autouse=True)
def _freeze():
    """MMEngine collects garbage for each dataset: half a second, unless what
    was imported is frozen."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _seed():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _scope():
    """Each test starts in the scope of mmpretrain."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield
