# Copyright (c) orsa contributors. All rights reserved.
"""``model-index.yml``: every config has a row, and its numbers are true."""
import copy

import pytest
import yaml
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from orsa.models.priors import skip_pretrained


def read_rows(repo_root):
    index = yaml.safe_load((repo_root / 'model-index.yml').read_text())
    collections, rows = [], []
    for path in index['Import']:
        found = yaml.safe_load((repo_root / path).read_text())
        collections += [c['Name'] for c in found['Collections']]
        rows += found['Models']
    return collections, rows


def test_every_experiment_has_a_row(repo_root):
    collections, rows = read_rows(repo_root)
    experiments = {
        path.relative_to(repo_root).as_posix()
        for folder in ('configs', 'configs/baselines')
        for path in (repo_root / folder).glob('[!_]*.py')
    }
    assert sorted(r['Config'] for r in rows) == sorted(experiments)
    assert len({r['Name'] for r in rows}) == len(rows)
    for row in rows:
        assert row['In Collection'] in collections
        # a name is its config's, by which `mim` and `orsa::` find it
        assert row['Config'].endswith(f"/{row['Name']}.py")
        assert row['Metadata']['Weights Licence']
        # `mim download` gets what is behind the last slash from there, if it
        # is not in its folder yet
        assert row['Weights'].endswith('/') and ',' not in row['Weights']
        for result in row['Results'] or []:
            # never one column for both
            assert set(result['Metrics']) == {
                'Accuracy (published)', 'Accuracy (reproduced)'
            }, row['Name']


@pytest.mark.parametrize('name', [
    'resnet18_rafdb', 'swin-tiny_rafdb', 'ir50_ce_rafdb', 'dan_rafdb',
    'posterv2_rafdb', 'dan_lite_rafdb', 'poster_lite_rafdb',
    'posterv2_lite_rafdb', 'orsanet_lite_rafdb', 'orsanet_lite_ferplus'
])
def test_parameters(repo_root, name):
    row, = (r for r in read_rows(repo_root)[1] if r['Name'] == name)
    model = copy.deepcopy(Config.fromfile(repo_root / row['Config']).model)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(skip_pretrained(model))
    count = sum(p.numel() for p in model.parameters())
    assert count == row['Metadata']['Parameters']
