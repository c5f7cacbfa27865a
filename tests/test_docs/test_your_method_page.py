# Copyright (c) orsa contributors. All rights reserved.
"""Protects docs/your_method.md: a method of another program enters the table.

The commands of its first part are among those of test_commands.
"""
import json
import shutil
import subprocess
import sys
from pathlib import Path

from doc_blocks import ROOT, blocks
from doc_runs import ready
from tiny_suite import write_faces

from orsa import cli

PAGE = 'docs/your_method.md'
RESULT = 'docs/results/resnet18_press_faces.json'


def test_predictions_made_anywhere_enter_the_leaderboard(
        tmp_path, monkeypatch, capsys):
    points = write_faces(tmp_path, dict(train=14, test=21), 64)
    Path(tmp_path / 'landmarks68.json').write_text(json.dumps(points))
    monkeypatch.setenv('ORSA_RAFDB', f'{tmp_path}/')
    monkeypatch.chdir(tmp_path)
    for name in ('configs', 'tools'):
        Path(name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / 'docs/results', 'docs/results')
    shutil.copy(ROOT / 'docs/leaderboard.md', 'docs')
    before = Path('docs/leaderboard.md').read_text()
    page, done = list(blocks(PAGE)), []
    start = next(i for i, b in enumerate(page) if 'orsa occlude' in b.code)
    for block in page[start:]:
        if block.is_python:
            exec(compile('\n' * block.line + block.code, PAGE, 'exec'), {})
        for command in block.commands:
            words = ready(command, {}, {})
            # starting workers takes longer than their work
            words = ['0' if w == '2' else w for w in words]
            if words[0] == 'orsa':
                kinds = '--workers' in words
                words += ['--kinds', 'hand', 'mask'] if kinds else []
                assert cli.main(words[1:]) == 0, capsys.readouterr()
            elif words[0] == 'python':
                subprocess.run([sys.executable, *words[1:]], check=True)
            done.append(words[1])
    assert done[-5:] == [
        'occlude', 'occlude', 'score', 'validate',
        'tools/analysis_tools/leaderboard.py'
    ]
    result = json.loads(Path(RESULT).read_text())
    run, = result['runs']
    assert result['dataset']['num_faces'] == 21
    assert result['method']['parameters'] == 11.18
    assert run['checkpoint_sha256'] is None and 'orsa score' in run['command']
    report = json.loads(
        Path('work_dirs/resnet18/occlusion_suite.json').read_text())
    assert run['metrics']['clean']['uar'] == report['clean']['uar']
    after = Path('docs/leaderboard.md').read_text()
    assert f'[ResNet-18]({RESULT.removeprefix("docs/")})' in after
    assert f"{report['clean']['accuracy']:.1f} (" in after
    # the others are as they were
    assert all(line in after for line in before.splitlines()
               if line.startswith('| 1 |'))
