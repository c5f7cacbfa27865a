# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/train.py`` does, for use from Python and other commands."""
import argparse
import contextlib
import math
import os
import os.path as osp
import tempfile
from typing import Dict, List, Optional

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from orsa.engine.distributed import (prepare_distribution,
                                     rank_from_environment, rank_main)
from orsa.engine.prior_cache.serving import use_prior_cache
from orsa.engine.resuming import latest_checkpoint
from orsa.utils.checkpoint import take_pretrained
from orsa.utils.configs import add_cfg_options, scope_of, type_name
from orsa.utils.fileio import check_writable, disk_errors
from orsa.utils.folder_lock import locked_folder
from .model import load_config


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that training and testing share, OpenMMLab's names.

    Args:
        parser (argparse.ArgumentParser): Gets them.
    """
    parser.add_argument(
        '--work-dir',
        help='folder of logs and results (default: work_dirs/CONFIG_NAME)')
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='do not pin memory in the dataloaders')
    add_cfg_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


# flags of a training that take no value: what they do
_SWITCHES = {
    'rebuild-schedule':
    'with --resume: take learning rate and schedules from the config, at the '
    'iteration that was reached, not from the checkpoint',
    'amp':
    'mixed precision: fp16 on a GPU, bf16 on a CPU',
    'no-validate':
    'do not validate',
    'auto-scale-lr':
    'scale the learning rate with the batch size',
    'deterministic':
    'the same weights in every run, on a GPU too, where some operations '
    'become slower and those without such a form an error',
    'no-persistent-workers':
    'start the dataloader workers anew every epoch',
    'dry-run':
    'build everything, read one batch, print what was built and which '
    'pretrained files are missing (exit code 1), write nothing'
}


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of training.

    Args:
        parser (argparse.ArgumentParser): Gets them.
    """
    parser.add_argument('config', help='config file, or orsa::NAME.py')
    parser.add_argument(
        '--resume',
        nargs='?',
        type=str,
        const='auto',
        help='resume from this checkpoint, or from the latest one in the '
        'work dir')
    parser.add_argument(
        '--max-iters',
        type=int,
        metavar='N',
        help='for a try: stop after N iterations; the epoch that is cut off '
        'counts as done')
    for name, text in _SWITCHES.items():
        parser.add_argument(f'--{name}', action='store_true', help=text)
    add_common_arguments(parser)


def set_work_dir(cfg: Config, work_dir: Optional[str], config: str) -> None:
    """The command line's work dir, or the config's, or by its name."""
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(config.split('::')[-1]))[0]
        cfg.work_dir = osp.join('./work_dirs', name)


def set_dataloaders(cfg: Config, args: argparse.Namespace) -> None:
    """Fill in what mmpretrain's own tools fill in."""
    # mmseg's and mmpose's batches are lists, with a collate of their own.
    stacked = cfg.get('default_scope', 'mmpretrain') == 'mmpretrain'
    for field in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(field)
        if not loader:
            continue
        if stacked:
            loader.setdefault('collate_fn', dict(type='default_collate'))
        loader.setdefault('pin_memory', torch.cuda.is_available())
        if args.no_pin_memory:
            loader['pin_memory'] = False
        if getattr(args, 'no_persistent_workers', False):
            loader['persistent_workers'] = False


def drop_worker_settings(cfg: Config) -> None:
    """Take from a loader without workers what torch takes with some only."""
    for field in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(field)
        if loader and not loader.get('num_workers'):
            for key in ('persistent_workers', 'prefetch_factor', 'timeout',
                        'multiprocessing_context'):
                loader.pop(key, None)


def set_amp(cfg: Config) -> None:
    """Switch the optimizer wrapper to mixed precision, keeping its kind.

    Raises:
        ValueError: If the wrapper cannot do it on this machine.
    """
    wrapper = cfg.optim_wrapper
    kind = type_name(dict(dict(type='OptimWrapper'), **wrapper))
    if kind == 'SAMOptimWrapper':
        wrapper.setdefault(
            'dtype', 'float16' if torch.cuda.is_available() else 'bfloat16')
    elif kind in ('OptimWrapper', 'AmpOptimWrapper'):
        if torch.cuda.is_available():
            wrapper.type = 'AmpOptimWrapper'
            wrapper.setdefault('loss_scale', 'dynamic')
        else:
            wrapper.type = 'orsa.BFloat16OptimWrapper'
    else:
        raise ValueError(f'--amp does not know {kind}; set its precision in '
                         'the config')


