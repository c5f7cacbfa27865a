# Copyright (c) orsa contributors. All rights reserved.
"""What is frozen stays as it is, bit for bit."""
import gc
import re
from types import SimpleNamespace

import pytest
import torch
import torch.nn as nn
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from ranks import on_ranks
from test_resume import make_faces, plain_config
from test_start import content_of, train
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils.parametrizations import spectral_norm

from orsa.engine import FreezeHook

# all that may reach a parameter without a learning rate
REACHES_ALL = """
optim_wrapper = dict(
    optimizer=dict(type='{optimizer}', lr=1e-2, weight_decay=0.1),
    {paramwise})
param_scheduler = dict(
    _delete_=True, type='CosineAnnealingLR', eta_min=5e-3, T_max=2,
    convert_to_iter_based=True)
"""
KEYS = """paramwise_cfg=dict(custom_keys={
        'backbone.image_encoder': dict(lr_mult=0), 'neck': dict(lr_mult=0.)})
"""


@pytest.fixture(scope='module')
def base(tmp_path_factory):
    """A config of 2 epochs, and weights whose running statistics are not
    those of the beginning."""
    root = tmp_path_factory.mktemp('freezing')
    make_faces(root)
    text = plain_config(root).replace('max_epochs=4', 'max_epochs=2')
    (root / 'begin.py').write_text(text)
    train(root / 'begin.py', root / 'begin', '--max-iters', 3)
    return root


def write(base, name, paramwise='', optimizer='AdamW', more=''):
    text = REACHES_ALL.replace('{paramwise}', paramwise)
    (base /
     name).write_text("_base_ = 'begin.py'\n" +
                      text.replace('{optimizer}', optimizer) +
                      f"load_from = '{base}/begin/epoch_1.pth'\n" + more)
    return base / name


def changed(base, work_dir, part='state_dict'):
    """Entries that are not what the training began from."""
    before = content_of(base / 'begin/epoch_1.pth')['state_dict']
    after = content_of(work_dir / 'epoch_2.pth')[part]
    after = {k.removeprefix('module.'): v for k, v in after.items()}
    return {k for k, v in before.items() if not torch.equal(v, after[k])}


def is_of(names, *parts):
    return {n for n in names if n.startswith(parts)}


@pytest.mark.parametrize('optimizer', ['AdamW', 'SGD'])
def test_no_learning_rate_is_none(base, tmp_path, optimizer):
    config = write(base, 'lr_mult.py', KEYS, optimizer)
    runner = train(config, tmp_path)
    frozen = ('backbone', 'neck')
    assert runner.optim_wrapper.param_groups[0]['lr'] > 1e-3  # it was lifted
    for part in ('state_dict', 'ema_state_dict'):
        names = changed(base, tmp_path, part)
        assert not is_of(names, *frozen) - is_of(names, 'backbone.adapter')
        assert is_of(names, 'backbone.adapter') and is_of(names, 'head')
    log = next((tmp_path / runner.timestamp).glob('*.log')).read_text()
    assert 'is skipped since its requires_grad' not in log
    sizes = [p.numel() for p in runner.model.parameters()]
    left = [
        p.numel() for n, p in runner.model.named_parameters()
        if n.startswith(('backbone.adapter', 'head'))
    ]
    assert (f'{sum(sizes) - sum(left):,} of {sum(sizes):,} parameters are '
            'frozen') in log


def test_a_dry_run_counts_them(base, tmp_path, capsys, monkeypatch):
    config = write(base, 'lr_mult.py', KEYS)
    # within a second, as far as MMEngine's names of logs know
    monkeypatch.setattr('time.strftime', lambda *args: '20260101_000000')
    train(config, tmp_path, '--dry-run')
    table = dict(
        re.findall(r'^([\w.]+) +([\d,]+) +[\d,]+$',
                   capsys.readouterr().out, re.MULTILINE))
    assert table['backbone.image_encoder'] == '0' != table['head.fc']
    assert {n for v, n in table.items() if v.startswith('neck')} == {'0'}
    train(config, tmp_path)


