# Copyright (c) orsa contributors. All rights reserved.
"""Frozen priors computed once for every image, and used in training.

``tools/cache_priors.py`` calls :func:`cache_priors`; the config variable
``prior_cache`` is what :func:`use_prior_cache` follows.
"""
import argparse
import contextlib
import copy
import glob
import hashlib
import logging
import os
import os.path as osp
import zlib
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn as nn
from mmengine.config import Config, DictAction
from mmengine.dataset import Compose
from mmengine.logging import print_log
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.utils import ProgressBar, to_2tuple

from orsa.utils.configs import config_hash, type_name
from orsa.utils.fileio import atomic_path, dump_json
from orsa.utils.pretrained import local_file, take_pretrained
from orsa.utils.prior_cache import (FORMAT, MANIFEST, PRIOR_KEYS, SAMPLES,
                                    CacheError, PriorCache, file_hash,
                                    sample_key)
from orsa.utils.same_batch import provide
from orsa.version import __version__
from .model import load_config

# name of an image: the size of its file in bytes, and its fold, -1 for none
Samples = Dict[str, Tuple[int, int]]
SPLITS = ('train', 'val', 'test')
# prior: the argument of orsa.ORSANet that builds it
_FIELDS = dict(parsing='parsing_prior', landmarks='landmark_prior')
# The same picture every time, up to a mirroring that is dealt with apart.
_EXACT = ('LoadImageFromFile', 'LoadFace', 'Resize', 'ResizeEdge',
          'CenterCrop', 'Pad')
_ENDS = ('PackInputs', 'LoadCachedPriors')
# Where the weights lie, and what is said when there are none: no part of what
# a prior computes. The files themselves are compared by their content.
_NO_MATTER = ('checkpoint', 'source', 'allow_untrained', 'init_cfg',
              'pretrained', 'fold_checkpoints', 'prepare')


def clean_pipeline(pipeline: Sequence[dict],
                   flip: bool = False) -> Tuple[List[dict], List[str]]:
    """The part of a pipeline that is the same every time.

    Transforms that are not known to be are left out; a crop of random place
    or size becomes a resize, or a crop of the middle, to the same size.

    Args:
        pipeline (Sequence[dict]): Configs of the transforms.
        flip (bool): Whether to mirror the picture, where the pipeline may
            mirror it, else at the end. Defaults to False.

    Returns:
        tuple[list[dict], list[str]]: Configs of a pipeline that ends with the
        picture, and the names of the transforms that it does not follow.

    Raises:
        CacheError: If the pipeline flips otherwise than horizontally, or
            more than once.
    """
    mirror = dict(type='RandomFlip', prob=1.)
    kept, changed, flips = [], [], 0
    for cfg in pipeline:
        kind = type_name(cfg)
        if kind in _ENDS:
            continue
        if kind == 'RandomFlip':
            _check_direction(cfg)
            flips += 1
            kept += [mirror] if flip else []
        elif kind == 'RandomFaceAffine':
            flips += 1
            if cfg.get('prob', 0.9):
                changed.append(kind)
            kept.append(dict(cfg, prob=0., flip_prob=float(flip)))
        elif kind in _EXACT:
            kept.append(copy.deepcopy(dict(cfg)))
        else:
            changed.append(kind)
            kept += _steady(kind, cfg)
    if flips > 1:
        raise CacheError(f'{flips} transforms of the pipeline flip: which way '
                         'a picture is in the end cannot be told')
    if flip and not flips:
        kept.append(mirror)
    return kept, changed


def _check_direction(cfg: dict) -> None:
    directions = cfg.get('direction', 'horizontal')
    several = [directions] if isinstance(directions, str) else directions
    if set(several) != {'horizontal'}:
        raise CacheError(
            f'a RandomFlip of the pipeline has direction={directions}: a '
            'cache of priors has rows for horizontal flips only')


def _steady(kind: str, cfg: dict) -> List[dict]:
    """What brings a picture to the size that a random crop gives it."""
    if kind == 'RandomResizedCrop':
        how = {k: cfg[k] for k in ('backend', 'interpolation') if k in cfg}
        return [dict(type='Resize', scale=to_2tuple(cfg['scale']), **how)]
    if kind == 'RandomCrop':
        return [dict(type='CenterCrop', crop_size=cfg['crop_size'])]
    return []


def _matters(cfg):
    if isinstance(cfg, dict):
        return {k: _matters(v) for k, v in cfg.items() if k not in _NO_MATTER}
    if isinstance(cfg, (list, tuple)):
        return [_matters(v) for v in cfg]
    return cfg


