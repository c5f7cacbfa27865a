# Copyright (c) orsa contributors. All rights reserved.
"""Jobs of SLURM: its variables become those of torch."""
import os

import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config

from orsa.engine.distributed import prepare_distribution

OURS = ('MASTER_ADDR', 'MASTER_PORT', 'RANK', 'WORLD_SIZE', 'LOCAL_RANK')


@pytest.fixture
def job(monkeypatch, tmp_path):
    """The second of two tasks, on a node of its own; nothing is joined."""
    for name in OURS:
        # so that what is set meanwhile is taken back in the end
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    for name, value in dict(
            NODELIST='n[7-8]', PROCID='1', NTASKS='2', LOCALID='0').items():
        monkeypatch.setenv(f'SLURM_{name}', value)
    scontrol = tmp_path / 'scontrol'
    scontrol.write_text('#!/bin/sh\n[ "$*" = "show hostname n[7-8]" ] && '
                        'printf "n7\\nn8\\n"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv('PATH', f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    joined = []
    monkeypatch.setattr(dist, 'is_initialized', lambda: False)
    monkeypatch.setattr(dist, 'init_process_group',
                        lambda backend, **kwargs: joined.append(backend))
    yield joined
    for name in OURS:
        os.environ.pop(name, None)


def test_the_first_node_leads(job):
    cfg = Config(dict(launcher='slurm'))
    prepare_distribution(cfg)
    assert [os.environ[name]
            for name in OURS] == ['n7', '29500', '1', '2', '0']
    assert job == ['gloo'] and cfg.env_cfg.dist_cfg.backend == 'gloo'
    assert cfg.model_wrapper_cfg.device_ids is None


def test_what_is_said_comes_before_what_is_found(job, monkeypatch):
    monkeypatch.setenv('MASTER_ADDR', 'leader')
    prepare_distribution(
        Config(dict(launcher='slurm', env_cfg=dict(dist_cfg=dict(port=1234)))))
    assert os.environ['MASTER_ADDR'] == 'leader'
    assert os.environ['MASTER_PORT'] == '1234'


def test_srun_has_to_start_it(job, monkeypatch):
    monkeypatch.delenv('SLURM_PROCID')
    with pytest.raises(ValueError, match='SLURM_PROCID are not set.*srun'):
        prepare_distribution(Config(dict(launcher='slurm')))
    assert not job


def test_without_a_launcher_nothing_happens(job):
    cfg = Config(dict(launcher='none'))
    prepare_distribution(cfg)
    assert not job and 'model_wrapper_cfg' not in cfg
    assert not set(OURS) & set(os.environ)
