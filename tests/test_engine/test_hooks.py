# Copyright (c) orsa contributors. All rights reserved.
"""Hooks check, log and schedule what a config asks them to."""
import logging
from types import SimpleNamespace

import pytest
import torch
import torch.nn as nn

from orsa.engine import ModelCheckHook, SwitchRecipeHook, ValidationRecordHook
from orsa.engine.hooks.checkpoint_hook import CheckpointHook
from orsa.utils.classes import RAFDB_CLASSES, check_classes


class Model(nn.Module):

    def __init__(self, prior_mean):
        super().__init__()
        self.data_preprocessor = nn.Module()
        self.data_preprocessor.register_buffer(
            'mean',
            torch.tensor([1., 2., 3.]).view(-1, 1, 1))
        self.prior = nn.Module()
        self.prior.input_mean = prior_mean


def test_normalisation_of_a_prior():
    hook = ModelCheckHook()
    hook.before_run(SimpleNamespace(model=Model((1., 2., 3.))))
    with pytest.raises(ValueError, match=r'prior.input_mean.*3.5.*differs'):
        hook.before_run(SimpleNamespace(model=Model((1., 2., 3.5))))
    # a preprocessor that normalises nothing, or gives BGR
    model = Model((1., 2., 3.))
    model.data_preprocessor.to_rgb = False
    with pytest.raises(ValueError, match='prior expects RGB'):
        hook.before_run(SimpleNamespace(model=model))
    model = Model((1., 2., 3.))
    model.data_preprocessor = nn.Module()
    with pytest.raises(ValueError, match='prior.input_mean.*differs'):
        hook.before_run(SimpleNamespace(model=model))
    model.prior.input_mean, model.prior.input_std = (0., ) * 3, (1., ) * 3
    hook.before_run(SimpleNamespace(model=model))


def test_order_of_classes():
    check_classes(RAFDB_CLASSES, RAFDB_CLASSES)
    with pytest.raises(ValueError, match='another order'):
        check_classes(RAFDB_CLASSES[::-1], RAFDB_CLASSES)
    with pytest.raises(ValueError, match='other names'):
        check_classes(('yes', 'no'), RAFDB_CLASSES)
    with pytest.warns(UserWarning, match='no class names'):
        check_classes(None, RAFDB_CLASSES)


def test_checkpoint_of_another_order_is_refused():
    dataset = SimpleNamespace(metainfo=dict(classes=('a', 'b')))
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset))
    runner = SimpleNamespace(
        _train_loop=loop,
        _val_loop={},
        _test_loop=None,
        _resume=False,
        _load_from='x.pth',
        model=torch.nn.Identity())
    hook = ModelCheckHook()
    good = dict(meta=dict(dataset_meta=dict(classes=('a', 'b'))))
    hook.after_load_checkpoint(runner, good)
    bad = dict(meta=dict(dataset_meta=dict(classes=('b', 'a'))))
    with pytest.raises(ValueError, match='another order'):
        hook.after_load_checkpoint(runner, bad)


def test_record_tells_best_last_and_mean(tmp_path):
    hook = ValidationRecordHook(last=2)
    runner = SimpleNamespace(work_dir=str(tmp_path), _train_loop=object())
    for epoch, accuracy in enumerate((50., 70., 60., 64.), 1):
        runner.epoch = epoch
        hook.after_val_epoch(runner,
                             dict(accuracy=accuracy, ece=accuracy / 10))
    summary = hook.summary()
    assert summary['accuracy'] == dict(
        best=70.,
        best_epoch=2,
        last=64.,
        last_epoch=4,
        mean_last=62.,
        mean_of=2)
    assert summary['ece']['best_epoch'] == 1  # less is better
    assert (tmp_path / 'validation.json').exists()


def test_record_of_other_metrics(tmp_path):
    for key, values, best in (('300-W/NME', (.3, .05, .1), 2),
                              ('accuracy/top1', (50., 40., 60.), 3)):
        hook = ValidationRecordHook()
        runner = SimpleNamespace(work_dir=str(tmp_path), _train_loop=object())
        for epoch, value in enumerate(values, 1):
            runner.epoch = epoch
            hook.after_val_epoch(runner, {key: value})
        assert hook.summary()[key]['best_epoch'] == best