def set_deterministic(cfg: Config) -> None:
    """Ask for algorithms that give the same in every run, and for a seed."""
    # cuBLAS reads it when it is first used
    os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    cfg.merge_from_dict({
        'randomness.deterministic': True,
        'env_cfg.cudnn_benchmark': False
    })
    if cfg.randomness.get('seed') is None:
        cfg.randomness.seed = 0


def merge_train_arguments(cfg: Config, args: argparse.Namespace) -> Config:
    """Put the command line into the config."""
    cfg.launcher = args.launcher
    set_work_dir(cfg, args.work_dir, args.config)
    set_dataloaders(cfg, args)
    cfg.merge_from_dict(args.cfg_options)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        set_amp(cfg)
    if getattr(args, 'deterministic', False):
        set_deterministic(cfg)
    if args.auto_scale_lr:
        if 'auto_scale_lr' not in cfg:
            raise ValueError('--auto-scale-lr needs auto_scale_lr=dict('
                             'base_batch_size=...) in the config')
        cfg.auto_scale_lr.enable = True
    if getattr(args, 'rebuild_schedule', False):
        cfg.setdefault('default_hooks', dict())['schedule'] = dict(
            type='orsa.ScheduleHook', rebuild=True)
    if args.resume is not None:
        cfg.resume = True
        if args.resume != 'auto':
            cfg.load_from = args.resume
    return cfg


def resume_latest(cfg: Config) -> None:
    """Set ``load_from`` and ``resume`` to go on from the latest checkpoint.

    Where there is none yet, the training begins as the config has it, with the
    weights of its ``load_from`` if it has one.

    Raises:
        CheckpointError: If there are checkpoints, and none is complete.
    """
    latest = latest_checkpoint(cfg.work_dir)
    cfg.resume = latest is not None
    if latest is not None:
        cfg.load_from = latest


def build_runner(cfg: Config) -> Runner:
    """Build a Runner, ready for what the stack and the machine need."""
    prepare_distribution(cfg)
    drop_worker_settings(cfg)
    if cfg.get('load_from'):
        from orsa.models.priors import skip_pretrained
        skip_pretrained(cfg.model)
    else:
        # a complete model is loaded as `load_from` is, which knows of classes
        init_cfg = cfg.model.get('init_cfg')
        pretrained = take_pretrained(cfg.model) or {}
        if pretrained.get('prefix'):
            cfg.model.init_cfg = init_cfg
        elif pretrained:
            cfg.load_from = pretrained['checkpoint']
    runner = (
        RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg))
    # a line for each of them, where FreezeHook logs their number
    runner.logger.addFilter(lambda record: 'is skipped since its requires_grad'
                            not in record.getMessage())
    return runner


class _CutShort:
    """A dataloader that ends with the iteration budget of its loop."""

    def __init__(self, dataloader, loop, max_iters: int):
        self._dataloader, self._loop = dataloader, loop
        self._max_iters = max_iters

    def __getattr__(self, name):
        return getattr(self._dataloader, name)

    def __len__(self):
        return len(self._dataloader)

    @property
    def _iterator(self):
        return self._dataloader._iterator

    @_iterator.setter
    def _iterator(self, value):
        # hooks let persistent workers begin anew by it
        self._dataloader._iterator = value

    def __iter__(self):
        for batch in self._dataloader:
            if self._loop.iter >= self._max_iters:
                return
            yield batch


