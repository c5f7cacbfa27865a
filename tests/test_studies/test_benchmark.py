# Copyright (c) orsa contributors. All rights reserved.
"""Protects benchmarks: stored, failed and resumed runs, costs, the table."""
import argparse
import csv
import json
import os
import shutil

import cv2
import numpy as np
import pytest
import torch
from mmengine.analysis import get_model_complexity_info
from tiny_suite import write_faces

from orsa.apis import build_model, load_config
from orsa.studies.benchmark import (add_benchmark_arguments, benchmark,
                                    flat_metrics, gained, mean_of_seeds)
from orsa.studies.benchmark_report import sections
from orsa.studies.benchmark_study import Benchmark
from orsa.studies.complexity import count_complexity, time_in_turn
from orsa.studies.report import markdown
from orsa.studies.result_check import validate
from orsa.studies.study import Run

NUM_TEST = 14
CONFIG = """
_base_ = 'orsa::_base_/default_runtime.py'
load = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(32, 32))]
train_dataloader = dict(
    batch_size=8, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='orsa.RAFDB', data_root='{root}', split='{train}',
                 pipeline=[*load, dict(type='PackInputs')]))
test_dataloader = dict(
    batch_size=8, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='orsa.RAFDB', data_root='{root}', split='{test}',
                 pipeline=[*load, dict(
                     type='PackInputs', meta_keys=('name', 'sample_idx'))]))
val_dataloader = test_dataloader
val_evaluator = test_evaluator = dict(type='orsa.FERMetric')
val_cfg = test_cfg = dict()
train_cfg = dict(by_epoch=True, max_epochs=2)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=.01))
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(mean=[127] * 3, std=[50] * 3, num_classes=7),
    backbone=dict(type='orsa.IRNet', arch=dict(depths=(1, ), channels=(8, ))),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=7, in_channels=8))
"""


def write_config(path, root, train='train', test='test', more=''):
    path.write_text(CONFIG.format(root=root, train=train, test=test) + more)
    return str(path)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('faces')
    write_faces(root, dict(train=16, test=NUM_TEST), size=48)
    (root / 'occlusion_test.txt').write_text('test_00001\ntest_00003\n')
    write_config(root / 'good.py', root)
    write_config(root / 'bad.py', root, train='nowhere')
    write_config(root / 'other.py', root, test='train')
    return root


def run(folder, *args):
    parser = argparse.ArgumentParser()
    add_benchmark_arguments(parser)
    paths = [str(folder / a) if a.endswith('.py') else a for a in args]
    return benchmark(
        parser.parse_args([
            *paths, '--work-dir',
            str(folder / 'work'), '--kinds', 'square', '--severities', '5',
            '--jobs', '1'
        ]), ['the', 'words'])


