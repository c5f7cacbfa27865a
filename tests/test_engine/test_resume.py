# Copyright (c) orsa contributors. All rights reserved.
"""An interrupted run ends as if it had never been interrupted."""
import json
import os
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from orsa.utils.checkpoint import load_checkpoint_file

CONFIG = """
_base_ = 'orsa::_base_/default_runtime.py'
custom_imports = dict(imports=['kill_hook'])
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='ColorJitter', brightness=0.4),
    dict(type='RandomErasing', erase_prob=0.5, mode='rand'),
    dict(type='PackInputs'),
]
loader = dict(
    batch_size=6, num_workers=2, persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='orsa.FERDataset', data_root='{root}',
                 ann_file='list.txt', pipeline=pipeline))
train_dataloader = dict(sampler=dict(type='orsa.ClassBalancedSampler'),
                        **loader)
val_dataloader = dict(sampler=dict(type='DefaultSampler', shuffle=False),
                      **loader)
val_evaluator = dict(type='orsa.FERMetric')
val_cfg = dict()
train_cfg = dict(type='orsa.SAMTrainLoop', max_epochs=4)
optim_wrapper = dict(type='orsa.SAMOptimWrapper',
                     optimizer=dict(type='Adam', lr=1e-2))
param_scheduler = dict(type='ExponentialLR', gamma=0.9)
ce = dict(type='mmpretrain.CrossEntropyLoss')
composite = dict(type='orsa.CompositeLoss', losses=dict(
    loss_ce=ce, loss_dare=dict(type='orsa.DARELoss', loss_weight=0.1)))
custom_hooks = [
    dict(type='KillHook'),
    dict(type='EMAHook', momentum=0.1),
    dict(type='orsa.SwitchRecipeHook',
         schedule=[dict(action_epoch=3, loss=composite)]),
]
encoder = dict(type='orsa.IRNet', arch=dict(depths=(1, 1), channels=(8, 16)))
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(mean=[127.] * 3, std=[60.] * 3, num_classes=7),
    backbone=dict(
        type='orsa.ORSANet', image_size=28, embed_dims=32, grid=7,
        allow_untrained=True, image_encoder=encoder,
        landmark_prior=dict(
            type='orsa.LandmarkPrior', input_mean=[127.] * 3,
            input_std=[60.] * 3, out_channels=32,
            model=dict(type='orsa.IRNet', arch=dict(
                depths=(1, 1), channels=(8, 32))))),
    neck=dict(type='orsa.ORSANetNeck', cross_interaction=dict(
        type='orsa.MultiScaleCrossInteraction', embed_dims=32, depth=2,
        num_heads=4, drop_path_rate=0.5)),
    head=dict(type='orsa.DAREHead', num_classes=7, in_channels=32,
              loss=ce))
"""


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    root = tmp_path_factory.mktemp('faces')
    rng = np.random.default_rng(0)
    names = ('surprise', 'fear', 'happiness')
    lines = []
    for i in range(30):
        image = rng.integers(0, 255, (28, 28, 3), dtype=np.uint8)
        cv2.imwrite(str(root / f'{i}.png'), image)
        lines.append(f'{i}.png {names[i % 7 % 3]}')
    (root / 'list.txt').write_text('\n'.join(lines))
    path = root / 'config.py'
    path.write_text(CONFIG.replace('{root}', str(root)))
    return path


def train(config, work_dir, repo_root, *args, kill_at=-1):
    env = dict(os.environ, OMP_NUM_THREADS='1', KILL_AT=str(kill_at))
    env['PYTHONPATH'] = str(repo_root / 'tests' / 'test_engine')
    return subprocess.run([
        sys.executable,
        str(repo_root / 'tools' / 'train.py'),
        str(config), '--work-dir',
        str(work_dir), *args
    ],
                          env=env,
                          capture_output=True,
                          text=True,
                          timeout=300)


@pytest.fixture(scope='module')
def unbroken(config, tmp_path_factory, repo_root):
    work_dir = tmp_path_factory.mktemp('unbroken')
    done = train(config, work_dir, repo_root)
    assert done.returncode == 0, done.stderr[-3000:]
    return work_dir


def assert_same(a, b, path=''):
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), path
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_same(a[key], b[key], f'{path}.{key}')
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b)):
            assert_same(x, y, f'{path}.{i}')
    else:
        assert a == b, path


# 5 iterations an epoch: within the third (the loss switches there), and at
# the start of the fourth.
@pytest.mark.parametrize('kill_at', [12, 15])
def test_resumes_bit_for_bit(config, unbroken, tmp_path, repo_root, kill_at):
    killed = train(config, tmp_path, repo_root, kill_at=kill_at)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / 'epoch_4.pth').exists()
    resumed = train(config, tmp_path, repo_root, '--resume')
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert 'resumed epoch: 2' in resumed.stderr + resumed.stdout or (kill_at
                                                                     == 15)

    a = load_checkpoint_file(unbroken / 'epoch_4.pth')
    b = load_checkpoint_file(tmp_path / 'epoch_4.pth')
    for part in ('state_dict', 'optimizer', 'ema_state_dict',
                 'param_schedulers'):
        assert_same(a[part], b[part], part)
    files = [
        json.loads((d / 'validation.json').read_text())
        for d in (unbroken, tmp_path)
    ]
    assert files[0] == files[1]


def test_the_switch_happened(unbroken):
    """The span that is killed has what the test is about in it."""
    logs = sorted(unbroken.glob('2*/vis_data/scalars.json'))
    log = next(unbroken.glob('2*/*.log')).read_text()
    assert 'Switch loss at epoch 3' in log and logs
    assert 'accuracy: best' in log


def test_loads_without_arbitrary_pickles(unbroken):
    # torch's own safe loader refuses MMEngine's records; ours lets exactly
    # those pass
    path = str(unbroken / 'epoch_4.pth')
    with pytest.raises(Exception):
        torch.load(path, weights_only=True)
    content = load_checkpoint_file(path)
    assert content['message_hub']['log_scalars']
