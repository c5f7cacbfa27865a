# Copyright (c) orsa contributors. All rights reserved.
"""ORSANet-face: a short training on both datasets, and the one that ships."""
import argparse
import json

import cv2
import numpy as np
import pytest
import torch

from orsa.apis import init_model, predict_faces, training
from orsa.datasets import RAFDB, FERPlus
from orsa.utils.shipped import zoo_path

CONFIG = """
_base_ = 'orsa::orsanet_face.py'
train_cfg = dict(max_epochs=1, val_interval=1)
train_dataloader = dict(batch_size=8, num_workers=0, persistent_workers=False,
                        sampler=dict(num_samples=16))
val_dataloader = dict(num_workers=0, persistent_workers=False)
"""


@pytest.fixture(scope='module')
def model():
    return init_model('orsanet_face')


def test_votes_and_classes_in_one_training(ferplus_dir, faces_dir, tmp_path,
                                           monkeypatch):
    monkeypatch.setenv('ORSA_FERPLUS', str(ferplus_dir))
    monkeypatch.setenv('ORSA_RAFDB', str(faces_dir))
    (tmp_path / 'config.py').write_text(CONFIG)
    parser = argparse.ArgumentParser()
    training.add_train_arguments(parser)
    training.train(
        parser.parse_args([
            str(tmp_path / 'config.py'), '--amp', '--no-validate',
            '--work-dir',
            str(tmp_path / 'work')
        ]))
    log, = tmp_path.glob('work/*/vis_data/scalars.json')
    row = json.loads(log.read_text().splitlines()[-1])
    # a model that knows nothing yet: log 8 = 2.1
    assert 1.5 < row['loss_ce'] < 3
    saved = torch.load(tmp_path / 'work/epoch_1.pth', weights_only=False)
    assert len(saved['meta']['dataset_meta']['classes']) == 8
    start = torch.load(zoo_path('orsa://face_start.pth'))
    start = start.get('state_dict', start)
    name = 'stages.{}.0.1.weight'
    moved = [
        not torch.equal(
            saved['state_dict']['backbone.image_encoder.' + name.format(i)],
            start[name.format(i)].float()) for i in range(1, 5)
    ]
    assert all(moved)  # every stage is trained


@pytest.mark.parametrize('kind, least', [(FERPlus, 75), (RAFDB, 70)])
def test_recognises_faces_of_both_kinds(model, ferplus_dir, faces_dir, kind,
                                        least):
    folder = ferplus_dir if kind is FERPlus else faces_dir
    dataset = kind(
        str(folder),
        split='val',
        **(dict(val_split=.15) if kind is RAFDB else {}))
    infos = [
        dataset.get_data_info(i)
        for i in np.linspace(0,
                             len(dataset) - 1, 80).astype(int)
    ]
    found = predict_faces(model, [cv2.imread(i['img_path']) for i in infos])
    names = dataset.metainfo['classes']
    right = [
        f.expression == names[i['gt_label']] for f, i in zip(found, infos)
    ]
    assert 100 * np.mean(right) > least


def test_colour_makes_no_difference(model, faces_dir):
    dataset = RAFDB(str(faces_dir), split='test')
    grey = cv2.imread(dataset.get_data_info(0)['img_path'], 0)
    # of one mean, so that not even rounding differs
    tints = [
        cv2.merge(order)
        for order in ([grey // 2, grey, grey], [grey, grey, grey // 2])
    ]
    one, other = (list(f.scores.values()) for f in predict_faces(model, tints))
    assert one == pytest.approx(other, abs=1e-6)
