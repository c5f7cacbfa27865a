# Copyright (c) orsa contributors. All rights reserved.
"""ORSANet-lite on FER+ as released: a training and tests, both short."""
import argparse
import json

import pytest
import torch

from orsa.apis import testing, training

CONFIG = """
_base_ = 'orsa::orsanet_lite_ferplus.py'
train_cfg = dict(max_epochs=2)
train_dataloader = dict(batch_size=8, num_workers=0, persistent_workers=False,
                        dataset=dict(indices=list(range(0, 160, 10))))
val_dataloader = dict(num_workers=0, persistent_workers=False,
                      dataset=dict(indices=8))
test_dataloader = dict(num_workers=0, persistent_workers=False)
custom_hooks = [dict(type='orsa.SwitchRecipeHook', schedule=[
    dict(action_epoch=2, loss={{_base_.dynamic_loss}})])]
"""


def call(add_arguments, run, *arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args([str(a) for a in arguments]))


@pytest.fixture(scope='module')
def trained(ferplus_dir, tmp_path_factory):
    """Its config and its work dir, of two epochs on votes."""
    root = tmp_path_factory.mktemp('ferplus')
    (root / 'config.py').write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ORSA_FERPLUS', str(ferplus_dir))
        call(training.add_train_arguments, training.train, root / 'config.py',
             '--work-dir', root / 'work')
    return root


def test_the_loss_of_votes(trained):
    log, = trained.glob('work/*/vis_data/scalars.json')
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    terms = [{k for k in row if k.startswith('loss_')} for row in rows]
    assert {'loss_ce', 'loss_ls'} in terms and {'loss_ce', 'loss_dare'
                                                } in terms
    checkpoint = torch.load(
        trained / 'work/epoch_2.pth', weights_only=False)['meta']
    assert len(checkpoint['dataset_meta']['classes']) == 8


@pytest.mark.parametrize('name, duplicates', [
    ('jianfei_occlusion_list', True),
    ('pose_30_ferplus_list', False),
    ('pose_45_ferplus_list', False),
])
def test_figures_on_the_lists(trained, ferplus_dir, tmp_path, monkeypatch,
                              capsys, name, duplicates):
    monkeypatch.setenv('ORSA_FERPLUS', str(ferplus_dir))
    options = [f'test_dataloader.dataset.subset_file=lists/{name}.txt']
    if not duplicates:  # reading all of training takes a while
        options.append('test_dataloader.dataset.duplicates_of=None')
    call(testing.add_test_arguments, testing.test, trained / 'config.py',
         trained / 'work/epoch_2.pth', '--work-dir', tmp_path, '--max-samples',
         120, '--cfg-options', *options)
    report = json.loads((tmp_path / 'metrics.json').read_text())
    assert report['num_samples'] == 120
    printed = capsys.readouterr().out
    assert ('without_duplicates/accuracy: ' in printed) == duplicates
    assert ('without_duplicates' in report) == duplicates
    if duplicates:
        without = report['without_duplicates']
        assert 0 < without['num_left_out'] < 30
        assert without['num_samples'] == 120 - without['num_left_out']
