# Copyright (c) orsa contributors. All rights reserved.
"""What a resumed training takes from where, and longer trainings."""
import argparse
import json
import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_resume import make_faces, plain_config
from test_start import content_of, train

from orsa.apis.testing import add_test_arguments
from orsa.apis.testing import test as run_test
from orsa.datasets.drawing import draw_face

FIVE = ('anger', 'happiness', 'neutral', 'sadness', 'surprise')
# of cases/mine.py, small
FEW = ('--no-validate', '--cfg-options',
       'default_hooks.checkpoint.save_best=None',
       'train_dataloader.batch_size=5', 'train_dataloader.num_workers=0')


def cosine(step, length, low=1e-5, high=1e-3):
    return low + (high - low) * (1 + math.cos(math.pi * step / length)) / 2


def rates(work_dir):
    """The learning rates that were logged, by iteration."""
    found = {}
    for path in sorted(work_dir.glob('2*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if 'lr' in record:
                assert record['lr'] == record.get('base_lr', record['lr'])
                found[record['step']] = record['lr']
    return found


def said(runner):
    folder = Path(runner.work_dir) / runner.timestamp
    return ' '.join(next(folder.glob('*.log')).read_text().split())


@pytest.fixture(scope='module')
def mine(tmp_path_factory):
    """Drawn faces as cases/mine.py has them: 10 to train on, 5 to validate."""
    root = tmp_path_factory.mktemp('mine')
    for i, name in enumerate(FIVE):
        for split, count in (('train', 2), ('val', 1)):
            folder = root / 'data/mine' / split / name
            folder.mkdir(parents=True)
            for k in range(count):
                rng = np.random.default_rng(i)
                face = draw_face(name, rng, 64)['img']
                cv2.imwrite(str(folder / f'{split}{i}{k}.png'), face)
    return root


@pytest.fixture(scope='module')
def short(mine, cases_dir):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(mine)
        train(cases_dir / 'short.py', mine / 'short', *FEW)
    return mine / 'short'


def resume(short, work_dir, config, *args):
    work_dir.mkdir(exist_ok=True)
    (work_dir / 'epoch_3.pth').write_bytes(
        (short / 'epoch_3.pth').read_bytes())
    return train(config, work_dir, '--resume', *args)


def test_longer_with_the_old_schedule(short, mine, cases_dir, tmp_path,
                                      monkeypatch):
    monkeypatch.chdir(mine)
    runner = resume(short, tmp_path, cases_dir / 'longer.py', *FEW)
    before = rates(short)
    assert before == pytest.approx({i + 1: cosine(i, 6)
                                    for i in range(6)},
                                   rel=1e-4)
    # MMEngine's way, as before
    assert rates(tmp_path) == pytest.approx(
        {i: before[6]
         for i in range(7, 13)}, rel=1e-4)
    text = said(runner)
    assert re.search(
        r'optimizer and schedules from the checkpoint \(CosineAnnealingLR\.'
        r'T_max=6, in the config 12; CosineAnnealingLR\.end=6, in the config '
        r'12\).*--rebuild-schedule', text)


def test_longer_with_a_rebuilt_schedule(short, mine, cases_dir, tmp_path,
                                        monkeypatch):
    """As if it had been the longer one from the beginning."""
    monkeypatch.chdir(mine)
    runner = resume(short, tmp_path, cases_dir / 'longer.py',
                    '--rebuild-schedule', *FEW,
                    'optim_wrapper.optimizer.weight_decay=0.1')
    assert rates(tmp_path) == pytest.approx(
        {i + 1: cosine(i, 12)
         for i in range(6, 12)}, rel=1e-4)
    text = said(runner)
    assert 'resuming takes learning rate and schedules from the config' in text
    assert 'weight_decay=0.05, in the config 0.1' in text
    saved = content_of(tmp_path / 'epoch_6.pth')
    assert saved['optimizer']['param_groups'][0]['weight_decay'] == 0.05


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    """A config of 5 iterations an epoch, and what writes one over it."""
    root = tmp_path_factory.mktemp('tiny')
    make_faces(root)
    text = plain_config(root).replace('logger=dict(interval=2)',
                                      'logger=dict(interval=1)')
    text += 'test_dataloader, test_evaluator, test_cfg = (val_dataloader,\n' \
        '    val_evaluator, dict())\n'

    def write(name, schedules, epochs=2):
        path = root / f'{name}.py'
        path.write_text(text.replace(
            "param_scheduler = dict(type='ExponentialLR', gamma=0.9)",
            f'param_scheduler = {schedules}').replace(
                'max_epochs=4', f'max_epochs={epochs}'))  # yapf: disable
        return path

    return write


QUICK = ('--no-validate', '--cfg-options',
         'default_hooks.checkpoint.save_best=None')


def test_chained_schedules_are_rebuilt(tiny, tmp_path):
    """By iterations and by epochs, a warm-up among them, and another lr."""
    config = tiny(
        'chained', """[
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=7),
    dict(type='ExponentialLR', gamma=0.7, by_epoch=True),
    dict(type='PolyLR', eta_min=1e-4, by_epoch=True,
         convert_to_iter_based=True)]""")
    whole = ('optim_wrapper.optimizer.lr=2e-2', 'train_cfg.max_epochs=4')
    train(config, tmp_path / 'whole', *QUICK, *whole)
    train(config, tmp_path / 'parts', *QUICK)
    train(config, tmp_path / 'parts', '--resume', '--rebuild-schedule', *QUICK,
          *whole)
    expected, found = rates(tmp_path / 'whole'), rates(tmp_path / 'parts')
    assert len(expected) == len(found) == 20
    for step, rate in expected.items():
        assert (found[step] == rate) == (step > 10)


def test_more_epochs_alone(tiny, tmp_path):
    longer = ('train_cfg.max_epochs=4', )
    config = tiny(
        'cosine', "dict(type='CosineAnnealingLR', T_max=3, eta_min=1e-5, "
        'convert_to_iter_based=True)', 3)
    runner = train(config, tmp_path / 'a', *QUICK, *longer)
    found = rates(tmp_path / 'a')
    assert 'param_scheduler end with epoch 3, and the training with epoch 4' \
        in said(runner)
    assert found[20] > 10 * found[16]  # a cosine comes back
    # nothing to say of what is as long, or has no length
    for schedules in ("dict(type='CosineAnnealingLR', T_max=4)",
                      "dict(type='ExponentialLR', gamma=0.9)", '[]'):
        config = tiny('as_long', schedules)
        runner = train(config, tmp_path / 'b', *QUICK)
        assert 'param_scheduler end' not in said(runner)


def test_loaders_without_workers(tiny, tmp_path):
    """Whatever a config says of workers, in training and in tests."""
    options = [
        f'{split}_dataloader.{setting}' for split in ('train', 'val', 'test')
        for setting in ('num_workers=0', 'persistent_workers=True',
                        'prefetch_factor=2', 'timeout=5',
                        'multiprocessing_context=fork')
    ]
    config = tiny('workers', '[]', 1)
    runner = train(config, tmp_path, '--cfg-options', *options)
    assert runner.train_dataloader.num_workers == 0
    parser = argparse.ArgumentParser()
    add_test_arguments(parser)
    metrics = run_test(
        parser.parse_args([
            str(config),
            str(tmp_path / 'epoch_1.pth'), '--work-dir',
            str(tmp_path / 'test'), '--cfg-options', *options
        ]))
    assert 0 <= metrics['accuracy'] <= 100