def _prior_configs(cfg: Config) -> Dict[str, dict]:
    backbone = cfg.model.get('backbone') or {}
    configs = {
        name: backbone[field]
        for name, field in _FIELDS.items() if backbone.get(field)
    }
    if not configs:
        raise CacheError('the model of this config has no priors to cache: '
                         'model.backbone has neither '
                         f'{" nor ".join(_FIELDS.values())}')
    return configs


def _preprocessor_config(cfg: Config) -> dict:
    found = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    found = dict(copy.deepcopy(found or {}))
    found.setdefault('type', 'ClsDataPreprocessor')
    return found


def _dataset_config(cfg: Config, split: str) -> dict:
    dataset = cfg[f'{split}_dataloader'].dataset
    if 'pipeline' not in dataset:
        raise CacheError(
            f'the data set of the {split} split, {type_name(dataset)}, has no '
            'pipeline of its own: a cache of priors needs a plain data set')
    return dataset


def _config_hashes(cfg: Config, split: str) -> Dict[str, str]:
    """What decides what the priors compute, besides images and weights."""
    preprocessor = _preprocessor_config(cfg)
    pipeline = _dataset_config(cfg, split)['pipeline']
    return dict(
        {
            name: config_hash(_matters(prior))
            for name, prior in _prior_configs(cfg).items()
        },
        preprocessor=config_hash({
            k: preprocessor.get(k)
            for k in ('mean', 'std', 'to_rgb', 'pad_size_divisor', 'pad_value')
        }),
        pipeline=config_hash(_matters(clean_pipeline(pipeline)[0])))


def _has_folds(samples: Samples) -> bool:
    return any(fold >= 0 for _, fold in samples.values())


def _checkpoint_hashes(prior: dict, own: bool, folds: bool) -> dict:
    """SHA-256 of a prior's file and of those of its folds, where they serve.

    Its own file does not if a whole checkpoint is loaded.
    """
    prior = copy.deepcopy(prior)
    pretrained = take_pretrained(prior['model']) or {}
    main = prior.get('checkpoint') or pretrained.get('checkpoint')

    def digest(path: Optional[str]) -> Optional[str]:
        if path is None:
            return None
        file = local_file(path)
        if file is None:
            raise FileNotFoundError(
                f"a prior's checkpoint '{path}' is not here to be compared "
                'with the cache of priors')
        return file_hash(file)

    return dict(
        file=digest(main) if own else None,
        folds=[
            digest(path)
            for path in folds and prior.get('fold_checkpoints') or ()
        ])


def _weights_hash(state: Dict[str, torch.Tensor]) -> str:
    """Hash of weights, blind to what float16 does not show.

    A published checkpoint is rounded to it, and so are the rows.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu()
        if value.is_floating_point():
            value = value.half()
        digest.update(f'{name} {tuple(value.shape)};'.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _prior_weights(state: Dict[str, torch.Tensor], name: str) -> dict:
    """Entries of a prior's model in a whole checkpoint."""
    prefix = f'backbone.{_FIELDS[name]}.model.'
    return {
        k.removeprefix('module.')[len(prefix):]: v
        for k, v in state.items()
        if k.removeprefix('module.').startswith(prefix)
    }


def _load_state(checkpoint: str) -> Dict[str, torch.Tensor]:
    content = CheckpointLoader.load_checkpoint(str(checkpoint), 'cpu')
    return content.get('state_dict', content)


def build_priors(cfg: Config,
                 checkpoint: Optional[str] = None) -> Dict[str, nn.Module]:
    """Build a model's priors alone, with their weights.

    Args:
        cfg (Config): The experiment.
        checkpoint (str, optional): A whole checkpoint to take them from.
            Defaults to None, the priors' own files.

    Returns:
        dict[str, nn.Module]: Those that the model has, of 'parsing' and
        'landmarks'.

    Raises:
        CacheError: If a prior drifts, or would take nothing from a cache.
        FileNotFoundError: If a prior's file is missing.
    """
    from orsa.models.priors import skip_pretrained
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    state = _load_state(checkpoint) if checkpoint else None
    priors = {}
    for name, config in _prior_configs(cfg).items():
        config = copy.deepcopy(config)
        # rows of an untrained prior would be noise for good
        config['allow_untrained'] = False
        if state is not None:
            skip_pretrained(config)
        prior = MODELS.build(config)
        if getattr(prior, 'cache_key', None) != PRIOR_KEYS[name]:
            raise CacheError(
                f'model.backbone.{_FIELDS[name]} is of type '
                f'{type_name(config)}, which takes nothing from a cache')
        if prior.drift:
            raise CacheError(f'model.backbone.{_FIELDS[name]} has drift=True: '
                             'what it computes changes while training')
        # with a whole checkpoint these are the folds' files alone
        prior.init_weights()
        if state is not None:
            try:
                prior.model.load_state_dict(_prior_weights(state, name))
            except RuntimeError as error:
                raise CacheError(f"'{checkpoint}' does not fit the {name} "
                                 f'prior: {error}') from error
        priors[name] = prior.eval()
    return priors


