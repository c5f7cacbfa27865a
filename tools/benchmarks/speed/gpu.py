# Copyright (c) orsa contributors. All rights reserved.
"""The runs of ``tools/benchmarks/gpu.py``: in turn, in time, stored."""
import importlib
import multiprocessing
import os
import os.path as osp
import signal
import subprocess
import time
import traceback
from contextlib import suppress
from datetime import datetime
from typing import Any, Dict, List, NamedTuple, Optional

import torch
from mmengine.utils import get_git_hash

from orsa.utils.fileio import check_writable, dump_json, load_json, write_text
from orsa.utils.tables import Table
from .report import machine

# what a page says of each step, in the order of their worth
TITLES = dict(
    parity='Logits and gradients beside those of the CPU, fp32',
    sam_step='A SAM step',
    memory='A SAM step by batch size',
    inference='Inference after `fast_copy`',
    ranks='Several ranks, DDP and NCCL',
    determinism='Two trainings with `--deterministic`',
    training='A training')
LARGE, FACE = 'orsa::orsanet_rafdb.py', 'orsa::orsanet_face.py'
TOY = 'orsa::orsanet_demo.py'
PRECISIONS = ('fp32', 'tf32', 'bf16', 'fp16')
# No measurement but the training takes more of the minutes than this.
LIMIT = 0.2


class Run(NamedTuple):
    """What is measured in one process.

    Attributes:
        step (str): Of ``TITLES``.
        name (str): Which of this step's.
        arguments (dict): Of the function.
        measure (str): 'module:function'; it returns rows of a table.
    """
    step: str
    name: str
    arguments: Dict[str, Any]
    measure: str

    @property
    def key(self) -> str:
        """str: Its name among all."""
        return f'{self.step}: {self.name}'


def all_runs(out: str) -> List[Run]:
    """Everything that is measured on a GPU, in the order of its worth.

    Args:
        out (str): The folder of the trainings.
    """
    runs, add = _runs()
    large = dict(device='cuda', config=LARGE, size=224)
    face = dict(device='cuda', config=FACE, size=112)
    compiled = dict(compiled='inductor')
    add('parity', 'large', large)
    for variant in ('orsa', 'plain', 'compiled'):
        options = compiled if variant == 'compiled' else {}
        # plain knows no autocast
        for name in PRECISIONS[:2 if variant == 'plain' else None]:
            own = dict(variant=variant, precision=name, batch_size=20)
            add('sam_step', f'{variant}, {name}', large, own, options)
    for name in ('fp32', 'bf16'):
        sizes = dict(batch_sizes=[1, 8, 32, 128, 512, 2048], rounds=3)
        add('memory', name, large, sizes, dict(precision=name))
    for size, model in (('large', large), ('face', face)):
        for variant in ('eager', 'compiled'):
            options = compiled if variant == 'compiled' else {}
            for name in PRECISIONS:
                own = dict(variant=variant, precision=name, batch_size=128)
                add('inference', f'{size}, {variant}, {name}', model, own,
                    options)
    for count in sorted({1, torch.cuda.device_count()}):
        for sync in (True, False):
            own = dict(world_size=count, sync_perturbation=sync, batch_size=20)
            add('ranks', f'{count}, sync_perturbation={sync}', large, own)
    add('determinism', 'large',
        dict(config=LARGE, out=out, iterations=10, batch_size=8))
    add('training', 'for the rest of the time', dict(out=out))
    return runs


def toy_runs(out: str) -> List[Run]:
    """Each step of a small model on the CPU, see :func:`all_runs`.

    Args:
        out (str): The folder of the trainings.
    """
    runs, add = _runs()
    small = dict(device='cpu', config=TOY, size=64)
    two = dict(small, precision='fp32', rounds=1, batch_size=2)
    # traced, and not compiled
    traced = dict(variant='compiled', compiled='eager')
    add('parity', 'toy', small)
    add('sam_step', 'plain', two, dict(variant='plain'))
    add('sam_step', 'traced', two, traced)
    add('memory', 'toy', small,
        dict(precision='bf16', batch_sizes=[1, 2], rounds=1))
    add('inference', 'eager', two, dict(variant='eager', compiled=None))
    add('ranks', '1', small,
        dict(batch_size=2, world_size=1, sync_perturbation=True, rounds=1))
    add('determinism', 'toy',
        dict(config=TOY, out=out, iterations=2, batch_size=4))
    few = ['train_dataloader.num_workers=0', '--max-iters', '2']
    add('training', 'toy', dict(out=out, arguments=few))
    return runs


def _runs():
    """A list, and what adds to it: a step, a name, parts of its arguments."""
    runs: List[Run] = []

    def add(step: str, name: str, *parts: dict) -> None:
        arguments = {k: v for part in parts for k, v in part.items()}
        runs.append(Run(step, name, arguments, f'speed.gpu_steps:{step}'))

    return runs, add


