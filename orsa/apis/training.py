# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/train.py`` does, for use from Python and other commands."""
import argparse
import contextlib
import logging
import math
import os
import os.path as osp
import re
import tempfile
from collections import OrderedDict
from typing import Any, Dict, Optional, Tuple

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from orsa.engine.folder_lock import locked_folder
from orsa.engine.prior_cache.serving import use_prior_cache
from orsa.engine.ranks.dist import guard_ranks, prepare_cpu_distribution
from orsa.engine.ranks.rank_faults import rank_from_environment
from orsa.engine.ranks.rank_guard import guarded
from orsa.utils.checkpoint import (check_finite, load_checkpoint_file,
                                   take_pretrained)
from orsa.utils.checkpoint_records import CheckpointError
from orsa.utils.configs import OptionsAction, scope_of
from orsa.utils.fileio import check_writable, disk_errors
from .model import load_config


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that training and testing share, OpenMMLab's names."""
    parser.add_argument(
        '--work-dir',
        help='folder of logs and results (default: '
        'work_dirs/CONFIG_NAME)')
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='do not pin memory in the dataloaders')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        help='override settings of the config, as key=value; a list is '
        'key="[a,b]" or key=a,b')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of training."""
    parser.add_argument('config', help='config file, or orsa::NAME.py')
    parser.add_argument(
        '--resume',
        nargs='?',
        type=str,
        const='auto',
        help='resume from this checkpoint, or from the latest one in the '
        'work dir')
    parser.add_argument(
        '--rebuild-schedule',
        action='store_true',
        help='with --resume: take learning rate and schedules from the '
        'config, at the iteration that was reached, not from the checkpoint')
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: fp16 on a GPU, bf16 on a CPU')
    parser.add_argument(
        '--no-validate', action='store_true', help='do not validate')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the batch size')
    parser.add_argument(
        '--deterministic',
        action='store_true',
        help='the same weights in every run, on a GPU too, where some '
        'operations become slower and those without such a form an error')
    parser.add_argument(
        '--no-persistent-workers',
        action='store_true',
        help='start the dataloader workers anew every epoch')
    parser.add_argument(
        '--max-iters',
        type=int,
        metavar='N',
        help='for a try: stop after N iterations; the epoch that is cut off '
        'counts as done')
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='build everything, read one batch, print what was built and '
        'which pretrained files are missing (exit code 1), write nothing')
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
    kind = wrapper.get('type', 'OptimWrapper').split('.')[-1]
    if kind == 'SAMOptimWrapper':
        wrapper.setdefault(
            'dtype', 'float16' if torch.cuda.is_available() else 'bfloat16')
    elif kind in ('OptimWrapper', 'AmpOptimWrapper'):
        if not torch.cuda.is_available():
            raise ValueError(
                '--amp without a GPU works with orsa.SAMOptimWrapper only; '
                f'this config has {kind}')
        wrapper.type = 'AmpOptimWrapper'
        wrapper.setdefault('loss_scale', 'dynamic')
    else:
        raise ValueError(f'--amp does not know {kind}; set its precision in '
                         'the config')


def set_deterministic(cfg: Config) -> None:
    """Ask for algorithms that give the same in every run, and for a seed."""
    # cuBLAS reads it when it is first used
    os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    randomness = cfg.setdefault('randomness', dict())
    randomness['deterministic'] = True
    if randomness.get('seed') is None:
        randomness['seed'] = 0
    cfg.setdefault('env_cfg', dict())['cudnn_benchmark'] = False


def merge_train_arguments(cfg: Config, args: argparse.Namespace) -> Config:
    """Put the command line into the config."""
    cfg.launcher = args.launcher
    set_work_dir(cfg, args.work_dir, args.config)
    set_dataloaders(cfg, args)
    if args.cfg_options is not None:
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

    Where there is none yet, the training begins as the config says, with the
    weights of its ``load_from`` if it has one.

    Raises:
        CheckpointError: If there are checkpoints, and none is whole.
    """
    latest = latest_checkpoint(cfg.work_dir)
    cfg.resume = latest is not None
    if latest is not None:
        cfg.load_from = latest


