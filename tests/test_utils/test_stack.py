# Copyright (c) orsa contributors. All rights reserved.
"""orsa works with the OpenMMLab stack: imports, scopes, versions, configs."""
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


# mmcv is imported first, without its operators; weights are not loaded
_SCOPES = """
import sys
import mmcv.cnn
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from orsa import registry
cfgs = [Config.fromfile(path) for path in sys.argv[1:]]
print(*[type(registry.MODELS.build(c.model)).__name__ for c in cfgs])
faces = registry.DATASETS.build(cfgs[0].test_dataloader.dataset)
print(*faces[0]['inputs'].shape)
assert DefaultScope.get_current_instance() is None
from orsa.utils.compat import setup_stack
setup_stack()
import mmseg.models, mmpose.models
for scope in ('mmpretrain', 'mmseg', 'mmpose'):
    with DefaultScope.overwrite_default_scope(scope):
        print(type(MODELS.build(dict(type='orsa.DARELoss'))).__name__)
"""


def test_configs_build_without_a_scope_and_modules_in_every_scope(repo_root):
    names = ('orsanet_demo', 'baselines/dan_lite_rafdb', 'ablations/plain',
             'compose/mmpretrain_mobilenet_orsanet')
    paths = [str(repo_root / f'configs/{name}.py') for name in names]
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', _SCOPES, *paths],
        capture_output=True,
        text=True)
    assert done.stdout.split()[-10:] == [
        *['ImageClassifier'] * 4, '3', '112', '112', *['DARELoss'] * 3
    ], done.stderr


def test_import_is_light():
    code = ('import sys, orsa;'
            'new = {m.split(".")[0] for m in sys.modules};'
            'print(sorted(new & {"torch", "mmcv", "mmpretrain", "mmseg",'
            '"mmpose", "cv2", "matplotlib", "sklearn"}))')
    done = subprocess.run([sys.executable, '-c', code],
                          capture_output=True,
                          text=True)
    assert done.stdout.strip() in ('[]', "['cv2']"), done.stdout + done.stderr


def test_what_people_call_is_at_the_top():
    assert orsa.FERInferencer is orsa.apis.FERInferencer
    assert orsa.OcclusionSuite.__name__ == 'OcclusionSuite'
    with pytest.raises(AttributeError, match='nothing'):
        orsa.nothing


def test_a_missing_operator_is_named():
    if provide_mmcv_ops():
        pytest.skip('the compiled mmcv is here')
    from mmcv import _ext
    with pytest.raises(RuntimeError, match='nms'):
        _ext.nms()


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
    with pytest.raises(FileNotFoundError, match='nothing.py'):
        Config.fromfile(path)


# builds one of each, then every name that mmpretrain has too
_ALL_NAMES = """
import importlib, sys, tempfile
import numpy as np
from mmengine.registry import DefaultScope
from orsa.apis import FERInferencer, init_model, load_config
from orsa.analysis.inputs import build_dataset
from orsa.cli import main

def shared(kind):
    found = {}
    for library in ('mmpretrain', 'mmpose', 'mmseg', 'mmdet'):
        registry = getattr(importlib.import_module(f'{library}.registry'),
                           kind)
        registry.import_from_location()
        found[library] = registry, set(registry.module_dict)
    for library, (registry, names) in found.items():
        others = [n for l, (_, n) in found.items() if l != library]
        both = (set.union(*others) if library == 'mmpretrain' else
                found['mmpretrain'][1])
        yield library, registry, names & both

def check(step):
    scope = DefaultScope.get_current_instance()
    assert scope is None, (step, scope.scope_name)

model = init_model('orsanet_lite')
check('init_model')
FERInferencer(model)(np.zeros((64, 64, 3), np.uint8), aligned=True)
check('FERInferencer')
cfg = load_config('orsa::orsanet_demo.py')
build_dataset(cfg, 'test')[0]
check('build_dataset')
options = ['--no-persistent-workers', '--cfg-options',
           'train_dataloader.batch_size=2', 'train_dataloader.num_workers=0']
with tempfile.TemporaryDirectory() as folder:
    assert main(['train', 'orsa::orsanet_demo.py', '--dry-run', '--work-dir',
                 folder, *options]) == 0
check('train')
count = 0
for kind in ('MODELS', 'TRANSFORMS', 'DATASETS', 'METRICS', 'HOOKS',
             'VISUALIZERS'):
    for library, registry, names in shared(kind):
        for name in names:
            # what build() does
            with registry.switch_scope_and_registry(None) as current:
                found = current.get(name)
            assert found is registry.module_dict[name], (library, found)
            count += 1
from mmdet.registry import MODELS
assert type(MODELS.build(dict(type='ResNet', depth=18))).__module__ == (
    'mmdet.models.backbones.resnet')
print(count, 'names')
"""


def test_no_scope_stays_behind(commands, tmp_path):
    done = commands.run(_ALL_NAMES, tmp_path)
    last = done.output.strip().rsplit('\n', 1)[-1]
    assert done.code == 0 and last.endswith('names'), done.output
    assert int(last.split()[0]) > 100
