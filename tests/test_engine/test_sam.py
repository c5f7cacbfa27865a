# Copyright (c) orsa contributors. All rights reserved.
"""SAM's step and precision are the paper's, by hand and over several ranks."""
import copy

import numpy as np
import pytest
import torch
import torch.nn as nn
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner

from orsa.apis.training import cut_short
from orsa.engine import SAMOptimWrapper
from orsa.engine.loops.steps import step_is_open


class Net(BaseModel):
    """BatchNorm and dropout, so that each pass leaves a trace."""

    def __init__(self, batch_norm=True, dropout=0.3):
        super().__init__()
        layers = [nn.Linear(6, 8)]
        if batch_norm:
            layers.append(nn.BatchNorm1d(8))
        layers += [nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 3)]
        self.layers = nn.Sequential(*layers)
        self.prior_calls = 0

    def forward(self, inputs, labels, mode='loss'):
        return dict(
            loss=nn.functional.cross_entropy(self.layers(inputs), labels))


class DtypeNet(Net):
    """Remembers the precision of each pass."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, inputs, labels, mode='loss'):
        out = self.layers(inputs)
        self.seen.append(out.dtype)
        return dict(loss=nn.functional.cross_entropy(out.float(), labels))


class Data(torch.utils.data.Dataset):

    def __init__(self, n=24):
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((n, 6)).astype('float32')
        self.y = rng.integers(0, 3, n)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return dict(inputs=self.x[i], labels=int(self.y[i]))


def make_runner(tmp_path, model, wrapper, epochs=2, loop=None, batch=6):
    wrapper.setdefault('type', 'orsa.SAMOptimWrapper')
    wrapper.setdefault('optimizer', dict(type='Adam', lr=1e-2))
    return Runner(
        model=model,
        work_dir=str(tmp_path),
        train_dataloader=dict(
            dataset=Data(),
            batch_size=batch,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate')),
        train_cfg=loop or dict(type='orsa.SAMTrainLoop', max_epochs=epochs),
        optim_wrapper=wrapper,
        default_hooks=dict(checkpoint=None),
        randomness=dict(seed=3),
        experiment_name=f'sam_{tmp_path.name}_{torch.rand(1).item()}')


def batches_of_two_epochs():
    """As the runner draws them, with its random numbers."""
    torch.manual_seed(7)
    data = Data()
    for epoch in range(2):
        torch.empty((), dtype=torch.int64).random_()  # the dataloader's draw
        for i in range(0, 24, 6):
            yield epoch, dict(
                inputs=torch.tensor(data.x[i:i + 6]),
                labels=torch.tensor(data.y[i:i + 6]))


def reference_step(model, optimizer, batch, rho=0.05, adaptive=False):
    """The update as it is published, pass by pass."""
    loss = model(**batch)['loss']
    loss.backward()
    params = [p for p in model.parameters() if p.grad is not None]
    norm = torch.norm(
        torch.stack([((p.abs() if adaptive else 1.0) * p.grad).norm(p=2)
                     for p in params]),
        p=2)
    scale = rho / (norm + 1e-12)
    old = [p.data.clone() for p in params]
    for p in params:
        p.data.add_((p.pow(2) if adaptive else 1.0) * p.grad * scale)
    optimizer.zero_grad()
    model(**batch)['loss'].backward()
    for p, value in zip(params, old):
        p.data = value
    optimizer.step()
    optimizer.zero_grad()


def quadratic():
    """A of L(w) = w'Aw/2, whose gradient is Aw, and a w to begin with."""
    rng = np.random.default_rng(1)
    a = rng.standard_normal((4, 4))
    return a @ a.T, rng.standard_normal(4)


def published_epsilon(g, w, adaptive):
    """By hand, in NumPy, for a radius of 0.3."""
    direction = w**2 * g if adaptive else g
    return 0.3 * direction / np.linalg.norm(np.abs(w) * g if adaptive else g)