def _load_whole_model(cfg: Config) -> None:
    """Let a Pretrained ``model.init_cfg`` be loaded as ``load_from`` is, which
    knows of classes; its parts still begin from files of their own."""
    init_cfg = cfg.model.get('init_cfg')
    pretrained = take_pretrained(cfg.model)
    if pretrained is None:
        return
    if pretrained.get('prefix'):
        cfg.model.init_cfg = init_cfg  # MMEngine's business
    else:
        cfg.load_from = pretrained['checkpoint']


def build_runner(cfg: Config) -> Runner:
    """Build a Runner, ready for what the stack and the machine need."""
    prepare_cpu_distribution(cfg)
    guard_ranks(cfg)
    drop_worker_settings(cfg)
    if cfg.get('load_from'):
        from orsa.models.priors import skip_pretrained
        skip_pretrained(cfg.model)
    else:
        _load_whole_model(cfg)
    runner = (
        RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg))
    guard_ranks(cfg)  # on GPUs the Runner has joined the group
    # a line for each of them, where FreezeHook says their number
    runner.logger.addFilter(lambda record: 'is skipped since its requires_grad'
                            not in record.getMessage())
    return runner


def _resumable(path: str) -> Tuple[Optional[str], int]:
    """Why a training cannot go on from a file (None: it can), and its
    iteration."""
    try:
        content = load_checkpoint_file(path)
    except (OSError, ValueError) as error:
        return str(error), -1
    lacks = [
        key for key in ('state_dict', 'optimizer', 'message_hub', 'meta')
        if not isinstance(content.get(key), dict)
    ]
    if lacks:
        return f"'{path}' is no whole training: it has no {lacks[0]}", -1
    place = [content['meta'].get(key) for key in ('epoch', 'iter')]
    if not all(isinstance(n, int) for n in place):
        return f"'{path}' does not say its epoch and iteration", -1
    try:
        for key in ('optimizer', 'ema_state_dict'):  # it goes on with these
            check_finite(_named_tensors(content.get(key), key), path)
    except ValueError as error:
        return str(error), -1
    return None, place[1]


def _named_tensors(content: Any, name: str) -> Dict[str, torch.Tensor]:
    """All tensors in dicts and lists, by the way to them."""
    if isinstance(content, torch.Tensor):
        return {name: content}
    items = (
        content.items() if isinstance(content, dict) else
        enumerate(content) if isinstance(content, (list, tuple)) else ())
    found = {}
    for key, value in items:
        found.update(_named_tensors(value, f'{name}.{key}'))
    return found


def latest_checkpoint(work_dir: str) -> Optional[str]:
    """The last whole checkpoint of a training.

    The one that ``last_checkpoint`` names, or, if it is damaged, missing or
    not finite, the one of most iterations that is whole; what is passed over
    is said.

    Args:
        work_dir (str): The work dir.

    Returns:
        str: A path, None if there is no checkpoint at all.

    Raises:
        CheckpointError: If there are some, and none is whole.
    """
    names = sorted(
        name for name in (os.listdir(work_dir) if osp.isdir(work_dir) else ())
        if re.fullmatch(r'(epoch|iter|preempted_iter)_\d+\.pth', name))
    pointer, first = osp.join(work_dir, 'last_checkpoint'), None
    if osp.isfile(pointer):
        with open(pointer, encoding='utf-8', errors='replace') as file:
            first = osp.basename(file.read().strip())
    reasons = []
    if first:
        reason, _ = _resumable(osp.join(work_dir, first))
        if reason is None:
            return osp.join(work_dir, first)
        reasons.append(reason)
    found = []
    for name in names:
        if name == first:
            continue
        reason, iteration = _resumable(osp.join(work_dir, name))
        if reason is None:
            found.append((iteration, osp.join(work_dir, name)))
        else:
            reasons.append(reason)
    if not found and not names:
        return None
    if not found:
        raise CheckpointError(
            f"no checkpoint in '{work_dir}' is whole: {'; '.join(reasons)}. "
            'Begin anew without --resume, or remove them')
    best = max(found)[1]
    if reasons:
        print_log(
            f"{'; '.join(reasons)}. The training goes on from the last whole "
            f"one, '{best}'",
            logger='current',
            level=logging.WARNING)
    return best


