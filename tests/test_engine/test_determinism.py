# Copyright (c) orsa contributors. All rights reserved.
"""The same weights in every run, whatever reads the data."""
import argparse

import pytest
import torch
from test_resume import make_faces, plain_config

from orsa.apis import training


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    root = tmp_path_factory.mktemp('faces')
    make_faces(root)
    text = plain_config(root, workers=True)
    path = root / 'config.py'
    path.write_text(text)
    return path


def weights(config, work_dir, workers):
    parser = argparse.ArgumentParser()
    training.add_train_arguments(parser)
    args = parser.parse_args([
        str(config), '--deterministic', '--max-iters', '7', '--no-validate',
        '--work-dir',
        str(work_dir), '--cfg-options',
        f'train_dataloader.num_workers={workers}',
        f'train_dataloader.persistent_workers={workers > 0}',
        f'experiment_name=workers_{workers}'
    ])
    try:
        runner = training.train(args)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    return runner.model.state_dict()


def test_any_number_of_workers(config, tmp_path):
    first = weights(config, tmp_path / '0', 0)
    for workers in (1, 3):
        other = weights(config, tmp_path / str(workers), workers)
        for key, value in first.items():
            assert torch.equal(value, other[key]), (workers, key)
