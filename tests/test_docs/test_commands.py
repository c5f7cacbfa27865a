# Copyright (c) orsa contributors. All rights reserved.
"""Commands, configs and Python code of the pages work.

Three levels. Every command of README.md and docs/*.md is *parsed*: its script
exists, takes these arguments by its own parser, and the configs that it names
exist and load. Python is *executed*, a page's blocks one after the other;
configs are loaded, and the modules that they name exist and take these
arguments. Commands are *run*, made small, by
``tests/stress/test_documented_commands.py``. What can be none of these is
marked on the page, with the reason: ``<!-- not run: needs a cluster -->``;
orsa's own commands in it are parsed.
"""
import argparse
import inspect
import os
import re
import runpy
import subprocess
import sys

import cv2
import pytest
from doc_blocks import APART, LINKED, PAGES, ROOT, WHOLE, blocks, words_of
from mmengine.config import Config, ConfigDict
from tiny_data import photograph

from orsa import cli, registry
from orsa.apis import load_config

BLOCKS = [block for page in PAGES for block in blocks(page)]
COMMANDS = [b for b in BLOCKS if b.commands]
PYTHON = sorted({b.page
                 for b in BLOCKS if b.is_python and not b.reason} -
                set(WHOLE) - set(APART))
# pages whose Python reads real faces
NEED_FACES = {'docs/responsible_use.md'}


class Parsed(BaseException):
    """A parser has taken the arguments; nothing is run."""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder that looks like the checkout, where anything may be written."""
    for name in LINKED:
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _write_configs(page: str, folder) -> None:
    """What the page calls mine.py."""
    for block in blocks(page):
        if block.is_python and '_base_' in block.code:
            (folder / 'mine.py').write_text(block.code)


def _parse(words, monkeypatch) -> argparse.Namespace:
    """Let the script's own parser take the arguments, and stop there."""
    original = argparse.ArgumentParser.parse_args

    def parse_args(parser, args=None, namespace=None):
        raise Parsed(original(parser, args, namespace))

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse_args)
    monkeypatch.setattr(sys, 'argv', words[1:])
    with pytest.raises(Parsed) as parsed:
        if words[0] == 'orsa':
            cli.main(words[1:])
        else:
            monkeypatch.syspath_prepend(os.path.dirname(words[1]))
            runpy.run_path(words[1], run_name='__main__')
    return parsed.value.args[0]


def _check_files(args: argparse.Namespace) -> None:
    """Configs exist and load; what is in the checkout is there."""
    options = getattr(args, 'cfg_options', None) or {}
    for name, value in vars(args).items():
        if name == 'result':  # which is written before it is read
            continue
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if not isinstance(item, str):
                continue
            if item.endswith('.py'):
                load_config(item).merge_from_dict(options)
            elif item.startswith(tuple(f'{folder}/' for folder in LINKED)):
                assert os.path.exists(item), item


def _check_requirement(what: str) -> None:
    """It is orsa with extras, or what one of the requirements' files asks."""
    extras = re.fullmatch(r'\.|(?:orsa|\.)\[([\w,]+)\]', what)
    if extras:
        known = (ROOT / 'setup.py').read_text()
        for name in extras[1].split(',') if extras[1] else ():
            assert f"'{name}'" in known
            assert (ROOT / f'requirements/{name}.txt').is_file()
        return
    lines = [
        line.split('#')[0].strip() for path in ROOT.glob('requirements/*.txt')
        for line in path.read_text().splitlines()
    ]
    assert what in lines, what


def _check_command(words, monkeypatch) -> None:
    program = words[0]
    if program in ('export', 'source') or words[:2] == ['mkdocs', 'build']:
        return  # the site is built by test_site.py
    if program == 'bash':
        assert subprocess.run(['bash', '-n', words[1]]).returncode == 0
    elif words[:2] == ['pip', 'install'] and len(words) == 3:
        _check_requirement(words[2])
    elif program == 'pytest':
        assert os.path.exists(ROOT / words[1])
    elif program == 'orsa' or words[1].endswith('.py'):
        _check_files(_parse(words, monkeypatch))
    else:
        pytest.fail(f"nobody checks '{' '.join(words)}': mark it with "
                    '<!-- not run: REASON -->')


@pytest.mark.parametrize('block', COMMANDS, ids=str)
def test_commands_are_taken(block, checkout, monkeypatch):
    _write_configs(block.page, checkout)
    for command in block.commands:
        words = words_of(command)
        for word in words if words[0] == 'export' else ():
            if word.startswith('PYTHONPATH='):
                monkeypatch.syspath_prepend(str(ROOT / word.split('=')[1]))
        # of a block that cannot be run, what can be parsed
        if block.reason and words[0] not in ('orsa', 'python'):
            continue
        with monkeypatch.context() as patch:
            _check_command(words, patch)


