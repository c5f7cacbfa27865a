# Copyright (c) orsa contributors. All rights reserved.
"""Protects ablation studies: folds, priors, stored runs and their report."""
import argparse
import copy
import itertools
import json
import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS
from sklearn.metrics import recall_score
from tiny_suite import write_faces

from orsa.studies.ablation import (_read_results, ablate, add_ablate_arguments,
                                   report)
from orsa.studies.ablation_report import OCCLUDED, _compare
from orsa.studies.ablation_study import AblationStudy
from orsa.studies.study import Run, predict_images

VARIANT = """
_base_ = 'orsa::_base_/default_runtime.py'
train_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='orsa.RAFDB', data_root='{root}', split='train',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='orsa.RandomFaceAffine', size=32),
            dict(type='PackInputs')]))
test_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='orsa.RAFDB', data_root='{root}', split='test',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='orsa.RandomFaceAffine', size=32, flip_prob=0, prob=0),
            dict(type='PackInputs')]))
test_evaluator = dict(type='orsa.FERMetric')
test_cfg = dict()
val_cfg = None
train_cfg = dict(type='orsa.SAMTrainLoop', max_epochs=1)
optim_wrapper = dict(type='orsa.SAMOptimWrapper',
                     optimizer=dict(type='SGD', lr=1e-2))
tiny = dict(type='orsa.IRNet', arch=dict(depths=(1, 1), channels=(8, 16)))
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(type='ClsDataPreprocessor', num_classes=7,
                           mean=[120.] * 3, std=[60.] * 3, to_rgb=True),
    backbone=dict(
        type='orsa.ORSANet', image_encoder=tiny, image_size=32,
        embed_dims=16, grid=4{prior}),
    neck=dict(type='orsa.ConcatFusion', in_channels={channels},
              out_channels=16),
    head=dict(type='orsa.DAREHead', num_classes=7, in_channels=16))
"""
PRIOR = """, landmark_prior=dict(
            type='orsa.LandmarkPrior', model=tiny, input_mean=[120.] * 3,
            input_std=[60.] * 3, checkpoint='{root}/main.pth')"""
STUDY = """
title = 'Tiny'
variants = dict(plain=dict(config='plain.py', title='image'),
                more=dict(config='more.py', title='image + landmarks'))
reference = 'plain'
seeds = [0]
num_folds = 2
priors = dict(landmark_prior=dict(config='prior.py',
                                  checkpoint='{root}/main.pth'))
severities = [1, 5]
subsets = dict(some='some.txt')
time_limit = 60
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('study')
    write_faces(root, dict(train=28, test=14), size=64)
    (root / 'some.txt').write_text('test_00001\ntest_00003\n')
    (root / 'plain.py').write_text(
        VARIANT.format(root=root, prior='', channels=[16]))
    (root / 'more.py').write_text(
        VARIANT.format(
            root=root, prior=PRIOR.format(root=root), channels=[16, 16]))
    (root / 'study.py').write_text(STUDY.replace('{root}', str(root)))
    (root / 'prior.py').write_text(
        VARIANT.format(root=root, prior='', channels=[16]) +
        'val_dataloader, val_cfg = test_dataloader, dict()\n'
        'val_evaluator = test_evaluator\n')
    return root


@pytest.fixture(scope='module')
def study(folder):
    """The study, with priors that stand in for trained ones."""
    from orsa.models.backbones import IRNet
    study = AblationStudy(str(folder / 'study.py'), str(folder / 'work'))
    os.makedirs(study.file('priors'))
    for path in (folder / 'main.pth', study.prior_file('landmark_prior', 0),
                 study.prior_file('landmark_prior', 1)):
        torch.save(
            IRNet(dict(depths=(1, 1), channels=(8, 16))).state_dict(), path)
    return study


def test_folds_and_priors_reach_the_config(study):
    cfg = study.config(Run('more', 3, 1))
    prior = cfg.model.backbone.landmark_prior
    assert cfg.train_dataloader.dataset.fold == 1
    assert cfg.test_dataloader.dataset.split == 'val'
    assert prior.checkpoint == prior.fold_checkpoints[1]
    assert cfg.randomness.seed == 3
    assert study.fingerprint(Run('more', 3,
                                 1)) != study.fingerprint(Run('more', 3, 0))
    complete = study.config(Run('more', 0))
    assert complete.test_dataloader.dataset.split == 'test'
    assert complete.model.backbone.landmark_prior.checkpoint.endswith(
        'main.pth')


def test_a_prior_is_trained_without_its_fold(study):
    assert study.prior_runs() == [
        Run('landmark_prior', 0, fold) for fold in range(2)
    ]
    cfg = study.config(Run('landmark_prior', 0, 1))
    names = {}
    for split in ('train', 'val', 'test'):
        data = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
        names[split] = {
            data.get_data_info(i)['name']
            for i in range(len(data))
        }
    assert names['val'] == names['test']
    assert not names['train'] & names['val']
    assert names['train'] | names['val'] == {
        f'train_{i:05d}'
        for i in range(28)
    }


def test_what_a_prior_learns_is_published(study, tmp_path):
    other, run = copy.copy(study), Run('landmark_prior', 0, 1)
    other.work_dir = str(tmp_path)
    other.execute(run)
    learned = torch.load(
        Path(other.train_dir(run)) / 'epoch_1.pth', weights_only=False)
    published = torch.load(other.prior_file('landmark_prior', 1))
    for key, value in published['state_dict'].items():
        torch.testing.assert_close(
            value.float(),
            learned['state_dict'][key].float(),
            atol=1e-3,
            rtol=1e-2)


def test_some_faces_are_occluded(study):
    study = copy.copy(study)
    study.cfg = copy.deepcopy(study.cfg)
    study.cfg.num_occluded = 5
    cfg = study.config(Run('plain'))
    counts = [len(study.faces(cfg, severity=s)['labels']) for s in (0, 1)]
    assert counts == [14, 5]


@pytest.mark.parametrize('seeds, titles', [
    ([0, 1, 2],
     dict(
         plain='the image branch',
         mcm='+ both, SPADE and MCM',
         visible='the same, weighed by visibility',
         consistent='the same, with consistency')),
    ([0],
     dict(
         plain='the image branch, seed 0',
         landmarks='+ landmarks',
         parsing='+ parsing',
         concat='+ both, concatenated',
         poster='POSTER fusion')),
])
def test_the_published_study(repo_root, ferplus_dir, tmp_path, monkeypatch,
                             seeds, titles):
    """The tables of docs/ferplus.md are the report of the files beside it."""
    monkeypatch.setenv('ORSA_FERPLUS', f'{ferplus_dir}/')
    files = repo_root / 'docs/results/ablation_ferplus'
    study = AblationStudy(
        str(repo_root / 'configs/ablations/ferplus.py'), str(tmp_path))
    shutil.copytree(files, tmp_path / 'results')
    runs = study.runs(list(titles), seeds, [None])
    assert study.missing(runs) == []  # "they are not trained again"
    found = _read_results(study, runs)
    gains = _compare(study.cfg, found, {
        'clean': ['clean'],
        OCCLUDED: study.levels
    })
    page = (repo_root / 'docs/ferplus.md').read_text().splitlines()
    for variant, title in titles.items():
        row, = (line for line in page if line.startswith(f'| {title} |'))
        cells = [cell.strip() for cell in row.strip('|').split('|')]
        expected = []
        for seed in seeds:
            with np.load(files / f'{variant}_seed{seed}.npz') as predictions:
                uar = [
                    100 * recall_score(
                        predictions[f'{name}/labels'],
                        predictions[f'{name}/predicted'],
                        average='macro') for name in ('clean', *study.levels)
                ]
            expected.append([uar[0], np.mean(uar[1:])])
        assert [[run['metrics'][k]['uar'] for k in ('clean', OCCLUDED)]
                for run in found[variant]
                ] == pytest.approx(np.array(expected))
        for i, values in zip((3, 5), np.transpose(expected)):
            wanted = [values.mean()]
            if len(seeds) > 1:
                wanted.append(values.std(ddof=1))
            assert [float(cell)
                    for cell in cells[i].split(' ± ')] == pytest.approx(
                        wanted, abs=.051)
        for cell, kind in zip(cells[9:], ('clean', OCCLUDED)):
            if variant != 'plain':
                numbers = map(float, re.findall(r'[-+]?[\d.]+', cell))
                assert list(numbers) == pytest.approx(
                    gains[variant][kind], abs=.051)


def test_one_network_predicts_without_cross_fit(study):
    study = copy.copy(study)
    study.cfg = copy.deepcopy(study.cfg)
    study.cfg.priors.landmark_prior.cross_fit = False
    cfg = study.config(Run('more', 0, 1))
    prior = cfg.model.backbone.landmark_prior
    assert prior.checkpoint == study.prior_file('landmark_prior', 1)
    assert 'fold_checkpoints' not in prior
    assert cfg.model.data_preprocessor.type == 'ClsDataPreprocessor'


def test_runs_are_stored_and_not_run_again(study, folder, monkeypatch):
    runs = study.runs(['plain', 'more'], [0], [None])
    for run in runs:
        study.execute(run)
    with open(study.result_file(runs[1])) as f:
        result = json.load(f)
    assert set(
        result['metrics']) == {'clean', 'severity 1', 'severity 5', 'some'}
    assert result['metrics']['clean']['num_samples'] == 14
    assert result['metrics']['some']['num_samples'] == 2

    # the metrics are those of the stored predictions
    with np.load(study.predictions_file(runs[1])) as predictions:
        uar = recall_score(
            predictions['clean/labels'],
            predictions['clean/predicted'],
            average='macro')
    assert result['metrics']['clean']['uar'] == pytest.approx(100 * uar)

    monkeypatch.setattr(study, '_start', lambda run: pytest.fail(f'{run}'))
    assert study.run_missing(runs, jobs=1) == []
    report(study, runs, str(folder / 'out'), 'ablate.py x.py --seeds 0')
    page = (folder / 'out' / 'study.md').read_text()
    assert '| image + landmarks |' in page and (
        'Made by `ablate.py x.py --seeds 0`') in page
    assert cv2.imread(str(folder / 'out' / 'study.png')) is not None

    # the same data elsewhere are the same, others in their place are not
    elsewhere = folder.parent / 'elsewhere'
    shutil.copytree(folder, elsewhere, ignore=lambda *_: ['work', 'out'])
    listed = elsewhere / 'basic' / 'EmoLabel' / 'list_patition_label.txt'
    config = (elsewhere / 'plain.py').read_text()
    (elsewhere / 'plain.py').write_text(
        config.replace(str(folder), str(elsewhere)))
    for other in (False, True):
        if other:
            first, rest = listed.read_text().split('\n', 1)
            listed.write_text(f'{first[:-1]}{int(first[-1]) % 7 + 1}\n{rest}')
        moved = AblationStudy(
            str(elsewhere / 'study.py'), str(folder / 'work'))
        moved.cfg.priors = study.cfg.priors
        assert (moved.stored(runs[0]) is None) == other

    # another prior is another run
    path = study.prior_file('landmark_prior', 0)
    state = torch.load(path)
    torch.save({k: v * 2 for k, v in state.items()}, path)
    assert study.stored(runs[1]) is None
    assert study.stored(runs[0]) is not None


def test_a_half_run_goes_on(study, folder):
    run, path = Run('plain', 5), folder / 'plain.py'
    text = path.read_text()
    path.write_text(text.replace('max_epochs=1', 'max_epochs=2'))
    try:
        first = study.execute(run)
        trained = Path(study.train_dir(run))
        # as if it had been killed before it knew the last checkpoint's name
        (trained / 'last_checkpoint').unlink()
        before = (trained / 'epoch_2.pth').stat().st_mtime_ns
        again = study.execute(run)
    finally:
        path.write_text(text)
    assert (trained / 'epoch_2.pth').stat().st_mtime_ns == before
    assert again['metrics'] == first['metrics']


def test_a_failed_run_is_named_and_the_others_go_on(study, capfd, monkeypatch):
    runs = [Run('plain', 7), Run('plain', 8)]
    monkeypatch.setattr(study, '_start', lambda run: run.seed == 7)
    assert study.run_missing(runs, jobs=1) == runs[:1]
    assert 'plain_seed7 failed' in capfd.readouterr().out
    assert study.stored(runs[0])['log'] == 'logs/plain_seed7.log'
    assert study.missing(runs) == runs  # nothing was stored of the other one


def test_unknown_names_are_refused(study, folder):
    with pytest.raises(ValueError, match="no variants.*'most'"):
        study.runs(['most'], [0], [None])
    path = folder / 'half.py'
    path.write_text("title = 'x'\n")
    with pytest.raises(ValueError, match='is no study.*variants'):
        AblationStudy(str(path))


def test_predict_gives_probabilities(study):
    from orsa.apis import init_model
    cfg = study.config(Run('plain'))
    scores = predict_images(
        init_model(cfg), np.zeros((3, 3, 32, 32), np.uint8), batch_size=2)
    assert scores.shape == (3, 7)
    assert np.allclose(scores.sum(1), 1, atol=1e-5)


def test_folds_of_what_has_none(study, repo_root, folder):
    path = str(repo_root / 'configs/ablations/ferplus.py')
    with pytest.raises(ValueError, match='FERPlus can be divided'):
        AblationStudy(path, str(folder / 'x')).config(Run('plain', 0, 0))
    parser = argparse.ArgumentParser()
    add_ablate_arguments(parser)
    with pytest.raises(ValueError, match='num_folds=0'):
        ablate(parser.parse_args([path, '--cv']), [])
    with pytest.raises(ValueError, match='add --cv'):
        ablate(parser.parse_args([path, '--folds', '0']), [])
    # every dataset that can be divided is
    other = copy.copy(study)
    other.cfg = copy.deepcopy(study.cfg)
    other.cfg.data = dict(
        train=dict(type='orsa.ImageFolder', data_root='x', data_prefix='a'),
        test=dict(type='orsa.ImageFolder', data_root='x', data_prefix='b'))
    cfg = other.config(Run('plain', 0, 1))
    train, test = (cfg[f'{s}_dataloader'].dataset for s in ('train', 'test'))
    assert (train.num_folds, train.fold) == (test.num_folds, test.fold)
    assert train.fold == 1 and test.split == 'val' and 'split' not in train
    assert test.data_prefix == train.data_prefix == 'a'
    assert other.config(Run('plain',
                            0)).test_dataloader.dataset.data_prefix == 'b'


def test_folds_that_not_every_variant_has_are_left_out(study, capsys,
                                                       tmp_path):
    """Variants that predict the same are the same, whatever failed."""
    rng = np.random.default_rng(0)
    other = copy.copy(study)
    other.work_dir = str(tmp_path)
    other.stored = lambda run: json.loads(
        Path(other.result_file(run)).read_text())
    runs = []
    for fold in range(4):
        labels = rng.integers(0, 3, 20).astype(np.uint8)
        predicted = rng.integers(0, 3, 20).astype(np.uint8)
        for variant, seed in itertools.product(('plain', 'more'), (0, 1, 2)):
            run = Run(variant, seed, fold)
            if run == Run('plain', 0, 1) or seed == 2 and fold:
                continue  # it has failed, or the study was stopped
            names = ['clean', *other.levels]
            path = Path(other.result_file(run))
            path.parent.mkdir(exist_ok=True)
            path.write_text(
                json.dumps(
                    dict(
                        run._asdict(),
                        seconds=1,
                        metrics=dict.fromkeys(names),
                        parameters={})))
            np.savez(
                other.predictions_file(run), **{
                    f'{name}/{k}': v
                    for name in names
                    for k, v in (('labels', labels), ('predicted', predicted))
                })
            runs.append(run)
    found = _read_results(other, runs)
    names = {
        'more_seed0_fold1', 'plain_seed1_fold1', 'more_seed1_fold1',
        'plain_seed2_fold0', 'more_seed2_fold0'
    }
    assert set(re.findall(r'\w+_fold\d', capsys.readouterr().out)) == names
    four = found['plain'] + found['more']
    assert [one['num_runs'] for one in four] == [3] * 4
    for one in four[1:]:
        np.testing.assert_array_equal(one['correct']['clean'],
                                      four[0]['correct']['clean'])
