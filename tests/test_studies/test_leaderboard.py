# Copyright (c) orsa contributors. All rights reserved.
"""Protects the leaderboard: order, ranks apart, intervals, its page."""
import json
import shutil

import numpy as np
import pytest

from orsa.studies import leaderboard as module
from orsa.studies.leaderboard import PROTOCOL, leaderboard, write_page
from orsa.studies.result_file import list_hash, metrics_by_condition, read_run
from orsa.utils.fileio import dump_json, file_hash, save_npz

CLASSES = ['happiness', 'anger', 'fear']
NAMES = [f'f{i:02}' for i in range(60)]
LABELS = np.arange(60) % 3
# kinds and severities of a quick protocol, one of each scale
SMALL = dict(PROTOCOL, kinds=['hand', 'mask'], severities=[1])


def write(folder, title, right, occluded=None, seeds=1, **other):
    """A result that is right about so many faces, clean and occluded."""
    folder.mkdir(exist_ok=True)
    right = [right] + [occluded] * 2 * (occluded is not None)
    predicted = np.array([[(c + (i >= n)) % 3 for i, c in enumerate(LABELS)]
                          for n in right], np.uint8)
    conditions = ['clean', 'hand 1', 'mask 1'][:len(right)]
    suite = len(right) > 1
    runs = []
    for seed in range(seeds):
        file = folder / f'{title}_seed{seed}.npz'
        save_npz(
            str(file),
            names=np.array(NAMES),
            labels=LABELS.astype(np.uint8),
            classes=np.array(CLASSES),
            conditions=np.array(conditions),
            predicted=predicted,
            seed=np.array([0] * suite, int))
        run = dict(
            seed=seed,
            orsa='1',
            commit=None,
            checkpoint_sha256=None,
            no_checkpoint='it is made up',
            command='orsa test',
            hardware='none',
            predictions=file.name,
            predictions_sha256=file_hash(file))
        run['metrics'] = metrics_by_condition(read_run(str(file), run))
        runs.append(run)
    path = folder / f'{title}.json'
    dump_json(
        dict(
            dict(
                schema_version=1,
                method=dict(
                    title=title,
                    paper='https://a.b/c',
                    code=None,
                    starts_from=None,
                    parameters=1.5),
                epoch='last',
                selected_on='nothing',
                protocol=SMALL if suite else dict(
                    name='plain test',
                    version=None,
                    seed=None,
                    kinds=[],
                    severities=[]),
                dataset=dict(
                    title='drawn',
                    type='RAFDB',
                    split='test',
                    arguments={},
                    num_faces=60,
                    faces_by_class=dict.fromkeys(CLASSES, 20),
                    list_sha256=list_hash(NAMES, [CLASSES[i] for i in LABELS]),
                    pixels_sha256='0' * 64),
                classes=CLASSES,
                runs=runs), **other), str(path))
    return str(path)


def rows(text):
    """The cells of the tables by their heads."""
    lines = [[c.strip() for c in line.strip('|').split('|')]
             for line in text.splitlines() if line.startswith('|')]
    return [dict(zip(lines[0], line)) for line in lines[2:]]


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(module, 'PROTOCOL', SMALL)


def test_order_and_ranks(small, tmp_path):
    paths = [
        write(tmp_path, 'plain', 59),
        write(tmp_path, 'strong', 40, 40),
        write(tmp_path, 'weak', 50, 30, seeds=2),
        write(tmp_path, 'best', 60, 60, epoch='best'),
        write(tmp_path, 'tuned', 58, 58, selected_on='test'),
    ]
    found = rows(leaderboard(paths, str(tmp_path / 'page.md')))
    assert [(r['rank'], r['method'].split(']')[0])
            for r in found] == [('1', '[strong'), ('2', '[weak'),
                                ('3', '[plain'), ('best 1', '[best'),
                                ('test 1', '[tuned')]
    first = found[0]
    assert first['method'] == ('[strong](strong.json), [paper](https://a.b/c)')
    assert [r['seeds'] for r in found] == ['1', '2', '1', '1', '1']
    assert found[3]['epoch, selected on'] == 'best, nothing'
    assert found[2]['UAR, mean, common scale'] == '–'
    # Wilson's of 40 of 60, by its formula
    p, z, n = 40 / 60, 1.959964, 60
    middle, half = p + z * z / 2 / n, z * (p *
                                           (1 - p) / n + z * z / 4 / n / n)**.5
    low, high = (100 * (middle + s * half) / (1 + z * z / n) for s in (-1, 1))
    assert first['accuracy'] == f'66.7 ({low:.1f}, {high:.1f})'
    # of each class nearly the same ratio is right
    value, low, high = (
        float(v)
        for v in first['UAR, mean, common scale'].replace('(', '').replace(
            ')', '').replace(',', '').split())
    assert value == 66.7 and 50 < low < 60 < 72 < high < 82


def test_means_over_other_occluders_do_not_count(tmp_path):
    """Of a part of the protocol, which PROTOCOL is the whole of."""
    found = rows(leaderboard([write(tmp_path, 'part', 50, 40)], 'page.md'))
    assert not any('scale' in head for head in found[0])


def test_other_faces_have_a_table_of_their_own(small, tmp_path):
    paths = [write(tmp_path, title, 50) for title in ('one', 'two')]
    result = json.loads((tmp_path / 'two.json').read_text())
    result['dataset']['pixels_sha256'] = '1' * 64
    dump_json(result, paths[1])
    assert leaderboard(paths, 'page.md').count('\n## ') == 1


def test_runs_in_another_order_of_faces(small, tmp_path):
    path = write(tmp_path / 'r', 'a', 40, seeds=2)
    before = leaderboard([path], str(tmp_path / 'page.md'))
    file = tmp_path / 'r/a_seed1.npz'
    with np.load(file) as found:
        found = dict(found)
    order = np.random.default_rng(0).permutation(60)
    save_npz(
        str(file), **{
            k: v[..., order] if k in ('names', 'labels', 'predicted') else v
            for k, v in found.items()
        })
    result = json.loads((tmp_path / 'r/a.json').read_text())
    result['runs'][1]['predictions_sha256'] = file_hash(file)
    dump_json(result, path)
    assert leaderboard([path], str(tmp_path / 'page.md')) == before


def test_a_folder_without_results_keeps_the_page(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('\n'.join(module.MARKS))
    with pytest.raises(FileNotFoundError, match='no result'):
        write_page(str(tmp_path / 'nowhere'), str(page))
    assert page.read_text() == '\n'.join(module.MARKS)


def test_a_wrong_result_is_refused(small, tmp_path):
    path = write(tmp_path / 'results', 'wrong', 50)
    result = json.loads((tmp_path / 'results/wrong.json').read_text())
    result['runs'][0]['metrics']['clean']['uar'] += 1
    dump_json(result, path)
    page = tmp_path / 'page.md'
    page.write_text('a\n<!-- results -->\nb\n<!-- /results -->\nc\n')
    with pytest.raises(ValueError, match="wrong.json' is wrong.*uar of"):
        write_page(str(tmp_path / 'results'), str(page))
    assert '\nb\n' in page.read_text()


def test_the_page_is_what_the_script_makes(repo_root, tmp_path):
    shutil.copytree(repo_root / 'docs/results', tmp_path / 'results')
    page = repo_root / 'docs/leaderboard.md'
    shutil.copy(page, tmp_path)
    write_page(str(tmp_path / 'results'), str(tmp_path / 'leaderboard.md'))
    assert (tmp_path / 'leaderboard.md').read_text() == page.read_text()
    for path in (tmp_path / 'results').iterdir():
        assert path.stat().st_size < 300_000