def test_a_wrong_command_is_found(checkout, monkeypatch):
    for words in (['python', 'tools/train.py', 'configs/none.py'],
                  ['python', 'tools/train.py', 'CONFIG',
                   '--no-such-option'], ['python', 'tools/none.py'],
                  ['bash',
                   'tools/none.sh'], ['orsa',
                                      'fly'], ['pip', 'install', 'orsa']):
        with pytest.raises((Exception, SystemExit, pytest.fail.Exception)), \
                monkeypatch.context() as patch:
            _check_command(words, patch)


def _modules(value):
    """All dicts in a value that are configs of a module of orsa."""
    if isinstance(value, dict):
        if str(value.get('type', '')).startswith('orsa.'):
            yield value
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _modules(item)


# keys for the registry and the optimizer, not for the module
_BUILDERS = {'type', '_delete_', '_scope_', 'constructor', 'paramwise_cfg'}


def _check_modules(value) -> None:
    """Every module exists and takes its arguments."""
    for module in _modules(value):
        found = [
            getattr(registry, name).get(module['type'])
            for name in registry.__all__
        ]
        found = [kind for kind in found if kind]
        assert found, f"there is no {module['type']}"
        names, takes_any = set(), False
        for kind in found[0].__mro__:
            if '__init__' not in vars(kind):
                continue
            parameters = inspect.signature(kind.__init__).parameters
            names |= set(parameters)
            takes_any = any(p.kind is p.VAR_KEYWORD
                            for p in parameters.values())
            if not takes_any:
                break
        unknown = set(module) - names - _BUILDERS
        assert takes_any or not unknown, (module['type'], unknown)


@pytest.mark.parametrize('page', PYTHON)
def test_python_runs(page, checkout, request, capsys):
    if page in NEED_FACES:
        faces = request.getfixturevalue('faces_dir')
        (checkout / 'data').mkdir()
        (checkout / 'data/press_faces').symlink_to(faces)
    cv2.imwrite(str(checkout / 'photo.jpg'), photograph())
    scope: dict = {}
    for block in blocks(page):
        if not block.is_python or block.reason:
            continue
        if '_base_' in block.code:
            (checkout / 'mine.py').write_text(block.code)
            _check_modules(Config.fromfile('mine.py')._cfg_dict)
            continue
        code = compile('\n' * block.line + block.code, page,
                       'exec')  # true line numbers
        exec(code, scope)
        _check_modules([v for k, v in scope.items() if not k.startswith('__')])
    if page in NEED_FACES:
        _check_tints(capsys.readouterr().out)


def _check_tints(printed: str) -> None:
    """The output that docs/responsible_use.md quotes for its block."""
    text = ' '.join((ROOT / 'docs/responsible_use.md').read_text().split())
    found = re.findall(r'^(\w+) ([\d.]+)$', printed, re.MULTILINE)
    quoted = re.search(r'It prints ([^:]+):', text).group(1)
    # a face more or less, on another processor
    assert [n for n, _ in found] == re.findall('[a-z]+', quoted)
    for (_, value), number in zip(found, re.findall(r'[\d.]+', quoted)):
        assert abs(float(value) - float(number)) < .5


def test_the_table_of_subgroups(faces_dir):
    """docs/responsible_use.md has what the model that ships does."""
    import numpy as np

    from orsa.analysis.subgroups import attributes, divide, table
    from orsa.apis import init_model, predict_faces
    from orsa.datasets import RAFDB
    from orsa.evaluation.predictions import Predictions
    cfg = ConfigDict(
        type='orsa.RAFDB',
        data_root=str(faces_dir),
        split='test',
        with_annotations=True)
    faces = RAFDB(**{k: v for k, v in cfg.items() if k != 'type'})
    infos = [faces.get_data_info(i) for i in range(len(faces))]
    classes = faces.METAINFO['classes']
    faces_found = predict_faces(
        init_model('orsanet_face'),
        [cv2.imread(info['img_path']) for info in infos])
    predictions = Predictions('', [i['name'] for i in infos],
                              [classes[i['gt_label']] for i in infos], classes,
                              {
                                  'clean':
                                  np.array([[s.scores[c] for c in classes]
                                            for s in faces_found])
                              }, {})
    types = next(
        words_of(command) for block in blocks('docs/responsible_use.md')
        for command in block.commands if '--types' in command)
    groups = divide(predictions,
                    attributes(faces, cfg, types[types.index('--types') + 1:]))
    page = (ROOT / 'docs/responsible_use.md').read_text()
    quoted = [
        line for line in page.splitlines()
        if line in table(groups).splitlines()
    ]
    # a face or two may fall otherwise on another processor
    assert len(quoted) >= .8 * len(table(groups).splitlines())
