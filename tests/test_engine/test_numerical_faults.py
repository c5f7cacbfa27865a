# Copyright (c) orsa contributors. All rights reserved.
"""NaN and Inf: caught at their step, named, stored, and gone on from."""
import json
import math
import resource

import cv2
import numpy as np
import pytest
import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmpretrain.registry import MODELS

from orsa.analysis.replay import replay_step
from orsa.apis.training import build_runner
from orsa.engine import NumericalFault, NumericalFaultHook
from orsa.engine.faults.batches import decode_batch, encode_batch
from orsa.engine.faults.tracing import find_origin
from orsa.utils.checkpoint import load_checkpoint_file


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


# The white image is the 8th, in the second batch of four.
@pytest.mark.parametrize('wrapper', ['sam', 'plain'])
@pytest.mark.parametrize('fails, phase', [('nan', 'output of'),
                                          ('inf gradient', 'gradient')])
def test_it_stops_names_and_stores(faces, tmp_path, wrapper, fails, phase):
    runner = runner_of(faces, tmp_path, fails, wrapper)
    seen = []

    class Look(Hook):

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            state = runner.model.state_dict()
            seen.append({k: v.clone() for k, v in state.items()})

    runner.register_hook(Look())
    with pytest.raises(NumericalFault) as raised:
        runner.train()
    message = str(raised.value)
    assert 'iteration 1' in message and f"{phase}" in message
    assert "'backbone.poison'" in message
    # one image of four, by its file
    assert '7.png' in message and '6.png' not in message
    # the weights, and what the norm has seen, are those before the step
    now = runner.model.state_dict()
    assert all(torch.equal(now[k], v) for k, v in seen[-1].items())
    path = tmp_path / 'faults' / 'iter_1_rank_0.pth'
    stored = load_checkpoint_file(path)
    assert all(
        torch.equal(stored['state_dict'][k], v) for k, v in seen[-1].items())
    summary = json.loads(path.with_suffix('.json').read_text())
    assert summary['part'] == 'backbone.poison'
    # again, from the file
    origin, iteration, names = replay_step(
        config(faces, tmp_path, fails, wrapper), str(path))
    assert origin.part == 'backbone.poison' and iteration == 1
    assert [n.split('/')[-1] for n in names] == ['7.png']
    # a model without the fault has finite numbers
    cfg = config(faces, tmp_path, 'nan', wrapper)
    cfg.model.backbone = dict(type='PoisonNet', fails='nan')
    other = load_checkpoint_file(path)
    other['fault']['batches'][0][1]['inputs'][3].fill_(3)
    torch.save(other, tmp_path / 'mended.pth')
    assert replay_step(cfg, str(tmp_path / 'mended.pth'))[0] is None


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
    assert message.startswith('iteration 2:') and "'backbone.poison'" in (
        message)
    assert '7.png, in the batch of iteration 1' in message
    path = str(tmp_path / 'a' / 'faults' / 'iter_2_rank_0.pth')
    origin, iteration, names = replay_step(
        config(faces, tmp_path, **kwargs), path)
    assert origin.part == 'backbone.poison' and iteration == 1
    assert [n.split('/')[-1] for n in names] == ['7.png']
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


def test_a_full_disk_hides_no_fault(faces, tmp_path, monkeypatch):
    real = NumericalFaultHook._store

    def store(*args):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        try:
            return real(*args)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    monkeypatch.setattr(NumericalFaultHook, '_store', store)
    with pytest.raises(
            NumericalFault,
            match="7.png.*could not be stored in '"
            '.*iter_1_rank_0.pth.*File too large'):
        runner_of(faces, tmp_path).train()
    runner_of(faces, tmp_path, action='skip').train()
    assert not list((tmp_path / 'faults').iterdir())


def test_the_first_faults_alone_are_stored(faces, tmp_path):
    runner_of(faces, tmp_path, epochs=3, action='skip', max_stored=2).train()
    assert sorted(p.name for p in (tmp_path / 'faults').glob('*.pth')) == [
        'iter_1_rank_0.pth', 'iter_4_rank_0.pth'
    ]


def test_damaged_files_of_faults(faces, tmp_path):
    with pytest.raises(NumericalFault):
        runner_of(faces, tmp_path).train()
    cfg = config(faces, tmp_path)
    good = torch.load(
        tmp_path / 'faults' / 'iter_1_rank_0.pth', weights_only=True)
    (number, batch), = good['fault']['batches']
    sample = dict(orsa_element='DataSample')
    for change, message in (
        (dict(meta=None), 'damaged: its meta.epoch is missing'),
        (dict(meta=dict(good['meta'], rank='x')), 'its meta.rank is missing'),
        (dict(optimizer=None), 'damaged: its optimizer is missing'),
        (dict(optimizer=dict(state={})), "optimizer of .* 'param_groups'"),
        (dict(state_dict=None), 'damaged: its state_dict is missing'),
        (dict(state_dict={}), 'is of another model'),
        (dict(fault=7), 'is no stored step'),
        (dict(fault=dict(batches=7)), 'its fault.batches are not pairs'),
        (dict(fault=dict(batches=[])), 'its fault.batches are not pairs'),
        (dict(fault=dict(batches=[(batch, number)])), 'are not pairs'),
        (dict(
            fault=dict(batches=[(number,
                                 dict(batch, data_samples=[sample]))])),
         "a batch of .* cannot be used.*'metainfo'"),
    ):
        content = {
            k: v
            for k, v in {
                **good,
                **change
            }.items() if v is not None
        }
        torch.save(content, tmp_path / 'bad.pth')
        with pytest.raises(ValueError, match=message) as raised:
            replay_step(cfg, str(tmp_path / 'bad.pth'))
        assert 'bad.pth' in str(raised.value)