def _list_samples(dataset) -> Samples:
    """Names, file sizes and folds.

    Other pictures under the same names are rarely as long.
    """
    samples: Samples = {}
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        key, path = sample_key(info), info.get('img_path')
        if key in samples:
            raise CacheError(
                f"two samples are called '{key}': a cache of priors needs "
                'another name for each image')
        size = osp.getsize(path) if path and osp.isfile(path) else 0
        samples[key] = size, int(info.get('fold', -1))
    return samples


def _build_dataset(cfg: Config, split: str):
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    config = copy.deepcopy(_dataset_config(cfg, split))
    config['pipeline'] = []
    return DATASETS.build(config)


def _say_names(names: Sequence[str]) -> str:
    return ', '.join(names[:3]) + (', ...' if len(names) > 3 else '')


def _why_not(cache: PriorCache, cfg: Config, split: str, samples: Samples,
             checkpoint: Optional[str]) -> Optional[str]:
    """Why a whole cache is not that of a config, None if it is."""
    manifest = cache.manifest
    priors = _prior_configs(cfg)
    lacking = [name for name in priors if name not in manifest['priors']]
    if lacking:
        return f'it has no {" and no ".join(lacking)} prior'
    other = [
        part for part, value in _config_hashes(cfg, split).items()
        if manifest['config'].get(part) != value
    ]
    if other:
        return ('it was computed from another config, which differs in: '
                f'{", ".join(other)}')
    folds = _has_folds(samples)
    return (_other_weights(manifest, priors, checkpoint, folds)
            or _other_samples(cache.samples(), samples, folds))


def _other_samples(cached: Samples, samples: Samples,
                   folds: bool) -> Optional[str]:
    absent = [name for name in samples if name not in cached]
    if absent:
        return (f'it is of another sample list: {len(absent)} of '
                f'{len(samples)} images are not in it '
                f'({_say_names(absent)})')
    for i, what in enumerate(('other files', 'in other folds')[:1 + folds]):
        other = [k for k, v in samples.items() if cached[k][i] != v[i]]
        if other:
            return (f'{len(other)} of {len(samples)} images are {what} than '
                    f'it was computed from ({_say_names(other)})')
    return None


def _other_weights(manifest: dict, priors: Dict[str, dict],
                   checkpoint: Optional[str], folds: bool) -> Optional[str]:
    state = _load_state(checkpoint) if checkpoint else None
    for name, prior in priors.items():
        written = manifest['priors'][name]
        files = _checkpoint_hashes(prior, not checkpoint, folds)
        if files['folds'] != written['checkpoint']['folds']:
            return (f'its {name} prior was computed with other '
                    'fold_checkpoints')
        if state is not None:
            same = _weights_hash(_prior_weights(state,
                                                name)) == written['weights']
            here = f"those of '{checkpoint}'"
        else:
            same = files['file'] == written['checkpoint']['file']
            here = "those of the config's checkpoint"
        if not same:
            return (f'its {name} prior was computed with other weights than '
                    f'{here}')
    return None


def _cast(out: torch.Tensor, name: str) -> np.ndarray:
    half = out.detach().cpu().half()
    if not torch.isfinite(half).all():
        raise CacheError(f'the {name} prior gives values that float16 does '
                         f'not hold (up to {float(out.abs().max()):.3g})')
    return half.numpy()


