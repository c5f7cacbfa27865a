# Copyright (c) orsa contributors. All rights reserved.
"""What mmpretrain's tools take, ours take, or say what to do instead."""
import argparse
import ast
import re
import runpy
import sys
from pathlib import Path

import mmpretrain
import pytest

from orsa.utils.command import AbsentFlag, add_absent_flags

THEIRS = Path(mmpretrain.__file__).parent / '.mim/tools'
PAIRS = {
    'train.py': 'train.py',
    'test.py': 'test.py',
    'analysis_tools/confusion_matrix.py': 'analysis_tools/confusion_matrix.py',
    'analysis_tools/get_flops.py': 'analysis_tools/get_flops.py',
    'misc/print_config.py': 'misc/print_config.py',
    'model_converters/publish_model.py': 'model_converters/publish_model.py',
    'visualization/browse_dataset.py': 'visualization/browse_dataset.py',
    'visualization/vis_cam.py': 'visualization/vis_cam.py',
    'visualization/vis_tsne.py': 'visualization/vis_tsne.py',
}


class Parser(BaseException):
    """The parser of a script, as it is when it parses."""


@pytest.fixture
def parser_of(repo_root, monkeypatch):

    def stop(parser, *args, **kwargs):
        raise Parser(parser)

    def build(name):
        script = repo_root / 'tools' / name
        monkeypatch.setattr(sys, 'argv', [str(script)])
        with monkeypatch.context() as patch:
            patch.setattr(argparse.ArgumentParser, 'parse_args', stop)
            with pytest.raises(Parser) as found:
                runpy.run_path(str(script), run_name='__main__')
        return found.value.args[0]

    return build


def flags_of(path: Path):
    """The flags that a script's source adds, with the values of ``choices``.

    The source is read: what these scripts import may not be installed.
    """
    for call in ast.walk(ast.parse(path.read_text())):
        if isinstance(call, ast.Call) and getattr(call.func, 'attr',
                                                  '') == 'add_argument':
            words = [a.value for a in call.args if a.value.startswith('-')]
            takes = not any(k.arg == 'action'
                            and getattr(k.value, 'value', '') == 'store_true'
                            for k in call.keywords)
            for word in words:
                yield word, takes


@pytest.mark.parametrize('theirs', PAIRS)
def test_every_flag_is_taken_or_answered(theirs, parser_of, capsys):
    parser = parser_of(PAIRS[theirs])
    known = parser._option_string_actions
    flags = dict(flags_of(THEIRS / theirs))
    assert flags
    for flag, takes_value in flags.items():
        assert flag in known, flag
        action = known[flag]
        if isinstance(action, AbsentFlag):
            assert action.instead
        else:  # with a value where theirs has one
            assert takes_value == (action.nargs != 0), flag


def test_an_absent_flag_says_what_to_do(capsys):
    parser = argparse.ArgumentParser()
    add_absent_flags(parser, {'--rescale -r': 'give --size'})
    for words in (['--rescale', '2'], ['-r']):
        with pytest.raises(SystemExit, match='2'):
            parser.parse_args(words)
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.endswith(f'there is no {words[0]}: give --size')
    assert '--rescale' not in parser.format_help()


@pytest.mark.parametrize(
    'name',
    ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh'])
def test_shell_scripts_take_the_same_words(repo_root, name):
    """Positions and variables, as ``CONFIG=$1`` and ``NNODES``."""
    ours, theirs = ((folder / name).read_text()
                    for folder in (repo_root / 'tools', THEIRS))
    position = r'^([A-Z_]+)=\$(\d)$'
    assert dict(re.findall(position, ours,
                           re.M)) == dict(re.findall(position, theirs, re.M))
    variable = r'\$\{([A-Z_]+):-'
    assert set(re.findall(variable, theirs)) <= set(re.findall(variable, ours))


def test_pairs_are_all_that_have_the_same_name(repo_root):
    """A script of mmpretrain's name is compared above."""
    names = {
        path.name: path.relative_to(THEIRS).as_posix()
        for path in THEIRS.rglob('*.py')
    }
    ours = {path.name for path in (repo_root / 'tools').rglob('*.py')}
    shared = {names[name] for name in ours & set(names)}
    # another command: NAME ROOT, not a config
    assert shared - {'misc/verify_dataset.py'} == set(PAIRS)
