# Copyright (c) orsa contributors. All rights reserved.
"""Frozen priors computed once for every image.

``tools/cache_priors.py`` calls :func:`cache_priors`.
"""
import argparse
import contextlib
import copy
import glob
import os
import os.path as osp
import zlib
from typing import Dict, List, Optional, Sequence

import numpy as np
import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.utils import ProgressBar

from orsa.apis.model import load_config
from orsa.engine.prior_cache import identity
from orsa.models.utils.same_batch import provide
from orsa.utils.configs import add_cfg_options, scope_of, type_name
from orsa.utils.fileio import atomic_path, disk_errors, dump_json, file_hash
from orsa.utils.prior_cache import (FORMAT, MANIFEST, PRIOR_KEYS, SAMPLES,
                                    CacheError, PriorCache)
from orsa.version import __version__


def build_priors(cfg: Config,
                 checkpoint: Optional[str] = None) -> Dict[str, nn.Module]:
    """Build a model's priors alone, with their weights.

    Args:
        cfg (Config): The experiment.
        checkpoint (str, optional): That of the model with their weights.
            Defaults to None, the priors' own files.

    Returns:
        dict[str, nn.Module]: Those that the model has, of 'parsing' and
        'landmarks'.

    Raises:
        CacheError: If a prior drifts, or would take nothing from a cache.
        FileNotFoundError: If a prior's file is missing.
    """
    from orsa.models.priors import skip_pretrained
    weights = identity.load_priors(checkpoint) if checkpoint else None
    priors = {}
    for name, config in identity.prior_configs(cfg).items():
        config = copy.deepcopy(config)
        # rows of an untrained prior would be noise for good
        config['allow_untrained'] = False
        if weights is not None:
            skip_pretrained(config)
        with scope_of(cfg):
            prior = MODELS.build(config)
        if getattr(prior, 'cache_key', None) != PRIOR_KEYS[name]:
            raise CacheError(
                f'model.backbone.{identity.FIELDS[name]} is of type '
                f'{type_name(config)}, which takes nothing from a cache')
        if prior.drift:
            raise CacheError(
                f'model.backbone.{identity.FIELDS[name]} has drift=True: '
                'what it computes changes while training')
        # with a checkpoint of the model these are the folds' files alone
        prior.init_weights()
        if weights is not None:
            try:
                prior.model.load_state_dict(weights[name])
            except RuntimeError as error:
                raise CacheError(f"'{checkpoint}' does not fit the {name} "
                                 f'prior: {error}') from error
        priors[name] = prior.eval()
    return priors


class _Writer:
    """The arrays of a cache, under temporary names until all is done."""

    def __init__(self, folder: str, count: int, stack: contextlib.ExitStack):
        self.folder, self.count, self.stack = folder, count, stack
        self.arrays: Dict[str, np.ndarray] = {}
        self.sums: Dict[str, np.ndarray] = {}

    def _path(self, name: str) -> str:
        return self.stack.enter_context(
            atomic_path(osp.join(self.folder, name)))

    def _create(self, name: str, shape: tuple) -> None:
        path = self._path(f'{name}.npy')
        with disk_errors(osp.join(self.folder, f'{name}.npy')):
            self.arrays[name] = np.lib.format.open_memmap(
                path, 'w+', np.float16, (self.count, 2, *shape))
            # A map that finds no room when it is written to ends the process.
            if hasattr(os, 'posix_fallocate'):
                with open(path, 'r+b') as file:
                    os.posix_fallocate(file.fileno(), 0, osp.getsize(path))
        self.sums[name] = np.zeros((self.count, 2), np.uint32)

    def write(self, name: str, indices: Sequence[int], flip: int,
              output: torch.Tensor) -> None:
        """Store what a prior gives for some images, flipped or not."""
        rows = output.detach().cpu().half().numpy()
        if not np.isfinite(rows).all():
            raise CacheError(f'the {name} prior gives values that float16 '
                             'does not hold (up to '
                             f'{float(output.abs().max()):.3g})')
        if name not in self.arrays:
            self._create(name, rows.shape[1:])
        array = self.arrays[name]
        if rows.shape[1:] != array.shape[2:]:
            raise CacheError(
                f'the {name} prior gives {rows.shape[1:]} for some images and '
                f'{array.shape[2:]} for others: the pipeline has to bring '
                'all images to one size')
        for i, row in zip(indices, rows):
            array[i, flip] = row
            self.sums[name][i, flip] = zlib.crc32(row.tobytes())

    def finish(self) -> None:
        """Write what is still in memory."""
        for name, array in self.arrays.items():
            array.flush()
            with open(self._path(f'{name}.crc.npy'), 'wb') as file:
                np.save(file, self.sums[name])


