# Copyright (c) orsa contributors. All rights reserved.
"""Distributed training on machines without a GPU."""
import os

import torch
import torch.distributed as dist
from mmengine.config import Config


def _slurm_environment(port: int = 29500) -> None:
    """Translate SLURM's variables into those of torch's launcher."""
    nodes = os.environ['SLURM_NODELIST']
    if 'MASTER_ADDR' not in os.environ:
        import subprocess
        os.environ['MASTER_ADDR'] = subprocess.check_output(
            ['scontrol', 'show', 'hostname', nodes], text=True).split()[0]
    os.environ.setdefault('MASTER_PORT', str(port))
    os.environ['RANK'] = os.environ['SLURM_PROCID']
    os.environ['WORLD_SIZE'] = os.environ['SLURM_NTASKS']
    os.environ['LOCAL_RANK'] = os.environ['SLURM_LOCALID']


def prepare_cpu_distribution(cfg: Config) -> None:
    """Let a Runner train several processes where there is no GPU.

    MMEngine's ``init_dist`` asks for a GPU and its default wrapper names one
    to DDP. This joins a gloo group before the Runner is built and gives the
    config a wrapper without devices. With a GPU, or without a launcher, it
    does nothing.

    Args:
        cfg (Config): The experiment; ``model_wrapper_cfg`` and
            ``env_cfg.dist_cfg.backend`` are set in place.
    """
    if cfg.get('launcher', 'none') == 'none' or torch.cuda.is_available():
        return
    if not dist.is_initialized():
        if cfg.launcher == 'slurm':
            _slurm_environment()
        dist.init_process_group('gloo')
    env = cfg.setdefault('env_cfg', dict())
    env.setdefault('dist_cfg', dict())['backend'] = 'gloo'
    wrapper = cfg.get('model_wrapper_cfg') or dict(
        type='mmengine.MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False))
    wrapper['device_ids'] = None
    cfg.model_wrapper_cfg = wrapper
