# Copyright (c) orsa contributors. All rights reserved.
"""A model gets exactly its checkpoint, its classes, or an error that names."""
import re

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS
from sklearn.metrics import accuracy_score, f1_score, recall_score

from orsa.apis import available_models, build_model, init_model, load_config
from orsa.apis.zoo import MODELS_BY_NAME
from orsa.prepare.weights import publish
from orsa.studies.study import predict_images
from orsa.utils.classes import RAFDB_CLASSES

LITE = 'orsa::orsanet_lite_rafdb.py'


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    torch.manual_seed(0)
    model = init_model(LITE)
    path = tmp_path_factory.mktemp('checkpoint') / 'lite.pth'
    meta = dict(dataset_meta=dict(classes=RAFDB_CLASSES))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return model, path


def test_loads_what_was_saved(saved):
    model, path = saved
    x = torch.randn(2, 3, 112, 112)
    loaded = init_model(LITE, str(path))
    assert not loaded.training
    assert loaded.dataset_meta['classes'] == RAFDB_CLASSES
    with torch.no_grad():
        torch.testing.assert_close(
            loaded(x, mode='tensor'), model(x, mode='tensor'), rtol=0, atol=0)
        # logits are one call away
        feats = loaded.extract_feat(x)
        assert torch.equal(loaded.head(feats), loaded(x, mode='tensor'))
        result = loaded(x, mode='predict')
    assert result[0].pred_score.sum().item() == pytest.approx(1, abs=1e-5)


def test_changed_number_of_classes(saved):
    cfg = load_config(LITE)
    cfg.model.head.num_classes = 8
    model = init_model(cfg)
    with torch.no_grad():
        assert model(
            torch.randn(1, 3, 112, 112), mode='tensor').shape == (1, 8)
    with pytest.raises(ValueError, match='7 classes.*num_classes=8'):
        init_model(cfg, str(saved[1]))
    # the config that was given is not changed
    assert cfg.model.backbone.get('allow_untrained') is None


def test_without_classes_it_warns(saved, tmp_path):
    path = tmp_path / 'bare.pth'
    torch.save(dict(state_dict=saved[0].state_dict()), path)
    with pytest.warns(UserWarning, match='class names'):
        model = init_model(LITE, str(path))
    assert model.dataset_meta['classes'] == RAFDB_CLASSES


def test_what_does_not_fit_is_named(saved, tmp_path):
    state = saved[0].state_dict()
    state.pop('head.fc.weight')
    state['head.fc.bias'] = torch.zeros(9)
    state['strange'] = torch.zeros(1)
    path = tmp_path / 'bad.pth'
    torch.save(dict(state_dict=state), path)
    with pytest.raises(ValueError) as error:
        init_model(LITE, str(path))
    for part in ('bad.pth', 'head.fc.weight', '(9,) instead of (7,)',
                 'strange'):
        assert part in str(error.value)


def test_no_such_config():
    with pytest.raises(FileNotFoundError, match='nothing.py'):
        init_model('orsa::nothing.py')
    with pytest.raises(TypeError, match='Config'):
        init_model(3)


@pytest.fixture
def named(saved, tmp_path, monkeypatch):
    """A model that "ships", with weights in float16."""
    path = tmp_path / 'shipped.pth'
    publish(str(saved[1]), str(path))
    monkeypatch.setitem(MODELS_BY_NAME, 'tiny_one', (LITE, str(path)))
    return path


def test_by_name(named):
    assert {'orsanet_lite', 'tiny_one'} <= set(available_models())
    model = init_model('tiny_one')
    shipped = torch.load(named)['state_dict']
    assert {v.dtype for v in shipped.values()} >= {torch.float16}
    for key, value in model.state_dict().items():
        assert value.dtype != torch.float16
        assert torch.equal(value, shipped[key].to(value.dtype)), key
    assert model.dataset_meta['classes'] == RAFDB_CLASSES
    assert not model.training
    with torch.no_grad():
        model(torch.randn(1, 3, 112, 112), mode='predict')


def test_what_ships_is_what_its_card_says(faces_dir, repo_root):
    """The weights in the package reach the figures that stand beside."""
    card = (repo_root / 'orsa/zoo/README.md').read_text()
    words = ' '.join(card.split('## ORSANet-lite')[1].split())
    claimed = re.search(r'accuracy ([\d.]+), UAR ([\d.]+), macro-F1 ([\d.]+)',
                        words).groups()
    model = init_model('orsanet_lite')
    cfg = model.cfg.test_dataloader.dataset
    cfg.data_root = str(faces_dir)
    dataset = DATASETS.build(cfg)
    packed = [dataset[i] for i in range(len(dataset))]
    inputs = np.stack([p['inputs'].numpy() for p in packed])
    labels = [int(p['data_samples'].gt_label) for p in packed]
    predicted = predict_images(model, inputs).argmax(1)
    found = (accuracy_score(labels, predicted),
             recall_score(
                 labels, predicted, average='macro', labels=[0, 3, 4, 5, 6]),
             f1_score(
                 labels, predicted, average='macro', labels=[0, 3, 4, 5, 6]))
    # float16 and rounding may turn one face of 422
    assert 100 * np.array(found) == pytest.approx(
        np.array(claimed, float), abs=0.8)


def test_by_name_with_other_weights(named, saved):
    model = init_model('tiny_one', str(saved[1]))
    state = saved[0].state_dict()
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


def test_names_that_are_not_there(named):
    with pytest.raises(ValueError) as error:
        init_model('resnet_18')
    for text in ("no model 'resnet_18'", 'orsanet_lite', 'tiny_one', 'path',
                 'orsa::'):
        assert text in str(error.value)
    with pytest.raises(FileNotFoundError):
        init_model('nowhere/tiny_one.py')


def test_a_device_that_is_not_there(named):
    with pytest.raises(ValueError, match="'abacus'"):
        init_model('tiny_one', device='abacus')


def test_shipped_weights_that_are_missing(named):
    named.unlink()
    with pytest.raises(FileNotFoundError) as error:
        init_model('tiny_one')
    for text in ("weights of 'tiny_one'", 'shipped.pth', LITE):
        assert text in str(error.value)


def test_every_shipped_model_has_its_config():
    for config, weights in MODELS_BY_NAME.values():
        load_config(config)
        assert weights.startswith('orsa://')


def test_a_preprocessor_beside_the_model_is_the_models():
    """As the Runner takes it; mmpretrain's configs have it there."""
    inside = load_config('orsa::orsanet_lite_rafdb.py')
    beside = load_config('orsa::orsanet_lite_rafdb.py')
    beside.data_preprocessor = beside.model.pop('data_preprocessor')
    found = [
        build_model(load_config(cfg), pretrained=False).data_preprocessor
        for cfg in (inside, beside)
    ]
    assert torch.equal(found[0].mean, found[1].mean)
    assert found[1].to_rgb
