# Copyright (c) orsa contributors. All rights reserved.
"""The same weights in every run, whatever reads the data."""
import argparse

import pytest
import torch
import train_worker
from mmengine.registry import DATASETS
from test_resume import make_faces, plain_config

from orsa.apis import training


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    root = tmp_path_factory.mktemp('faces')
    make_faces(root)
    text = plain_config(root, workers=True)
    path = root / 'config.py'
    path.write_text(text)
    return path


def weights(config, work_dir, workers):
    parser = argparse.ArgumentParser()
    training.add_train_arguments(parser)
    args = parser.parse_args([
        str(config), '--deterministic', '--max-iters', '7', '--no-validate',
        '--work-dir',
        str(work_dir), '--cfg-options',
        f'train_dataloader.num_workers={workers}',
        f'train_dataloader.persistent_workers={workers > 0}',
        f'experiment_name=workers_{workers}'
    ])
    try:
        runner = training.train(args)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    return runner.model.state_dict()


def test_any_number_of_workers(config, tmp_path):
    first = weights(config, tmp_path / '0', 0)
    for workers in (1, 3):
        other = weights(config, tmp_path / str(workers), workers)
        for key, value in first.items():
            assert torch.equal(value, other[key]), (workers, key)


@DATASETS.register_module()
class DrawnData(train_worker.TinyData):
    """Keep what it was asked for."""
    asked = []

    def __getitem__(self, i):
        self.asked.append((int(i), i.draw))
        return super().__getitem__(i)


def drawn(tmp_path, sampler, train_cfg, resume=None):
    DrawnData.asked.clear()
    cfg = train_worker.tiny_config(
        tmp_path,
        'none',
        batch_size=8,
        shuffle=True,
        train_cfg=train_cfg,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(
            reseed=dict(type='orsa.ReseedHook'),
            checkpoint=dict(
                type='CheckpointHook',
                by_epoch='max_epochs' in train_cfg,
                interval=10)))
    cfg.train_dataloader.update(
        dataset=dict(type='DrawnData'), sampler=dict(type=sampler))
    train_worker.run(cfg, resume)
    return list(DrawnData.asked)


@pytest.mark.parametrize('sampler', ['InfiniteSampler', 'DefaultSampler'])
def test_passes_of_a_loop_by_iterations_are_told_apart(tmp_path, sampler,
                                                       monkeypatch):
    monkeypatch.setattr('time.sleep', lambda seconds: None)
    # 48 samples in batches of 8, three times
    loop = dict(type='IterBasedTrainLoop', max_iters=18)
    whole = drawn(tmp_path, sampler, loop)
    assert len(set(whole)) == len(whole) == 144
    assert len({i for i, _ in whole}) == 48
    # the resumed run reads what was done again, and goes on with the same
    resumed = drawn(tmp_path / 'resumed', sampler, loop,
                    tmp_path / 'iter_10.pth')
    assert resumed == whole


def test_an_epoch_tells_passes_apart(tmp_path):
    loop = dict(type='EpochBasedTrainLoop', max_epochs=2)
    assert {draw for _, draw in drawn(tmp_path, 'DefaultSampler', loop)} == {0}
