# Copyright (c) orsa contributors. All rights reserved.
"""A calibration is fitted on held-out faces alone, written and measured."""
import argparse
import json
import runpy
import sys

import numpy as np
import pytest
import torch
from random_scores import random_scores

from orsa.analysis import calibrate as calibrating
from orsa.analysis.calibrate import (add_calibrate_arguments, calibrate,
                                     compare_fractions, fit, held_out_faces,
                                     measure)
from orsa.apis.model import load_config
from orsa.datasets import OccludeFace
from orsa.datasets.drawing.occluders import KINDS
from orsa.evaluation import calibration
from orsa.evaluation.calibration import (calibration_file, mean_nll,
                                         read_calibration)
from orsa.utils.shipped import zoo_path

CONFIG = 'orsa::orsanet_demo.py'
WEIGHTS = 'orsa://orsanet_lite.pth'
FACES = ('test_dataloader.dataset.split=val',
         'test_dataloader.dataset.num_samples=14')


def parse(*arguments):
    parser = argparse.ArgumentParser()
    add_calibrate_arguments(parser)
    return parser.parse_args(
        [CONFIG, WEIGHTS, '--faces', 'drawn', *map(str, arguments)])


@pytest.mark.parametrize('config', ['orsanet_affectnet8', 'orsanet_occlufer'])
def test_what_is_tested_on_is_refused_whatever_its_name(config):
    cfg = load_config(f'orsa::{config}.py')
    assert cfg.test_dataloader.dataset.split == 'val'
    with pytest.raises(ValueError, match='is a test split'):
        next(held_out_faces(cfg))


def test_fitted_written_and_measured_again(tmp_path, repo_root, monkeypatch,
                                           capsys):
    out = tmp_path / 'calibration.json'
    tool = str(repo_root / 'tools/calibrate.py')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', [
        tool, CONFIG, WEIGHTS, '--faces', 'drawn', '--out',
        str(out), '--min-confidence', '.3', '--cfg-options', *FACES
    ])
    recorded = []

    def predict(*args, **kwargs):
        recorded.append(original(*args, **kwargs))
        return recorded[0]

    original = calibrating.predict_held_out
    monkeypatch.setattr(calibrating, 'predict_held_out', predict)
    monkeypatch.setattr(calibration, '_FEWEST', 14)
    runpy.run_path(tool, run_name='__main__')
    printed = capsys.readouterr().out
    assert 'wrote calibration.json' in printed
    assert 'clean     14 faces' in printed and 'occluded  14 faces' in printed
    stored = json.loads(out.read_text())
    assert read_calibration(str(out))[0].min_confidence == .3
    predictions, = recorded
    assert predictions['clean']['scores'].shape == (14, 7)
    assert np.allclose(predictions['clean']['scores'].sum(1), 1, atol=1e-4)
    assert (predictions['clean']['ratio'] == 0).all()
    assert (predictions['occluded']['ratio'] > 0).all()
    figures = stored['figures']
    for name, one in predictions.items():
        right = one['scores'].argmax(1) == one['labels']
        assert figures[name]['accuracy'] == pytest.approx(100 * right.mean())
        assert figures[name]['nll_before'] == pytest.approx(
            mean_nll(one['scores'], one['labels'], 1.), abs=1e-4)
    # the same predictions, read with what was written
    monkeypatch.setattr(calibrating, 'predict_held_out',
                        lambda *args, **kwargs: predictions)
    again = calibrate(parse('--measure-only', out, '--cfg-options', *FACES))
    assert again['clean'] == figures['clean']
    assert again['occluded'] == figures['occluded']


@pytest.mark.parametrize('arguments, split, name', [
    (('--dataloader', 'val'), 'val', 'orsa.SyntheticFaces'),
    (('--dataloader', 'val', '--cfg-options',
      'val_dataloader.dataset.split=train'), 'train', 'orsa.SyntheticFaces'),
    (('--data-from', 'orsa::orsanet_lite_ferplus.py'), 'test', 'orsa.FERPlus')
])
def test_whose_faces(monkeypatch, tmp_path, arguments, split, name):
    asked = []
    monkeypatch.setattr(calibrating, 'predict_held_out',
                        lambda *args, **kwargs: asked.append(args))
    monkeypatch.setattr(calibrating, 'measure', lambda *args: None)
    calibrate(parse('--measure-only', calibration_file(WEIGHTS), *arguments))
    model, cfg = asked[0]
    dataset = cfg.test_dataloader.dataset
    # the model keeps the pipeline that it predicts by
    assert model.cfg.test_dataloader.dataset.type == 'orsa.SyntheticFaces'
    assert model.cfg.test_dataloader.dataset.split == 'test'
    assert (dataset.type, dataset.split) == (name, split)
    if '--data-from' in arguments:
        # numbered as the model's
        assert dataset.classes[0] == 'surprise'


def test_test_faces_are_measured_and_not_fitted_on(tmp_path):
    out = tmp_path / 'calibration.json'
    with pytest.raises(ValueError, match='test split'):
        calibrate(parse('--out', out))
    assert not out.exists()


