# Copyright (c) orsa contributors. All rights reserved.
"""``tools/train.py`` and ``tools/test.py`` work, and name what fails."""
import argparse
import json
import pickle

import cv2
import numpy as np
import pytest
from mmengine.config import Config, ConfigDict

from orsa import cli
from orsa.apis.training import add_train_arguments, set_amp

SMALL = """
_base_ = 'orsa::_base_/default_runtime.py'
pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=4, num_workers=0,
    sampler=dict(type='orsa.ClassBalancedSampler'),
    dataset=dict(type='orsa.FERDataset', data_root='{root}',
                 ann_file='list.txt', pipeline=pipeline))
val_dataloader = dict(
    batch_size=5, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='orsa.FERDataset', data_root='{root}', test_mode=True,
                 ann_file='list.txt', pipeline=pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='orsa.FERMetric')
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
train_cfg = dict(type='orsa.SAMTrainLoop', max_epochs=3)
custom_hooks = [dict(type='ClassNumCheckHook')]
optim_wrapper = dict(type='orsa.SAMOptimWrapper',
                     optimizer=dict(type='Adam', lr=1e-3))
small = dict(type='orsa.IRNet', arch=dict(depths=(1, 1), channels=(8, 16)))
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        num_classes=7, mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375], to_rgb=True),
    backbone=dict(
        type='orsa.ORSANet', image_encoder=small, image_size=32,
        embed_dims=16, grid=4, allow_untrained=True,
        parsing_prior=dict(
            type='orsa.ParsingPrior', output='probs', num_classes=11,
            model=dict(
                type='mmseg.EncoderDecoder', backbone=small,
                decode_head=dict(
                    type='FCNHead', in_channels=16, channels=8, num_convs=1,
                    num_classes=11, concat_input=False)))),
    neck=dict(
        type='orsa.ORSANetNeck',
        parsing_encoder=dict(type='orsa.MapEncoder', in_channels=11,
                             out_channels=8, grid=4, halvings=1),
        semantic_guidance=dict(type='orsa.SemanticGuidance', in_channels=16,
                               condition_channels=8)),
    head=dict(type='orsa.DAREHead', num_classes=7, in_channels=16))
"""


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    root = tmp_path_factory.mktemp('faces')
    rng = np.random.default_rng(0)
    lines = []
    for i, name in enumerate(['anger'] * 7 + ['fear'] * 6 + ['neutral'] * 8):
        cv2.imwrite(
            str(root / f'{i}.png'),
            rng.integers(0, 255, (32, 32, 3), dtype=np.uint8))
        lines.append(f'{i}.png {name}')
    (root / 'list.txt').write_text('\n'.join(lines))
    path = root / 'small.py'
    path.write_text(SMALL.replace('{root}', str(root)))
    return path


@pytest.fixture(scope='module')
def tool(commands, repo_root, tmp_path_factory):
    """Runs a script of tools/ in a process of its own."""
    folder = tmp_path_factory.mktemp('cwd')
    return lambda name, *args: commands.run(
        ['python', str(repo_root / 'tools' / name), *map(str, args)], folder)


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory, tool):
    """Two iterations; an 11-class prior inside a 7-class model passes
    mmpretrain's ClassNumCheckHook on the way."""
    work = tmp_path_factory.mktemp('work')
    done = tool('train.py', config, '--work-dir', work, '--max-iters', 2,
                '--amp')
    assert done.code == 0, done.output[-3000:]
    return work, done.output


def test_train_cut_short(trained):
    work, log = trained
    assert (work / 'epoch_1.pth').exists()
    assert not (work / 'epoch_2.pth').exists()
    lines = [
        json.loads(line)
        for line in next(work.glob('2*/vis_data/scalars.json')).open()
    ]
    train = [r for r in lines if 'loss' in r]
    assert [r['iter'] for r in train] == [1, 2]
    assert 50 < train[0]['memory'] < 20_000  # in MiB
    assert train[0]['time'] > 0
    assert 'sharpness' in train[0]
    # --amp changes the precision of SAM's wrapper, not its type
    dumped = Config.fromfile(next(work.glob('small.py')))
    assert dumped.optim_wrapper.type == 'orsa.SAMOptimWrapper'
    assert dumped.optim_wrapper.dtype in ('bfloat16', 'float16')


