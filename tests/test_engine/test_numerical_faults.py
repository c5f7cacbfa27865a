# Copyright (c) orsa contributors. All rights reserved.
"""NaN and Inf: caught at their step, named, and gone on from if asked to."""
import math

import cv2
import numpy as np
import pytest
import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmpretrain.registry import MODELS

from orsa.apis.training import build_runner
from orsa.engine import NumericalFault, NumericalFaultHook


class Poison(nn.Module):
    """Finite for all but white images; how it fails is set from outside."""

    def __init__(self, fails='nan'):
        super().__init__()
        self.fails = fails
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x):
        y = x * self.scale[:, None, None]
        white = x.detach().flatten(1).amin(1) > 1.9
        # row by row: `where` would multiply 0 by Inf in the other rows
        return torch.stack(
            [self._fail(r) if w else r for r, w in zip(y, white)])

    def _fail(self, row):
        if self.fails == 'nan':
            return row / 0. * 0.
        # 0 in the forward pass, 1 / 0 in the backward one
        return (row - row.detach()).abs().sqrt() + row


@MODELS.register_module(force=True)
class PoisonNet(nn.Module):

    def __init__(self, fails='nan'):
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 1)
        nn.init.dirac_(self.stem.weight)
        nn.init.zeros_(self.stem.bias)
        self.poison = Poison(fails)
        self.norm = nn.BatchNorm2d(3)
        self.last = nn.Conv2d(3, 8, 3)

    def init_weights(self):
        pass

    def forward(self, x):
        return (self.last(self.norm(self.poison(self.stem(x)))), )


WRAPPERS = dict(
    sam=dict(
        type='orsa.SAMOptimWrapper', optimizer=dict(type='AdamW', lr=1e-2)),
    plain=dict(
        type='OptimWrapper', optimizer=dict(type='SGD', lr=.1, momentum=.9)))


@pytest.fixture(scope='module')
def faces(tmp_path_factory):
    root = tmp_path_factory.mktemp('faces')
    rng = np.random.default_rng(0)
    lines = []
    for i in range(12):
        image = rng.integers(0, 200, (8, 8, 3), dtype=np.uint8)
        if i == 7:
            image[:] = 255
        cv2.imwrite(str(root / f'{i}.png'), image)
        lines.append(f'{i}.png {("fear", "anger")[i % 2]}')
    (root / 'list.txt').write_text('\n'.join(lines))
    return root


def config(faces,
           work_dir,
           fails='nan',
           wrapper='sam',
           clean=False,
           epochs=1,
           accumulate=1,
           **hook):
    loop = dict(sam='orsa.SAMTrainLoop', plain='EpochBasedTrainLoop')[wrapper]
    return Config(
        dict(
            default_scope='mmpretrain',
            work_dir=str(work_dir),
            model=dict(
                type='ImageClassifier',
                data_preprocessor=dict(
                    mean=[127.] * 3, std=[60.] * 3, num_classes=7),
                backbone=dict(type='PoisonNet', fails=fails),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='LinearClsHead', num_classes=7, in_channels=8)),
            train_dataloader=dict(
                batch_size=4,
                num_workers=0,
                collate_fn=dict(type='default_collate'),
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(
                    type='orsa.FERDataset',
                    data_root=str(faces),
                    ann_file='list.txt',
                    indices=[0, 1, 2, 3, 8, 9, 10, 11] if clean else None,
                    pipeline=[
                        dict(type='LoadImageFromFile'),
                        dict(type='PackInputs')
                    ])),
            train_cfg=dict(type=loop, max_epochs=epochs),
            optim_wrapper=dict(
                WRAPPERS[wrapper], accumulative_counts=accumulate),
            default_hooks=dict(
                checkpoint=None,
                reseed=dict(type='orsa.ReseedHook'),
                fault=dict(type='orsa.NumericalFaultHook', **hook)),
            randomness=dict(seed=3)))


def runner_of(*args, **kwargs):
    torch.manual_seed(0)
    cfg = config(*args, **kwargs)
    cfg.experiment_name = f'fault_{np.random.default_rng().integers(1 << 40)}'
    return build_runner(cfg)


def test_one_bad_step_is_one_where_parameters_step_one_by_one(
        faces, tmp_path, monkeypatch):
    monkeypatch.setitem(
        WRAPPERS, 'sam',
        dict(
            type='orsa.SAMOptimWrapper',
            optimizer=dict(type='AdamW', lr=1e-2),
            step_in_backward=True))
    runner = runner_of(faces, tmp_path, action='skip', max_skips=1)
    runner.train()
    hook, = (h for h in runner.hooks if isinstance(h, NumericalFaultHook))
    assert runner.iter == 3 and hook.skips == 0
    assert all(torch.isfinite(p).all() for p in runner.model.parameters())


# The white image is the 8th, in the second batch of four.
@pytest.mark.parametrize('wrapper', ['sam', 'plain'])
@pytest.mark.parametrize(
    'fails, where',
    [('nan', "loss not finite, first in the output of 'backbone.poison'"),
     ('inf gradient',
      "losses finite, first in the gradient of 'backbone.poison.scale'")])
