# Copyright (c) orsa contributors. All rights reserved.
"""Files of answers, and the table of subgroups as a command."""
import json
import pickle

import pytest

from orsa.analysis.subgroups import add_subgroup_arguments, run_subgroups
from orsa.evaluation.predictions import DumpPredictions, read_records
from orsa.utils.config_scope import config_path


def test_no_pickle_is_read(tmp_path):
    path = tmp_path / 'answers.pkl'
    path.write_bytes(pickle.dumps([dict(pred_label=1)]))
    with pytest.raises(ValueError, match='is a pickle, which can run code'):
        read_records(str(path))
    with pytest.raises(FileNotFoundError, match='tools/test.py CONFIG'):
        read_records(str(tmp_path / 'none.json'))
    for content in ('{"predictions"', '[]', '{"other": 1}'):
        path = tmp_path / 'answers.json'
        path.write_text(content)
        with pytest.raises(ValueError, match='answers.json'):
            read_records(str(path))
    with pytest.raises(ValueError, match="--out should end in .json.*'a.txt'"):
        DumpPredictions('a.txt')


def test_configs_of_the_package_are_found_by_name():
    assert config_path('orsanet_demo.py').endswith('orsanet_demo.py')
    with pytest.raises(FileNotFoundError, match="no config 'orsanet_x.py'"):
        config_path('orsanet_x.py')


@pytest.fixture
def call(faces_dir, tmp_path):
    """Subgroups of a model that says 'neutral' of every second face."""
    from orsa.datasets import RAFDB
    faces = RAFDB(str(faces_dir), split='test')
    classes = list(faces.metainfo['classes'])
    samples = []
    for i in range(len(faces)):
        info = faces.get_data_info(i)
        label = int(info['gt_label'])
        pred = label if i % 2 else classes.index('neutral')
        samples.append(
            dict(
                name=info['name'],
                label=label,
                scores=[float(pred == c) for c in range(len(classes))]))
    results = tmp_path / 'predictions.json'
    results.write_text(json.dumps(dict(classes=classes, samples=samples)))
    right = sum(s['scores'][s['label']] == 1 for s in samples)

    def run(*arguments):
        parser = add_subgroup_arguments('Subgroups.')
        run_subgroups(
            parser.parse_args([
                'orsa::orsanet_lite_rafdb.py',
                str(results), *arguments, '--cfg-options',
                f'test_dataloader.dataset.data_root={faces_dir}'
            ]))
        return len(samples), right

    return run


def test_the_table_is_printed_and_written(call, tmp_path, capsys):
    out = tmp_path / 'groups.md'
    number, right = call('--out', str(out))
    told = capsys.readouterr().out
    assert out.read_text() == told
    line = next(row for row in told.splitlines() if row.startswith('| all'))
    assert f' {number} ' in line and f'{100 * right / number:.1f}' in line
    call('--out', str(tmp_path / 'groups.json'))
    groups = json.loads((tmp_path / 'groups.json').read_text())
    assert groups[0]['faces'] == number and groups[0]['right'] == right
    assert groups[0]['accuracy'] == pytest.approx(100 * right / number)
    with pytest.raises(ValueError, match='.md or .json'):
        call('--out', 'groups.txt')