@pytest.mark.parametrize('adaptive', [False, True])
def test_quadratic_follows_the_published_update(adaptive):
    a, w = quadratic()
    p = nn.Parameter(torch.tensor(w, dtype=torch.float64))
    matrix = torch.tensor(a, dtype=torch.float64)
    wrapper = SAMOptimWrapper(
        torch.optim.SGD([p], lr=0.1), rho=0.3, adaptive=adaptive)
    for _ in range(5):
        wrapper.backward_ascent(0.5 * p @ matrix @ p)
        wrapper.perturb()
        up = w + published_epsilon(a @ w, w, adaptive)
        np.testing.assert_allclose(
            p.detach().numpy(), up, rtol=1e-9, atol=1e-11)
        wrapper.update_params(0.5 * p @ matrix @ p)
        w = w - 0.1 * a @ up
        np.testing.assert_allclose(
            p.detach().numpy(), w, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize('step_in_backward', [False, True])
@pytest.mark.parametrize('adaptive', [False, True])
def test_equals_a_hand_written_step_bit_for_bit(tmp_path, adaptive,
                                                step_in_backward):
    torch.manual_seed(5)
    ours, theirs = Net(), None
    theirs = copy.deepcopy(ours)
    runner = make_runner(
        tmp_path, ours,
        dict(rho=0.05, adaptive=adaptive, step_in_backward=step_in_backward))
    torch.manual_seed(7)
    runner.train()

    theirs.train()
    optimizer = torch.optim.Adam(theirs.parameters(), lr=1e-2)
    for epoch, batch in batches_of_two_epochs():
        reference_step(theirs, optimizer, batch, adaptive=adaptive)
    for (name, a), b in zip(ours.state_dict().items(),
                            theirs.state_dict().values()):
        assert torch.equal(a, b), name


def test_before_sam_begin_a_step_is_the_optimizers_own(tmp_path):
    torch.manual_seed(5)
    ours = Net()
    theirs = copy.deepcopy(ours)
    loop = dict(type='orsa.SAMTrainLoop', max_epochs=2, sam_begin=2)
    runner = make_runner(tmp_path, ours, dict(rho=0.05), loop=loop)
    torch.manual_seed(7)
    runner.train()

    theirs.train()
    optimizer = torch.optim.Adam(theirs.parameters(), lr=1e-2)
    for epoch, batch in batches_of_two_epochs():
        if epoch:
            reference_step(theirs, optimizer, batch)
        else:
            theirs(**batch)['loss'].backward()
            optimizer.step()
            optimizer.zero_grad()
    for (name, a), b in zip(ours.state_dict().items(),
                            theirs.state_dict().values()):
        assert torch.equal(a, b), name


def test_accumulation_equals_the_larger_batch(tmp_path):
    torch.manual_seed(5)
    small, large = Net(batch_norm=False, dropout=0.), None
    large = copy.deepcopy(small)
    optimizer = dict(type='SGD', lr=0.1)
    make_runner(
        tmp_path / 'a',
        small,
        dict(optimizer=optimizer, accumulative_counts=4),
        batch=6).train()
    make_runner(
        tmp_path / 'b', large, dict(optimizer=optimizer), batch=24).train()
    for a, b in zip(small.parameters(), large.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_last_partial_group_steps(tmp_path):
    # 4 batches in groups of 3: the last one is a step of its own.
    model = Net(batch_norm=False, dropout=0.)
    runner = make_runner(tmp_path, model, dict(accumulative_counts=3), 1)
    runner.train()
    steps = runner.optim_wrapper.optimizer.state[model.layers[0].weight]
    assert int(steps['step']) == 2
    assert not runner.optim_wrapper.perturbed


def test_an_epoch_ends_with_a_step(tmp_path):
    """4 batches in groups of 3: the last step is that of a batch alone."""
    torch.manual_seed(5)
    ours = Net(batch_norm=False, dropout=0.)
    theirs = copy.deepcopy(ours)
    runner = make_runner(
        tmp_path, ours,
        dict(optimizer=dict(type='SGD', lr=.1), accumulative_counts=3), 2)
    seen = []

    class Look(Hook):

        def after_train_iter(self, runner, **kwargs):
            seen.append((runner.train_loop.step_is_open, step_is_open(runner)))

    runner.register_hook(Look())
    runner.train()
    assert seen == 2 * [(True, True), (True, True), (False, False),
                        (False, False)]
    optimizer, data = torch.optim.SGD(theirs.parameters(), lr=.1), Data()
    for part in 2 * (slice(0, 18), slice(18, 24)):
        reference_step(
            theirs, optimizer,
            dict(
                inputs=torch.tensor(data.x[part]),
                labels=torch.tensor(data.y[part])))
    for a, b in zip(ours.parameters(), theirs.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_before_sam_begin_a_step_is_open_too(tmp_path):
    loop = dict(type='orsa.SAMTrainLoop', max_epochs=2, sam_begin=2)
    runner = make_runner(
        tmp_path,
        Net(batch_norm=False),
        dict(accumulative_counts=2),
        loop=loop)
    seen = []

    class Look(Hook):

        def after_train_iter(self, runner, **kwargs):
            seen.append(step_is_open(runner))

    runner.register_hook(Look())
    runner.train()
    assert seen == 4 * [True, False]


@pytest.mark.parametrize('call', [0, 1, 2, 3])
def test_an_error_in_a_pass_leaves_the_weights_at_w(tmp_path, call):
    """And whoever catches it, a step later."""
    model = Net(batch_norm=False, dropout=0.)
    runner = make_runner(tmp_path, model, dict(accumulative_counts=2, rho=.5),
                         1)
    calls, before = [], copy.deepcopy(model.state_dict())

    def fail(module, *args):
        calls.append(module)
        if len(calls) == call + 1:
            raise MemoryError('too much')

    handle = model.register_forward_pre_hook(fail)
    with pytest.raises(MemoryError):
        runner.train()
    handle.remove()
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
    wrapper = runner.optim_wrapper
    assert not wrapper.perturbed and not step_is_open(runner)
    assert all(p.grad is None for p in model.parameters())


def test_without_sam_the_wrapper_is_asked(tmp_path):
    """Also where the training is cut short within an epoch."""
    for loop, expected in (('orsa.EpochTrainLoop', [1, 1, 0, 0, 1, 0]),
                           ('EpochBasedTrainLoop', [1, 1, 0, 1, 1, 0])):
        seen = []

        class Look(Hook):

            def after_train_iter(self, runner, **kwargs):
                seen.append(step_is_open(runner))

        runner = make_runner(
            tmp_path,
            Net(),
            dict(type='OptimWrapper', accumulative_counts=3),
            loop=dict(type=loop, max_epochs=2))
        cut_short(runner, 6)
        runner.register_hook(Look())
        runner.train()
        assert seen == expected


def test_rho_zero_is_the_plain_optimizer(tmp_path):
    torch.manual_seed(5)
    ours = Net(batch_norm=False, dropout=0.)
    plain = copy.deepcopy(ours)
    make_runner(tmp_path / 'a', ours, dict(rho=0.)).train()
    make_runner(
        tmp_path / 'b',
        plain,
        dict(type='OptimWrapper'),
        loop=dict(type='EpochBasedTrainLoop', max_epochs=2)).train()
    for a, b in zip(ours.parameters(), plain.parameters()):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_clipping_acts_on_the_descent():
    p = nn.Parameter(torch.tensor([3., 4.]))
    wrapper = SAMOptimWrapper(
        torch.optim.SGD([p], lr=1.), rho=0.1, clip_grad=dict(max_norm=1.))
    wrapper.backward_ascent(10 * p.sum())
    wrapper.perturb()
    step = 0.1 / 2**0.5
    torch.testing.assert_close(p.detach(), torch.tensor([3. + step, 4 + step]))
    wrapper.update_params(10 * p.sum())
    torch.testing.assert_close(p.detach(), torch.tensor([3., 4.]) - 1 / 2**0.5)


def test_non_finite_gradient_does_not_move_the_weights():
    p = nn.Parameter(torch.ones(3))
    wrapper = SAMOptimWrapper(torch.optim.SGD([p], lr=1.))
    wrapper.backward_ascent((p * float('inf')).sum())
    wrapper.perturb()
    assert torch.equal(p.detach(), torch.ones(3))


def test_bf16_keeps_weights_and_moments_in_float32(tmp_path):
    model = DtypeNet()
    runner = make_runner(tmp_path, model, dict(dtype='bfloat16'), 1)
    runner.train()
    assert set(model.seen) == {torch.bfloat16} and len(model.seen) == 8
    for p in runner.model.parameters():
        assert p.dtype == torch.float32
        moments = runner.optim_wrapper.optimizer.state[p]
        assert moments['exp_avg'].dtype == torch.float32


def test_gradients_stepped_in_the_backward_pass_are_freed_there():
    first, last = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    wrapper = SAMOptimWrapper(
        torch.optim.SGD([first, last], lr=1.), rho=0., step_in_backward=True)
    wrapper.backward_ascent((first * last).sum())
    wrapper.perturb()
    held = []
    product = first.exp()
    product.register_hook(lambda grad: held.append(last.grad))
    wrapper.update_params((product * last).sum())
    # 'last' was stepped before the gradient of 'first' was computed
    assert held == [None] and first.grad is None
    np.testing.assert_allclose(last.detach(), 1 - np.e * np.ones(2), rtol=1e-6)


def test_a_parameter_of_the_descent_alone_is_stepped_too():
    both, late = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    wrapper = SAMOptimWrapper(
        torch.optim.SGD([both, late], lr=1.), rho=0., step_in_backward=True)
    wrapper.backward_ascent(both.sum())
    wrapper.perturb()
    wrapper.update_params((both + 2 * late).sum())
    assert both.tolist() == [0, 0] and late.tolist() == [-1, -1]


def test_the_ascent_alone_in_bfloat16(tmp_path):
    model = DtypeNet()
    make_runner(tmp_path, model, dict(ascent_dtype='bfloat16'), 1).train()
    assert model.seen == [torch.bfloat16, torch.float32] * 4


@pytest.mark.parametrize('step_in_backward', [False, True])
@pytest.mark.parametrize('adaptive', [False, True])
def test_the_perturbation_kept_in_bfloat16(adaptive, step_in_backward):
    """By hand, with NumPy's float64 and a perturbation that is rounded."""
    a, w = quadratic()
    p = nn.Parameter(torch.tensor(w, dtype=torch.float32))
    matrix = torch.tensor(a, dtype=torch.float32)
    wrapper = SAMOptimWrapper(
        torch.optim.SGD([p], lr=0.1),
        rho=0.3,
        adaptive=adaptive,
        step_in_backward=step_in_backward,
        perturbation_dtype='bfloat16')
    for _ in range(5):
        wrapper.backward_ascent(0.5 * p @ matrix @ p)
        wrapper.perturb()
        exact = published_epsilon(a @ w, w, adaptive)
        # 8 bits of a mantissa: half of a step of the last is 2^-9
        given = p.detach().double().numpy() - w
        assert 1e-6 < np.abs(given / exact - 1).max() < 2**-8
        wrapper.update_params(0.5 * p @ matrix @ p)
        w = w - 0.1 * a @ (w + given)
        np.testing.assert_allclose(p.detach().numpy(), w, rtol=1e-5, atol=1e-7)
        w = p.detach().double().numpy()


def test_a_gradient_that_is_not_finite_leaves_weights_in_bfloat16_too():
    p = nn.Parameter(torch.ones(3))
    wrapper = SAMOptimWrapper(
        torch.optim.SGD([p], lr=0.), perturbation_dtype='bfloat16')
    wrapper.backward_ascent((p * float('inf')).sum())
    wrapper.perturb()
    assert torch.equal(p.detach(), torch.ones(3))
    wrapper.update_params(p.sum())
    assert torch.equal(p.detach(), torch.ones(3))


def test_moments_survive_the_state_dict(tmp_path):
    runner = make_runner(tmp_path, Net(), dict(), 1)
    runner.train()
    state = copy.deepcopy(runner.optim_wrapper.state_dict())
    fresh = build_optim_wrapper(
        Net(),
        dict(
            type='orsa.SAMOptimWrapper', optimizer=dict(type='Adam', lr=1e-2)))
    fresh.load_state_dict(state)
    first = next(iter(fresh.optimizer.state.values()))
    old = next(iter(runner.optim_wrapper.optimizer.state.values()))
    assert torch.equal(first['exp_avg_sq'], old['exp_avg_sq'])
    assert int(first['step']) == 4


def test_logs_the_loss_at_the_weights_and_the_rise(tmp_path):
    model = Net(batch_norm=False, dropout=0.)
    runner = make_runner(tmp_path, model, dict(rho=0.5), 1)
    runner.train_loop
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    batch = next(iter(runner.train_dataloader))
    with torch.no_grad():
        before = model(**batch)['loss']
    logs = runner.train_loop.sam_step(batch)
    torch.testing.assert_close(logs['loss'].detach(), before)
    assert logs['sharpness'] > 0


def test_iter_based_loop(tmp_path):
    model = Net()
    runner = make_runner(
        tmp_path,
        model,
        dict(),
        loop=dict(type='orsa.SAMIterBasedTrainLoop', max_iters=3))
    runner.train()
    weight = model.layers[0].weight
    assert int(runner.optim_wrapper.optimizer.state[weight]['step']) == 3


def test_an_ordinary_loop_is_refused(tmp_path):
    loop = dict(type='EpochBasedTrainLoop', max_epochs=1)
    with pytest.raises(RuntimeError, match='orsa.SAMTrainLoop'):
        make_runner(tmp_path, Net(), dict(), loop=loop).train()


def test_an_ordinary_wrapper_is_refused(tmp_path):
    with pytest.raises(TypeError, match='orsa.SAMOptimWrapper'):
        make_runner(tmp_path, Net(), dict(type='OptimWrapper')).train()


@pytest.mark.parametrize('kwargs, message', [
    (dict(rho=-1.), 'rho should be at least 0'),
    (dict(dtype='int8'), 'dtype should be'),
    (dict(ascent_dtype='int8'), 'dtype should be'),
    (dict(perturbation_dtype='int8'), 'dtype should be'),
    (dict(step_in_backward=True, clip_grad=dict(max_norm=1.)), 'clip_grad'),
    (dict(step_in_backward=True,
          accumulative_counts=2), 'accumulative_counts'),
])
def test_bad_arguments(kwargs, message):
    p = nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match=message):
        SAMOptimWrapper(torch.optim.SGD([p], lr=1.), **kwargs)
