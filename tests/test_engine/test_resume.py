# Copyright (c) orsa contributors. All rights reserved.
"""An interrupted run ends as if it had never been interrupted."""
import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from clean_fork import CONTEXT, prepare

from orsa.apis.training import add_train_arguments
from orsa.apis.training import train as run_train
from orsa.engine.resuming import latest_checkpoint
from orsa.utils.checkpoint import load_checkpoint_file
from orsa.utils.command import run_script

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
default_hooks = dict(logger=dict(interval=2))
custom_hooks = [
    dict(type='KillHook'),
    dict(type='EMAHook', momentum=0.1),
    dict(type='orsa.SwitchRecipeHook',
         schedule=[dict(action_epoch=3, loss=composite)]),
]
encoder = dict(type='orsa.IRNet', arch=dict(depths=(1, 1), channels=(8, 16)))
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(mean=[127.] * 3, std=[60.] * 3, to_rgb=True,
                           num_classes=7),
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


def plain_config(root, workers=False):
    """The text of a config for trainings in this process, which nobody kills;
    without workers unless they are asked for."""
    text = CONFIG.replace('{root}', str(root))
    text = text.replace("custom_imports = dict(imports=['kill_hook'])", '')
    text = text.replace("    dict(type='KillHook'),\n", '')
    return text if workers else text.replace(
        'num_workers=2, persistent_workers=True', 'num_workers=0')


def make_faces(root):
    rng = np.random.default_rng(0)
    names = ('surprise', 'fear', 'happiness')
    lines = []
    for i in range(30):
        image = rng.integers(0, 255, (28, 28, 3), dtype=np.uint8)
        cv2.imwrite(str(root / f'{i}.png'), image)
        lines.append(f'{i}.png {names[i % 7 % 3]}')
    (root / 'list.txt').write_text('\n'.join(lines))


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    root = tmp_path_factory.mktemp('faces')
    make_faces(root)
    path = root / 'config.py'
    path.write_text(CONFIG.replace('{root}', str(root)))
    return path


def command_of(config, work_dir, repo_root, *args, processes=1, **faults):
    """What starts a training, and the environment with its faults."""
    env = dict(os.environ, OMP_NUM_THREADS='1')
    env.update({k: str(v) for k, v in faults.items()})
    env['PYTHONPATH'] = os.pathsep.join(
        [str(repo_root / 'tests' / 'test_engine'),
         str(repo_root)])
    launch, launcher = [sys.executable], []
    if processes > 1:
        launch += [
            '-m', 'torch.distributed.run', '--standalone',
            f'--nproc_per_node={processes}'
        ]
        launcher = ['--launcher', 'pytorch']
    return [
        *launch,
        str(repo_root / 'tools' / 'train.py'),
        str(config), '--work-dir',
        str(work_dir), *launcher, *args
    ], env


def _forked(command, env, output):
    """What ``tools/train.py`` does, without the time that imports take."""
    prepare()
    sys.stdout, sys.stderr = (
        open(f'{output}.{name}', 'w') for name in ('out', 'err'))
    os.environ.update(env)
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    args = parser.parse_args(command[2:])
    run_script(lambda: run_train(args) and None, training=True)


def train(config, work_dir, repo_root, *args, processes=1, **faults):
    """Run what :func:`command_of` is given, to its end; a single process is
    started afresh but in the long form of the tests."""
    command, env = command_of(
        config, work_dir, repo_root, *args, processes=processes, **faults)
    if processes > 1 or 'FULL_AT' in faults or 'ORSA_STRESS' in os.environ:
        return subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=600)
    output = f'{work_dir}_output'
    process = CONTEXT.Process(target=_forked, args=(command, env, output))
    process.start()
    process.join(600)
    assert process.exitcode is not None
    said = [Path(f'{output}.{name}').read_text() for name in ('out', 'err')]
    return subprocess.CompletedProcess(command, process.exitcode, *said)


