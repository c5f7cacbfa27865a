# Copyright (c) orsa contributors. All rights reserved.
"""Images for other frameworks, as docs/occlusion_benchmark.md has them."""
import json
from pathlib import Path

from doc_blocks import ROOT, blocks
from doc_runs import ready, small
from tiny_suite import make_faces

from orsa import cli

PAGE = 'docs/occlusion_benchmark.md'


def test_images_for_other_frameworks(tmp_path, monkeypatch, capsys):
    make_faces(tmp_path)
    monkeypatch.setenv('ORSA_RAFDB', f'{tmp_path}/')
    monkeypatch.chdir(tmp_path)
    Path('configs').symlink_to(ROOT / 'configs')
    done = []
    for block in blocks(PAGE):
        if block.is_python and 'manifest.csv' in block.code:
            exec(compile('\n' * block.line + block.code, PAGE, 'exec'), {})
            done.append('python')
        for command in block.commands:
            if command.startswith(('orsa occlude', 'orsa score')):
                words = small(ready(command, {}, {}))
                # starting workers takes longer than their work
                words = ['0' if w == '2' else w for w in words]
                assert cli.main(words[1:]) == 0
                done.append(words[1])
    assert done == ['occlude', 'python', 'score']
    assert '| mean, worn |' in capsys.readouterr().out
    report = json.loads(
        Path('work_dirs/theirs/occlusion_suite.json').read_text())
    assert report['clean']['num_samples'] == 14
    assert set(report['cells']) == {'hand', 'mask'}
    assert report['clean']['ece'] is not None
