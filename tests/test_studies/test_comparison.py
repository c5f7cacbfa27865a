# Copyright (c) orsa contributors. All rights reserved.
"""Protects the comparison of runs: pairing by name, conditions, refusals."""
import argparse
import csv
import json
import os
import pickle
import shutil

import numpy as np
import pytest
from hostile_files import Call
from tiny_suite import CONFIG, make_faces, make_model

from orsa.apis import testing
from orsa.evaluation import FERMetric
from orsa.evaluation.predictions import read_predictions
from orsa.evaluation.statistics import holm
from orsa.studies.comparison import (add_compare_arguments, compare,
                                     compare_results, match, verdict)
from orsa.studies.occlusion_suite import OcclusionSuite

CLASSES = ['happiness', 'anger', 'fear']


def write(path, predicted, labels, names=None, classes=CLASSES):
    """A file as a test writes it."""
    scores = .7 * np.eye(len(classes))[predicted] + .1
    samples = [
        dict(name=f'f{i}', label=int(label), pred=int(a), scores=s.tolist())
        for i, (label, a, s) in enumerate(zip(labels, predicted, scores))
    ]
    for sample, name in zip(samples, names or []):
        sample['name'] = name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps(dict(classes=classes, samples=samples)))
    return str(path)


@pytest.fixture
def runs(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    a = np.where(rng.random(200) < .5, labels, rng.integers(0, 3, 200))
    b = np.where(rng.random(200) < .9, labels, rng.integers(0, 3, 200))
    return labels, a, b, (write(tmp_path / 'a' / 'p.json', a, labels),
                          write(tmp_path / 'b' / 'p.json', b, labels))


def test_a_difference_and_no_difference(runs):
    labels, a, b, paths = runs
    found = compare(paths, repeats=500)
    assert list(found['runs']) == ['a', 'b'] and found['num_faces'] == 200
    clean = found['conditions']['clean']
    d = clean['differences']['b']
    gain = 100 * ((b == labels).mean() - (a == labels).mean())
    assert d['accuracy']['difference'] == pytest.approx(gain)
    assert d['accuracy']['low'] < gain < d['accuracy']['high']
    uar = [FERMetric.calculate(p, labels)['uar'] for p in (b, a)]
    assert d['uar']['difference'] == pytest.approx(uar[0] - uar[1])
    assert verdict(d['uar']) == 'better' and d['mcnemar']['p'] < 1e-3
    # right by the one alone, and by the other
    only = [((p == labels) & (q != labels)).sum() for p, q in ((b, a), (a, b))]
    assert [d['mcnemar'][f'{which}_only']
            for which in ('first', 'second')] == only
    back = compare(paths[::-1], repeats=500)['conditions']['clean']
    assert verdict(back['differences']['a']['uar']) == 'worse'
    assert clean['figures']['a']['uar'] == pytest.approx(uar[1])
    # the width is that of the normal approximation
    paired = (b == labels).astype(int) - (a == labels)
    width = 2 * 1.96 * 100 * paired.std() / np.sqrt(200)
    assert d['accuracy']['high'] - d['accuracy']['low'] == pytest.approx(
        width, rel=.12)
    same = compare([paths[0], paths[0]], ['one', 'two'], repeats=50)
    d = same['conditions']['clean']['differences']['two']
    assert verdict(d['uar']) == 'no difference shown'
    assert d['mcnemar'] == dict(first_only=0, second_only=0, p=1)


def test_order_of_faces_and_classes_is_by_name(runs, tmp_path):
    labels, a, b, paths = runs
    order = np.random.default_rng(1).permutation(200)
    turn = np.array([2, 0, 1])  # place of each class in the other order
    other = write(tmp_path / 'c' / 'p.json', turn[b][order],
                  turn[labels][order], [f'f{i}' for i in order],
                  ['anger', 'fear', 'happiness'])
    ours = compare(paths, repeats=50)['conditions']['clean']
    theirs = compare([paths[0], other], repeats=50)['conditions']['clean']
    assert ours['differences']['b'] == theirs['differences']['c']


def test_what_cannot_be_paired_is_refused(runs, tmp_path):
    labels, a, b, paths = runs
    fewer = write(tmp_path / 'c' / 'p.json', b[:150], labels[:150])
    with pytest.raises(ValueError, match='200 faces.*150, of which 150'):
        compare([paths[0], fewer])
    other = labels.copy()
    other[7] = (other[7] + 1) % 3
    relabelled = write(tmp_path / 'd' / 'p.json', b, other)
    with pytest.raises(ValueError, match="other labels for 1 of 200.*'f7'"):
        compare([paths[0], relabelled])
    twice = write(tmp_path / 'e' / 'p.json', b, labels,
                  ['f0', 'f0'] + [f'f{i}' for i in range(2, 200)])
    with pytest.raises(ValueError, match='1 of 200 faces have the name'):
        compare([paths[0], twice])
    named = write(
        tmp_path / 'g' / 'p.json',
        b,
        labels,
        classes=['happiness', 'anger', 'disgust'])
    with pytest.raises(ValueError, match='has the classes'):
        compare([paths[0], named])
    with pytest.raises(ValueError, match='two runs or more'):
        compare(paths[:1])


def test_metrics_need_predictions_beside_them(runs, tmp_path):
    labels, a, b, paths = runs
    metrics = FERMetric.calculate(b, labels, CLASSES)
    path = tmp_path / 'metrics.json'
    path.write_text(json.dumps(metrics))
    with pytest.raises(FileNotFoundError, match='predictions.json beside'):
        read_predictions(str(path))
    write(tmp_path / 'predictions.json', b, labels)
    found = compare([paths[0], str(path)], ['a', 'b'], repeats=50)
    expected = compare(paths, repeats=50)
    assert (found['conditions']['clean']['differences'] ==
            expected['conditions']['clean']['differences'])
    # metrics of one run beside the predictions of another one
    path.write_text(json.dumps(FERMetric.calculate(a, labels, CLASSES)))
    with pytest.raises(ValueError, match='is not of the run of'):
        read_predictions(str(path))
    path.write_text('{}')
    with pytest.raises(ValueError, match='holds no results'):
        read_predictions(str(path))


@pytest.fixture(scope='module')
def suites(tmp_path_factory):
    root = tmp_path_factory.mktemp('compared')
    make_faces(root)
    (root / 'tiny.py').write_text(CONFIG.replace('{root}', str(root)))
    for i, name in enumerate('ab'):
        make_model(root / 'tiny.py', root / f'{name}.pth', seed=i)
        OcclusionSuite(
            str(root / 'tiny.py'),
            root / f'{name}.pth',
            kinds=['square', 'mask'],
            severities=[1, 5],
            work_dir=str(root / name),
            device='cpu').run()
    return root


def test_suites_are_compared_under_all_conditions(suites, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    add_compare_arguments(parser)
    found = compare_results(
        parser.parse_args([
            *(str(suites / name / 'occlusion_suite.json') for name in 'ab'),
            '--repeats', '50', '--out',
            str(tmp_path)
        ]))
    assert list(found['conditions']) == [
        'clean', 'mean, common scale', 'mean, worn',
        'really occluded: occlusion_test', 'square 1', 'square 5', 'mask 1',
        'mask 5'
    ]
    reports = [
        json.loads((suites / name / 'occlusion_suite.json').read_text())
        for name in 'ab'
    ]
    common = found['conditions']['mean, common scale']
    for name, report in zip('ab', reports):
        overall = report['means']['common']['overall']
        for figure in ('accuracy', 'uar', 'macro_f1', 'ece'):
            assert common['figures'][name][figure] == pytest.approx(
                overall[figure])
    assert 'mcnemar' not in common['differences']['b']
    real = found['conditions']['really occluded: occlusion_test']
    assert real['num_faces'] == 5
    assert real['figures']['b']['accuracy'] == pytest.approx(
        reports[1]['lists']['occlusion_test']['accuracy'])
    cells = [
        found['conditions'][c]['differences']['b']['mcnemar']
        for c in ('square 1', 'square 5', 'mask 1', 'mask 5')
    ]
    assert [c['p_holm'] for c in cells] == holm([c['p'] for c in cells])
    out = capsys.readouterr().out
    assert '| mask 5 | b |' in out
    assert (tmp_path / 'comparison.md').read_text() in out
    with open(tmp_path / 'comparison.csv') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(found['conditions'])
    assert float(
        rows[1]['uar_low']
    ) == found['conditions']['clean']['differences']['b']['uar']['low']


def test_suite_and_plain_test_share_the_clean_faces(suites):
    parser = argparse.ArgumentParser()
    testing.add_test_arguments(parser)
    work = suites / 'plain'
    testing.test(
        parser.parse_args([
            str(suites / 'tiny.py'),
            str(suites / 'b.pth'), '--work-dir',
            str(work)
        ]))
    found = compare([
        str(suites / 'b' / 'occlusion_suite.json'),
        str(work / 'metrics.json')
    ],
                    repeats=50)
    assert list(found['conditions']) == ['clean']
    d = found['conditions']['clean']['differences']['plain']
    assert d['accuracy'] == dict(difference=0, low=0, high=0)


def test_other_occluders_and_lost_files_are_refused(suites, tmp_path):
    OcclusionSuite(
        str(suites / 'tiny.py'),
        suites / 'a.pth',
        kinds=['mask'],
        severities=[1],
        work_dir=str(tmp_path / 'seed'),
        seed=3,
        device='cpu').run()
    ours = str(suites / 'a' / 'occlusion_suite.json')
    with pytest.raises(ValueError, match='seed 0 and.*seed 3'):
        compare([ours, str(tmp_path / 'seed' / 'occlusion_suite.json')])
    alone = tmp_path / 'occlusion_suite.json'
    alone.write_text((suites / 'a' / 'occlusion_suite.json').read_text())
    with pytest.raises(FileNotFoundError, match='occlusion_suite_faces.npz'):
        compare([ours, str(alone)])
    # faces of another run
    shutil.copy(suites / 'b' / 'occlusion_suite_faces.npz', tmp_path)
    report = json.loads(alone.read_text())
    report['clean']['accuracy'] += 1
    alone.write_text(json.dumps(report))
    with pytest.raises(ValueError, match='is not of the run of'):
        compare([ours, str(alone)])


def test_occluders_that_were_placed_elsewhere_are_refused(suites, tmp_path):
    first, other = (
        read_predictions(str(suites / name / 'occlusion_suite.json'))
        for name in 'ab')
    assert set(first.ratio) == set(first.scores)
    name = next(c for c in first.scores if c != 'clean')
    moved = dict(other.ratio)
    moved[name] = moved[name] + .05
    with pytest.raises(ValueError, match=f"of '{name}': placed by"):
        match(first, other._replace(ratio=moved))
    match(first, other)


def test_pickles_are_not_read(tmp_path):
    """Nor anything that only looks like predictions."""
    attack = Call(os.mkdir, str(tmp_path / 'trace'))
    path = tmp_path / 'predictions.pkl'
    path.write_bytes(pickle.dumps([attack]))
    with pytest.raises(ValueError, match='is a pickle.*tools/test.py'):
        read_predictions(str(path))
    path = tmp_path / 'predictions.json'
    path.write_bytes(pickle.dumps([attack]))
    with pytest.raises(ValueError, match='no JSON'):
        read_predictions(str(path))
    assert not (tmp_path / 'trace').exists()
    face = dict(label=0, scores=[.5, .5], name='a')
    for samples in ([], [1], [dict(face, label=3)], [dict(face, label=-1)],
                    [face, dict(face, scores=[1.])
                     ], [dict(face, scores='xy')], [dict(face, scores=3)]):
        path.write_text(json.dumps(dict(classes=['b', 'c'], samples=samples)))
        with pytest.raises(ValueError, match='predictions.json. is damaged'):
            read_predictions(str(path))
    for text in ('[' * 100000, '{"samples": 3}', '{"faces_file": 3}', '[]'):
        path.write_text(text)
        with pytest.raises(ValueError, match='predictions.json'):
            read_predictions(str(path))
