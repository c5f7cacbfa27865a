# Copyright (c) orsa contributors. All rights reserved.
"""What a cache of priors was computed from, and whether that is the same."""
import copy
import hashlib
import os.path as osp
from typing import Dict, List, Optional, Sequence, Tuple

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.utils import to_2tuple

from orsa.utils.checkpoint import local_file, take_pretrained
from orsa.utils.configs import config_hash, scope_of, type_name
from orsa.utils.fileio import file_hash
from orsa.utils.prior_cache import CacheError, PriorCache, sample_key

# name of an image: the size of its file in bytes, and its fold, -1 for none
Samples = Dict[str, Tuple[int, int]]
SPLITS = ('train', 'val', 'test')
# prior: the argument of orsa.ORSANet that builds it
FIELDS = dict(parsing='parsing_prior', landmarks='landmark_prior')
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
            more than once; or if it draws its pictures.
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
        elif kind == 'DrawSyntheticFace':
            raise CacheError('DrawSyntheticFace draws each face when it is '
                             'asked for: there is no picture on the disk '
                             'whose priors a cache could keep')
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


def prior_configs(cfg: Config) -> Dict[str, dict]:
    """The configs of the priors that a model has, by 'parsing', 'landmarks'.

    Raises:
        CacheError: If it has none.
    """
    backbone = cfg.model.get('backbone') or {}
    configs = {
        name: backbone[field]
        for name, field in FIELDS.items() if backbone.get(field)
    }
    if not configs:
        raise CacheError('the model of this config has no priors to cache: '
                         'model.backbone has neither '
                         f'{" nor ".join(FIELDS.values())}')
    return configs


def preprocessor_config(cfg: Config) -> dict:
    """A copy of the data preprocessor's config."""
    found = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    found = dict(copy.deepcopy(found or {}))
    found.setdefault('type', 'ClsDataPreprocessor')
    return found


def dataset_config(cfg: Config, split: str) -> dict:
    """The data set's config of a split, itself.

    Raises:
        CacheError: If it wraps others.
    """
    dataset = cfg[f'{split}_dataloader'].dataset
    if 'pipeline' not in dataset:
        raise CacheError(
            f'the data set of the {split} split, {type_name(dataset)}, has no '
            'pipeline of its own: a cache of priors needs a plain data set')
    return dataset


def config_hashes(cfg: Config, split: str) -> Dict[str, str]:
    """What decides what the priors compute, besides images and weights."""
    preprocessor = preprocessor_config(cfg)
    pipeline = dataset_config(cfg, split)['pipeline']
    return dict(
        {
            name: config_hash(_matters(prior))
            for name, prior in prior_configs(cfg).items()
        },
        preprocessor=config_hash({
            k: preprocessor.get(k)
            for k in ('mean', 'std', 'to_rgb', 'pad_size_divisor', 'pad_value')
        }),
        pipeline=config_hash(_matters(clean_pipeline(pipeline)[0])))


def has_folds(samples: Samples) -> bool:
    """Whether any image belongs to a fold."""
    return any(fold >= 0 for _, fold in samples.values())


def checkpoint_hashes(prior: dict, own: bool, folds: bool) -> dict:
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


def weights_hash(state: Dict[str, torch.Tensor]) -> str:
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


def prior_weights(state: Dict[str, torch.Tensor], name: str) -> dict:
    """Entries of a prior's model in a whole checkpoint."""
    prefix = f'backbone.{FIELDS[name]}.model.'
    return {
        k.removeprefix('module.')[len(prefix):]: v
        for k, v in state.items()
        if k.removeprefix('module.').startswith(prefix)
    }


def load_state(checkpoint: str) -> Dict[str, torch.Tensor]:
    """The weights of a checkpoint."""
    content = CheckpointLoader.load_checkpoint(str(checkpoint), 'cpu')
    return content.get('state_dict', content)


def list_samples(dataset) -> Samples:
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


def build_dataset(cfg: Config, split: str):
    """The data set of a split, without its pipeline."""
    config = copy.deepcopy(dataset_config(cfg, split))
    config['pipeline'] = []
    with scope_of(cfg):
        return DATASETS.build(config)


def find_twin(cfg: Config, split: str, done: Sequence[str]) -> Optional[str]:
    """An earlier split of the same images in the same pipeline, if any."""

    def request(name: str) -> str:
        dataset = dict(dataset_config(cfg, name))
        dataset['pipeline'] = clean_pipeline(dataset['pipeline'])[0]
        return config_hash(dataset)

    return next((d for d in done if request(d) == request(split)), None)


def why_not(cache: PriorCache, cfg: Config, split: str, samples: Samples,
            checkpoint: Optional[str]) -> Optional[str]:
    """Why a whole cache is not that of a config, None if it is."""
    manifest = cache.manifest
    priors = prior_configs(cfg)
    lacking = [name for name in priors if name not in manifest['priors']]
    if lacking:
        return f'it has no {" and no ".join(lacking)} prior'
    other = [
        part for part, value in config_hashes(cfg, split).items()
        if manifest['config'].get(part) != value
    ]
    if other:
        return ('it was computed from another config, which differs in: '
                f'{", ".join(other)}')
    folds = has_folds(samples)
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
    state = load_state(checkpoint) if checkpoint else None
    for name, prior in priors.items():
        written = manifest['priors'][name]
        files = checkpoint_hashes(prior, not checkpoint, folds)
        if files['folds'] != written['checkpoint']['folds']:
            return (f'its {name} prior was computed with other '
                    'fold_checkpoints')
        if state is not None:
            same = weights_hash(prior_weights(state,
                                              name)) == written['weights']
            here = f"those of '{checkpoint}'"
        else:
            same = files['file'] == written['checkpoint']['file']
            here = "those of the config's checkpoint"
        if not same:
            return (f'its {name} prior was computed with other weights than '
                    f'{here}')
    return None


def _say_names(names: Sequence[str]) -> str:
    return ', '.join(names[:3]) + (', ...' if len(names) > 3 else '')
