# Copyright (c) orsa contributors. All rights reserved.
"""The configs of the paper's datasets, against REFERENCE.md."""
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS

from orsa.utils.classes import RAFDB_CLASSES

# config: learning rate, last epoch of the warm-up, classes, variable
EXPECTED = dict(
    rafdb=(4e-5, 7, 7, 'ORSA_RAFDB'),
    affectnet7=(2e-6, 5, 7, 'ORSA_AFFECTNET'),
    affectnet8=(2e-6, 5, 8, 'ORSA_AFFECTNET'),
    occlufer=(4e-6, 5, 7, 'ORSA_OCCLUFER'),
    # not in the paper: the published defaults
    ferplus=(1e-5, 5, 8, 'ORSA_FERPLUS'))


@pytest.mark.parametrize('name', EXPECTED)
def test_recipe_and_classes(repo_root, monkeypatch, name):
    rate, warm_up, num_classes, variable = EXPECTED[name]
    path = repo_root / f'configs/orsanet_{name}.py'
    monkeypatch.delenv(variable, raising=False)
    assert Config.fromfile(path).data_root.startswith('data/')
    monkeypatch.setenv(variable, '/some/where')
    cfg = Config.fromfile(path)
    assert cfg.optim_wrapper.type == 'orsa.SAMOptimWrapper'
    assert cfg.optim_wrapper.optimizer.lr == rate
    switch, = cfg.custom_hooks
    assert switch.schedule[0].action_epoch == warm_up + 1
    assert cfg.model.head.num_classes == num_classes
    assert cfg.model.data_preprocessor.num_classes == num_classes
    loaders = [cfg[f'{s}_dataloader'] for s in ('train', 'val', 'test')]
    assert loaders[0].sampler.type == 'orsa.ClassBalancedSampler'
    assert loaders[0].batch_size == 20
    splits = []
    for loader in loaders:
        dataset = DATASETS.build(dict(loader.dataset, lazy_init=True))
        assert dataset.data_root == '/some/where'
        assert len(dataset.CLASSES) == num_classes
        # the order of the dataset itself, not that of RAF-DB
        assert dataset.CLASSES == type(
            dataset).METAINFO['classes'][:num_classes]
        assert (dataset.CLASSES == RAFDB_CLASSES) == (name == 'rafdb')
        splits.append(dataset.split)
    assert splits == dict(
        rafdb=['train', 'test', 'test'],
        ferplus=['train', 'val', 'test']).get(name, ['train', 'val', 'val'])


def test_weight_of_dare(repo_root):
    """The log of AffectNet-7 suggests another one than the defaults."""
    for name in EXPECTED:
        cfg = Config.fromfile(repo_root / f'configs/orsanet_{name}.py')
        losses = cfg.custom_hooks[0].schedule[0].loss.losses
        assert losses.loss_dare.loss_weight == (1. if name == 'affectnet7' else
                                                .1)
