# Copyright (c) orsa contributors. All rights reserved.
"""Distributed training on machines without a GPU."""
import os
from datetime import timedelta
from numbers import Real

import torch
import torch.distributed as dist
from mmengine.config import Config

from .rank_guard import watch_ranks

# Seconds that ranks wait for each other; torch's own is 30 minutes for gloo
# and 10 for NCCL.
TIMEOUT = 600
_SLURM = ('SLURM_NODELIST', 'SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID')


def _slurm_environment(port: int = 29500) -> None:
    """Translate SLURM's variables into those of torch's launcher."""
    lacking = [name for name in _SLURM if name not in os.environ]
    if lacking:
        raise ValueError(f'launcher slurm: {", ".join(lacking)} are not set: '
                         'start it with srun, or take --launcher pytorch and '
                         'torchrun')
    nodes = os.environ['SLURM_NODELIST']
    if 'MASTER_ADDR' not in os.environ:
        import subprocess
        os.environ['MASTER_ADDR'] = subprocess.check_output(
            ['scontrol', 'show', 'hostname', nodes], text=True).split()[0]
    os.environ.setdefault('MASTER_PORT', str(port))
    os.environ['RANK'] = os.environ['SLURM_PROCID']
    os.environ['WORLD_SIZE'] = os.environ['SLURM_NTASKS']
    os.environ['LOCAL_RANK'] = os.environ['SLURM_LOCALID']


def _part(cfg: Config, name: str) -> Config:
    """A dict of a config; ``setdefault`` would give a copy of a new one."""
    if cfg.get(name) is None:
        cfg[name] = dict()
    return cfg[name]


def rank_timeout(cfg: Config) -> float:
    """How long ranks wait for each other, in seconds.

    Args:
        cfg (Config): The experiment; without ``env_cfg.dist_cfg.timeout`` it
            gets :data:`TIMEOUT`.

    Raises:
        ValueError: If it is not a positive number.
    """
    settings = _part(_part(cfg, 'env_cfg'), 'dist_cfg')
    timeout = settings.setdefault('timeout', TIMEOUT)
    if (not isinstance(timeout, Real) or isinstance(timeout, bool)
            or not 0 < timeout < float('inf')):
        raise ValueError('env_cfg.dist_cfg.timeout should be a positive number'
                         f' of seconds, but is {timeout!r}')
    return float(timeout)


def prepare_cpu_distribution(cfg: Config) -> None:
    """Let a Runner train several processes where there is no GPU.

    MMEngine's ``init_dist`` asks for a GPU and its default wrapper names one
    to DDP. This joins a gloo group before the Runner is built and gives the
    config a wrapper without devices. With a GPU it only sees to the timeout,
    without a launcher it does nothing.

    Args:
        cfg (Config): The experiment; ``model_wrapper_cfg`` and
            ``env_cfg.dist_cfg`` are set in place.

    Raises:
        ValueError: If ``env_cfg.dist_cfg.timeout`` is no positive number, or
            the launcher is SLURM's and srun has not started this.
    """
    if cfg.get('launcher', 'none') == 'none':
        return
    timeout = rank_timeout(cfg)
    if torch.cuda.is_available():
        return
    if not dist.is_initialized():
        if cfg.launcher == 'slurm':
            _slurm_environment(cfg.env_cfg.dist_cfg.get('port') or 29500)
        dist.init_process_group('gloo', timeout=timedelta(seconds=timeout))
    cfg.env_cfg.dist_cfg['backend'] = 'gloo'
    wrapper = cfg.get('model_wrapper_cfg') or dict(
        type='mmengine.MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False))
    wrapper['device_ids'] = None
    cfg.model_wrapper_cfg = wrapper


def guard_ranks(cfg: Config) -> None:
    """Start the guard that names a rank that hangs, once there is a group.

    Args:
        cfg (Config): The experiment; gets a :class:`orsa.RankCheckHook`,
            which tells the guard of every iteration, if it has none.
    """
    if cfg.get('launcher', 'none') == 'none':
        return
    _part(cfg, 'default_hooks').setdefault('rank_check',
                                           dict(type='orsa.RankCheckHook'))
    watch_ranks(rank_timeout(cfg))
