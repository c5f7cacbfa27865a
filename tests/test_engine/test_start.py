# Copyright (c) orsa contributors. All rights reserved.
"""What a training or a test starts from, and what it refuses to start from."""
import argparse
import functools
import json
import multiprocessing
import os

import pytest
import torch
from test_resume import make_faces, plain_config

from orsa.apis import training
from orsa.apis.testing import add_test_arguments
from orsa.apis.testing import test as run_test
from orsa.apis.training import (add_train_arguments, latest_checkpoint,
                                resume_latest)
from orsa.apis.training import train as run_train
from orsa.utils.folder_lock import locked_folder

BY_ITERATION = """
train_cfg = dict(type='orsa.SAMIterBasedTrainLoop', max_iters=8,
                 val_interval=3, _delete_=True)
default_hooks.update(checkpoint=dict(by_epoch=False, interval=3))
param_scheduler = []
custom_hooks = []
"""


@pytest.fixture(scope='module')
def base(tmp_path_factory):
    root = tmp_path_factory.mktemp('start')
    make_faces(root)
    text = plain_config(root).replace('max_epochs=4', 'max_epochs=1')
    text += "test_dataloader, test_evaluator, test_cfg = (val_dataloader,\n" \
        "    val_evaluator, dict())\n"
    (root / 'config.py').write_text(text)
    (root / 'by_iteration.py').write_text(
        text.replace(
            "train_cfg = dict(type='orsa.SAMTrainLoop', "
            'max_epochs=1)', '') + BY_ITERATION.replace(', _delete_=True', ''))
    return root


def train(config, work_dir, *args):
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    return run_train(
        parser.parse_args(
            [str(config), '--work-dir',
             str(work_dir), *map(str, args)]))


@pytest.fixture(scope='module')
def trained(base):
    train(base / 'config.py', base / 'trained')
    return base / 'trained' / 'epoch_1.pth'


def content_of(path):
    return torch.load(path, weights_only=False)  # made here


def test_resuming_nothing_begins_with_load_from(base, trained, tmp_path,
                                                monkeypatch):
    """A job that always says ``--resume`` keeps the weights of its first."""
    from mmengine.runner import Runner
    loaded = []
    monkeypatch.setattr(
        Runner, 'train', lambda self: loaded.append(
            (self._load_from, self._resume)))
    option = ('--cfg-options', f'load_from={trained}')
    train(base / 'config.py', tmp_path, '--resume', *option)
    assert loaded.pop() == (str(trained), False)
    # what a copy of a work dir still points to is not followed
    (tmp_path / 'last_checkpoint').write_text(str(trained))
    train(base / 'config.py', tmp_path, '--resume')
    assert loaded.pop() == (None, False)
    (tmp_path / 'epoch_1.pth').write_bytes(trained.read_bytes())
    train(base / 'config.py', tmp_path, '--resume', *option)
    assert loaded.pop() == (str(tmp_path / 'epoch_1.pth'), True)


@pytest.mark.parametrize('place', ['optimizer', 'ema_state_dict'])
def test_what_has_diverged_is_passed_over(trained, tmp_path, place):
    (tmp_path / 'epoch_1.pth').write_bytes(trained.read_bytes())
    content = content_of(trained)
    if place == 'optimizer':
        state = next(iter(content['optimizer']['state'].values()))
        next(v for v in state.values() if v.numel() > 1).view(-1)[0] = 1e999
    else:
        next(v for v in content[place].values()
             if v.is_floating_point()).view(-1)[0] = float('nan')
    content['meta'].update(epoch=2, iter=10)
    torch.save(content, tmp_path / 'epoch_2.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_2.pth'))
    assert latest_checkpoint(str(tmp_path)).endswith('epoch_1.pth')
    (tmp_path / 'epoch_1.pth').unlink()
    from mmengine.config import Config
    with pytest.raises(ValueError, match=f'NaN or Inf.*{place}'):
        resume_latest(Config(dict(work_dir=str(tmp_path))))


