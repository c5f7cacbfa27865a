# Copyright (c) orsa contributors. All rights reserved.
"""A rank that fails, dies or hangs ends the job, and is the one reported."""
import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from ranks import free_port

from orsa.utils.checkpoint import load_checkpoint_file

CONFIG = """
_base_ = 'orsa::_base_/robust_runtime.py'
custom_imports = dict(imports=['rank_fault_hook'])
root = '{root}/{{$FACES:same}}/{{$RANK:0}}'
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='FaultyRead'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
loader = dict(
    batch_size=6, num_workers=1, persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='orsa.FERDataset', data_root=root,
                 ann_file='list.txt', pipeline=pipeline))
train_dataloader = dict(sampler=dict(type='DefaultSampler', shuffle=True),
                        **loader)
val_dataloader = dict(sampler=dict(type='DefaultSampler', shuffle=False),
                      **loader)
test_dataloader = val_dataloader
val_evaluator = test_evaluator = dict(type='orsa.FERMetric')
val_cfg = test_cfg = dict()
train_cfg = dict(type='orsa.SAMTrainLoop', max_epochs=4)
optim_wrapper = dict(type='orsa.SAMOptimWrapper',
                     optimizer=dict(type='SGD', lr=1e-2))
default_hooks = dict(preemption=dict(interval=1),
                     numerical_fault=dict(action='stop'))
custom_hooks = [dict(type='RankFaultHook')]
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(mean=[127.] * 3, std=[60.] * 3, to_rgb=True,
                           num_classes=7),
    backbone=dict(type='orsa.IRNet', arch=dict(depths=(1, ), channels=(8, ))),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=7, in_channels=8,
              loss=dict(type='CrossEntropyLoss')))
"""
# seconds that torch's launcher waits before it kills what does not end
STOPPED = 30
# the timeout of the jobs here, and what a launcher may take more on a busy
# machine (6 on an idle one)
TIMEOUT, MORE = 20, 28


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    root = tmp_path_factory.mktemp('ranks')
    rng = np.random.default_rng(0)
    for folder, length in (('a', 31), ('b', 29)):
        (root / folder).mkdir()
        lines = []
        for i in range(length):
            image = rng.integers(0, 255, (28, 28, 3), dtype=np.uint8)
            cv2.imwrite(str(root / folder / f'{i}.png'), image)
            lines.append(f'{i}.png {("surprise", "fear", "anger")[i % 3]}')
        (root / folder / 'list.txt').write_text('\n'.join(lines))
    for rank in range(3):
        for name in ('same', 'other'):
            (root / name).mkdir(exist_ok=True)
            (root / name / str(rank)).symlink_to(
                root / ('b' if rank == 1 and name == 'other' else 'a'))
    path = root / 'config.py'
    path.write_text(CONFIG.replace('{root}', str(root)))
    return path


