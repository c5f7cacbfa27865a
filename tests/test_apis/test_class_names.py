# Copyright (c) orsa contributors. All rights reserved.
"""Where a model's class names come from, and that none is guessed."""
import numpy as np
import pytest
import torch
from mmengine.config import Config
from plain_models import plain_model

from orsa.apis import init_model, predict_faces
from orsa.apis.model import config_classes
from orsa.datasets import FERDataset
from orsa.deploy.export import describe
from orsa.prepare.weights import publish
from orsa.utils.classes import (OCCLUFER_CLASSES, RAFDB_CLASSES,
                                checkpoint_classes, class_names)

ALPHABET = tuple(sorted(RAFDB_CLASSES))
THREE = ('calm', 'pain', 'tired')


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    """Saves the weights of one model, with what is said in ``meta``."""
    root = tmp_path_factory.mktemp('names')
    state = plain_model().state_dict()

    def save(name, **meta):
        path = str(root / f'{name}.pth')
        torch.save(dict(meta=meta, state_dict=state) if meta else state, path)
        return path

    return save


def config(**dataset):
    cfg = plain_model().cfg
    cfg.test_dataloader.dataset.pop('classes')
    cfg.test_dataloader.dataset.update(dataset)
    return cfg


def test_alphabetical_classes_of_a_config(cases_dir, tmp_path):
    """Seven classes are not RAF-DB's because they are seven."""
    model = init_model(cases_dir / 'seven.py')
    assert model.dataset_meta['classes'] == ALPHABET
    bare = str(tmp_path / 'bare.pth')
    torch.save(model.state_dict(), bare)
    with pytest.warns(UserWarning, match='outputs.*mean anger'):
        loaded = init_model(cases_dir / 'seven.py', bare)
    rng = np.random.default_rng(0)
    face = predict_faces(loaded, [rng.integers(0, 255,
                                               (64, 64, 3), np.uint8)])[0]
    assert tuple(face.scores) == ALPHABET
    assert describe(loaded, 'fp32', bare).classes == ALPHABET


@pytest.mark.parametrize('meta, dataset, expected', [
    (dict(dataset_meta=dict(classes=ALPHABET)), {}, ALPHABET),
    (dict(dataset_meta=dict(classes=ALPHABET),
          CLASSES=RAFDB_CLASSES), {}, ALPHABET),
    ({}, dict(classes=ALPHABET), ALPHABET),
    ({}, dict(metainfo=dict(classes=ALPHABET)), ALPHABET),
    ({}, dict(classes=ALPHABET,
              metainfo=dict(classes=RAFDB_CLASSES)), ALPHABET),
    ({}, dict(type='orsa.RAFDB'), RAFDB_CLASSES),
    ({}, dict(type='orsa.OccluFER'), OCCLUFER_CLASSES),
    ({}, dict(type='RepeatDataset', dataset=dict(classes=ALPHABET)), ALPHABET),
    (dict(CLASSES=ALPHABET), {}, ALPHABET),
    (dict(dataset_meta=dict(CLASSES=ALPHABET)), {}, ALPHABET),
    (dict(CLASSES=ALPHABET), dict(type='orsa.RAFDB'), ALPHABET),
])
def test_the_first_that_says_them(saved, meta, dataset, expected):
    found = init_model(config(**dataset), saved('x', **meta))
    assert found.dataset_meta['classes'] == expected


def test_a_file_of_classes(saved, tmp_path):
    (tmp_path / 'classes.txt').write_text('\n'.join(ALPHABET))
    cfg = config(classes=str(tmp_path / 'classes.txt'))
    assert init_model(cfg, saved('x')).dataset_meta['classes'] == ALPHABET


def test_none_is_guessed(saved):
    for dataset in ({}, dict(type='mmpretrain.CustomDataset'),
                    dict(type='orsa.ImageFolder')):
        with pytest.raises(ValueError, match='x.pth'):
            init_model(config(**dataset), saved('x'))
    # random weights mean nothing yet
    nameless = init_model(config())
    assert nameless.dataset_meta['classes'] == ()
    with pytest.raises(ValueError, match='classes'):
        describe(nameless, 'fp32', None)
    with pytest.raises(ValueError, match='3 classes .*num_classes=7'):
        init_model(config(classes=THREE), saved('x'))
    # what is no classifier needs no names
    assert config_classes(Config(dict(model={}))) is None


@pytest.mark.parametrize('kind', ['classes', 'metainfo'])
@pytest.mark.parametrize('meta', [
    dict(dataset_meta=dict(classes=RAFDB_CLASSES)),
    dict(dataset_meta=dict(CLASSES=RAFDB_CLASSES)),
    dict(CLASSES=RAFDB_CLASSES)
])
def test_another_order_is_refused(saved, meta, kind):
    dataset = dict(classes=ALPHABET) if kind == 'classes' else dict(
        metainfo=dict(classes=ALPHABET))
    with pytest.raises(ValueError, match='classes'):
        init_model(config(**dataset), saved('x', **meta))


def test_config_names_replace_those_of_the_checkpoint():
    old = tuple(name.title() for name in RAFDB_CLASSES)
    content = dict(meta=dict(CLASSES=list(old)))
    assert checkpoint_classes(content) == old
    with pytest.warns(UserWarning, match="config's names"):
        assert class_names(content, RAFDB_CLASSES) == RAFDB_CLASSES
    assert class_names(content, None) == old


def test_publishing_keeps_the_old_names(saved, tmp_path):
    publish(saved('x', CLASSES=ALPHABET), str(tmp_path / 'y.pth'))
    found = torch.load(tmp_path / 'y.pth')['meta']
    assert found == dict(dataset_meta=dict(classes=ALPHABET))


def test_classes_win_over_an_inherited_metainfo(tmp_path):
    (tmp_path / 'list.txt').write_text('a.jpg fear\nb.jpg anger\n')
    data = FERDataset(
        data_root=str(tmp_path),
        ann_file='list.txt',
        classes=('anger', 'fear'),
        metainfo=dict(classes=('fear', 'anger')))
    assert data.CLASSES == ('anger', 'fear')
    assert data.get_data_info(0)['gt_label'] == 1
