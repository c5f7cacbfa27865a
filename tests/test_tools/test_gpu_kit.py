# Copyright (c) orsa contributors. All rights reserved.
"""``tools/benchmarks/gpu.py``, as far as a machine without a GPU can tell."""
import json
import os
import runpy
import subprocess

import pytest
import torch
from clean_fork import CONTEXT
from speed import gpu, gpu_steps
from speed.clock import Clock
from speed.gpu import Run, all_runs, measure, toy_runs


@pytest.fixture()
def quick(monkeypatch, repo_root):
    """Processes that have imported the slow libraries."""
    monkeypatch.syspath_prepend(str(repo_root / 'tests/test_tools'))
    monkeypatch.setattr('multiprocessing.get_context', lambda method: CONTEXT)


def stored(out) -> dict:
    return json.loads((out / 'gpu.json').read_text())


@pytest.mark.skipif('ORSA_STRESS' not in os.environ, reason='takes minutes')
def test_dry_run(quick, tmp_path):
    runs = toy_runs(str(tmp_path))
    about = gpu.about_machine(dry_run=True)
    assert measure(runs, str(tmp_path), 60, about) == 0
    content = stored(tmp_path)
    assert content['commit'] == about['commit']
    rows = {k: v['rows'] for k, v in content['results'].items()}
    assert set(rows) == {run.key for run in runs}
    # the CPU beside itself
    assert [r['largest difference'] for r in rows['parity: toy']] == [0, 0]
    assert min(r['largest value'] for r in rows['parity: toy']) > 0
    plain, traced = rows['sam_step: plain'][0], rows['sam_step: traced'][0]
    assert traced['images/s'] == pytest.approx(2e3 / traced['all (ms)'])
    # plain has the priors in both passes
    assert (plain['TFLOP/s'] * plain['all (ms)'] >
            traced['TFLOP/s'] * traced['all (ms)'] > 0)
    assert [r['batch size'] for r in rows['memory: toy']] == [1, 2]
    assert rows['determinism: toy'][0]['different tensors'] == 0
    assert rows['training: toy'][0]['iterations'] == 2
    page = (tmp_path / 'gpu.md').read_text()
    assert all(f'## {title}\n' in page for title in gpu.TITLES.values())
    assert 'Not measured' not in page and 'failed' not in page
    # a second call has nothing to do
    assert measure(runs, str(tmp_path), 60, about) == 0
    assert stored(tmp_path) == content


def test_failures_are_stored_and_the_others_go_on(quick, tmp_path):
    runs = [
        Run('memory', 'bad', dict(other=1), 'speed_work:row'),
        Run('ranks', 'gone', {}, 'speed_work:exhaust'),
        Run('training', 'rest', {}, 'speed_work:incomplete'),
        Run('sam_step', 'good', dict(number=3), 'speed_work:row')
    ]
    assert measure(runs, str(tmp_path), 5, dict(card='a')) == 2
    first = stored(tmp_path)['results']
    assert first['memory: bad']['error'].startswith('TypeError')
    assert 'TypeError' in (tmp_path / 'memory: bad.log').read_text()
    assert first['ranks: gone']['error'] == 'ended with exit code 9'
    assert first['sam_step: good']['rows'] == [{'number': 3, 'half': 1.5}]
    # the rest of five minutes, not a fifth of them
    assert 60 < first['training: rest']['rows'][0]['seconds'] < 300
    page = (tmp_path / 'gpu.md').read_text()
    assert '| 3 | 1.5 |' in page and 'ranks: gone failed' in page
    assert 'Not measured yet' in page
    with pytest.raises(ValueError, match='card a, but this is b.*--out'):
        measure(runs, str(tmp_path), 1, dict(card='b'))


