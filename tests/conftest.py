# Copyright (c) orsa contributors. All rights reserved.
import os
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope

from orsa.utils.compat import setup_stack

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get('ORSA_SHARED', ROOT.parent / 'shared'))

setup_stack()


@pytest.fixture(scope='session')
def repo_root() -> Path:
    return ROOT


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


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _scope():
    """Each test begins in mmpretrain's scope, whatever the last one left."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield
