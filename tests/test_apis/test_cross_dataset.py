# Copyright (c) orsa contributors. All rights reserved.
"""A model of one dataset is tested on another, by class names."""
import argparse
import json
import pickle

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score

from orsa.analysis.plots import plot_results
from orsa.apis import build_model, load_config, testing
from orsa.utils.classes import AFFECTNET_CLASSES, RAFDB_CLASSES

CONFIG = """
_base_ = 'orsa::_base_/default_runtime.py'
pipeline = [dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(24, 24)),
            dict(type='PackInputs',
                 meta_keys=('name', 'sample_idx', 'img_path'))]
test_dataloader = dict(
    batch_size=5, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='orsa.{kind}', data_root='{root}', split='{split}',
                 pipeline=pipeline))
test_evaluator = dict(type='orsa.FERMetric')
test_cfg = dict()
custom_hooks = [dict(type='ClassNumCheckHook')]
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(mean=[127], std=[50], num_classes={num}),
    backbone=dict(type='orsa.IRNet', arch=dict(depths=(1, ), channels=(8, ))),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes={num}, in_channels=8))
"""


def write_face(path, seed):
    """A picture of one colour, nearly: colours are what the models see."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    colour = rng.integers(0, 200, 3)
    image = colour + rng.integers(0, 50, (20, 20, 3))
    cv2.imwrite(str(path), image.astype(np.uint8))


def random_model(config):
    """Weights that answer with every class now and then."""
    torch.manual_seed(5)
    model = build_model(load_config(str(config))).eval()
    torch.nn.init.normal_(model.head.fc.weight, std=30.)
    colours = (torch.rand(200, 3, 1, 1) * 4 - 2).expand(-1, -1, 24, 24)
    with torch.no_grad():
        model.head.fc.bias -= model(colours, mode='tensor').mean(0)
    return model


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Two datasets, their configs and a random model of each."""
    root = tmp_path_factory.mktemp('cross')
    for i, name in enumerate(RAFDB_CLASSES * 4):
        write_face(root / f'raf/valid/{name}/{i}.png', i)
    affectnet = root / 'affectnet/val_set'
    (affectnet / 'annotations').mkdir(parents=True)
    for i in range(24):
        write_face(affectnet / f'images/{i}.jpg', 100 + i)
        np.save(affectnet / f'annotations/{i}_exp.npy', np.array(str(i % 8)))
    for kind, split, classes in (('RAFDB', 'test', RAFDB_CLASSES),
                                 ('AffectNet', 'val', AFFECTNET_CLASSES)):
        folder = root / ('raf' if kind == 'RAFDB' else 'affectnet')
        text = CONFIG
        for key, value in dict(
                kind=kind, root=folder, split=split, num=len(classes)).items():
            text = text.replace('{' + key + '}', str(value))
        (root / f'{kind}.py').write_text(text)
        model = random_model(root / f'{kind}.py')
        torch.save(
            dict(
                state_dict=model.state_dict(),
                meta=dict(dataset_meta=dict(classes=classes))),
            root / f'{kind}.pth')
        torch.save(
            dict(state_dict=model.state_dict(), meta={}),
            root / f'{kind}_nameless.pth')
    return root


def run(made, model, data, work, checkpoint=None):
    parser = argparse.ArgumentParser()
    testing.add_test_arguments(parser)
    arguments = [
        made / f'{model}.py', made / f'{checkpoint or model}.pth',
        '--work-dir', work, '--out', work / 'predictions.pkl'
    ]
    if data:
        arguments += ['--data-from', made / f'{data}.py']
    testing.test(parser.parse_args([str(a) for a in arguments]))
    report = json.loads((work / 'metrics.json').read_text())
    with open(work / 'predictions.pkl', 'rb') as file:
        return report, pickle.load(file)


@pytest.mark.parametrize(
    'model, data, outputs, labels, left_out',
    [('RAFDB', 'AffectNet', RAFDB_CLASSES, AFFECTNET_CLASSES,
      dict(model=[], data=dict(contempt=3))),
     ('AffectNet', 'RAFDB', AFFECTNET_CLASSES, RAFDB_CLASSES,
      dict(model=['contempt'], data={}))])
def test_by_name(made, tmp_path, model, data, outputs, labels, left_out):
    report, raw = run(made, model, data, tmp_path)
    truth = np.array([labels[int(r['gt_label'])] for r in raw])
    scores = np.array([r['pred_score'].tolist() for r in raw])
    common = [c for c in labels if c != 'contempt']
    pred = np.array(common)[scores[:, [outputs.index(c)
                                       for c in common]].argmax(1)]
    kept = truth != 'contempt'
    # the model answers with several classes, so that a mix-up would show
    assert len(set(pred)) > 2
    assert report['accuracy'] == pytest.approx(
        100 * accuracy_score(truth[kept], pred[kept]))
    assert report['uar'] == pytest.approx(
        100 * recall_score(truth[kept], pred[kept], average='macro'))
    assert report['classes'] == common
    assert (np.array(report['confusion_matrix']) == confusion_matrix(
        truth[kept], pred[kept], labels=common)).all()
    assert report['left_out'] == left_out
    assert report['data_from'].endswith(f'{data}.py')
    assert report['num_samples'] == kept.sum()
    # and the pictures name the same classes
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('orsa.analysis.plots.draw_prediction_grid',
                      lambda faces, out: seen.extend(faces))
        plot_results(
            str(made / f'{model}.py'), str(tmp_path),
            str(tmp_path / 'predictions.json'), 200)
    drawn = sorted((t, p) for _, t, p, _ in seen)
    assert drawn == sorted(zip(truth[kept].tolist(), pred[kept].tolist()))


def test_own_data_as_before(made, tmp_path):
    report, raw = run(made, 'RAFDB', None, tmp_path)
    assert 'left_out' not in report and 'data_from' not in report
    assert report['num_samples'] == len(raw) == 28


def test_checkpoint_without_names(made, tmp_path):
    """The config says what its outputs mean, and that it is trusted."""
    with pytest.warns(UserWarning, match='class names'):
        nameless, _ = run(made, 'RAFDB', 'AffectNet', tmp_path,
                          'RAFDB_nameless')
    named, _ = run(made, 'RAFDB', 'AffectNet', tmp_path)
    for key in ('accuracy', 'confusion_matrix', 'left_out'):
        assert nameless[key] == named[key]


def test_data_from_draws_where_the_other_draws(repo_root):
    cfg = load_config(str(repo_root / 'configs/orsanet_rafdb.py'))
    testing.use_data_from(
        cfg,
        load_config(
            str(repo_root / 'configs/_base_/datasets/synthetic_112.py')))
    dataset = cfg.test_dataloader.dataset
    dataset.num_samples = 3
    sample = DATASETS.build(dataset)[2]
    # the model's size, the other's names
    assert sample['inputs'].shape == (3, 224, 224)
    assert sample['data_samples'].name


def test_data_from_keeps_the_pipeline(repo_root):
    cfg = load_config(str(repo_root / 'configs/orsanet_lite_rafdb.py'))
    pipeline = cfg.test_dataloader.dataset.pipeline
    testing.use_data_from(
        cfg,
        load_config(str(repo_root / 'configs/_base_/datasets/ferplus_224.py')))
    dataset = cfg.test_dataloader.dataset
    assert dataset.type == 'orsa.FERPlus' and dataset.split == 'test'
    assert dataset.pipeline == pipeline
    assert cfg.test_evaluator.model_classes == list(RAFDB_CLASSES)
    with pytest.raises(ValueError, match='test_dataloader'):
        testing.use_data_from(cfg, Config(dict(a=1)))