def test_a_measurement_ends_in_time_with_what_it_started(quick, tmp_path):
    log = tmp_path / 'log'
    found = gpu._run_apart('speed_work:hang', {}, 20, str(log))
    assert found == dict(error='out of time after 20 s')
    state = subprocess.run(
        ['ps', '-o', 'stat=', '-p',
         log.read_text().strip()],
        capture_output=True,
        text=True)
    assert state.stdout[:1] in ('', 'Z')


def test_order_of_a_second_call(tmp_path, monkeypatch):
    tried = []
    monkeypatch.setattr(
        gpu, '_run_apart', lambda what, *args:
        (tried.append(what), dict(error='')
         if what == 'bad' else dict(rows=[{}]))[1])
    runs = [
        Run(s, '', {}, m) for s, m in (('parity', 'bad'), ('training', 'last'))
    ]
    measure(runs, str(tmp_path), 1, {})
    measure([*runs, Run('memory', '', {}, 'new')], str(tmp_path), 1, {})
    assert tried == ['bad', 'last', 'new', 'bad']


def test_toy_and_real_runs_take_the_same_arguments():
    """What cannot be tried here has no argument that the dry run has not."""

    def arguments(runs, step):
        return {k for r in runs if r.step == step for k in r.arguments}

    real, toy = all_runs('out'), toy_runs('out')
    assert {r.step for r in real} == {r.step for r in toy} == set(gpu.TITLES)
    assert len({r.key for r in real}) == len(real)
    for step in gpu.TITLES:
        assert arguments(real, step) <= arguments(toy, step) | {'rounds'}


def test_memory_ends_where_a_batch_does_not_fit(monkeypatch):

    def sam_step(batch_size, **arguments):
        if batch_size > limit:
            raise torch.OutOfMemoryError('too\nlarge')
        return [{'batch size': batch_size}]

    monkeypatch.setattr(gpu_steps, 'sam_step', sam_step)
    limit = 8
    rows = gpu_steps.memory([1, 8, 32, 128], precision='fp32')
    assert [r['batch size'] for r in rows] == [1, 8, 32]
    assert rows[-1]['ended by'] == 'too'
    limit = 0
    with pytest.raises(torch.OutOfMemoryError):
        gpu_steps.memory([1, 8], precision='fp32')


def test_parity_sees_a_difference(monkeypatch):
    make = gpu_steps.random_model

    def biased(cfg):
        model, calls = make(cfg), []

        def add(module, args, out):
            calls.append(1)
            # loss and logits of the CPU, then of the other device
            return out + torch.eye(7)[3] * (0.5 if len(calls) > 2 else 0)

        model.head.fc.register_forward_hook(add)
        return model

    monkeypatch.setattr(gpu_steps, 'random_model', biased)
    logits, gradients = gpu_steps.parity(
        'cpu', 'orsa::orsanet_demo.py', 64, batch_size=2)
    assert logits['largest difference'] == pytest.approx(0.5)
    assert gradients['largest difference'] > 0


def test_clock_of_a_gpu_reads_events(monkeypatch):
    """Nothing is waited for between the stages."""
    now = iter([10., 11., 13., 16.])
    waited = []

    class Event:

        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            self.at = next(now)

        def synchronize(self):
            waited.append(self.at)

        def elapsed_time(self, end):
            return (end.at - self.at) * 1e3

    monkeypatch.setattr(torch.cuda, 'Event', Event)
    clock = Clock('cuda:1')
    with clock.stage('outer'):
        with clock.stage('inner'):
            pass
    assert not waited
    assert clock.read() == dict(outer=4., inner=2.)
    assert waited == [11., 13., 16.]


def test_without_a_gpu_it_is_one_line(repo_root, tmp_path, monkeypatch,
                                      capsys):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr('sys.argv', ['gpu.py', '--out', str(tmp_path / 'out')])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(
            str(repo_root / 'tools/benchmarks/gpu.py'), run_name='__main__')
    assert end.value.code == 2
    text = capsys.readouterr().err
    assert text.count('\n') == 1 and '--dry-run' in text
    assert not list(tmp_path.iterdir())