def read_log(work_dir):
    """What was logged, by step, but for times and memory.

    What a killed process wrote of steps that were done again is the same or
    gone: the later one counts.
    """
    found = {}
    for path in sorted(work_dir.glob('2*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue  # the line at which it was killed
            for key in ('time', 'data_time', 'memory'):
                record.pop(key, None)
            found['loss' in record, record['step']] = record
    return found


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


def assert_same_end(unbroken, work_dir):
    """Weights, states, validations and log of a run that was interrupted."""
    a = load_checkpoint_file(unbroken / 'epoch_4.pth')
    b = load_checkpoint_file(work_dir / 'epoch_4.pth')
    for part in ('state_dict', 'optimizer', 'ema_state_dict',
                 'param_schedulers'):
        assert_same(a[part], b[part], part)
    info = [c['message_hub']['runtime_info'] for c in (a, b)]
    assert info[0]['best_score'] == info[1]['best_score']
    files = [
        json.loads((d / 'validation.json').read_text())
        for d in (unbroken, work_dir)
    ]
    assert files[0] == files[1]
    log = read_log(unbroken)
    assert read_log(work_dir) == log
    assert sum('loss' in r for r in log.values()) > 7
    assert sum('accuracy' in r for r in log.values()) == 4
    # the same files are left, and nothing half-written
    names = [{p.name for p in d.glob('*.pth')} for d in (unbroken, work_dir)]
    assert names[0] == names[1]
    best = next(unbroken.glob('best*.pth')).name
    assert_same(
        load_checkpoint_file(unbroken / best)['state_dict'],
        load_checkpoint_file(work_dir / best)['state_dict'])
    assert not list(work_dir.glob('.tmp_*.pth'))


# 5 iterations an epoch: within the third, where the loss switches
def test_resumes_bit_for_bit(config, unbroken, tmp_path, repo_root):
    killed = train(config, tmp_path, repo_root, KILL_AT=2)
    assert killed.returncode == -signal.SIGKILL
    # as if it had been killed while it wrote its first checkpoint
    for name in ('epoch_1.pth', 'validation.json', 'last_checkpoint', 'mine'):
        (tmp_path / f'.tmp_abc_{name}').write_bytes(b'PK')
    killed = train(config, tmp_path, repo_root, '--resume', KILL_AT=12)
    assert killed.returncode == -signal.SIGKILL
    assert [p.name for p in tmp_path.glob('.tmp_*')] == ['.tmp_abc_mine']
    assert not (tmp_path / 'epoch_4.pth').exists()
    # as if it had been killed while it wrote, and before its validation
    (tmp_path / '.tmp_abc_epoch_3.pth').write_bytes(b'PK')
    records = json.loads((tmp_path / 'validation.json').read_text())
    assert records['epochs'].pop('2')
    (tmp_path / 'validation.json').write_text(json.dumps(records))
    resumed = train(config, tmp_path, repo_root, '--resume')
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert 'resumed epoch: 2' in resumed.stderr + resumed.stdout
    assert_same_end(unbroken, tmp_path)


def test_sigterm_saves_within_the_epoch(config, unbroken, tmp_path, repo_root):
    """And a truncated checkpoint: the one before is taken, and said."""
    ended = train(config, tmp_path, repo_root, TERM_AT=11)
    assert ended.returncode == 75, ended.stderr[-3000:]
    said = ended.stdout + ended.stderr
    assert 'SIGTERM after iteration 12' in said and 'Exit code 75' in said
    saved = tmp_path / 'preempted_iter_12.pth'
    content = load_checkpoint_file(saved)
    assert content['meta']['within_epoch'] == dict(done=2, of=5)
    # in a validation: after the next iteration
    resumed = train(config, tmp_path, repo_root, '--resume', TERM_IN_VAL=3)
    assert resumed.returncode == 75, resumed.stderr[-3000:]
    assert 'resumed epoch: 2, iter: 12' in resumed.stdout + resumed.stderr
    assert not saved.exists()  # epoch 3 is saved
    # the disk was full, or the copy was broken off
    saved = tmp_path / 'preempted_iter_16.pth'
    saved.write_bytes(saved.read_bytes()[:-100])
    resumed = train(config, tmp_path, repo_root, '--resume')
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    said = resumed.stdout + resumed.stderr
    assert "preempted_iter_16.pth' cannot be read" in said
    assert 'goes on from the last complete one' in said and 'epoch: 3,' in said
    assert_same_end(unbroken, tmp_path)


def test_full_disk(config, unbroken, tmp_path, repo_root):
    ended = train(config, tmp_path, repo_root, FULL_AT=11)
    assert ended.returncode == 1
    line = ended.stderr.strip().splitlines()[-1]
    assert 'epoch_3.pth' in line and 'cannot be written' in line
    assert 'File too large' in line and 'free some space' in line
    # what was there is whole, and nothing else
    assert sorted(p.name for p in tmp_path.glob('epoch*')) == [
        'epoch_1.pth', 'epoch_2.pth'
    ]
    assert not list(tmp_path.glob('.tmp*'))
    assert latest_checkpoint(str(tmp_path)).endswith('epoch_2.pth')


def test_latest_checkpoint(unbroken, tmp_path):
    assert latest_checkpoint(str(tmp_path / 'nothing')) is None
    assert latest_checkpoint(str(tmp_path)) is None
    for name in ('epoch_3.pth', 'epoch_4.pth'):
        (tmp_path / name).write_bytes((unbroken / name).read_bytes())
    pointer = tmp_path / 'last_checkpoint'
    # of a folder that was moved; cut off; of a file that is gone
    for text in ('/elsewhere/epoch_4.pth', '', 'epoch_9.pth'):
        pointer.write_text(text)
        assert latest_checkpoint(str(tmp_path)).endswith('epoch_4.pth'), text
    # one that is whole, but whose training had diverged
    content = load_checkpoint_file(unbroken / 'epoch_4.pth')
    next(iter(content['state_dict'].values())).fill_(float('nan'))
    torch.save(content, tmp_path / 'epoch_4.pth')
    assert latest_checkpoint(str(tmp_path)).endswith('epoch_3.pth')
    torch.save(dict(state_dict={}), tmp_path / 'epoch_3.pth')
    with pytest.raises(ValueError, match='no checkpoint in .* is complete'):
        latest_checkpoint(str(tmp_path))


def test_read_only_work_dir(config, tmp_path, repo_root, capsys):
    """Said before anything is built."""
    (tmp_path / 'file').write_text('not a folder')
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    work_dir = tmp_path / 'file' / 'work'
    with pytest.raises(OSError, match='file/work.*cannot be written.*--work'):
        run_train(
            parser.parse_args([str(config), '--work-dir',
                               str(work_dir)]))


def test_the_switch_happened(unbroken):
    """The span that is killed has what the test is about in it."""
    logs = sorted(unbroken.glob('2*/vis_data/scalars.json'))
    log = next(unbroken.glob('2*/*.log')).read_text()
    assert 'Switch loss at epoch 3' in log and logs
    assert 'accuracy: best' in log


def test_loads_without_arbitrary_pickles(unbroken):
    """MMEngine's records pass torch's safe loader once orsa is imported."""
    path = str(unbroken / 'epoch_4.pth')
    plain = torch.load(path, weights_only=True)
    content = load_checkpoint_file(path)
    assert content.keys() == plain.keys()
    assert content['message_hub']['log_scalars']
