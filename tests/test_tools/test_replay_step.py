# Copyright (c) orsa contributors. All rights reserved.
import runpy
import sys

import pytest

from orsa.analysis import replay as replaying
from orsa.engine.faults.tracing import Origin


@pytest.fixture
def tool(repo_root, monkeypatch):

    def call(answer, *arguments):
        seen = []

        def replay_step(*args):
            seen.append(args)
            if isinstance(answer, Exception):
                raise answer
            return answer

        path = str(repo_root / 'tools/replay_step.py')
        monkeypatch.setattr(replaying, 'replay_step', replay_step)
        monkeypatch.setattr(sys, 'argv', [path, *arguments])
        runpy.run_path(path, run_name='__main__')
        return seen[0]

    return call


def test_the_part_and_the_faces_are_printed(tool, capsys):
    origin = Origin('forward', 'backbone', [0])
    given = tool((origin, 12, ['a.png', 'b.png']), 'c.py', 'f.pth',
                 '--cfg-options', 'a.b=2')
    assert given == ('c.py', 'f.pth', 'cpu', {'a.b': 2})
    assert capsys.readouterr().out == (
        "iteration 12: first in the output of 'backbone'\n  a.png\n  b.png\n")
    tool((None, None, []), 'c.py', 'f.pth')
    assert capsys.readouterr().out == 'all numbers are finite here\n'


@pytest.mark.parametrize('error', [FileNotFoundError, ValueError])
def test_what_goes_wrong_is_one_line(tool, error, capsys):
    with pytest.raises(SystemExit) as raised:
        tool(error('no such\n  file'), 'c.py', 'f.pth')
    assert raised.value.code == 2
    assert capsys.readouterr().err == 'orsa: no such file\n'
