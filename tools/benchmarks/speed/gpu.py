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


def _run(step: str, name: str, **arguments) -> Run:
    return Run(step, name, arguments, f'speed.gpu_steps:{step}')


def all_runs(out: str) -> List[Run]:
    """Everything that is measured on a GPU, in the order of its worth.

    Args:
        out (str): The folder of the trainings.
    """
    large = dict(device='cuda', config=LARGE, size=224)
    face = dict(device='cuda', config=FACE, size=112)
    compiled = dict(variant='compiled', compiled='inductor')
    counts = sorted({1, torch.cuda.device_count()})
    return [
        _run('parity', 'large', **large), *[
            _run(
                'sam_step',
                f'{variant["variant"]}, {precision}',
                batch_size=20,
                precision=precision,
                **large,
                **variant)
            for variant, precisions in ((dict(variant='orsa'), PRECISIONS),
                                        (dict(variant='plain'),
                                         PRECISIONS[:2]),
                                        (compiled, PRECISIONS))
            for precision in precisions
        ], *[
            _run(
                'memory',
                precision,
                precision=precision,
                batch_sizes=[1, 8, 32, 128, 512, 2048],
                rounds=3,
                **large) for precision in ('fp32', 'bf16')
        ], *[
            _run(
                'inference',
                f'{name}, {variant["variant"]}, {precision}',
                batch_size=128,
                precision=precision,
                **model,
                **variant)
            for name, model in (('large', large), ('face', face))
            for variant in (dict(variant='eager'), compiled)
            for precision in PRECISIONS
        ], *[
            _run(
                'ranks',
                f'{count}' if sync else f'{count}, own ascent',
                batch_size=20,
                world_size=count,
                sync_perturbation=sync,
                **large) for count in counts for sync in (True, False)
        ],
        _run(
            'determinism',
            'large',
            config=LARGE,
            out=out,
            iterations=10,
            batch_size=8),
        _run('training', 'for the rest of the time', out=out)
    ]


def toy_runs(out: str) -> List[Run]:
    """Each step of a small model on the CPU, see :func:`all_runs`.

    Args:
        out (str): The folder of the trainings.
    """
    small = dict(device='cpu', config=TOY, size=64)
    two = dict(small, precision='fp32', rounds=1, batch_size=2)
    # traced, and not compiled
    traced = dict(variant='compiled', compiled='eager')
    return [
        _run('parity', 'toy', **small),
        _run('sam_step', 'plain', variant='plain', **two),
        _run('sam_step', 'traced', **two, **traced),
        _run(
            'memory',
            'toy',
            precision='bf16',
            batch_sizes=[1, 2],
            rounds=1,
            **small),
        _run('inference', 'traced', **two, **traced),
        _run(
            'ranks',
            '1',
            batch_size=2,
            world_size=1,
            sync_perturbation=True,
            **small),
        _run(
            'determinism',
            'toy',
            config=TOY,
            out=out,
            iterations=2,
            batch_size=4),
        _run(
            'training',
            'toy',
            out=out,
            arguments=['train_dataloader.num_workers=0', '--max-iters', '2'])
    ]


def about_machine(dry_run: bool) -> dict:
    """What the figures belong to.

    Args:
        dry_run (bool): Whether they are of the CPU.
    """
    about = dict(**machine(), cuda=torch.version.cuda, commit=get_git_hash())
    if dry_run:
        return dict(about, card='none, a dry run on the CPU')
    return dict(
        about,
        card=torch.cuda.get_device_name(),
        cards=torch.cuda.device_count(),
        driver=subprocess.check_output([
            'nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader'
        ],
                                       text=True).splitlines()[0])


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
        results = {
            k: v
            for k, v in stored['results'].items() if v['step'] == step
        }
        rows = [row for v in results.values() for row in v.get('rows', ())]
        head = list(dict.fromkeys(k for row in rows for k in row))
        lines += ['', f'## {title}', '']
        if rows:
            lines += [
                Table(head, [[_cell(row.get(k)) for k in head]
                             for row in rows]).markdown(), ''
            ]
        lines += [
            f'- {k} failed: {v["error"]}' for k, v in results.items()
            if 'error' in v
        ]
        if not results:
            lines.append('Not measured yet.')
    return '\n'.join(lines) + '\n'


def _cell(value):
    return f'{value:.4g}' if isinstance(value, float) else value