def test_a_checkpoint_of_another_model_is_not_tested(base, trained, tmp_path):
    content = content_of(trained)
    state = content['state_dict']
    last = [key for key in state if key.startswith('head.')][-1]
    parser = argparse.ArgumentParser()
    add_test_arguments(parser)
    args = [str(base / 'config.py'), '', '--work-dir', str(tmp_path)]

    def test(state):
        args[1] = str(tmp_path / 'other.pth')
        torch.save(dict(content, state_dict=state), args[1])
        return run_test(parser.parse_args(args))

    for other, what in (({
            k: v
            for k, v in state.items() if k != last
    }, 'missing'), (dict(state, **{last: torch.zeros(3,
                                                     2)}), 'another shape')):
        with pytest.raises(ValueError, match=f'other.pth.*{what}: {last}'):
            test(other)
    assert not (tmp_path / 'metrics.json').exists()
    test(dict(state, more=torch.zeros(2)))
    assert (tmp_path / 'metrics.json').exists()


def test_no_prior_stays_random(base, trained, tmp_path):
    """The prior's own file is not asked for where ``load_from`` is given."""
    content = content_of(trained)
    state = content['state_dict']
    for part, good in (('backbone.landmark_prior', False), ('neck', True)):
        path = tmp_path / 'part.pth'
        torch.save(
            dict(state_dict={
                k: v
                for k, v in state.items() if not k.startswith(part)
            }), path)
        options = ('--cfg-options', f'load_from={path}',
                   'model.backbone.landmark_prior.checkpoint=nowhere.pth')
        if good:  # what is trained may begin anew
            train(base / 'config.py', tmp_path, '--max-iters', 1, *options)
            continue
        with pytest.raises(ValueError, match='part.pth.*landmark_prior'):
            train(base / 'config.py', tmp_path, *options)


def test_validations_by_iteration(base, tmp_path):
    train(base / 'by_iteration.py', tmp_path)
    record = json.loads((tmp_path / 'validation.json').read_text())
    assert sorted(record['iterations']) == ['3', '6', '8']
    assert record['summary']['accuracy']['last_iteration'] == 8
    # as if it had been killed in the validation of iteration 6
    for name in ('iter_8.pth', 'validation.json'):
        (tmp_path / name).unlink()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_6.pth'))
    (tmp_path / 'validation.json').write_text(
        json.dumps(dict(iterations={'3': record['iterations']['3']})))
    train(base / 'by_iteration.py', tmp_path, '--resume')
    again = json.loads((tmp_path / 'validation.json').read_text())
    assert again == record


@pytest.mark.parametrize('damage', ['', '{"epo', '[]', '{"epochs": [1]}'])
def test_a_damaged_record_is_no_reason_to_stop(base, trained, tmp_path,
                                               damage):
    (tmp_path / 'epoch_1.pth').write_bytes(trained.read_bytes())
    (tmp_path / 'validation.json').write_text(damage)
    runner = train(base / 'config.py', tmp_path, '--resume', '--cfg-options',
                   'train_cfg.max_epochs=2')
    log = next((tmp_path / runner.timestamp).glob('*.log')).read_text()
    assert 'validation.json' in log and 'is damaged' in log
    record = json.loads((tmp_path / 'validation.json').read_text())
    assert sorted(record['epochs']) == ['1', '2']


def test_another_optimizer_cannot_go_on(base, trained, tmp_path):
    (tmp_path / 'epoch_1.pth').write_bytes(trained.read_bytes())
    options = ('--resume', '--cfg-options', 'train_cfg.max_epochs=2')
    content = content_of(trained)
    for group in content['optimizer']['param_groups']:
        del group['amsgrad']  # as of a torch that did not know a flag
    torch.save(content, tmp_path / 'epoch_1.pth')
    train(base / 'config.py', tmp_path, *options)
    with pytest.raises(ValueError, match='epoch_2.pth. has no dampening, mom'):
        train(base / 'config.py', tmp_path, *options,
              'optim_wrapper.optimizer.type=SGD')


def test_a_work_dir_has_one_training(base, tmp_path, monkeypatch):
    context = multiprocessing.get_context('fork')
    mine, other = context.Pipe()

    def hold():
        with locked_folder(str(tmp_path)):
            other.send('locked')
            other.recv()

    process = context.Process(target=hold)
    process.start()
    assert mine.recv() == 'locked'
    monkeypatch.setattr(training, 'locked_folder',
                        functools.partial(locked_folder, patience=0.2))
    try:
        with pytest.raises(BlockingIOError, match=f'process {process.pid}'):
            train(base / 'config.py', tmp_path)
    finally:
        process.kill()
        process.join()
    assert os.listdir(tmp_path) == ['.lock']
    train(base / 'config.py', tmp_path)