def test_it_would_not_be_so_by_itself(base, tmp_path):
    config = write(
        base,
        'alone.py',
        KEYS,
        more='default_hooks = dict(freeze=dict(type="IterTimerHook"))')
    train(config, tmp_path)
    names = changed(base, tmp_path)
    assert {
        'backbone.image_encoder.stem.0.weight',
        'backbone.image_encoder.stem.1.running_mean'
    } <= names
    assert is_of(names, 'neck')


def test_frozen_stages(base, tmp_path):
    config = write(
        base,
        'stages.py',
        more='model = dict(backbone=dict('
        'image_encoder=dict(frozen_stages=1)))')
    train(config, tmp_path)
    encoder = 'backbone.image_encoder.'
    for part in ('state_dict', 'ema_state_dict'):
        names = is_of(changed(base, tmp_path, part), encoder)
        assert names and not is_of(names, f'{encoder}stem',
                                   f'{encoder}stages.0')


def _train_half(rank, world):
    """Three steps of a network of which a half is frozen."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    before = net[0].weight.clone()
    optimizer = torch.optim.AdamW([
        dict(params=net[0].parameters(), lr=0.),
        dict(params=net[1].parameters(), lr=.1)
    ])
    runner = SimpleNamespace(
        model=MMDistributedDataParallel(net),
        cfg={},
        optim_wrapper=OptimWrapper(optimizer),
        wrap_model=lambda cfg, model: MMDistributedDataParallel(model))
    FreezeHook().before_run(runner)
    gc.collect()
    optimizer.param_groups[0]['lr'] = .1  # as a schedule would
    for step in range(3):
        torch.manual_seed(10 * step + rank)
        loss = DistributedDataParallel.forward(runner.model, torch.randn(8, 4))
        runner.optim_wrapper.update_params(loss.square().mean())
    return torch.equal(net[0].weight, before), net[1].weight.tolist()


def test_several_processes():
    """Which wait for each other's gradients, but for none of these."""
    (same, one), (too, other) = on_ranks(_train_half, 2)
    assert same and too and one == other


class Net(nn.Module):

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            spectral_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4, affine=False),
            nn.InstanceNorm2d(4, track_running_stats=True), nn.Dropout())
        self.norm = nn.BatchNorm2d(4)
        self.free = nn.BatchNorm2d(4, affine=False)

    def forward(self, x):
        return self.free(self.norm(self.body(x)))


def test_states_without_parameters():
    """Power iterations of spectral norms, statistics without weights."""
    net = Net()
    body = [p for n, p in net.named_parameters() if n.startswith('body')]
    rest = [
        dict(params=[net.norm.weight], lr=0.),  # the half of a norm
        dict(params=[net.norm.bias], lr=1.)
    ]
    optimizer = torch.optim.SGD([dict(params=body, lr=0.), *rest])
    runner = SimpleNamespace(model=net, optim_wrapper=OptimWrapper(optimizer))
    hook = FreezeHook()
    hook.before_run(runner)
    net.train()
    hook.before_train_iter(runner, 0)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    net(torch.randn(2, 3, 8, 8)).sum().backward()
    after = net.state_dict()
    moved = {k for k, v in before.items() if not torch.equal(v, after[k])}
    assert moved == {
        f'{name}.{buffer}'
        for name in ('norm', 'free')
        for buffer in ('running_mean', 'running_var', 'num_batches_tracked')
    }
    assert net.norm.weight.grad is None is body[0].grad
    assert net.norm.bias.grad is not None


def test_a_schedule_may_begin_at_nothing():
    net = nn.Linear(2, 2)
    wrapper = OptimWrapper(torch.optim.SGD(net.parameters(), lr=0.))
    FreezeHook().before_run(SimpleNamespace(model=net, optim_wrapper=wrapper))
    assert all(p.requires_grad for p in net.parameters())
