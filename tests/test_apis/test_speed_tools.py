# Copyright (c) orsa contributors. All rights reserved.
"""What the scripts of ``tools/benchmarks`` do in their processes."""
import argparse

import cv2
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS
from speed import export
from speed.data import make_samples
from speed.turns import take_turns

from orsa.apis import init_model, predict_faces

FACES = 24


def test_samples_tell_their_transforms(repo_root):
    work = make_samples(str(repo_root / 'configs/orsanet_demo.py'), count=3)
    cfg = Config.fromfile(repo_root / 'configs/orsanet_demo.py')
    names = {
        t['type'].split('.')[-1]
        for t in cfg.train_dataloader.dataset.pipeline
    }
    seconds = work()
    assert set(seconds) == {*names, 'rest'}
    assert min(seconds.values()) > 0


def test_ranks_step_together(repo_root):
    timing = take_turns(
        'speed.scale:make_ranks',
        dict(
            two=dict(
                config=str(repo_root / 'configs/orsanet_demo.py'),
                world_size=2,
                batch_size=2,
                size=64)),
        rounds=2,
        warmup=0)['two']
    assert len(timing.seconds['waiting']) == 2
    assert min(timing.seconds['second pass']) > 0


@pytest.fixture(scope='module')
def config(tmp_path_factory, repo_root, faces_dir):
    path = tmp_path_factory.mktemp('config') / 'few.py'
    path.write_text(
        f"_base_ = '{repo_root}/configs/orsanet_lite_rafdb.py'\n"
        f"test_dataloader = dict(dataset=dict(data_root='{faces_dir}', "
        f'indices={FACES}))\n')
    return str(path)


def test_exported_files_are_judged(config, repo_root, tmp_path, capsys):
    """Accuracies against those of the model, asked on the usual way."""
    weights = str(repo_root / 'orsa/zoo/orsanet_lite.pth')
    parser = argparse.ArgumentParser()
    export.add_arguments(parser)
    args = parser.parse_args([
        config, weights, '--files',
        str(tmp_path), '--variants', 'TorchScript', '--rounds', '2',
        '--accuracy', '--json',
        str(tmp_path / 'speed.json')
    ])
    export.benchmark(args)
    assert (tmp_path / 'model.pt').is_file()
    said = capsys.readouterr().out
    assert 'pictures a second' in said and f'{FACES} faces' in said

    rows = export.accuracies(config, weights,
                             dict(TorchScript=str(tmp_path / 'model.pt')))
    model = init_model(config, weights)
    dataset = DATASETS.build(model.cfg.test_dataloader.dataset)
    infos = [dataset.get_data_info(i) for i in range(FACES)]
    answers = predict_faces(model, [cv2.imread(i['img_path']) for i in infos])
    classes = model.dataset_meta['classes']
    right = sum(classes[i['gt_label']] == a.expression
                for i, a in zip(infos, answers))
    assert [r['variant'] for r in rows] == ['eager', 'TorchScript']
    for row in rows:
        assert row['faces'] == FACES and row['equal'] == 1
        assert row['accuracy'] == pytest.approx(right / FACES)
    assert 0 < right