@torch.no_grad()
def _compute(cfg: Config, split: str, datasets: Sequence,
             priors: Dict[str, nn.Module], writer: _Writer,
             device: torch.device) -> None:
    from mmpretrain.datasets.transforms import PackInputs
    with scope_of(cfg):
        preprocessor = MODELS.build(
            identity.preprocessor_config(cfg)).to(device).eval()
    count = len(datasets[0])
    size = cfg[f'{split}_dataloader'].get('batch_size', 32)
    bar = ProgressBar(count)
    for start in range(0, count, size):
        indices = range(start, min(start + size, count))
        for flip, dataset in enumerate(datasets):
            results = [dataset[i] for i in indices]
            images = [PackInputs.format_input(r['img']) for r in results]
            if len({image.shape for image in images}) > 1:
                raise CacheError('the images come in different sizes: the '
                                 'pipeline has to bring them to one size')
            inputs = preprocessor(dict(inputs=torch.stack(images)),
                                  False)['inputs']
            folds = [r.get('fold', -1) for r in results]
            provide(inputs, fold=torch.as_tensor(folds, device=device))
            for name, prior in priors.items():
                writer.write(name, indices, flip, prior(inputs))
        bar.update(len(indices))
    print()


def _write_cache(cfg: Config, split: str, folder: str, priors: Dict[str,
                                                                    nn.Module],
                 from_files: bool, device: torch.device) -> dict:
    """Compute the priors of every image of a split; return the manifest."""
    pipeline = identity.dataset_config(cfg, split)['pipeline']
    # a dataset may change its pipeline, and reads files in its own way
    datasets = [
        identity.build_dataset(cfg, split,
                               identity.clean_pipeline(pipeline, flip)[0])
        for flip in (False, True)
    ]
    samples = identity.list_samples(datasets[0])
    for prior in priors.values():
        prior.to(device)
    # without a manifest it is no cache
    with contextlib.suppress(FileNotFoundError):
        os.remove(osp.join(folder, MANIFEST))
    for path in glob.glob(osp.join(glob.escape(folder), '.tmp_*')):
        os.remove(path)
    with contextlib.ExitStack() as stack:
        writer = _Writer(folder, len(samples), stack)
        _compute(cfg, split, datasets, priors, writer, device)
        writer.finish()
    path = osp.join(folder, SAMPLES)
    dump_json(
        dict(
            names=list(samples),
            sizes=[size for size, _ in samples.values()],
            folds=[fold for _, fold in samples.values()]), path)
    weights = {k: prior.model.state_dict() for k, prior in priors.items()}
    here = identity.fingerprint(cfg, split, samples, weights, from_files)
    manifest = dict(
        format=FORMAT,
        orsa_version=__version__,
        split=split,
        config=here['config'],
        num_samples=len(samples),
        samples_sha256=file_hash(path),
        priors={
            name:
            dict(
                shape=list(array.shape),
                dtype=str(array.dtype),
                crc_sha256=file_hash(osp.join(folder, f'{name}.crc.npy')),
                **here['priors'][name])
            for name, array in writer.arrays.items()
        },
        complete=True)
    dump_json(manifest, osp.join(folder, MANIFEST))
    return manifest