def test_from_end_to_end(folder, capfd):
    # one of the two fails, and the other one goes on
    assert run(folder, 'bad.py', 'good.py') == 1
    assert 'bad_seed0 failed' in capfd.readouterr().out
    work = folder / 'work'
    table = json.loads((work / 'benchmark.json').read_text())['models']
    assert table['bad']['failed'] == {'0': 'logs/bad_seed0.log'}
    assert 'nowhere' in (work / 'logs' / 'bad_seed0.log').read_text()
    page = (work / 'benchmark.md').read_text()
    assert '| bad | failed: `logs/bad_seed0.log` | – |' in page
    assert 'Made by `python tools/benchmark.py the words`' in page
    assert '`acc best` was chosen on the test split' in page
    assert cv2.imread(str(work / 'benchmark.png')).std() > 5

    # the metrics are those of the suite's stored predictions
    good = table['good']
    assert good['validated_on_test'] is True
    suite = work / good['runs']['0']['suite']
    with np.load(suite.parent / 'occlusion_suite_faces.npz') as faces:
        labels = faces['labels']
        right = faces['scores'].argmax(2) == labels
        listed = faces['list/occlusion_test']
    assert right.shape == (2, NUM_TEST) and listed.sum() == 2
    for figure, value in (('accuracy', right[0].mean()), ('occluded_accuracy',
                                                          right[1].mean()),
                          ('occlusion_test_accuracy',
                           right[0][listed].mean())):
        assert good['mean'][figure] == pytest.approx(100 * value)
    recalls = [
        right[1][faces_of].mean()
        for faces_of in (labels == c for c in np.unique(labels))
    ]
    kinds = good['uar_by_kind']['mean']
    assert kinds == {'square': pytest.approx(100 * np.mean(recalls))}
    # the last validation was of the same faces and weights
    log = json.loads((suite.parents[1] / 'validation.json').read_text())
    accuracies = [log['epochs'][e]['accuracy'] for e in ('1', '2')]
    assert good['mean']['accuracy'] == pytest.approx(accuracies[1])
    assert good['mean']['best_accuracy'] == max(accuracies)
    assert good['mean']['mean_accuracy'] == pytest.approx(np.mean(accuracies))
    assert good['spread']['accuracy'] is None

    # one that is always right gains what is missing
    perfect = folder / 'perfect'
    shutil.copytree(suite.parent, perfect)
    with np.load(perfect / 'occlusion_suite_faces.npz') as faces:
        faces = dict(faces)
    faces['scores'] = np.eye(7)[np.stack([labels] * 2)]
    np.savez(perfect / 'occlusion_suite_faces.npz', **faces)
    report = json.loads(suite.read_text())
    report['clean']['accuracy'] = 100.
    (perfect / suite.name).write_text(json.dumps(report))
    paths = [str(suite), str(perfect / suite.name)]
    found = gained(dict(good=paths[:1], none=[], better=paths[1:]))
    assert list(found) == ['better']
    value, low, high = found['better']['clean']
    assert value == pytest.approx(100 - good['mean']['uar'])
    assert low <= value <= high
    assert gained(dict(a=paths[:1], b=paths[:1]))['b']['clean'] == (0, 0, 0)

    # 3 -> 8 channels in IRNet; whatever it is, all of it is trained
    model = build_model(load_config(str(folder / 'good.py')))
    numbers = sum(p.numel() for p in model.parameters())
    assert good['cost']['parameters'] == good['cost']['trained'] == numbers
    assert 0 < good['cost']['ms_batch1'] < good['cost']['ms_batch32']

    with open(work / 'benchmark.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [r['state'][:6] for r in rows] == ['failed', 'done']
    assert float(rows[1]['accuracy']) == pytest.approx(
        good['mean']['accuracy'], abs=1e-3)

    # what failed is done again, what is done is not
    bench = Benchmark([str(folder / 'bad.py'),
                       str(folder / 'good.py')],
                      work_dir=str(work),
                      kinds=['square'],
                      severities=[5])
    assert 'log' in bench.stored(Run('bad', 0))
    write_config(folder / 'bad.py', folder)
    bench = Benchmark(
        list(bench.configs.values()),
        work_dir=str(work),
        kinds=['square'],
        severities=[5])
    assert bench.stored(Run('bad', 0)) is None  # its config is another one
    bench.execute(Run('bad', 0))
    assert run(folder, 'bad.py', 'good.py', '--names', 'Mended', 'Good') == 0
    assert '2 of 2 runs are done' in capfd.readouterr().out
    page = (work / 'benchmark.md').read_text()
    assert '| Mended | 1 |' in page and 'failed' not in page
    # the same config, seed and data
    table = json.loads((work / 'benchmark.json').read_text())['models']
    assert table['bad']['mean'] == table['good']['mean']

    # neither is a training that ends in another test
    bench = Benchmark([str(folder / 'good.py')],
                      work_dir=str(work),
                      severities=())
    first = Run('good', 0)
    assert bench.stored(first) is None
    trained = work / 'runs' / f'good_seed0_{bench.fingerprint(first)}'
    before = (trained / 'epoch_2.pth').stat().st_mtime_ns
    result = bench.execute(first)
    assert (trained / 'epoch_2.pth').stat().st_mtime_ns == before
    assert result['occluded'] == {}
    assert bench.stored(first) == result

    # but with another config it is another run
    write_config(
        folder / 'good.py',
        folder,
        more='optim_wrapper.update('
        'optimizer=dict(type="SGD", lr=.1))\n')
    bench = Benchmark([str(folder / 'good.py')], work_dir=str(work))
    assert bench.stored(first) is None


def test_results_of_models(folder, capsys):
    """Of what is stored, for the leaderboard."""
    arguments = ['good.py', '--names', 'Good', '--results', str(folder / 'r')]
    with pytest.raises(ValueError, match='lacks .*selected_on'):
        run(folder, *arguments)
    assert run(folder, *arguments, '--about', 'selected_on=nothing') == 0
    path = folder / 'r' / 'good.json'
    result = json.loads(path.read_text())
    assert result['method']['title'] == 'Good' and result['epoch'] == 'last'
    assert result['runs'][0]['command'] == (
        'python tools/benchmark.py the words')
    assert not validate(str(path), str(folder / 'good.py')).wrong


def test_a_half_training_goes_on(folder, tmp_path):
    whole = write_config(tmp_path / 'half.py', folder)
    bench = Benchmark([whole], work_dir=str(tmp_path), severities=())
    first = Run('half', 0)
    bench.execute(first)
    trained = tmp_path / 'runs' / f'half_seed0_{bench.fingerprint(first)}'
    weights = torch.load(trained / 'epoch_2.pth', weights_only=False)
    # as if the disk had lost what was written last
    (trained / 'trained.json').unlink()
    os.truncate(trained / 'epoch_2.pth', 1000)
    before = (trained / 'epoch_1.pth').stat().st_mtime_ns
    result = bench.execute(first)
    assert (trained / 'epoch_1.pth').stat().st_mtime_ns == before
    assert result['training']['seconds'] is None
    again = torch.load(trained / 'epoch_2.pth', weights_only=False)
    for name, value in weights['state_dict'].items():
        assert torch.equal(value, again['state_dict'][name])


def test_other_data_are_refused(folder, tmp_path):
    with pytest.raises(
            ValueError,
            match="'other' is tested on 16 faces and 'good' on 14, of which "
            '0 have'):
        run(folder, 'good.py', 'other.py')
    classes = ('fear', 'surprise', 'disgust', 'happiness', 'sadness', 'anger',
               'neutral')
    turned = write_config(
        tmp_path / 'turned.py',
        folder,
        more=f'test_dataloader["dataset"]["metainfo"] = '
        f'dict(classes={classes})\n')
    with pytest.raises(ValueError, match=r"'turned' has the classes \['fear'"):
        Benchmark([str(folder / 'good.py'), turned]).check_same_data()


def test_names_have_to_differ(folder):
    with pytest.raises(ValueError, match='2 different names of files'):
        Benchmark([str(folder / 'good.py')] * 2)
    with pytest.raises(ValueError, match='2 different names of titles'):
        Benchmark(['a.py', 'b.py'], titles=['A'])
    with pytest.raises(ValueError, match='--seeds should be positive, got 0'):
        Benchmark(['a.py'], num_seeds=0)


def test_summary_of_validations():
    epochs = {
        '3': dict(accuracy=70., uar=10.),
        '6': dict(accuracy=60., uar=20.),
        '12': dict(accuracy=65., uar=60.)
    }
    found = flat_metrics(dict(result(60.), validation=epochs), last=2)
    assert found['accuracy'] == 60 and found['best_accuracy'] == 70
    assert found['mean_accuracy'] == 62.5  # of 60 and 65


def test_mean_of_seeds_by_hand():
    mean, spread = mean_of_seeds(
        [dict(accuracy=60., ece=1.),
         dict(accuracy=64., ece=None)])
    assert mean == dict(accuracy=62)  # one of them has no ece
    assert spread['accuracy'] == pytest.approx(8**.5)  # (4 + 4) / (2 - 1)


def result(accuracy):
    figures = dict(accuracy=accuracy, uar=50., macro_f1=40.)
    return dict(
        test=dict(figures, ece=1.),
        validation={},
        occluded=dict(worn=figures),
        lists={})


def test_the_page_names_what_is_missing():
    found = flat_metrics(result(60.), last=3)
    assert found['worn_uar'] == 50 and 'best_accuracy' not in found
    info = dict(
        title='A',
        validated_on_test=None,
        seeds={0: found},
        failed={1: 'logs/a.log'},
        missing=[2],
        mean=found,
        spread=dict.fromkeys(found),
        uar_by_kind=dict(mean=dict(mask=45.), spread=dict(mask=None)),
        cost=dict(
            trained=10**6,
            parameters=2 * 10**6,
            macs=3 * 10**6,
            ms_batch1=4.,
            ms_batch32=50.),
        gained={})
    other = dict(info, title='B', gained=dict(clean=(1., -.5, 2.5)))
    table = dict(
        models=dict(a=info, b=other),
        last=3,
        kinds=['mask'],
        severities=[1],
        machine=dict(processor='x', threads=1, torch='2'))
    page = markdown('Benchmark', sections(table, 'command'))
    assert ('| A | 1; 1 of 3 failed: `logs/a.log`; 1 of 3 not run | 60.0 | '
            '50.0 | 50.0 | 1.00 | 2.00 | 3.0 | 4.0 | 50.0 |') in page
    assert '| mask | 45.0 | 45.0 |' in page
    assert 'UAR above that of A' in page
    assert '| B | +1.0 (-0.5, +2.5) |' in page
    assert 'Without validation, and so without a best epoch: A, B.' in page


def test_multiplications_by_hand():

    class Attention(torch.nn.Module):

        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 3, padding=1, bias=False)
            self.conv.requires_grad_(False)

        def forward(self, x):
            x = self.conv(x).flatten(2)  # (1, 4, 64): 4 tokens of width 64
            return torch.nn.functional.scaled_dot_product_attention(x, x, x)

    model, inputs = Attention(), torch.zeros(1, 3, 8, 8)
    found = count_complexity(model, inputs)
    conv = 4 * 8 * 8 * 3 * 9
    assert found.modules['conv'] == (3 * 4 * 9, 0, conv)
    assert found.modules['rest'] == (0, 0, 2 * 4 * 4 * 64)
    assert found.total.macs == conv + 2 * 4 * 4 * 64
    # MMEngine's, which passes over attention
    info = get_model_complexity_info(
        model, inputs=(inputs, ), show_table=False, show_arch=False)
    assert info['flops'] == conv and info['params'] == found.total.all


def test_calls_take_turns():
    order, threads = [], torch.get_num_threads()

    def call(name):
        order.append((name, torch.get_num_threads()))

    found = time_in_turn(
        dict(a=lambda: call('a'), b=lambda: call('b')), rounds=2)
    assert order == [('a', 1), ('b', 1)] * 2
    assert set(found) == {'a', 'b'} and min(found.values()) >= 0
    assert torch.get_num_threads() == threads