class _Writer:
    """The arrays of a cache, under temporary names until all is done."""

    def __init__(self, folder: str, count: int, stack: contextlib.ExitStack):
        self.folder, self.count, self.stack = folder, count, stack
        self.arrays: Dict[str, np.ndarray] = {}
        self.sums: Dict[str, np.ndarray] = {}

    def _path(self, name: str) -> str:
        return self.stack.enter_context(
            atomic_path(osp.join(self.folder, name)))

    def write(self, name: str, indices: Sequence[int], flip: int,
              rows: np.ndarray) -> None:
        if name not in self.arrays:
            self.arrays[name] = np.lib.format.open_memmap(
                self._path(f'{name}.npy'),
                mode='w+',
                dtype=rows.dtype,
                shape=(self.count, 2, *rows.shape[1:]))
            self.sums[name] = np.zeros((self.count, 2), np.uint32)
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
        for name, array in self.arrays.items():
            array.flush()
            with open(self._path(f'{name}.crc.npy'), 'wb') as file:
                np.save(file, self.sums[name])


def _pictures(dataset, pipelines: Sequence[Compose], flip: int,
              indices: Sequence[int]) -> Tuple[torch.Tensor, list]:
    """A batch as the data preprocessor takes it, and the folds (-1: none)."""
    from mmpretrain.datasets.transforms import PackInputs
    dataset.pipeline = pipelines[flip]
    results = [dataset[i] for i in indices]
    images = [PackInputs.format_input(r['img']) for r in results]
    if len({image.shape for image in images}) > 1:
        raise CacheError('the images come in different sizes: the pipeline '
                         'has to bring them to one size')
    return torch.stack(images), [r.get('fold', -1) for r in results]


@torch.no_grad()
def _compute(cfg: Config, split: str, dataset, priors: Dict[str, nn.Module],
             writer: _Writer, device: torch.device) -> None:
    config = _preprocessor_config(cfg)
    preprocessor = MODELS.build(config).to(device).eval()
    pipeline = _dataset_config(cfg, split)['pipeline']
    pipelines = [
        Compose(clean_pipeline(pipeline, flip)[0]) for flip in (False, True)
    ]
    size = cfg[f'{split}_dataloader'].get('batch_size', 32)
    bar = ProgressBar(len(dataset))
    for start in range(0, len(dataset), size):
        indices = range(start, min(start + size, len(dataset)))
        for flip in (0, 1):
            images, folds = _pictures(dataset, pipelines, flip, indices)
            inputs = preprocessor(dict(inputs=images), False)['inputs']
            provide(inputs, fold=torch.as_tensor(folds, device=device))
            for name, prior in priors.items():
                rows = _cast(prior(inputs), name)
                writer.write(name, indices, flip, rows)
        bar.update(len(indices))
    print()


def _forget(folder: str) -> None:
    """Take what says that a cache is whole away, and half-written files."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(osp.join(folder, MANIFEST))
    for path in glob.glob(osp.join(glob.escape(folder), '.tmp_*')):
        os.remove(path)


def write_cache(cfg: Config,
                split: str,
                folder: str,
                priors: Dict[str, nn.Module],
                from_files: bool = True,
                device: str = 'cpu') -> dict:
    """Compute the priors of every image of a split, in both flips.

    Args:
        cfg (Config): The experiment.
        split (str): 'train', 'val' or 'test'.
        folder (str): Where to write; the manifest comes last.
        priors (dict): See :func:`build_priors`.
        from_files (bool): Whether their weights are those of the config's
            files. Defaults to True.
        device (str): Where to compute. Defaults to 'cpu'.

    Returns:
        dict: The manifest.
    """
    folder = osp.expanduser(folder)
    dataset = _build_dataset(cfg, split)
    samples = _list_samples(dataset)
    device = torch.device(device)
    for prior in priors.values():
        prior.to(device)
    _forget(folder)
    with contextlib.ExitStack() as stack:
        writer = _Writer(folder, len(dataset), stack)
        _compute(cfg, split, dataset, priors, writer, device)
        writer.finish()
    path = osp.join(folder, SAMPLES)
    dump_json(
        dict(
            names=list(samples),
            sizes=[size for size, _ in samples.values()],
            folds=[fold for _, fold in samples.values()]), path)
    configs = _prior_configs(cfg)
    manifest = dict(
        format=FORMAT,
        orsa_version=__version__,
        split=split,
        config=_config_hashes(cfg, split),
        num_samples=len(samples),
        samples_sha256=file_hash(path),
        priors={
            name:
            dict(
                shape=list(array.shape),
                dtype=str(array.dtype),
                crc_sha256=file_hash(osp.join(folder, f'{name}.crc.npy')),
                checkpoint=_checkpoint_hashes(configs[name], from_files,
                                              _has_folds(samples)),
                weights=_weights_hash(priors[name].model.state_dict()))
            for name, array in writer.arrays.items()
        },
        complete=True)
    dump_json(manifest, osp.join(folder, MANIFEST))
    return manifest


def _check_rows(cache: PriorCache) -> None:
    for name in cache.manifest['priors']:
        arrays = cache.open(name)
        for i in range(len(arrays[0])):
            for flip in (0, 1):
                cache.row(name, arrays, i, flip)


def add_cache_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``tools/cache_priors.py``."""
    parser.add_argument('config', help='config file, or orsa::NAME.py')
    parser.add_argument(
        '--split',
        nargs='+',
        choices=SPLITS,
        help='splits to cache (default: all that the config has)')
    parser.add_argument(
        '--out',
        help='folder of the cache, a folder for each split is made in it '
        '(default: prior_cache of the config)')
    parser.add_argument(
        '--checkpoint',
        help="a whole checkpoint to take the priors' weights from, instead of "
        'their own files')
    parser.add_argument(
        '--force', action='store_true', help='compute anew what is up to date')
    parser.add_argument(
        '--device',
        default='cuda' if torch.cuda.is_available() else 'cpu',
        help='where to compute (default: a GPU if there is one)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config, as key=value')