class _CutShort:
    """A dataloader that ends with the iteration budget of its loop."""

    def __init__(self, dataloader, loop, max_iters: int):
        self._dataloader = dataloader
        self._loop = loop
        self._max_iters = max_iters

    def __getattr__(self, name):
        return getattr(self._dataloader, name)

    def __len__(self):
        return len(self._dataloader)

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
        raise ValueError(f'--max-iters should be positive, but got '
                         f'{max_iters}')
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
        raise ValueError(
            f'{num_samples} samples make no batch of batch_size='
            f"{cfg.train_dataloader.get('batch_size')} with drop_last="
            f"{cfg.train_dataloader.get('drop_last', False)}: an epoch would "
            'train nothing')


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
        if getattr(runner, f'_{name}_loop') is None:
            continue
        loader = runner.build_dataloader(
            getattr(runner, f'_{name}_dataloader')) if name != 'train' else (
                runner.train_dataloader)
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
    from orsa.engine.hooks import FreezeHook
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    for hook in runner.hooks:
        if isinstance(hook, FreezeHook):
            hook.before_run(runner)
    lines.extend(_parameter_lines(runner.model))
    return '\n'.join(lines)


def _parameter_lines(model: torch.nn.Module) -> list:
    parts: OrderedDict = OrderedDict()
    for name, parameter in model.named_parameters():
        part = '.'.join(name.split('.')[:2])
        trained, frozen = parts.get(part, (0, 0))
        if parameter.requires_grad:
            trained += parameter.numel()
        else:
            frozen += parameter.numel()
        parts[part] = (trained, frozen)
    width = max(len(p) for p in parts)
    lines = [f'{"parameters":<{width}} {"trained":>12} {"frozen":>12}']
    for part, (trained, frozen) in parts.items():
        lines.append(f'{part:<{width}} {trained:>12,} {frozen:>12,}')
    total = [sum(v[i] for v in parts.values()) for i in (0, 1)]
    lines.append(f'{"all":<{width}} {total[0]:>12,} {total[1]:>12,}')
    return lines


@guarded
def train(args: argparse.Namespace) -> Runner:
    """Train by parsed arguments, see :func:`add_train_arguments`.

    Returns:
        Runner: The runner, after training.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = merge_train_arguments(load_config(args.config), args)
    # hooks import OpenMMLab's models, which speak until they are set up
    from orsa.engine.hooks.preemption_hook import sigterm_heard
    if args.dry_run:
        return _dry_run(cfg, args)
    check_writable(cfg.work_dir)
    first = rank_from_environment() in (-1, 0)
    alone = locked_folder(cfg.work_dir) if first else contextlib.nullcontext()
    # the scope that the Runner sets would stay
    with scope_of(cfg), sigterm_heard(cfg), alone, disk_errors(cfg.work_dir):
        _choose_start(cfg, args)
        runner = _prepare(cfg, args)
        runner.train()
    print_log(f'results are in {runner.work_dir}', logger='current')
    return runner


def _dry_run(cfg: Config, args: argparse.Namespace) -> Runner:
    """Print what would be trained, and what is missing; write nothing.

    Raises:
        SystemExit: With the pretrained files that are missing, if any.
    """
    # it imports OpenMMLab's models, which speak until they are set up
    from orsa.engine.start_files import missing_files
    _choose_start(cfg, args)
    with tempfile.TemporaryDirectory() as folder, scope_of(cfg):
        cfg.work_dir = folder  # which a Runner makes
        # MMEngine names loggers by the experiment and the second: a training
        # of the same process would write to those of the folder that is gone
        cfg.experiment_name = osp.basename(folder)
        runner = _prepare(cfg, args)
        print(describe(runner))
        missing = missing_files(runner.model, cfg.get('load_from'))
    if missing:
        raise SystemExit('orsa: the training cannot start, files are missing:'
                         '\n' + '\n'.join(missing))
    return runner


def _choose_start(cfg: Config, args: argparse.Namespace) -> None:
    if cfg.get('resume') and (args.resume == 'auto'
                              or not cfg.get('load_from')):
        resume_latest(cfg)


def _prepare(cfg: Config, args: argparse.Namespace) -> Runner:
    """A Runner that knows where it ends."""
    use_prior_cache(cfg, ('train', 'val'), cfg.get('load_from'))
    runner = build_runner(cfg)
    if args.dry_run:
        return runner
    if args.max_iters is not None:
        cut_short(runner, args.max_iters)
    loader = runner.train_loop.dataloader
    check_batches(cfg, len(loader.dataset), len(loader))
    return runner
