# Copyright (c) orsa contributors. All rights reserved.
"""Run a function on several ranks, each a process of its own."""
import os
import socket
import traceback
from datetime import timedelta

import torch.distributed as dist
from clean_fork import CONTEXT, prepare


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def _rank(function, rank, world, port, pipe, args, timeout):
    prepare()
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(world),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port))
    try:
        if world > 1:
            dist.init_process_group('gloo', timeout=timedelta(seconds=timeout))
        pipe.send((True, function(rank, world, *args)))
    except BaseException as error:
        pipe.send((False, f'{type(error).__name__}: {error}\n'
                   f'{traceback.format_exc()}'))
    pipe.recv()  # the store, which rank 0 holds, stays until all are done


def on_ranks(function, world, *args, errors=False, timeout=60):
    """Call ``function(rank, world, *args)``, which a module holds, on each.

    Returns:
        list: What each returned; with ``errors`` the texts of their errors,
        which all of them have to end with.
    """
    port, pipes, processes = free_port(), [], []
    for rank in range(world):
        mine, other = CONTEXT.Pipe()
        process = CONTEXT.Process(
            target=_rank,
            args=(function, rank, world, port, other, args, timeout))
        process.start()
        other.close()
        pipes.append(mine)
        processes.append(process)
    found = []
    try:
        for pipe in pipes:
            assert pipe.poll(timeout + 60), 'a rank gives no answer'
            found.append(pipe.recv())
        for pipe, process in zip(pipes, processes):
            pipe.send('end')
            process.join(10)
    finally:
        for process in processes:
            process.kill()
    assert all(good is not errors for good, _ in found), found
    return [result for _, result in found]