def cut_short(runner: Runner, max_iters: int) -> None:
    """Make a Runner stop after ``max_iters`` iterations.

    Checkpoint and validation follow as at the end of an epoch, and the epoch
    that is cut off counts as done, also for who resumes; schedules keep their
    length.
    """
    if max_iters < 1:
        raise ValueError(f'--max-iters {max_iters} should be positive')
    loop = runner.train_loop
    loop._max_iters = min(loop._max_iters, max_iters)
    for hook in runner.hooks:
        if type(hook).__name__ == 'LoggerHook':
            hook.interval = min(hook.interval, max(1, max_iters // 5))
    if hasattr(loop, 'dataloader_iterator'):  # counted in iterations
        return
    per_epoch = len(loop.dataloader)
    loop._max_epochs = min(loop._max_epochs, math.ceil(max_iters / per_epoch))
    loop.dataloader = _CutShort(loop.dataloader, loop, max_iters)


def check_batches(cfg: Config, num_samples: int, num_batches: int) -> None:
    """Refuse to train for epochs of nothing.

    Raises:
        ValueError: If an epoch has no batch.
    """
    if num_batches < 1:
        loader = cfg.train_dataloader
        raise ValueError(f'{num_samples} samples make no batch of batch_size='
                         f"{loader.get('batch_size')} with drop_last="
                         f"{loader.get('drop_last', False)}")


def describe(runner: Runner) -> str:
    """What a training would work with: shapes, parameters, data.

    Returns:
        str: A text for people.
    """
    lines = []
    dataset = runner.train_dataloader.dataset
    classes = dataset.metainfo.get('classes', ())
    lines.append(f'classes ({len(classes)}): {", ".join(classes)}')
    for name in ('train', 'val', 'test'):
        if getattr(runner, f'_{name}_loop') is not None:
            loader = runner.train_dataloader if name == 'train' else (
                runner.build_dataloader(
                    getattr(runner, f'_{name}_dataloader')))
            lines.append(f'{name}: {len(loader.dataset)} samples, '
                         f'{len(loader)} batches of {loader.batch_size}')
    batch = next(iter(runner.train_dataloader))
    data = runner.model.data_preprocessor(batch, True)
    inputs = data['inputs']
    shape = (
        tuple(inputs.shape)
        if isinstance(inputs, torch.Tensor) else type(inputs).__name__)
    lines.append(f'batch after preprocessing: {shape}')
    runner.model.eval()
    with torch.no_grad():
        feats = runner.model.extract_feat(inputs)
    feats = feats if isinstance(feats, (tuple, list)) else [feats]
    lines.append('features: ' + ', '.join(str(tuple(f.shape)) for f in feats))
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    for hook in runner.hooks:
        if type(hook).__name__ == 'FreezeHook':
            hook.before_run(runner)
    counts: Dict[str, List[int]] = {}
    for name, parameter in runner.model.named_parameters():
        row = counts.setdefault('.'.join(name.split('.')[:2]), [0, 0])
        row[not parameter.requires_grad] += parameter.numel()
    counts['all'] = [sum(column) for column in zip(*counts.values())]
    width = max(map(len, [*counts, 'parameters']))
    lines.append(f'{"parameters":<{width}} {"trained":>12} {"frozen":>12}')
    for name, (trained, frozen) in counts.items():
        lines.append(f'{name:<{width}} {trained:>12,} {frozen:>12,}')
    return '\n'.join(lines)


@rank_main
def train(args: argparse.Namespace) -> Runner:
    """Train by parsed arguments, see :func:`add_train_arguments`.

    Args:
        args (argparse.Namespace): The arguments.

    Returns:
        Runner: The runner, after training.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = merge_train_arguments(load_config(args.config), args)
    if args.dry_run:
        return _dry_run(cfg, args)
    check_writable(cfg.work_dir)
    first = rank_from_environment() in (-1, 0)
    alone = locked_folder(cfg.work_dir) if first else contextlib.nullcontext()
    # the scope that the Runner sets would stay
    with scope_of(cfg), alone, disk_errors(cfg.work_dir):
        runner = _prepare(cfg, args)
        runner.train()
    print_log(f'results are in {runner.work_dir}', logger='current')
    return runner


def _dry_run(cfg: Config, args: argparse.Namespace) -> Runner:
    """Print what would be trained, and what is missing; write nothing.

    Raises:
        SystemExit: With the pretrained files that are missing, if any.
    """
    # it imports OpenMMLab's models, which log until they are set up
    from orsa.engine.start_files import missing_files
    with tempfile.TemporaryDirectory() as folder, scope_of(cfg):
        # MMEngine names loggers by the experiment and the second: a training
        # of the same process would write to those of the folder that is gone
        cfg.experiment_name = osp.basename(folder)
        cfg.log_level = 'WARNING'  # what is printed below says it shorter
        runner = _prepare(cfg, args, folder)  # a Runner makes its work dir
        print(describe(runner))
        missing = missing_files(runner.model, cfg.get('load_from'))
    if missing:
        raise SystemExit('orsa: the training cannot start, files are missing:'
                         '\n' + '\n'.join(missing))
    return runner


def _prepare(cfg: Config,
             args: argparse.Namespace,
             work_dir: Optional[str] = None) -> Runner:
    """A Runner that knows where it begins and ends."""
    if cfg.get('resume') and (args.resume == 'auto'
                              or not cfg.get('load_from')):
        resume_latest(cfg)
    cfg.work_dir = work_dir or cfg.work_dir
    use_prior_cache(cfg, ('train', 'val'), cfg.get('load_from'))
    runner = build_runner(cfg)
    if args.dry_run:
        return runner
    if args.max_iters is not None:
        cut_short(runner, args.max_iters)
    loader = runner.train_loop.dataloader
    check_batches(cfg, len(loader.dataset), len(loader))
    return runner
