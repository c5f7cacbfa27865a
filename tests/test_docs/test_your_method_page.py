# Copyright (c) orsa contributors. All rights reserved.
"""Protects docs/your_method.md: by it a neck, and a method of another program,
enter the table."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from doc_blocks import ROOT, blocks, words_of
from doc_runs import ready, small, small_configs
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


def test_a_neck_of_ones_own_enters_the_benchmark(tmp_path, monkeypatch):
    points = write_faces(tmp_path, dict(train=14, test=14), 64)
    Path(tmp_path / 'landmarks68.json').write_text(json.dumps(points))
    monkeypatch.chdir(tmp_path)
    for name in ('configs', 'tools', 'demo'):
        Path(name).symlink_to(ROOT / name)
    command, = (
        c for b in blocks(PAGE) for c in b.commands
        if 'tools/benchmark.py' in c)
    words = words_of(command)
    for name, code in small_configs(words).items():
        Path(name).write_text(code)
    project = ROOT / 'demo/projects/gated_fusion'
    subprocess.run([
        sys.executable, *small(words)[1:], '--results', 'results', '--about',
        'selected_on=nothing'
    ],
                   check=True,
                   env=dict(
                       os.environ,
                       ORSA_RAFDB=f'{tmp_path}/',
                       PYTHONPATH=os.pathsep.join([str(project),
                                                   str(ROOT)])))
    page = Path('work_dirs/benchmark/benchmark.md').read_text()
    assert '| gated | 1 |' in page and 'UAR above that of ORSANet-lite' in page
    result = json.loads(Path('results/small_last.json').read_text())
    assert result['method']['title'] == 'gated'
    assert result['runs'][0]['metrics']['clean']['num_faces'] == 14