def test_fit_and_measure():
    predictions = {}
    for seed, name in enumerate(('clean', 'occluded')):
        temperature = (.7, 1.6)[seed]
        scores, labels = random_scores(temperature, 3000, seed)
        ratio = np.full(3000, .4 * seed)
        predictions[name] = dict(
            scores=scores, labels=labels, ratio=ratio, covered=.1 + ratio * .9)
    found = fit(predictions, fitted_on='drawn')
    assert found.covered_at_rest == pytest.approx(.1)
    assert found.temperature == pytest.approx(.7, rel=.1)
    assert found.temperature_at(.4) == pytest.approx(1.6, rel=.1)
    report = measure(predictions, found)
    for name in predictions:
        assert report[name]['nll'] < report[name]['nll_before']
        assert report[name]['ece'] < report[name]['ece_before']
        right = predictions[name]['scores'].argmax(
            1) == predictions[name]['labels']
        assert report[name]['accuracy'] == pytest.approx(100 * right.mean())
    assert report['covered']['mean_error'] == pytest.approx(0, abs=1e-6)
    assert report['covered']['correlation'] == pytest.approx(1)
    # without a parser
    for one in predictions.values():
        one['covered'] = np.full(3000, np.nan)
    assert fit(predictions).covered_slope == 0
    assert measure(predictions, fit(predictions))['covered'] == {}


def test_fractions_by_hand():
    predictions = {
        name:
        dict(
            scores=np.eye(3),
            labels=np.array([0, 1, 1]),
            ratio=np.array(ratio),
            covered=np.array(ratio) + .1)  # a tenth too much
        for name, ratio in (('clean', [0.] * 3), ('occluded', [.1, .25, .4]))
    }
    found = compare_fractions(predictions, calibration.Calibration())
    for name, expected in dict(
            mean_error=.1, correlation=1, correlation_occluded=1,
            clean_mean=.1).items():
        assert found[name] == pytest.approx(expected), name
    rows = {tuple(row['measured']): row for row in found['table']}
    assert rows[.1, .2]['num_faces'] == 3 and rows[.5, 1.]['num_faces'] == 1
    assert rows[.5, 1.]['true_mean'] == .4 and rows[.5, 1.]['accuracy'] == 0


def test_held_out_faces_are_occluded_and_no_test_faces(faces_dir):
    cfg = load_config('orsa::orsanet_lite_rafdb.py')
    cfg.test_dataloader.dataset.data_root = str(faces_dir)
    with pytest.raises(ValueError, match='test split'):
        next(held_out_faces(cfg))
    cfg.test_dataloader.dataset.update(split='val', num_folds=5, fold=1)
    faces = held_out_faces(cfg)
    clean, occluded = next(faces)
    assert clean['img'].shape == occluded['img'].shape == (128, 128, 3)
    ratio = np.mean(occluded['visible_mask'] == 0)
    assert occluded['occlusion_ratio'] > 0 and ratio > 0
    changed = (clean['img'] != occluded['img']).any(-1)
    assert changed.mean() == pytest.approx(ratio, abs=.1)
    # of two datasets those of one after those of the other
    number = 1 + sum(1 for _ in faces)
    one = cfg.test_dataloader.dataset
    cfg.test_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[one, dict(one, fold=2)])
    names = [sample['name'] for sample, _ in held_out_faces(cfg)]
    assert names[0] == clean['name'] and len(set(names)) == len(names) > number
    cfg.test_dataloader.dataset.datasets[1].split = 'test'
    with pytest.raises(ValueError, match='test split'):
        list(held_out_faces(cfg))


def test_a_model_that_numbers_its_classes_otherwise(faces_dir, tmp_path):
    """The same model with its outputs in another order is as good."""
    content = torch.load(zoo_path(WEIGHTS), weights_only=True)
    names = list(content['meta']['dataset_meta']['classes'])
    order = [3, 0, 6, 2, 5, 1, 4]
    content['meta']['dataset_meta']['classes'] = [names[i] for i in order]
    for key in ('head.fc.weight', 'head.fc.bias'):
        content['state_dict'][key] = content['state_dict'][key][order]
    torch.save(content, tmp_path / 'other.pth')
    faces = [
        f'test_dataloader.dataset.{option}'
        for option in (f'data_root={faces_dir}', 'split=val', 'num_folds=5',
                       'fold=0', 'indices=40')
    ]
    found = []
    for weights in (WEIGHTS, str(tmp_path / 'other.pth')):
        args = parse('--measure-only', calibration_file(WEIGHTS),
                     '--cfg-options', *faces)
        args.config, args.checkpoint = 'orsa::orsanet_lite_rafdb.py', weights
        found.append(calibrate(args)['clean']['accuracy'])
    assert found[0] == found[1] > 50


def test_measure_by_hand():
    # sure and right at .9 and .72, wrong at .61 and .55
    faces = dict(
        scores=np.array([[.9, .1], [.61, .39], [.28, .72], [.45, .55]]),
        labels=np.array([0, 1, 1, 0]),
        covered=np.full(4, np.nan),
        ratio=np.zeros(4))
    found = calibrating.measure(
        dict(clean=faces, occluded=faces),
        calibration.Calibration(min_confidence=.65))['clean']
    assert found['abstained'] == dict(
        share=.5, accuracy_answered=1., accuracy_abstained=0.)
    rows = {
        row['min_confidence']: (row['answered'], row['accuracy'])
        for row in found['coverage']
    }
    assert rows[0.] == rows[.5] == (1., .5)
    assert rows[.6] == (.75, pytest.approx(2 / 3))
    assert rows[.7] == (.5, 1.) and rows[.8] == (.25, 1.)


def test_kinds_and_severities_go_round():
    cfg = load_config('orsa::orsanet_demo.py')
    cfg.test_dataloader.dataset.update(split='val', num_samples=14)
    pairs = list(calibrating.held_out_faces(cfg))
    assert len(pairs) == 14
    for i, (clean, occluded) in enumerate(pairs):
        expected = OccludeFace(1 + i // len(KINDS), KINDS[i % len(KINDS)])(
            dict(clean, img=clean['img'].copy()))
        assert np.array_equal(occluded['img'], expected['img'])
        assert occluded['occlusion_ratio'] == expected['occlusion_ratio']
