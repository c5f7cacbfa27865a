# Copyright (c) orsa contributors. All rights reserved.
"""Runs in processes of their own, for studies and benchmarks."""
import os
import os.path as osp
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, List, Sequence

from mmengine.utils import ProgressBar


def run_logged(command: Sequence[str], log: str) -> bool:
    """Run a command on one thread, with its output in a file.

    Args:
        command (Sequence[str]): Program and arguments.
        log (str): The file; its folder is made.

    Returns:
        bool: Whether it failed.
    """
    os.makedirs(osp.dirname(log), exist_ok=True)
    # one thread each: two on the same cores are slower than one after another
    env = dict(os.environ, OMP_NUM_THREADS='1')
    with open(log, 'w', encoding='utf-8') as file:
        return bool(
            subprocess.run(
                command, stdout=file, stderr=subprocess.STDOUT,
                env=env).returncode)


def run_all(todo: Sequence, start: Callable[..., bool], jobs: int) -> List:
    """Start runs, some at once, and show how many have ended.

    Args:
        todo (Sequence): The runs.
        start (Callable): Does one and returns whether it failed.
        jobs (int): How many at once.

    Returns:
        list: Those that failed.
    """
    if not todo:
        return []
    bar = ProgressBar(len(todo))

    def follow(run) -> bool:
        failed = start(run)
        bar.update()
        return failed

    with ThreadPoolExecutor(jobs) as pool:
        failed = [r for r, bad in zip(todo, pool.map(follow, todo)) if bad]
    print()
    return failed
