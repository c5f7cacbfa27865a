# Copyright (c) orsa contributors. All rights reserved.
"""``pip install .`` installs the complete library, not only ``-e``."""
import os
import shutil
import subprocess
import sys
import zipfile

import pytest
import yaml

import orsa


@pytest.fixture(scope='module')
def installed(tmp_path_factory, repo_root):
    """The content of the wheel, unpacked somewhere else."""
    source = tmp_path_factory.mktemp('source')
    for name in ('orsa', 'configs', 'tools', 'requirements'):
        shutil.copytree(
            repo_root / name,
            source / name,
            symlinks=True,
            ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('setup.py', 'setup.cfg', 'pyproject.toml', 'MANIFEST.in',
                 'README.md', 'LICENSE', 'CHANGELOG.md', 'model-index.yml'):
        shutil.copy(repo_root / name, source)
    done = subprocess.run([
        sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps',
        '--no-build-isolation', '-w',
        str(source / 'dist'),
        str(source)
    ],
                          capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    wheel = next((source / 'dist').glob('*.whl'))
    target = tmp_path_factory.mktemp('site')
    zipfile.ZipFile(wheel).extractall(target)
    return target


def test_every_config_and_weight_travels(installed, repo_root):
    for folder, place in (('configs', 'orsa/.mim/configs'),
                          ('tools', 'orsa/.mim/tools'), ('orsa/zoo',
                                                         'orsa/zoo')):
        for path in (repo_root / folder).rglob('*'):
            if path.is_file() and '__pycache__' not in path.parts:
                copy = installed / place / path.relative_to(repo_root / folder)
                assert copy.read_bytes() == path.read_bytes(), copy


def test_configs_work_from_anywhere(installed, tmp_path):
    (tmp_path / 'mine.py').write_text("_base_ = 'orsa::orsanet_demo.py'\n")
    code = ('import orsa; from mmengine.config import Config;'
            'cfg = Config.fromfile("mine.py");'
            'print(orsa.__file__, cfg.model.type)')
    env = dict(os.environ, PYTHONPATH=str(installed))
    done = subprocess.run([sys.executable, '-c', code],
                          cwd=tmp_path,
                          env=env,
                          capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    where, kind = done.stdout.split()
    assert where.startswith(str(installed)) and kind == 'ImageClassifier'


def test_the_citation_is_of_this_version(repo_root):
    cited = yaml.safe_load((repo_root / 'CITATION.cff').read_text())
    assert cited['cff-version'] == '1.2.0'
    assert cited['version'] == orsa.__version__
    assert 'version = {%s}' % orsa.__version__ in (
        repo_root / 'docs/index.md').read_text()
