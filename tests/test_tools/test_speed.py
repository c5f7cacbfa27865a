# Copyright (c) orsa contributors. All rights reserved.
"""Interleaved timing is right, and what is timed against is the same."""
import argparse
import json
import time

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from speed.beside import build_beside
from speed.clock import Clock, use_processor_time
from speed.infer import by_graph, make_forward
from speed.interleaved import Timing, ratio, time_interleaved
from speed.peak import count_flops
from speed.plain import PlainSAM, attention, make_plain, unfuse
from speed.report import add_speed_arguments, run, table
from speed.step import make_step
from torch.utils.flop_counter import FlopCounterMode

from orsa.apis.model import build_model, load_config
from orsa.engine.optimizers import SAMOptimWrapper
from orsa.models.utils import linear as orsa_linear
from orsa.models.utils.fast_copy import fast_copy


def test_clock_charges_the_innermost_stage(monkeypatch):
    now = iter([10., 11., 13., 16., 20.])
    monkeypatch.setattr('speed.clock.time.perf_counter', lambda: next(now))
    clock = Clock()
    with clock.stage('outer'):  # at 10
        with clock.stage('inner'):  # from 11 to 13
            pass
        clock.rename('later')  # at 16, to 20
    assert clock.read() == dict(outer=1. + 3., inner=2., later=4.)
    assert clock.read() == {}


def test_clock_of_the_processor_does_not_count_waiting():
    use_processor_time()
    try:
        clock = Clock()
        with clock.stage('waiting'):
            time.sleep(1)
        assert clock.read()['waiting'] < 0.5
    finally:
        use_processor_time(False)


@pytest.fixture()
def work_module(monkeypatch, repo_root):
    monkeypatch.syspath_prepend(str(repo_root / 'tests/test_tools'))
    return 'speed_work'


def test_interleaved_rounds(work_module):
    timings = time_interleaved(
        f'{work_module}:make',
        dict(
            light=dict(seconds=0.01), heavy=dict(seconds=0.01, megabytes=200)),
        rounds=3,
        warmup=2)
    # two warm-up rounds, then three measured ones
    assert timings['light'].seconds['calls'] == [3., 4., 5.]
    assert timings['light'].seconds['total'] == [3.01, 4.01, 5.01]
    assert ratio(timings['heavy'], timings['light']) == 1
    more = timings['heavy'].memory - timings['light'].memory
    assert 100 * 2**20 < more < 300 * 2**20


def test_a_variant_that_fails_is_named(work_module):
    with pytest.raises(RuntimeError, match="(?s)'bad'.*the work is broken"):
        time_interleaved(f'{work_module}:make_broken', dict(bad=dict()))
    with pytest.raises(ValueError, match='0 variants'):
        time_interleaved(f'{work_module}:make', {})