def _twin(cfg: Config, split: str, done: Sequence[str]) -> Optional[str]:
    """An earlier split of the same images in the same pipeline, if any."""

    def request(name: str) -> str:
        dataset = dict(_dataset_config(cfg, name))
        dataset['pipeline'] = clean_pipeline(dataset['pipeline'])[0]
        return config_hash(dataset)

    return next((d for d in done if request(d) == request(split)), None)


def cache_priors(args: argparse.Namespace) -> List[str]:
    """Write the caches of splits, see :func:`add_cache_arguments`.

    A cache that is whole, undamaged and that of this config is left alone.

    Returns:
        list[str]: The splits that were computed.

    Raises:
        ValueError: If no folder is given, or the config lacks a split.
    """
    cfg = load_config(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    out = args.out or cfg.get('prior_cache')
    if not out:
        raise ValueError('--out should name the folder of the cache (or '
                         'prior_cache of the config)')
    present = [s for s in SPLITS if cfg.get(f'{s}_dataloader')]
    absent = set(args.split or ()) - set(present)
    if absent:
        raise ValueError(f'the config has no {sorted(absent)} split, only '
                         f'{present}')
    priors, computed, done = None, [], []
    for split in [s for s in present if s in (args.split or present)]:
        twin = _twin(cfg, split, done)
        if twin:
            print(f'{split}: the same images as {twin}, whose cache serves')
            continue
        done.append(split)
        folder = osp.join(out, split)
        reason = 'asked for (--force)' if args.force else _state(
            cfg, split, folder, args.checkpoint)
        if reason is None:
            print(f"{split}: '{folder}' is up to date, left alone")
            continue
        print(f'{split}: computing, {reason}')
        if priors is None:
            priors = build_priors(cfg, args.checkpoint)
        manifest = write_cache(cfg, split, folder, priors, not args.checkpoint,
                               args.device)
        computed.append(split)
        _report(cfg, split, folder, manifest)
    return computed


def _state(cfg: Config, split: str, folder: str,
           checkpoint: Optional[str]) -> Optional[str]:
    """Why a cache has to be computed, None if it is up to date."""
    samples = _list_samples(_build_dataset(cfg, split))
    try:
        cache = PriorCache(folder)
        reason = _why_not(cache, cfg, split, samples, checkpoint)
        if reason is None:
            _check_rows(cache)
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
    changed = clean_pipeline(_dataset_config(cfg, split)['pipeline'])[1]
    if changed:
        print(f'{split}: its pipeline has {", ".join(changed)}, which the '
              'cached priors do not see; to use the cache all the same, set '
              'prior_cache_approximate=True')


def use_prior_cache(cfg: Config,
                    splits: Sequence[str],
                    checkpoint: Optional[str] = None) -> None:
    """Let a run take its priors from the disk if ``prior_cache`` is set.

    The cache is compared with the config, the weights and the samples at
    hand. Then ``orsa.LoadCachedPriors`` is put before ``PackInputs`` of every
    split that has a cache, and the data preprocessor becomes
    :class:`orsa.CompanionDataPreprocessor`. Other splits ask the priors.

    Args:
        cfg (Config): The experiment, changed in place.
        splits (Sequence[str]): Those that the run uses.
        checkpoint (str, optional): The whole checkpoint that will be loaded,
            with the priors' weights in it. Defaults to None, the priors load
            their own files.

    Raises:
        CacheError: If the cache is stale, partial or damaged, or priors would
            see other pictures than the cached ones; says what makes it new.
    """
    root = cfg.get('prior_cache')
    if not root:
        return
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    served = []
    for split in splits:
        if not cfg.get(f'{split}_dataloader'):
            continue
        folder = _find(cfg, split, root)
        if folder is None:
            print_log(
                f"the cache of priors '{root}' has no {split} split: there "
                'the priors are asked',
                logger='current')
            continue
        _verify(cfg, split, folder, checkpoint)
        _insert(cfg, split, folder)
        served.append(split)
    if not served:
        raise CacheError(f"prior_cache='{root}' has none of the splits "
                         f'{", ".join(splits)}. {_remedy(cfg, splits)}')
    _swap_preprocessor(cfg)
    print_log(
        f"priors come from '{root}' for: {', '.join(served)}",
        logger='current')


def _remedy(cfg: Config, splits: Sequence[str]) -> str:
    options = ' and the same --cfg-options, if any'
    return ('Make it new: python tools/cache_priors.py '
            f'{cfg.filename or "CONFIG"} --split {" ".join(splits)} --out '
            f'{cfg.prior_cache}{options}')


def _find(cfg: Config, split: str, root: str) -> Optional[str]:
    """The folder of a split, or of one with the same images."""
    root = osp.expanduser(root)
    present = [s for s in SPLITS if osp.isdir(osp.join(root, s))]
    if split in present:
        return osp.join(root, split)
    twin = _twin(cfg, split,
                 [s for s in present if cfg.get(f'{s}_dataloader')])
    return twin and osp.join(root, twin)


def _verify(cfg: Config, split: str, folder: str,
            checkpoint: Optional[str]) -> None:
    changed = clean_pipeline(_dataset_config(cfg, split)['pipeline'])[1]
    if changed and not cfg.get('prior_cache_approximate'):
        raise CacheError(
            f'the {split} pipeline has {", ".join(changed)}: the priors would '
            'see another picture each time, and a cache does not follow. '
            'Leave them out, or set prior_cache_approximate=True, with which '
            'the priors see the clean, unmoved face')
    try:
        cache = PriorCache(folder)
        samples = _list_samples(_build_dataset(cfg, split))
        reason = _why_not(cache, cfg, split, samples, checkpoint)
        if reason:
            raise CacheError(f"'{folder}' cannot be used: {reason}")
    except CacheError as error:
        raise CacheError(
            f'prior_cache: {error}. {_remedy(cfg, [split])}') from error
    if changed:
        print_log(
            f'THE PRIORS OF THE {split.upper()} SPLIT ARE APPROXIMATE: they '
            f'see the clean, unmoved face, not what {", ".join(changed)} make '
            'of it',
            logger='current',
            level=logging.WARNING)


def _insert(cfg: Config, split: str, folder: str) -> None:
    dataset = _dataset_config(cfg, split)
    names = tuple(_prior_configs(cfg))
    # a dumped config of an earlier run has the transform already
    pipeline = [
        copy.deepcopy(t) for t in dataset['pipeline']
        if type_name(t) != 'LoadCachedPriors'
    ]
    places = [
        i for i, t in enumerate(pipeline) if type_name(t) == 'PackInputs'
    ]
    if len(places) != 1:
        raise CacheError(f'the {split} pipeline should have one PackInputs, '
                         f'but has {len(places)}')
    pack = pipeline[places[0]]
    pack['algorithm_keys'] = tuple(
        dict.fromkeys((*pack.get('algorithm_keys',
                                 ()), *(PRIOR_KEYS[name] for name in names))))
    pipeline.insert(
        places[0],
        dict(type='orsa.LoadCachedPriors', cache=folder, priors=names))
    dataset['pipeline'] = pipeline


def _swap_preprocessor(cfg: Config) -> None:
    owner = cfg.model if cfg.model.get('data_preprocessor') else cfg
    config = _preprocessor_config(cfg)
    kind = type_name(config)
    if kind not in ('ClsDataPreprocessor', 'CompanionDataPreprocessor'):
        raise CacheError(
            f'prior_cache needs a data_preprocessor of type '
            f'ClsDataPreprocessor or orsa.CompanionDataPreprocessor, not '
            f'{kind}')
    config['type'] = 'orsa.CompanionDataPreprocessor'
    owner['data_preprocessor'] = config