class Toy(nn.Module):
    """Two branches and a loss, for finding the origin alone."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)

    def _run_forward(self, data, mode):
        return self(**data, mode=mode)

    def parse_losses(self, losses):
        return sum(losses.values()), losses

    def forward(self, inputs, mode, labels=None):
        x = self.a(inputs) + self.b(inputs)
        return dict(loss_one=x.mean(), loss_two=self.two(x))

    def two(self, x):
        return x.square().mean()


def test_origins():

    def origin(model, **data):
        return find_origin(model, data, lambda loss: loss.backward())

    data = dict(inputs=torch.randn(3, 2))
    assert origin(Toy(), **data) is None
    model = Toy()
    model.b.bias.data[1] = math.nan
    assert origin(model, **data)[:2] == ('weights', 'b.bias')
    bad = torch.randn(3, 2)
    bad[2, 0] = math.inf
    assert origin(Toy(), inputs=bad) == ('inputs', 'inputs', [2])
    model = Toy()
    model.two = lambda x: x.sum() * math.nan
    assert origin(model, **data)[:2] == ('loss', 'loss_two')
    # a weight whose product with a finite input is too large
    model = Toy()
    model.a.weight.data.fill_(3e38)
    found = origin(model, inputs=torch.full((3, 2), 9.))
    assert found[:2] == ('forward', 'a') and found.rows == [0, 1, 2]
    # finite losses, infinite gradient
    model = Toy()
    model.two = lambda x: (x - x.detach()).abs().sqrt().sum()
    found = origin(model, **data)
    assert found.phase == 'backward'


def test_a_finite_loss_that_is_not_hides_nothing(faces, tmp_path):
    """A loss of NaN whose gradients are finite is a fault, too."""
    runner = runner_of(faces, tmp_path, clean=True)
    head = runner.model.head
    real = head.loss

    def loss(feats, samples, **kwargs):
        return dict(
            real(feats, samples, **kwargs), loss_x=torch.tensor(math.nan))

    head.loss = loss
    with pytest.raises(NumericalFault, match="the loss 'loss_x'"):
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


def test_lowers_the_scale(faces, tmp_path):
    runner = scaled(
        runner_of(faces, tmp_path, wrapper='plain', action='lower_scale'))
    runner.train()
    # the scaler halves for the gradients, the hook for the loss
    assert runner.optim_wrapper.loss_scaler.get_scale() == 16.
    assert all(torch.isfinite(p).all() for p in runner.model.parameters())
    runner = runner_of(faces, tmp_path, wrapper='plain', action='lower_scale')
    with pytest.raises(ValueError, match="lower_scale' needs"):
        runner.train()


def test_overflow_alone_is_the_scalers_business(faces, tmp_path):
    runner = scaled(
        runner_of(faces, tmp_path, 'inf gradient', wrapper='plain'))
    runner.train()
    assert runner.optim_wrapper.loss_scaler.get_scale() == 32.
    # for ever, it is a fault
    runner = scaled(
        runner_of(
            faces, tmp_path, 'inf gradient', wrapper='plain', max_skips=0))
    with pytest.raises(NumericalFault, match='overflowed 0 times'):
        runner.train()


def test_action_is_checked():
    with pytest.raises(ValueError, match="should be one of .*'ignore'"):
        NumericalFaultHook(action='ignore')


def test_batches_survive_storing():
    from mmpretrain.structures import DataSample
    sample = DataSample(metainfo=dict(img_path='a.png', size=(3, 4)))
    sample.set_gt_label(3)
    batch = dict(
        inputs=[torch.ones(3, 2, 2)],
        data_samples=[sample],
        extra=np.float64(2.),
        odd={1, 2})
    plain = encode_batch(batch)
    again = decode_batch(plain)
    assert torch.equal(again['inputs'][0], batch['inputs'][0])
    assert again['data_samples'][0].gt_label == 3
    assert again['data_samples'][0].img_path == 'a.png'
    assert again['extra'] == 2. and again['odd'] == '{1, 2}'
    with pytest.raises(ValueError, match='PixelData'):
        from mmengine.structures import PixelData
        decode_batch(encode_batch(PixelData()))