def test_report(work_module, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    add_speed_arguments(parser)
    path = tmp_path / 'timings.json'
    args = parser.parse_args(
        ['--rounds', '2', '--warmup', '0', '--json',
         str(path)])
    run(args, f'{work_module}:make', dict(a=dict(seconds=0.)), 'a', 'Nothing')
    content = json.loads(path.read_text())
    assert content['threads'] == 1 and content['reference'] == 'a'
    assert content['variants']['a']['seconds']['calls'] == [1., 2.]
    assert 'Nothing: medians of 2 interleaved' in capsys.readouterr().out
    args.variants = ['b']
    with pytest.raises(ValueError, match="'b'"):
        run(args, f'{work_module}:make', dict(a=dict()), 'a', '')


def test_table_takes_ratios_within_rounds():
    # the second round met a slow machine
    timings = dict(
        plain=Timing(dict(total=[1., 10.]), 2**21),
        fast=Timing(dict(total=[.5, 5.]), 2**20))
    lines = table(
        timings,
        dict(
            title='',
            rounds=2,
            threads=1,
            clock='wall',
            reference='plain',
            processor='',
            capability='',
            torch=''))
    assert [c.strip()
            for c in lines[-1].split('|')][-4:-1] == ['0.500', '1', '0.50']


def test_a_variant_has_variables_of_its_own(work_module):
    timings = time_interleaved(
        f'{work_module}:make_from_environment',
        dict(two=dict(environment=dict(SECONDS='2'))),
        rounds=1,
        warmup=0)
    assert timings['two'].seconds['total'] == [2.]


@pytest.mark.parametrize('mask', [None, 'bool', 'float'])
def test_plain_attention(mask):
    query, key, value = (torch.randn(2, 3, n, 8) for n in (5, 7, 7))
    if mask == 'bool':
        mask = torch.rand(5, 7) > 0.3
    elif mask == 'float':
        mask = torch.randn(2, 1, 5, 7)
    torch.testing.assert_close(
        attention(query, key, value, attn_mask=mask),
        F.scaled_dot_product_attention(query, key, value, attn_mask=mask))


def test_plain_sam_is_sam():
    """The baseline takes the same steps as what it is compared with."""
    models = [torch.nn.Linear(4, 3) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    plain = PlainSAM(torch.optim.Adam(models[0].parameters(), lr=.1), 0.5)
    own = SAMOptimWrapper(
        torch.optim.Adam(models[1].parameters(), lr=.1), rho=0.5)
    for _ in range(3):
        x, target = torch.randn(6, 4), torch.randint(3, (6, ))
        for then in (plain.perturb, plain.step):
            F.cross_entropy(models[0](x), target).backward()
            then()
        with own.ascent(models[1]):
            loss = F.cross_entropy(models[1](x), target)
        own.backward_ascent(loss)
        own.perturb()
        own.update_params(F.cross_entropy(models[1](x), target))
    torch.testing.assert_close(models[0].weight, models[1].weight)


def test_make_plain_switches_off():
    cfg = Config(
        dict(
            model=dict(
                backbone=dict(
                    channels_last=True, parsing_prior=dict(prepare='trace')))))
    make_plain(cfg)
    backbone = cfg.model.backbone
    assert not backbone.channels_last
    assert backbone.parsing_prior.prepare is None


@pytest.fixture()
def restored(monkeypatch):
    """What ``plain`` replaces for good otherwise."""
    monkeypatch.setattr(F, 'scaled_dot_product_attention',
                        F.scaled_dot_product_attention)
    monkeypatch.setattr(orsa_linear, 'enabled', orsa_linear.enabled)


def test_stages_of_a_step(repo_root, restored):
    for kind in (dict(), dict(cached=True), dict(plain=True)):
        step = make_step(
            str(repo_root / 'configs/orsanet_demo.py'),
            batch_size=2,
            size=64,
            **kind)
        seconds = step()
        assert set(seconds) == {
            'data', 'priors', 'first pass', 'second pass', 'optimizer'
        }
        assert min(seconds.values()) > 0


def test_a_step_without_sam_and_its_operations(repo_root):
    sam = str(repo_root / 'configs/orsanet_demo.py')
    plain = make_step(str(repo_root / 'configs/orsanet_face.py'), 2, 64)()
    assert set(plain) == {'data', 'priors', 'first pass', 'optimizer'}

    # torch's own count; it has no gradient of the first layer's images
    step = make_step(sam, batch_size=2, size=64)
    with FlopCounterMode(display=False) as counter:
        step()
    assert count_flops(
        'step', config=sam, batch_size=2, size=64) == pytest.approx(
            counter.get_total_flops(), rel=.02)
    answer = count_flops('PyTorch', config=sam, batch_size=2, size=64)
    assert 0 < answer < counter.get_total_flops()


def test_another_implementation_beside(tmp_path):
    path = tmp_path / 'published_net.py'
    path.write_text('import torch\n\n\ndef build():\n'
                    '    return torch.nn.Sequential(torch.nn.Flatten(), '
                    'torch.nn.Linear(3 * 8 * 8, 7))\n')
    seconds = make_step('', 2, size=8, beside=f'{path}:build')()
    assert set(seconds) == {'first pass', 'second pass', 'optimizer'}
    assert set(make_forward('', 2, size=8,
                            beside=f'{path}:build')()) == {'rest'}
    with pytest.raises(ValueError, match="no function 'make'"):
        build_beside(f'{path}:make')
    with pytest.raises(ValueError, match='FILE.py:FUNCTION'):
        build_beside('published')


@pytest.mark.parametrize('kind', [
    dict(),
    dict(plain=True),
    dict(dtype='bfloat16'),
])
def test_stages_of_a_forward_pass(repo_root, restored, kind):
    work = make_forward(
        str(repo_root / 'configs/orsanet_demo.py'), 2, size=64, **kind)
    for _ in range(2):
        seconds = work()
        assert set(seconds) == {'priors', 'rest'}
        assert min(seconds.values()) > 0


def test_traced_for_the_graph_of_onednn(repo_root, restored):
    cfg = load_config(str(repo_root / 'configs/orsanet_demo.py'))
    model = build_model(cfg, pretrained=False).eval()
    inputs = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model(inputs, mode='tensor')
    try:
        traced = by_graph(fast_copy(model), inputs)
        with torch.no_grad():
            for _ in range(3):  # it is rewritten at the second call
                torch.testing.assert_close(traced(inputs), expected)
    finally:
        torch.jit.enable_onednn_fusion(False)


def test_plain_and_fast_models_predict_the_same(repo_root, restored,
                                                monkeypatch):
    """The baseline and what is compared with it compute the same."""
    monkeypatch.setattr(orsa_linear, 'MIN_PRODUCTS', 1)
    cfg = load_config(str(repo_root / 'configs/orsanet_demo.py'))
    for name in ('parsing_prior', 'landmark_prior'):
        cfg.model.backbone[name].prepare = 'fold'
    model = build_model(cfg, pretrained=False).eval()
    fast = fast_copy(model)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        outs = [m(x, mode='tensor') for m in (model, fast)]
        make_plain(cfg)
        plain = build_model(cfg, pretrained=False).eval()
        plain.load_state_dict(model.state_dict())
        unfuse()
        expected = plain(x, mode='tensor')
    for out in outs:
        assert (out - expected).abs().max() <= 1e-5 * expected.abs().max()
