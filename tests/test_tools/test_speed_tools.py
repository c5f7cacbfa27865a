# Copyright (c) orsa contributors. All rights reserved.
"""The work of ``tools/benchmarks``: stages, ranks, exported files."""
import argparse
import json

import cv2
import pytest
import torch.distributed as dist
from clean_fork import CONTEXT
from mmengine.config import Config
from mmengine.registry import DATASETS
from speed import export
from speed.data import make_samples
from speed.scale import make_ranks

from orsa.apis import init_model, predict_faces

FACES = 24


def test_transforms_are_stages(repo_root):
    work = make_samples(str(repo_root / 'configs/orsanet_demo.py'), count=3)
    cfg = Config.fromfile(repo_root / 'configs/orsanet_demo.py')
    names = {
        t['type'].split('.')[-1]
        for t in cfg.train_dataloader.dataset.pipeline
    }
    seconds = work()
    assert set(seconds) == {*names, 'rest'}
    assert min(seconds.values()) > 0


def test_ranks_step_together(repo_root, monkeypatch):
    """This process is rank 0, and starts the other."""
    monkeypatch.setattr('multiprocessing.get_context', lambda method: CONTEXT)
    work = make_ranks(
        str(repo_root / 'configs/orsanet_demo.py'),
        world_size=2,
        batch_size=2,
        size=64)
    try:
        for _ in range(2):
            seconds = work()
            assert min(seconds['waiting'], seconds['second pass']) > 0
        assert dist.get_world_size() == 2
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope='module')
def config(tmp_path_factory, repo_root, faces_dir):
    path = tmp_path_factory.mktemp('config') / 'few.py'
    path.write_text(
        f"_base_ = '{repo_root}/configs/orsanet_lite_rafdb.py'\n"
        f"test_dataloader = dict(dataset=dict(data_root='{faces_dir}', "
        f'indices={FACES}))\n')
    return str(path)


def test_exported_files_are_judged(config, repo_root, tmp_path, capsys):
    """Accuracies are those of the model by the usual API."""
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
    printed = capsys.readouterr().out
    assert 'images per second' in printed and f'{FACES} faces' in printed

    rows = json.loads((tmp_path / 'speed_accuracy.json').read_text())
    model = init_model(config, weights)
    dataset = DATASETS.build(model.cfg.test_dataloader.dataset)
    infos = [dataset.get_data_info(i) for i in range(FACES)]
    predictions = predict_faces(model,
                                [cv2.imread(i['img_path']) for i in infos])
    classes = model.dataset_meta['classes']
    right = sum(classes[i['gt_label']] == p.expression
                for i, p in zip(infos, predictions))
    assert [r['variant'] for r in rows] == ['eager', 'TorchScript']
    for row in rows:
        assert row['faces'] == FACES and row['equal'] == 1
        assert row['accuracy'] == pytest.approx(right / FACES)
    assert 0 < right
