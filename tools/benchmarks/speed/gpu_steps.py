# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/benchmarks/gpu.py`` measures, a function for each step.

Each is called in a process of its own and returns rows of a table, with the
units in the names of the columns. ``device`` is 'cuda', or 'cpu' to try them.
"""
import argparse
import gc
import glob
import json
import os
import os.path as osp
import signal
import threading
from typing import Callable, List, Optional, Sequence

import numpy as np
import torch
from mmengine.config import Config
from torch.utils.flop_counter import FlopCounterMode

from orsa.apis.model import build_model, load_config
from orsa.apis.training import add_train_arguments, train
from orsa.engine.hooks.preemption_hook import Preempted
from orsa.engine.start_files import missing_files
from .infer import make_forward
from .interleaved import peak_memory, reset_peak_memory
from .peak import make_product
from .scale import make_ranks
from .step import make_step, random_batch, random_model

# by name: the dtype of autocast
PRECISIONS = dict(fp32=None, tf32=None, bf16='bfloat16', fp16='float16')


def set_precision(name: str) -> Optional[str]:
    """Allow TF32 or refuse it, and return the dtype of autocast.

    Args:
        name (str): Of ``PRECISIONS``.
    """
    torch.backends.cuda.matmul.allow_tf32 = name == 'tf32'
    torch.backends.cudnn.allow_tf32 = name == 'tf32'
    return PRECISIONS[name]


def _timed(work: Callable, batch_size: int, rounds: int = 10) -> dict:
    """Medians of rounds after three unmeasured ones, which compile."""
    for _ in range(3):
        work()
    reset_peak_memory()
    rows = [work() for _ in range(rounds)]
    total = [sum(row.values()) for row in rows]
    stages = {
        f'{stage} (ms)': float(np.median([row[stage] for row in rows])) * 1e3
        for stage in rows[0]
    }
    return {
        'batch size':
        batch_size,
        **(stages if len(stages) > 1 else {}), 'all (ms)':
        float(np.median(total)) * 1e3,
        'p5 (ms)':
        float(np.percentile(total, 5)) * 1e3,
        'p95 (ms)':
        float(np.percentile(total, 95)) * 1e3,
        'images/s':
        batch_size / float(np.median(total)),
        'peak (MiB)':
        peak_memory() / 2**20
    }


def _matmul_peak(device: str, precision: str) -> float:
    """FLOP/s of the product of two large matrices of noise."""
    dtype = getattr(torch, PRECISIONS[precision] or 'float32')
    side = 8192 if device == 'cuda' else 256
    work = make_product(side, device, dtype)
    return 2 * side**3 / _timed(work, 1)['all (ms)'] * 1e3


def _share_of_peak(work: Callable, row: dict, device: str,
                   precision: str) -> dict:
    """Operations of products and convolutions, counted as they run eagerly,
    against a product of the same precision."""
    with torch.compiler.set_stance('force_eager'), \
            FlopCounterMode(display=False) as counter:
        work()
    rate = counter.get_total_flops() / row['all (ms)'] * 1e3
    peak = _matmul_peak(device, precision)
    return {
        'TFLOP/s': rate / 1e12,
        'peak TFLOP/s': peak / 1e12,
        'of peak (%)': 100 * rate / peak
    }


def parity(device: str, config: str, size: int, batch_size: int = 4):
    """Logits and gradients in fp32 beside those of the CPU, in evaluation
    mode, as nothing is drawn at random there."""
    set_precision('fp32')
    cfg = load_config(config)
    model = random_model(cfg).eval()
    batch = random_batch(cfg, batch_size, size)
    found = []
    for place in ('cpu', device):
        model.to(place).zero_grad()
        data = model.data_preprocessor(batch, False)
        losses = model(**data, mode='loss')
        model.parse_losses(losses)[0].backward()
        with torch.no_grad():
            logits = model(data['inputs'], mode='tensor').flatten()
        gradients = [
            p.grad.flatten() for p in model.parameters() if p.grad is not None
        ]
        found.append(
            dict(
                logits=logits.cpu().double(),
                gradients=torch.cat(gradients).cpu().double()))
    host, other = found
    return [{
        'of':
        name,
        'largest difference':
        float((other[name] - host[name]).abs().max()),
        'largest value':
        float(host[name].abs().max()),
        'norm of difference / norm':
        float((other[name] - host[name]).norm() / host[name].norm())
    } for name in host]


def sam_step(precision: str,
             rounds: int = 10,
             variant: str = 'orsa',
             share: bool = True,
             **arguments):
    """A SAM step; ``arguments`` are those of :func:`.step.make_step`."""
    dtype = set_precision(precision)
    work = make_step(dtype=dtype, plain=variant == 'plain', **arguments)
    row = _timed(work, arguments['batch_size'], rounds)
    if share:
        row.update(_share_of_peak(work, row, arguments['device'], precision))
    return [{'variant': variant, 'precision': precision, **row}]


def memory(batch_sizes: Sequence[int], **arguments) -> List[dict]:
    """SAM steps of ever larger batches, until one does not fit."""
    rows: List[dict] = []
    for batch_size in batch_sizes:
        try:
            rows += sam_step(batch_size=batch_size, share=False, **arguments)
        except RuntimeError as error:  # cuDNN and cuBLAS have their own
            if not rows:
                raise
            rows.append({
                'precision': arguments['precision'],
                'batch size': batch_size,
                'ended by': str(error).splitlines()[0]
            })
            break
        gc.collect()  # the model is in cycles
        torch.cuda.empty_cache()
    return rows


def inference(precision: str,
              config: str,
              rounds: int = 20,
              variant: str = 'eager',
              **arguments):
    """A prediction; ``arguments`` are those of :func:`.infer.make_forward`."""
    dtype = set_precision(precision)
    work = make_forward(config, dtype=dtype, **arguments)
    row = _timed(work, arguments['batch_size'], rounds)
    row.update(_share_of_peak(work, row, arguments['device'], precision))
    return [{
        'config': config,
        'variant': variant,
        'precision': precision,
        **row
    }]


def ranks(world_size: int,
          sync_perturbation: bool,
          rounds: int = 10,
          **arguments):
    """A SAM step of several ranks under DDP, in torch's own precision, see
    :func:`.scale.make_ranks`."""
    work = make_ranks(
        world_size=world_size,
        options={'optim_wrapper.sync_perturbation': sync_perturbation},
        **arguments)
    row = _timed(work, arguments['batch_size'] * world_size, rounds)
    return [{
        'ranks': world_size,
        'sync_perturbation': sync_perturbation,
        **row
    }]


def _train(config, work_dir: str, *arguments: str):
    """A training as by ``tools/train.py``, without validation."""
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    args = parser.parse_args(
        ['', '--work-dir', work_dir, '--no-validate', *arguments])
    args.config = config
    return train(args)


def _on_drawn_faces(config: str, batch_size: int) -> Config:
    """A config with random weights and synthetic faces as its data."""
    cfg = load_config(config)
    drawn = load_config('orsa::orsanet_demo.py')
    cfg.train_dataloader = drawn.train_dataloader
    cfg.merge_from_dict({
        'train_dataloader.batch_size': batch_size,
        'train_dataloader.num_workers': 0,
        'model.backbone.allow_untrained': True,
        'default_hooks.checkpoint': None
    })
    return cfg


def determinism(config: str, out: str, iterations: int,
                batch_size: int) -> List[dict]:
    """Two trainings with ``--deterministic``, and whether they are equal."""
    weights = []
    for number in range(2):
        cfg = _on_drawn_faces(config, batch_size)
        cfg.experiment_name = f'determinism_{number}'  # of its logger
        runner = _train(cfg, osp.join(out, f'determinism_{number}'),
                        '--deterministic', '--max-iters', f'{iterations}')
        weights.append({
            k: v.cpu()
            for k, v in runner.model.state_dict().items()
        })
    first, second = weights
    different = sum(not torch.equal(v, second[k]) for k, v in first.items())
    return [{
        'config': config,
        'iterations': iterations,
        'batch size': batch_size,
        'tensors': len(first),
        'different tensors': different
    }]


def training_config() -> str:
    """The config that can be trained here: FER+, or synthetic faces."""
    name = 'orsa::orsanet_ferplus.py'
    cfg = load_config(name)
    if osp.isdir(cfg.train_dataloader.dataset.data_root) and not missing_files(
            build_model(cfg)):
        return name
    return 'orsa::orsanet_demo.py'


def training(out: str, seconds: float, arguments: Sequence[str] = ()):
    """A training that ends in time, and goes on in the next call."""
    config = training_config()
    folder = osp.join(out, osp.splitext(config.split('::')[1])[0])
    # what is left is for the start of the process, and for saving
    timer = threading.Timer(0.8 * seconds, os.kill,
                            (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    timer.start()
    try:
        _train(config, folder, '--resume', '--cfg-options',
               'default_hooks.logger.interval=10', *arguments)
        complete = True
    except Preempted:
        complete = False  # saved, by SIGTERM
    finally:
        timer.cancel()
    log = max(glob.glob(osp.join(folder, '*/vis_data/scalars.json')))
    with open(log) as file:
        lines = [r for r in map(json.loads, file) if 'loss' in r]
    batch_size = load_config(config).train_dataloader.batch_size
    # medians: the first lines are warm-up
    second, waiting = (
        float(np.median([r[key] for r in lines]))
        for key in ('time', 'data_time'))
    return [{
        'config': config,
        'batch size': batch_size,
        'iterations': lines[-1]['step'],
        'iteration (ms)': second * 1e3,
        'images/s': batch_size / second,
        'waits for data (%)': 100 * waiting / second,
        'complete': complete
    }]
