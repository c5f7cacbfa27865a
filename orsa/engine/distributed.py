# Copyright (c) orsa contributors. All rights reserved.
"""Several processes: joining a group without a GPU, and leaving it."""
import functools
import os
import signal
import threading
import time
from datetime import timedelta
from typing import Any, Callable

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dataset import InfiniteSampler
from torch.distributed.elastic.multiprocessing.errors import record

# Seconds that ranks wait for each other; torch's own are 30 minutes for gloo
# and 10 for NCCL.
TIMEOUT = 600
_SLURM = ('SLURM_NODELIST', 'SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID')


def rank_from_environment() -> int:
    """The rank that the launcher gave, -1 if there is none."""
    for name in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
        if os.environ.get(name, '').isdigit():
            return int(os.environ[name])
    return -1


def _slurm_environment(port: int) -> None:
    """Translate SLURM's variables into those of torch's launcher."""
    missing = [name for name in _SLURM if name not in os.environ]
    if missing:
        raise ValueError(f'launcher slurm: {", ".join(missing)} are not set: '
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


def prepare_distribution(cfg: Config) -> None:
    """Let a Runner train several processes, where there is no GPU too.

    MMEngine's ``init_dist`` asks for a GPU and its default wrapper names one
    to DDP. Without one this joins a gloo group before the Runner is built and
    gives the config a wrapper without devices. With a GPU it sets the timeout
    only, without a launcher it does nothing.

    Args:
        cfg (Config): The experiment; ``model_wrapper_cfg`` and
            ``env_cfg.dist_cfg`` are set in place.

    Raises:
        ValueError: If ``env_cfg.dist_cfg.timeout`` is no positive number, or
            the launcher is SLURM's and srun has not started this.
    """
    if cfg.get('launcher', 'none') == 'none':
        return
    settings = (cfg.get('env_cfg') or {}).get('dist_cfg') or {}
    timeout = settings.get('timeout', TIMEOUT)
    if isinstance(timeout, (bool, str)) or not 0 < timeout < float('inf'):
        raise ValueError('env_cfg.dist_cfg.timeout should be a positive number'
                         f' of seconds, but is {timeout!r}')
    cfg.merge_from_dict({'env_cfg.dist_cfg.timeout': timeout})
    if torch.cuda.is_available():
        return
    if not dist.is_initialized():
        if cfg.launcher == 'slurm':
            _slurm_environment(settings.get('port') or 29500)
        elif cfg.launcher == 'mpi':
            raise ValueError('launcher mpi needs a GPU: take --launcher '
                             'pytorch and torchrun')
        dist.init_process_group('gloo', timeout=timedelta(seconds=timeout))
    cfg.env_cfg.dist_cfg['backend'] = 'gloo'
    wrapper = cfg.get('model_wrapper_cfg') or dict(
        type='mmengine.MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False))
    wrapper['device_ids'] = None
    cfg.model_wrapper_cfg = wrapper


def leave_group() -> None:
    """Leave the process group, if there is one, when all is done.

    A thread of gloo that is still putting away the last collective while the
    interpreter ends aborts the process, and the launcher takes a training
    that was done for one that failed. Models hold on to the group, so that
    leaving it does not end its threads: they are given half a second.
    """
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
        time.sleep(0.5)


def rank_main(function: Callable) -> Callable:
    """Let ``torchrun`` show the error of the rank that failed first.

    torch's ``record`` writes an error where the launcher looks for it. When
    the function is done the process group is left. After an error SIGTERM, by
    which the launcher ends ranks, does again what it did before: a training
    may have deferred it. With the launcher 'none' nothing is changed.

    Args:
        function (Callable): Takes an ``argparse.Namespace`` with
            ``launcher``.

    Returns:
        Callable: The same with this around it.
    """

    @functools.wraps(function)
    def wrapper(args, *more, **kwargs) -> Any:
        if getattr(args, 'launcher', 'none') == 'none':
            return function(args, *more, **kwargs)
        # another thread can set none
        on_main = threading.current_thread() is threading.main_thread()
        before = signal.getsignal(signal.SIGTERM)
        try:
            result = record(function)(args, *more, **kwargs)
        except SystemExit:  # of all ranks together, see PreemptionHook
            leave_group()
            raise
        except BaseException:
            if on_main:
                signal.signal(signal.SIGTERM, before)
                if hasattr(signal, 'pthread_sigmask'):  # not on Windows
                    signal.pthread_sigmask(signal.SIG_UNBLOCK,
                                           {signal.SIGTERM})
            raise
        leave_group()
        return result

    return wrapper


def loader_of(loop: Any) -> Any:
    """The DataLoader of a loop, itself where ``--max-iters`` cuts it short.

    Args:
        loop (Any): A loop of MMEngine's Runner, one that is not built yet, or
            None.

    Returns:
        Any: None, if it has none.
    """
    loader = getattr(loop, 'dataloader', None)
    return getattr(loader, '_dataloader', loader)


def restart_loader(loop: Any) -> None:
    """Let a loop begin to read anew.

    A loop by iterations has begun when it was built: its workers have not
    seen what hooks change before the training.

    Args:
        loop (Any): Between its construction and its first batch.
    """
    loader = loader_of(loop)
    loader._iterator = None
    if not hasattr(loop, 'dataloader_iterator'):
        return
    iterator = type(loop.dataloader_iterator)
    loop.dataloader_iterator = None  # its workers end
    if isinstance(loader.sampler, InfiniteSampler):
        # its iterators share a generator, which ends with one of them
        loader.sampler.indices = loader.sampler._indices_of_rank()
    numbered = getattr(loader.batch_sampler, 'sampler', None)
    if hasattr(numbered, 'place'):
        numbered.place = 0
    loop.dataloader_iterator = iterator(loop.dataloader)