def test_the_loss_switches_under_ddp(tmp_path):
    """mmpretrain's own hook fails here."""
    import torch.distributed as dist
    from mmengine.model import MMDistributedDataParallel

    class Classifier(nn.Module):

        def __init__(self):
            super().__init__()
            self.head = nn.Linear(2, 2)
            self.head.loss_module = nn.CrossEntropyLoss()

    dist.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/sync', rank=0, world_size=1)
    try:
        model = MMDistributedDataParallel(Classifier())
        hook = SwitchRecipeHook(
            [dict(action_epoch=2, loss=dict(type='orsa.DARELoss'))])
        scalars = {'train/loss_ls': 1, 'train/lr': 2}
        runner = SimpleNamespace(
            model=model,
            epoch=1,
            logger=SimpleNamespace(info=print),
            message_hub=SimpleNamespace(log_scalars=scalars))
        hook.before_train_epoch(runner)
        # the log forgets the terms that are gone
        assert scalars == {'train/lr': 2}
        assert type(model.module.head.loss_module).__name__ == 'DARELoss'
    finally:
        dist.destroy_process_group()
    runner.model = nn.Linear(1, 1)
    with pytest.raises(RuntimeError, match='no loss_module'):
        hook.before_train_epoch(runner)


class Metric:
    """A metric that matches classes by name."""
    model_classes = None


def test_checkpoint_of_other_classes_is_tested_by_name(monkeypatch):
    told = []
    monkeypatch.setattr('orsa.engine.hooks.model_check_hook.print_log',
                        lambda message, **kwargs: told.append(message))

    def load(names, *metrics, train=None, data=('a', 'b', 'c'), old=None):
        dataset = SimpleNamespace(metainfo=dict(classes=data) if data else {})
        loop = SimpleNamespace(
            dataloader=SimpleNamespace(dataset=dataset),
            evaluator=SimpleNamespace(metrics=metrics))
        runner = SimpleNamespace(
            _train_loop=loop if train else dict(max_epochs=1),
            _val_loop={},
            _test_loop=loop,
            _resume=False,
            _load_from='x.pth',
            model=torch.nn.Identity())
        meta = dict(dataset_meta=dict(classes=names)) if names else {}
        if old:
            meta['CLASSES'] = old
        ModelCheckHook().after_load_checkpoint(runner, dict(meta=meta))
        return metrics[0].model_classes

    assert load(('c', 'a', 'd'), Metric()) == ('c', 'a', 'd')
    assert 'by name: a, c' in told[0]
    assert "model's classes d" in told[0] and "data's classes, with" in told[0]
    # the checkpoint knows better than a config
    metric = Metric()
    metric.model_classes = ('b', 'a', 'c')
    assert load(('a', 'b', 'c'), metric) == ('a', 'b', 'c')
    assert len(told) == 1
    # without names the config's are all there is, which is said
    metric.model_classes = ('b', 'a', 'c')
    with pytest.warns(UserWarning, match='no class names.*b, a, c'):
        assert load(None, metric) == ('b', 'a', 'c')
    assert 'the order alone' in told[1]
    # mmcls 0.x
    told.clear()
    metric.model_classes = None
    assert load(None, metric, data=None, old=('b', 'c')) == ('b', 'c')
    with pytest.raises(ValueError, match='x.pth.*no class names'):
        load(None, Metric(), data=None)
    # a metric that goes by index, and training, are refused
    with pytest.raises(ValueError, match='other names'):
        load(('c', 'a', 'd'), Metric(), object())
    with pytest.raises(ValueError, match='another order'):
        load(('c', 'a', 'b'), Metric(), train=True)
    with pytest.raises(ValueError, match='no class in common'):
        load(('x', 'y'), Metric())


@pytest.mark.parametrize('more', [0, 1])
def test_what_a_killed_process_left_is_removed_and_no_more(tmp_path, more):
    hook = CheckpointHook(interval=1, max_keep_ckpts=2)
    hook.out_dir, hook.keep_ckpt_ids = str(tmp_path), [4, 5]
    hook.filename_tmpl = 'epoch_{}.pth'
    for epoch in range(3 - more, 6):
        (tmp_path / f'epoch_{epoch}.pth').touch()
    hook._clear_up(
        SimpleNamespace(_resume=True, logger=logging.getLogger('orsa')))
    left = sorted(int(p.stem[6:]) for p in tmp_path.iterdir())
    assert left == ([2, 3, 4, 5] if more else [4, 5])
