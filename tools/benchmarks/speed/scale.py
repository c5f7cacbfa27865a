# Copyright (c) orsa contributors. All rights reserved.
"""The work of ``tools/benchmarks/scale.py``: a SAM step of several ranks."""
import multiprocessing
import socket
import time
from typing import Callable, Dict, Optional

import torch
import torch.distributed as dist

from .step import make_step


def make_ranks(config: str,
               world_size: int,
               batch_size: int,
               size: int = 64,
               options: Optional[dict] = None,
               device: str = 'cpu') -> Callable:
    """Prepare SAM steps of several processes, joined by gloo or NCCL.

    The calling process is rank 0 and starts the others.

    Args:
        config (str): The experiment.
        world_size (int): Ranks.
        batch_size (int): Images per rank.
        size (int): Their height and width. Defaults to 64.
        options (dict, optional): Changes to the config. Defaults to None.
        device (str): 'cpu', joined by gloo, or 'cuda', a GPU each, joined by
            NCCL. Defaults to 'cpu'.

    Returns:
        Callable: Takes a step with all ranks and returns rank 0's seconds by
        stage, with 'waiting' for the slowest rank.
    """
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    arguments = (port, world_size, torch.get_num_threads(),
                 dict(
                     config=config,
                     batch_size=batch_size,
                     size=size,
                     options=options,
                     device=device))
    context = multiprocessing.get_context('spawn')
    for rank in range(1, world_size):
        context.Process(
            target=_follow, args=(rank, *arguments), daemon=True).start()
    step = _join(0, *arguments)

    def work() -> Dict[str, float]:
        dist.barrier()
        seconds = step()
        start = time.perf_counter()
        dist.barrier()
        return dict(seconds, waiting=time.perf_counter() - start)

    return work


def _join(rank: int, port: int, world_size: int, threads: int,
          arguments: dict) -> Callable:
    torch.set_num_threads(threads)
    on_gpu = arguments['device'] == 'cuda'
    if on_gpu:
        torch.cuda.set_device(rank)  # which 'cuda' is from now on
    dist.init_process_group(
        'nccl' if on_gpu else 'gloo',
        init_method=f'tcp://127.0.0.1:{port}',
        rank=rank,
        world_size=world_size,
        device_id=torch.device('cuda', rank) if on_gpu else None)
    return make_step(**arguments, ddp=True)


def _follow(*arguments) -> None:
    """Take a step whenever rank 0 does, until it has ended."""
    step = _join(*arguments)
    try:
        while True:
            dist.barrier()
            step()
            dist.barrier()
    except RuntimeError:
        pass  # rank 0 has ended