def test_test_writes_its_report(config, trained, tmp_path, tool):
    checkpoint = trained[0] / 'epoch_1.pth'
    done = tool('test.py', config, checkpoint, '--work-dir', tmp_path, '--out',
                tmp_path / 'pred.pkl')
    assert done.code == 0, done.output[-3000:]
    report = json.loads((tmp_path / 'metrics.json').read_text())
    matrix = np.array(report['confusion_matrix'])
    assert report['num_samples'] == 21 == matrix.sum()
    assert report['num_skipped'] == 0
    assert len(report['classes']) == 7 and len(matrix) == 7
    assert report['accuracy'] == pytest.approx(100 * matrix.trace() / 21)
    for name in ('uar', 'macro_f1', 'ece', 'per_class'):
        assert name in report
    with open(tmp_path / 'pred.pkl', 'rb') as file:
        assert len(pickle.load(file)) == 21


def test_max_samples_are_spread(config, trained, tmp_path, tool):
    checkpoint = trained[0] / 'epoch_1.pth'
    done = tool('test.py', config, checkpoint, '--work-dir', tmp_path,
                '--max-samples', 3)
    assert done.code == 0, done.output[-3000:]
    report = json.loads((tmp_path / 'metrics.json').read_text())
    counts = np.array(report['confusion_matrix']).sum(1)
    # first, middle and last of a list that is sorted by class
    present = dict(zip(report['classes'], counts.tolist()))
    assert (present['anger'], present['fear'], present['neutral']) == (1, 1, 1)


def test_dry_run_describes_and_stops(config, tmp_path, tool):
    done = tool('train.py', config, '--work-dir', tmp_path, '--dry-run')
    assert done.code == 0, done.output[-3000:]
    assert 'train: 21 samples, 6 batches of 4' in done.output
    assert 'batch after preprocessing: (4, 3, 32, 32)' in done.output
    line = next(s for s in done.output.splitlines()
                if s.startswith('backbone.parsing_prior'))
    assert line.split()[1] == '0' and line.split()[2] != '0'
    assert not list(tmp_path.iterdir())


def test_dry_run_names_every_missing_file(tmp_path, monkeypatch, capsys):
    """The published model's three files, of which the machine has none."""
    monkeypatch.chdir(tmp_path)
    config = tmp_path / 'mine.py'
    config.write_text("""
_base_ = 'orsa::orsanet_rafdb.py'
faces = dict(
    _delete_=True, type='orsa.SyntheticFaces', num_samples=4, size=224,
    pipeline=[dict(type='orsa.DrawSyntheticFace'), dict(type='PackInputs')])
train_dataloader = dict(batch_size=1, num_workers=0, persistent_workers=False,
                        dataset=faces)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=faces)
test_dataloader = val_dataloader
""")
    with pytest.raises(SystemExit) as stopped:
        cli.main(['train', str(config), '--dry-run'])
    lines = str(stopped.value.code).splitlines()
    assert len(lines) == 4
    expected = [('image_encoder', 'ir50.pth', 'POSTER++'),
                ('parsing_prior', 'segface_swin_b_lapa.pth', 'SegFace'),
                ('landmark_prior', 'mobilefacenet.pth', 'cunjian')]
    for line, (part, file, source) in zip(lines[1:], expected):
        assert line.startswith(
            f"  backbone.{part}: there is no file 'checkpoints/{file}'. ")
        assert source in line
    assert 'backbone.landmark_prior' in capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir()] == ['mine.py']
    # a checkpoint replaces these files, but may be missing itself
    config.write_text(config.read_text().replace('orsanet_rafdb',
                                                 'orsanet_lite_rafdb').replace(
                                                     '224', '64'))
    with pytest.raises(SystemExit) as stopped:
        cli.main([
            'train', str(config), '--dry-run', '--cfg-options',
            'model.backbone.parsing_prior.checkpoint=nowhere.pth',
            'load_from=missing.pth'
        ])  # yapf: disable
    assert str(stopped.value.code).splitlines()[1:] == [
        "  load_from: there is no file 'missing.pth'"
    ]


def test_missing_checkpoint(config, tmp_path, tool):
    done = tool('test.py', config, tmp_path / 'no.pth')
    assert done.code != 0
    assert 'no.pth' in done.output


def test_amp_refuses_other_wrappers():
    with pytest.raises(ValueError, match='does not know ApexOptimWrapper'):
        set_amp(ConfigDict(optim_wrapper=dict(type='ApexOptimWrapper')))


def test_max_iters_must_be_positive(config, tmp_path):
    from orsa.apis.training import train
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    args = parser.parse_args(
        [str(config), '--max-iters', '0', '--work-dir',
         str(tmp_path)])
    with pytest.raises(ValueError, match='--max-iters'):
        train(args)
