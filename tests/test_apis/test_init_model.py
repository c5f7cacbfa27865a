# Copyright (c) orsa contributors. All rights reserved.
import pytest
import torch

from orsa.apis import init_model, load_config
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
    with pytest.raises(ValueError, match='has 7 classes.*num_classes=8'):
        init_model(cfg, str(saved[1]))
    # the config that was given is not changed
    assert cfg.model.backbone.get('allow_untrained') is None


def test_another_order_of_classes_is_refused(saved):
    cfg = load_config(LITE)
    cfg.test_dataloader.dataset.metainfo = dict(classes=RAFDB_CLASSES[::-1])
    with pytest.raises(ValueError, match='another order'):
        init_model(cfg, str(saved[1]))


def test_without_classes_it_warns(saved, tmp_path):
    path = tmp_path / 'bare.pth'
    torch.save(dict(state_dict=saved[0].state_dict()), path)
    with pytest.warns(UserWarning, match='no class names'):
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
    with pytest.raises(FileNotFoundError, match="no config 'nothing.py'"):
        init_model('orsa::nothing.py')
    with pytest.raises(TypeError, match='path or a Config'):
        init_model(3)