def add_cache_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``tools/cache_priors.py``."""
    add = parser.add_argument
    add('config', help='config file, or orsa::NAME.py')
    add('--split',
        nargs='+',
        choices=identity.SPLITS,
        help='splits to cache (default: all that the config has)')
    add('--out',
        help='folder of the cache, a folder for each split is made in it '
        '(default: prior_cache of the config)')
    add('--checkpoint',
        help="checkpoint of the model with the priors' weights, in place of "
        'their own files')
    add('--force', action='store_true', help='compute anew what is up to date')
    add('--device',
        default='cuda' if torch.cuda.is_available() else 'cpu',
        help='where to compute (default: a GPU if there is one)')
    add_cfg_options(parser)


def cache_priors(args: argparse.Namespace) -> List[str]:
    """Write the caches of splits, see :func:`add_cache_arguments`.

    A cache that is complete, undamaged and of this config is left alone.

    Returns:
        list[str]: The splits that were computed.

    Raises:
        ValueError: If no folder is given, or the config lacks a split.
    """
    cfg = load_config(args.config)
    cfg.merge_from_dict(args.cfg_options)
    out = args.out or cfg.get('prior_cache')
    if not out:
        raise ValueError('--out should name the folder of the cache (or '
                         'prior_cache of the config)')
    out = osp.expanduser(out)
    present = [s for s in identity.SPLITS if cfg.get(f'{s}_dataloader')]
    absent = set(args.split or ()) - set(present)
    if absent:
        raise ValueError(f'the config has no {sorted(absent)} split, only '
                         f'{present}')
    priors, computed, done = None, [], []
    for split in [s for s in present if s in (args.split or present)]:
        matching = identity.matching_split(cfg, split, done)
        if matching:
            print(
                f'{split}: the same images as {matching}, whose cache serves')
            continue
        done.append(split)
        folder = osp.join(out, split)
        reason = 'as --force requires' if args.force else _state(
            cfg, split, folder, args.checkpoint)
        if reason is None:
            print(f"{split}: '{folder}' is up to date, left alone")
            continue
        print(f'{split}: computing, {reason}')
        if priors is None:
            priors = build_priors(cfg, args.checkpoint)
        manifest = _write_cache(cfg, split, folder, priors,
                                not args.checkpoint, torch.device(args.device))
        computed.append(split)
        _report(cfg, split, folder, manifest)
    return computed


def _state(cfg: Config, split: str, folder: str,
           checkpoint: Optional[str]) -> Optional[str]:
    """Why a cache has to be computed, None if it is up to date."""
    samples = identity.list_samples(identity.build_dataset(cfg, split))
    try:
        cache = PriorCache(folder)
        reason = identity.why_not(cache, cfg, split, samples, checkpoint)
        for name in cache.manifest['priors'] if reason is None else ():
            arrays = cache.open(name)
            for i, flip in np.ndindex(arrays[0].shape[:2]):
                cache.row(name, arrays, i, flip)
    except CacheError as error:
        return str(error)
    return reason


def _report(cfg: Config, split: str, folder: str, manifest: dict) -> None:
    names = ', '.join(f'{name} {tuple(prior["shape"])}'
                      for name, prior in manifest['priors'].items())
    size = sum(
        osp.getsize(osp.join(folder, f'{name}.npy'))
        for name in manifest['priors'])
    print(f"{split}: wrote '{folder}', {names}, {size / 2**20:.1f} MB")
    changed = identity.clean_pipeline(
        identity.dataset_config(cfg, split)['pipeline'])[1]
    if changed:
        print(f'{split}: its pipeline has {", ".join(changed)}, which the '
              'cached priors do not see; to use the cache all the same, set '
              'prior_cache_approximate=True')
