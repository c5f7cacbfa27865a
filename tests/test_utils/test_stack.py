# Copyright (c) orsa contributors. All rights reserved.
"""Where the stack bites: imports, scopes, versions, configs."""
import importlib
import subprocess
import sys

import pytest
from mmengine.config import Config

import orsa.registry
from orsa.utils import versions
from orsa.utils.compat import provide_mmcv_ops


@pytest.mark.parametrize('name', orsa.registry.__all__)
def test_every_location_imports(name):
    # an entry that does not would surface as "not in the registry"
    for location in getattr(orsa.registry, name)._locations:
        importlib.import_module(location)


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg', 'mmpose'])
def test_parts_are_found_from_every_scope(scope):
    code = ('from orsa.utils.compat import setup_stack; setup_stack();'
            'from mmengine.registry import MODELS, init_default_scope;'
            f'init_default_scope("{scope}");'
            'print(type(MODELS.build(dict(type="orsa.DARELoss"))).__name__)')
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code],
                          capture_output=True,
                          text=True)
    assert done.stdout.strip().endswith('DARELoss'), done.stderr


def test_import_is_light():
    code = ('import torch, sys; before = set(sys.modules); import orsa;'
            'new = {m.split(".")[0] for m in set(sys.modules) - before};'
            'print(sorted(new & {"mmcv", "mmpretrain", "mmseg", "mmpose",'
            '"cv2", "matplotlib", "sklearn"}))')
    done = subprocess.run([sys.executable, '-c', code],
                          capture_output=True,
                          text=True)
    assert done.stdout.strip() in ('[]', "['cv2']"), done.stdout + done.stderr


def test_missing_operator_says_so():
    if provide_mmcv_ops():
        pytest.skip('the compiled mmcv is here')
    from mmcv import _ext
    with pytest.raises(RuntimeError, match="'nms' needs the compiled mmcv"):
        _ext.nms()


def test_both_libraries_import():
    importlib.import_module('mmseg.models')
    importlib.import_module('mmpose.models')


def test_libraries_import_after_mmcv():
    # whoever imported mmcv first got it without its operators
    code = ('import mmcv.cnn;'
            'from orsa.utils.compat import setup_stack; setup_stack();'
            'import mmseg.models, mmpose.models; print("fine")')
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code],
                          capture_output=True,
                          text=True)
    assert done.stdout.strip() == 'fine', done.stderr


@pytest.mark.parametrize('version, expected', [
    (None, 'mmengine is missing: pip install "mmengine>=0.10.4"'),
    ('0.9.0', 'mmengine 0.9.0 does not work: pip install "mmengine>=0.10.4"'),
    ('0.10.7', None),
])
def test_one_line_for_a_wrong_version(monkeypatch, version, expected):
    monkeypatch.setattr(versions, 'installed', lambda name: version)
    assert versions._problem('mmengine', '0.10.4', None) == expected


def test_config_from_the_package(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'orsa::orsanet_rafdb.py'\n"
                    'model = dict(head=dict(num_classes=8))\n')
    cfg = Config.fromfile(path)
    assert cfg.model.head.num_classes == 8
    # no scope was forced on its types
    assert '_scope_' not in cfg.model
    assert cfg.model.type == 'ImageClassifier'


def test_unknown_config_of_the_package(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'orsa::nothing.py'\n")
    with pytest.raises(FileNotFoundError, match="no config 'nothing.py'"):
        Config.fromfile(path)
