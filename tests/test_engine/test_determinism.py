# Copyright (c) orsa contributors. All rights reserved.
"""The same weights in every run, whatever reads the data."""
import argparse
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import train_worker
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from test_resume import make_faces, plain_config

from orsa.apis import training
from orsa.datasets.image_dataset import ImageDataset
from orsa.datasets.seeding import NumberedSampler, RepeatedIndex


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
class DrawnData(ImageDataset):
    """Numbers that are drawn, and whose they are, one a sample."""

    def __init__(self):
        super().__init__(ann_file='', pipeline=[self.draw])

    def load_data_list(self):
        return [dict(gt_label=0, number=i) for i in range(48)]

    def draw(self, info):
        return dict(
            inputs=np.float32([info['number'],
                               np.random.rand(), 0, 0, 0, 0]),
            labels=0)


class Keep(Hook):
    """Keep what a model gets."""
    kept = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.kept += map(tuple, data_batch['inputs'][:, :2].tolist())


def drawn(work_dir,
          train_cfg,
          sampler='InfiniteSampler',
          workers=0,
          preemption=False,
          resume=None):
    Keep.kept.clear()
    cfg = train_worker.tiny_config(
        work_dir,
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
    if preemption:
        cfg.default_hooks.preemption = dict(type='orsa.PreemptionHook')
    cfg.train_dataloader.update(
        num_workers=workers,
        dataset=dict(type='DrawnData'),
        sampler=dict(type=sampler))
    cfg.custom_hooks = [Keep()]
    train_worker.run(cfg, resume)
    return list(Keep.kept)


LOOP = dict(type='IterBasedTrainLoop', max_iters=18)


@pytest.mark.parametrize('sampler', ['InfiniteSampler', 'DefaultSampler'])
def test_passes_of_a_loop_by_iterations_are_told_apart(tmp_path, sampler,
                                                       monkeypatch):
    monkeypatch.setattr('time.sleep', lambda seconds: None)
    # 48 samples in batches of 8, three times
    whole = drawn(tmp_path, LOOP, sampler)
    assert len(whole) == 144 and len({i for i, _ in whole}) == 48
    assert len({number for _, number in whole}) == 144
    # by any workers, and after a resume
    resumed = drawn(
        tmp_path / 'resumed', LOOP, sampler, resume=tmp_path / 'iter_10.pth')
    assert resumed == whole[80:]
    assert whole == drawn(
        tmp_path / 'workers', LOOP, sampler, workers=2, preemption=True)


def test_draws_within_an_epoch_are_told_apart():
    first = NumberedSampler([3, 5, 3, RepeatedIndex(5, 7), None], False)
    for _ in range(2):
        found = list(first)
        assert found == [3, 5, 3, 5, None]
        assert [i.draw for i in found[:4]] == [0, 0, 1, 7]
    # of a sampler that knows its dataset
    assert NumberedSampler(SimpleNamespace(dataset=1), True).dataset == 1
    nested = RepeatedIndex(7) % 4 % 2, RepeatedIndex(5) % 4 % 2
    assert nested[0] == nested[1] == 1 and nested[0].draw != nested[1].draw
