# Copyright (c) orsa contributors. All rights reserved.
"""A small training, run by tests in one or more processes."""
import json
import os

import numpy as np
import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, MODELS
from mmengine.runner import Runner

from orsa.engine.distributed import leave_group, prepare_distribution
from orsa.utils.compat import setup_stack


@MODELS.register_module()
class TinyNet(BaseModel):

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, inputs, labels, mode='loss'):
        return dict(
            loss=nn.functional.cross_entropy(self.layers(inputs), labels))


@DATASETS.register_module()
class TinyData(torch.utils.data.Dataset):

    def __init__(self):
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((48, 6)).astype('float32')
        self.y = rng.integers(0, 3, 48)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return dict(inputs=self.x[i], labels=int(self.y[i]))


@HOOKS.register_module()
class Recorder(Hook):
    """Keep the losses, averaged over the ranks, and the final weights."""

    def __init__(self, out):
        self.out, self.losses = out, []

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        loss = outputs['loss'].detach().clone()
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(loss)
            loss /= torch.distributed.get_world_size()
        self.losses.append(loss.item())

    def after_train(self, runner):
        weights = [
            p.detach().flatten().tolist() for p in runner.model.parameters()
        ]
        with open(f'{self.out}.{get_rank()}', 'w') as file:
            json.dump(dict(losses=self.losses, weights=weights), file)


def tiny_config(work_dir, launcher, batch_size, shuffle, **more):
    """A training of TinyNet; ``more`` says how."""
    return Config(
        dict(
            model=dict(type='TinyNet'),
            work_dir=str(work_dir),
            launcher=launcher,
            train_dataloader=dict(
                dataset=dict(type='TinyData'),
                batch_size=batch_size,
                sampler=dict(type='DefaultSampler', shuffle=shuffle),
                collate_fn=dict(type='default_collate')),
            experiment_name=os.path.basename(str(work_dir)),
            randomness=dict(seed=3),
            **more))


def run(cfg, resume=None):
    """Train from the beginning, or from a checkpoint.

    Returns:
        tuple[str, Runner, list[float]]: How it ended, the runner, the weights.
    """
    setup_stack()
    from orsa.engine import Preempted
    if resume:
        cfg.resume, cfg.load_from = True, str(resume)
    prepare_distribution(cfg)
    runner = Runner.from_cfg(cfg)
    ended = 'to the end'
    try:
        runner.train()
    except Preempted:
        ended = 'preempted'
    weights = [
        p.detach().flatten().tolist() for p in runner.model.parameters()
    ]
    return ended, runner, sum(weights, [])


def main(out, launcher, batch_size, work_dir, sync, accumulate):
    setup_stack()
    cfg = tiny_config(
        work_dir,
        launcher,
        int(batch_size),
        shuffle=False,
        train_cfg=dict(type='orsa.SAMTrainLoop', max_epochs=3),
        optim_wrapper=dict(
            type='orsa.SAMOptimWrapper',
            rho=0.5,
            sync_perturbation=sync == 'sync',
            accumulative_counts=int(accumulate),
            optimizer=dict(type='Adam', lr=1e-2)),
        default_hooks=dict(checkpoint=None),
        custom_hooks=[dict(type='Recorder', out=out)])
    prepare_distribution(cfg)
    Runner.from_cfg(cfg).train()
    leave_group()