def start(repo_root, script, *args, fault='', **more):
    env = dict(
        os.environ,
        OMP_NUM_THREADS='1',
        PYTHON=sys.executable,
        PORT=str(free_port()),
        RANK_FAULT=fault or '-1:none:0',
        PYTHONPATH=str(repo_root / 'tests' / 'test_engine'),
        **more)
    return subprocess.Popen(
        ['bash', str(repo_root / 'tools' / script), *map(str, args)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True)


def run(*args, **kwargs):
    process = start(*args, **kwargs)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def train(repo_root, config, work_dir, world, *args, fault='', **more):
    return run(
        repo_root,
        'dist_train.sh',
        config,
        world,
        '--work-dir',
        work_dir,
        '--cfg-options',
        f'env_cfg.dist_cfg.timeout={TIMEOUT}',
        *args,
        fault=fault,
        **more)


def root_cause(output):
    """What torch's launcher shows last."""
    return output[output.rindex('Root Cause'):]


FAULTS = {
    # fault: what is shown of it, seconds until the job has ended
    '1:raise:7': ('ValueError: this iteration is the fault', STOPPED + MORE),
    '0:raise:0': ('ValueError: this iteration is the fault', STOPPED + MORE),
    '1:read:11': ('ValueError: this image is the fault', STOPPED + MORE),
    '1:val:1': ('ValueError: this validation is the fault', STOPPED + MORE),
    '1:kill:7': ('Signal 9 (SIGKILL) received', STOPPED + MORE),
    '0:kill:7': ('Signal 9 (SIGKILL) received', STOPPED + MORE),
    '1:exit:7': ('exitcode  : 3', STOPPED + MORE),
    # the process group gives up, and the launcher kills what does not end
    '1:hang:7': ('RuntimeError', TIMEOUT + STOPPED + MORE),
    '0:stuck_val:1': ('RuntimeError', TIMEOUT + STOPPED + MORE),
    '1:start:0': ('RuntimeError', TIMEOUT + STOPPED + MORE),
    '1:stop:7': ('RuntimeError', TIMEOUT + STOPPED + MORE),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_the_rank_at_fault_is_shown(config, tmp_path, repo_root, fault, amount,
                                    tried):
    if fault != '1:raise:7' and amount(True, False):
        pytest.skip('the ordinary suite tries an error alone')
    rank, kind, _ = fault.split(':')
    expected, limit = FAULTS[fault]
    noted = tmp_path / 'time'
    code, output = train(
        repo_root,
        config,
        tmp_path / 'work',
        2,
        fault=fault,
        FAULT_TIME=str(noted))
    assert noted.exists(), output[-6000:]
    seconds = time.time() - float(noted.read_text())
    assert code != 0
    shown = root_cause(output)
    assert expected in shown, output[-6000:]
    if kind in ('raise', 'read', 'val', 'kill', 'exit'):
        assert f'rank      : {rank} ' in shown, output[-6000:]
    assert seconds < limit, output[-3000:]
    tried['faults of one rank of two, which ended the job'] += 1


def test_it_goes_on_after_a_fault(config, tmp_path, repo_root, amount, tried):
    """On another number of processes: 2, 3, 1."""
    if amount(True, False):
        pytest.skip('tests/test_engine/test_world_size.py does it in short')
    work_dir = tmp_path / 'work'
    assert train(repo_root, config, work_dir, 2, fault='1:kill:7')[0] != 0
    # 31 faces, 6 a batch: 3 batches of two processes, 2 of three, 6 of one
    code, output = train(
        repo_root, config, work_dir, 3, '--resume', fault='2:raise:6')
    assert code != 0 and 'resumed epoch: 2, iter: 4' in output, output[-3000:]
    assert 'goes on at the beginning of epoch 3' in output
    code, output = run(
        repo_root,
        'dist_train.sh',
        config,
        1,
        '--work-dir',
        work_dir,
        '--resume',
    )
    assert code == 0 and 'resumed epoch: 3, iter: 18' in output, output[-3000:]
    meta = load_checkpoint_file(work_dir / 'epoch_4.pth')['meta']
    assert (meta['epoch'], meta['iter']) == (4, 24)
    records = json.loads((work_dir / 'validation.json').read_text())
    assert sorted(records['epochs']) == ['1', '2', '3', '4']
    tried['trainings that went on with other numbers of processes'] += 1


def test_sigterm_to_the_launcher(config, tmp_path, repo_root, amount, tried):
    """The workers live on until their process has saved."""
    if amount(True, False):
        pytest.skip('for the long form')
    noted, work_dir = tmp_path / 'time', tmp_path / 'work'
    process = start(
        repo_root,
        'dist_train.sh',
        config,
        2,
        '--work-dir',
        work_dir,
        fault='1:slow:0',
        FAULT_TIME=str(noted))
    while not noted.exists() and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    saved = list(work_dir.glob('preempted_iter_*.pth'))
    assert len(saved) == 1 and 'Exit code 75' in output, output[-4000:]
    code, output = train(repo_root, config, work_dir, 2, '--resume')
    assert code == 0, output[-3000:]
    assert load_checkpoint_file(work_dir / 'epoch_4.pth')['meta']['iter'] == 12
    tried['launchers that were sent SIGTERM'] += 1


@pytest.mark.parametrize('action', ['stop', 'skip'])
def test_a_nan_on_one_rank(config, tmp_path, repo_root, action, amount, tried):
    if amount(True, False):
        pytest.skip('for the long form')
    code, output = train(
        repo_root,
        config,
        tmp_path,
        2,
        f'default_hooks.numerical_fault.action={action}',
        fault='1:nan:4')
    assert 'iteration 4: the loss or its gradient is not finite (rank 0: ' \
        in output, output[-3000:]
    assert 'rank 1: loss not finite, first in' in output, output[-3000:]
    # both skip the same step, or both stop
    assert (code == 0) is (action == 'skip'), output[-3000:]
    tried['NaNs on one rank of two'] += 1


def test_ranks_with_other_lists(config, tmp_path, repo_root, amount, tried):
    if amount(True, False):
        pytest.skip('tests/test_engine/test_rank_checks.py does it in short')
    code, output = train(repo_root, config, tmp_path, 2, FACES='other')
    assert code != 0
    assert 'length of the training data: rank 0' in root_cause(output)
    assert ': 31; rank 1' in output and ': 29. Start' in output
    tried['lists that differ from rank to rank'] += 1


@pytest.mark.parametrize('world', [1, 2, 3])
def test_testing(config, tmp_path, repo_root, world, amount, tried):
    """tools/dist_test.sh, more ranks than one and fewer samples than that."""
    if amount(True, False):
        pytest.skip('tests/test_evaluation does it in short')
    code, output = train(repo_root, config, tmp_path, 1,
                         'train_cfg.max_epochs=1')
    assert code == 0, output[-3000:]
    for length in (2, 31):
        results = []
        for processes in sorted({1, world}):
            out = tmp_path / f'test_{processes}_{length}'
            code, output = run(repo_root, 'dist_test.sh', config,
                               tmp_path / 'epoch_1.pth', processes,
                               '--work-dir', out, '--max-samples', length)
            assert code == 0, output[-3000:]
            report = json.loads((out / 'metrics.json').read_text())
            # batches of other samples: the last digit may be another
            ece = report.pop('ece')
            predictions = json.loads((out / 'predictions.json').read_text())
            assert len(predictions['samples']) == length
            results.append((report, pytest.approx(ece, abs=1e-3)))
        assert results[0][0] == results[-1][0]
        assert results[0][1].expected == results[-1][1]
        tried['tests by several processes'] += 1


@pytest.mark.parametrize('fault', ['1:raise:7', '1:kill:7', '0:kill:7'])
def test_without_a_launcher_of_torch(config, tmp_path, repo_root, fault,
                                     amount, tried):
    """SLURM starts ranks by itself; both end, soon.

    ``srun --kill-on-bad-exit`` would end the other rank, too.
    """
    if amount(True, False):
        pytest.skip('for the long form')
    port, noted, ranks = free_port(), tmp_path / 'time', []
    for rank in range(2):
        env = dict(
            os.environ,
            OMP_NUM_THREADS='1',
            RANK_FAULT=fault,
            FAULT_TIME=str(noted),
            MASTER_ADDR='127.0.0.1',
            MASTER_PORT=str(port),
            SLURM_PROCID=str(rank),
            SLURM_LOCALID=str(rank),
            SLURM_NTASKS='2',
            SLURM_NODELIST='here',
            PYTHONPATH=str(repo_root / 'tests' / 'test_engine'))
        ranks.append(
            subprocess.Popen([
                sys.executable,
                str(repo_root / 'tools' / 'train.py'),
                str(config), '--work-dir',
                str(tmp_path / 'work'), '--launcher', 'slurm'
            ],
                             env=env,
                             stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT,
                             text=True))
    output = [process.communicate(timeout=200)[0] for process in ranks]
    seconds = time.time() - float(noted.read_text())
    assert all(process.returncode != 0 for process in ranks)
    assert seconds < MORE, output
    tried['faults of one rank of two that SLURM started'] += 1