def about_machine(dry_run: bool) -> dict:
    """What the figures belong to.

    Args:
        dry_run (bool): Whether they are of the CPU.
    """
    about = dict(**machine(), cuda=torch.version.cuda, commit=get_git_hash())
    if dry_run:
        return dict(about, card='none, a dry run on the CPU')
    driver = subprocess.check_output(
        'nvidia-smi --query-gpu=driver_version --format=csv,noheader'.split(),
        text=True)
    return dict(
        about,
        card=torch.cuda.get_device_name(),
        cards=torch.cuda.device_count(),
        driver=driver.splitlines()[0])


def measure(runs: List[Run], out: str, minutes: float, about: dict) -> int:
    """Measure what is not stored yet, and store each result as it ends.

    What failed or ran out of time before comes last, but for the training,
    which goes on for as long as there is time.

    Args:
        runs (list[Run]): See :func:`all_runs`.
        out (str): Folder of gpu.json, gpu.md and the logs.
        minutes (float): For all of them.
        about (dict): See :func:`about_machine`.

    Returns:
        int: How many have failed, or wait for another call.

    Raises:
        ValueError: If the folder has figures of another machine or commit.
    """
    end = time.monotonic() + 60 * minutes
    check_writable(out)
    path = osp.join(out, 'gpu.json')
    stored = load_json(path) if osp.isfile(path) else dict(about, results={})
    other = [key for key in about if stored.get(key) != about[key]]
    if other:
        raise ValueError(
            f"'{path}' was measured with {other[0]} {stored.get(other[0])}, "
            f'but this is {about[other[0]]}: name another folder with --out')
    results = stored['results']

    def order(run: Run) -> tuple:
        return run.step == 'training', 'error' in results.get(run.key, {})

    todo = [r for r in runs if not _is_done(results.get(r.key))]
    for run in sorted(todo, key=order):
        left = end - time.monotonic()
        if left < 1:
            break
        arguments = dict(run.arguments)
        if run.step == 'training':
            arguments['seconds'] = left
        else:
            left = min(left, LIMIT * 60 * minutes)
        start = time.monotonic()
        result = _run_apart(run.measure, arguments, left,
                            osp.join(out, f'{run.key}.log'))
        # a training that could not go on keeps what it had measured
        kept = results.get(run.key, {}) if 'error' in result else {}
        results[run.key] = dict(
            kept,
            step=run.step,
            date=f'{datetime.now():%Y-%m-%d %H:%M}',
            **result)
        print(
            f'{run.key}: {result.get("error", "measured")} '
            f'({time.monotonic() - start:.0f} s)',
            flush=True)
        dump_json(stored, path)
        write_text(osp.join(out, 'gpu.md'), page(stored))
    missing = [r for r in runs if 'rows' not in results.get(r.key, {})]
    print(f'{len(runs) - len(missing)} of {len(runs)} measured, see '
          f"'{osp.join(out, 'gpu.md')}'; the same command goes on")
    return len(missing)


def _is_done(result: Optional[dict]) -> bool:
    """Whether a result stands; a training that is not complete goes on."""
    return bool(result) and 'rows' in result and all(
        row.get('complete', True) for row in result['rows'])


def _run_apart(measure: str, arguments: dict, seconds: float,
               log: str) -> dict:
    """Call a function in a process that ends in time, with what it started.

    Returns:
        dict: ``rows``, what it returned, or ``error``.
    """
    receive, send = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context('spawn').Process(
        target=_serve, args=(send, measure, arguments, log))
    process.start()
    send.close()
    try:
        if receive.poll(seconds):
            return receive.recv()
        return dict(error=f'out of time after {seconds:.0f} s')
    except EOFError:
        process.join()
        return dict(error=f'ended with exit code {process.exitcode}')
    finally:
        with suppress(ProcessLookupError):  # it has no group yet, or is gone
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.join()


def _serve(send, measure: str, arguments: dict, log: str) -> None:
    os.setsid()  # a group, with the processes that it starts
    with open(log, 'w') as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    try:
        module, _, function = measure.partition(':')
        measure = getattr(importlib.import_module(module), function)
        send.send(dict(rows=measure(**arguments)))
    except Exception as error:
        traceback.print_exc()
        send.send(dict(error=f'{type(error).__name__}: {error}'))


def page(stored: dict) -> str:
    """The tables of all steps, in Markdown.

    Args:
        stored (dict): The content of gpu.json.
    """
    about = ', '.join(f'{k} {v}' for k, v in stored.items() if k != 'results')
    lines = [
        '# Measured on a GPU', '',
        f'`python tools/benchmarks/gpu.py`: {about}.'
    ]
    for step, title in TITLES.items():
        found = [
            dict(v, key=k) for k, v in stored['results'].items()
            if v['step'] == step
        ]
        rows = [row for v in found for row in v.get('rows', ())]
        head = list(dict.fromkeys(k for row in rows for k in row))
        cells = [[_cell(row.get(k)) for k in head] for row in rows]
        lines += ['', f'## {title}', '']
        lines += [Table(head, cells).markdown(), ''] if rows else []
        lines += [
            f'- {v["key"]} failed: {v["error"]}' for v in found if 'error' in v
        ]
        lines += [] if found else ['Not measured yet.']
    return '\n'.join(lines) + '\n'


def _cell(value):
    return f'{value:.4g}' if isinstance(value, float) else value
