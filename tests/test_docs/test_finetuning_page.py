# Copyright (c) orsa contributors. All rights reserved.
"""docs/finetuning.md works as written, from synthetic faces to predictions."""
import json
import re
from pathlib import Path

from doc_blocks import ROOT, blocks, words_of

from orsa import cli
from orsa.apis import build_model, load_config

PAGE = 'docs/finetuning.md'
# starting workers takes longer than their work
ALONE = [f'{s}_dataloader.num_workers=0' for s in ('train', 'val', 'test')]
CLASSES = ('anger', 'happiness', 'neutral', 'sadness', 'surprise')


def test_the_page(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    scope, printed = {}, ''
    for block in blocks(PAGE):
        if block.is_python and '_base_' in block.code:
            Path('mine.py').write_text(block.code)
        elif block.is_python and 'init_cfg' in block.code:
            Path('parts.py').write_text(f"_base_ = 'mine.py'\n{block.code}")
        elif block.is_python:
            exec(compile('\n' * block.line + block.code, PAGE, 'exec'), scope)
        for command in block.commands:
            words = [*words_of(command)[1:], '--cfg-options', *ALONE]
            assert cli.main(words) == 0, command
        out, err = capfd.readouterr()
        printed += out + err
    assert scope['model'].dataset_meta['classes'] == CLASSES
    found = [face.expression for face in scope['found']]
    assert len(found) == 4 and set(found) <= set(CLASSES)
    # of 20 synthetic faces, after 20 steps; chance is 20
    metrics = json.loads(Path('work_dirs/mine/metrics.json').read_text())
    assert metrics['classes'] == list(CLASSES)
    assert metrics['accuracy'] >= 35
    # the page quotes the log
    quote = re.search('```text\n(.*?)```', (ROOT / PAGE).read_text(), re.S)[1]
    assert ' '.join(quote.split()) in ' '.join(printed.split())
    model = build_model(load_config('parts.py'))
    assert model.neck.init_cfg['prefix'] == 'neck.'
    assert model.backbone.pretrained['prefix'] == 'backbone.'
    assert model.head.num_classes == 5