def test_it_stops_and_names_the_module(faces, tmp_path, wrapper, fails, where):
    runner = runner_of(faces, tmp_path, fails, wrapper)
    seen = []

    class Look(Hook):

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            seen.append([p.clone() for p in runner.model.parameters()])

    runner.register_hook(Look())
    with pytest.raises(NumericalFault, match='iteration 1: ') as raised:
        runner.train()
    assert where in str(raised.value)
    # the weights are those before the step
    assert all(map(torch.equal, runner.model.parameters(), seen[-1]))


@pytest.mark.parametrize('wrapper', ['sam', 'plain'])
def test_skipping_is_as_if_the_batch_were_not_there(faces, tmp_path, wrapper):
    runner = runner_of(faces, tmp_path / 'a', wrapper=wrapper, action='skip')
    start = {k: v.clone() for k, v in runner.model.state_dict().items()}
    runner.train()
    clean = runner_of(faces, tmp_path / 'b', wrapper=wrapper, clean=True)
    clean.model.load_state_dict(start)
    clean.train()
    for key, value in clean.model.state_dict().items():
        assert torch.equal(runner.model.state_dict()[key], value), key
        assert torch.isfinite(value.float()).all()
    # what is logged stays finite
    log = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(log) == 2 and all(map(math.isfinite, log))


def test_too_many_skips_stop(faces, tmp_path):
    runner = runner_of(faces, tmp_path, action='skip', max_skips=0)
    with pytest.raises(NumericalFault, match='0 steps in a row'):
        runner.train()


@pytest.mark.parametrize('wrapper', ['sam', 'plain'])
def test_a_step_of_several_batches_is_looked_at_as_a_whole(
        faces, tmp_path, wrapper):
    """The fault is in the second of three batches."""
    kwargs = dict(wrapper=wrapper, accumulate=3)
    runner = runner_of(faces, tmp_path / 'a', **kwargs)
    with pytest.raises(NumericalFault) as raised:
        runner.train()
    message = str(raised.value)
    assert message.startswith('iteration 2:')
    assert "'backbone.poison' in the batch of iteration 1" in message
    # what the norm has seen of the three is taken back, too
    runner = runner_of(faces, tmp_path / 'b', action='skip', **kwargs)
    start = {}

    class Look(Hook):

        def before_train(self, runner):
            state = runner.model.state_dict()
            start.update({k: v.clone() for k, v in state.items()})

    runner.register_hook(Look())
    runner.train()
    for key, value in runner.model.state_dict().items():
        assert torch.equal(value, start[key]), key
    log = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(log) == 2 and all(map(math.isfinite, log))


def test_a_finite_loss_that_is_not_hides_nothing(faces, tmp_path):
    """A loss of NaN whose gradients are finite is a fault, too."""
    runner = runner_of(faces, tmp_path, clean=True)
    head = runner.model.head
    real = head.loss

    def loss(feats, samples, **kwargs):
        return dict(
            real(feats, samples, **kwargs), loss_x=torch.tensor(math.nan))

    head.loss = loss
    with pytest.raises(NumericalFault, match='loss_x not finite'):
        runner.train()


class Scaled(OptimWrapper):
    """What MMEngine's AmpOptimWrapper does, on a CPU."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.loss_scaler = torch.amp.GradScaler('cpu', init_scale=64.)

    def backward(self, loss, **kwargs):
        self.loss_scaler.scale(loss).backward()
        self._inner_count += 1

    def step(self, **kwargs):
        self.loss_scaler.step(self.optimizer)
        self.loss_scaler.update()


def scaled(runner):
    optimizer = torch.optim.SGD(runner.model.parameters(), lr=.1)
    runner.optim_wrapper = Scaled(optimizer=optimizer)
    return runner


def test_older_arguments(faces, tmp_path):
    """'lower_scale' is 'skip': the scaler lowers the scale itself."""
    runner = scaled(
        runner_of(
            faces,
            tmp_path,
            wrapper='plain',
            action='lower_scale',
            max_stored=2))
    runner.train()
    assert runner.optim_wrapper.loss_scaler.get_scale() == 32.
    assert all(torch.isfinite(p).all() for p in runner.model.parameters())


def test_overflow_alone_is_the_scalers_business(faces, tmp_path):
    runner = scaled(
        runner_of(faces, tmp_path, 'inf gradient', wrapper='plain'))
    runner.train()
    assert runner.optim_wrapper.loss_scaler.get_scale() == 32.
    # for ever, it is a fault
    runner = scaled(
        runner_of(
            faces, tmp_path, 'inf gradient', wrapper='plain', max_skips=0))
    with pytest.raises(NumericalFault, match='0 steps in a row'):
        runner.train()


def test_action_is_checked():
    with pytest.raises(ValueError, match="action .*'ignore'"):
        NumericalFaultHook(action='ignore')
