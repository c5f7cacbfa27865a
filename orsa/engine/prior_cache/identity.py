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
from orsa.utils.configs import config_hash, scope_of, type_name, without_keys
from orsa.utils.fileio import file_hash
from orsa.utils.prior_cache import CacheError, PriorCache, sample_key

# name of an image: the size of its file in bytes, and its fold, -1 for none
Samples = Dict[str, Tuple[int, int]]
SPLITS = ('train', 'val', 'test')
# prior: the argument of orsa.ORSANet that builds it
FIELDS = dict(parsing='parsing_prior', landmarks='landmark_prior')
# the same image every time, up to a flip that is dealt with apart
_EXACT = ('LoadImageFromFile', 'LoadFace', 'Resize', 'ResizeEdge',
          'CenterCrop', 'Pad')
# Where the weights lie, and what happens when there are none: no part of what
# a prior computes. The files themselves are compared by their content.
_IGNORED = ('checkpoint', 'source', 'allow_untrained', 'init_cfg',
            'pretrained', 'fold_checkpoints', 'prepare')


def clean_pipeline(pipeline: Sequence[dict],
                   flip: bool = False) -> Tuple[List[dict], List[str]]:
    """The transforms of a pipeline that are the same every time.

    Those that are not known to be are left out; a crop of random place or
    size becomes a resize, or a crop of the middle, to the same size.

    Args:
        pipeline (Sequence[dict]): Configs of the transforms.
        flip (bool): Whether to flip the image, where the pipeline may flip
            it, else at the end. Defaults to False.

    Returns:
        tuple[list[dict], list[str]]: Configs of a pipeline that ends with the
        image, and the names of the transforms that it does not follow.

    Raises:
        CacheError: If the pipeline flips otherwise than horizontally, or
            more than once; or if it draws its images.
    """
    flipped = dict(type='RandomFlip', prob=1.)
    clean, changed, flips = [], [], 0
    for cfg in pipeline:
        kind = type_name(cfg)
        if kind == 'RandomFlip':
            directions = cfg.get('direction', 'horizontal')
            if set([directions] if isinstance(directions, str) else directions
                   ) != {'horizontal'}:
                raise CacheError(
                    f'a RandomFlip of the pipeline has direction={directions}:'
                    ' a cache of priors has rows for horizontal flips only')
            flips += 1
            clean += [flipped] if flip else []
        elif kind == 'RandomFaceAffine':
            flips += 1
            changed += [kind] if cfg.get('prob', 0.9) else []
            clean.append(dict(cfg, prob=0., flip_prob=float(flip)))
        elif kind == 'DrawSyntheticFace':
            raise CacheError('DrawSyntheticFace draws each face when it is '
                             'read: there is no image on the disk whose '
                             'priors a cache could hold')
        elif kind in _EXACT:
            clean.append(copy.deepcopy(dict(cfg)))
        elif kind not in ('PackInputs', 'LoadCachedPriors'):
            changed.append(kind)
            if kind == 'RandomResizedCrop':
                how = {
                    k: cfg[k]
                    for k in ('backend', 'interpolation') if k in cfg
                }
                clean.append(
                    dict(type='Resize', scale=to_2tuple(cfg['scale']), **how))
            elif kind == 'RandomCrop':
                clean.append(
                    dict(type='CenterCrop', crop_size=cfg['crop_size']))
    if flips > 1:
        raise CacheError(f'{flips} transforms of the pipeline flip: which way '
                         'an image is in the end cannot be known')
    return clean + ([flipped] if flip and not flips else []), changed


def prior_configs(cfg: Config) -> Dict[str, dict]:
    """The configs of the priors that a model has, by 'parsing', 'landmarks'.

    Raises:
        CacheError: If it has none.
    """
    backbone = cfg.model.get('backbone') or {}
    configs = {k: backbone[f] for k, f in FIELDS.items() if backbone.get(f)}
    if not configs:
        raise CacheError('the model of this config has no priors to cache: '
                         'model.backbone has neither '
                         f'{" nor ".join(FIELDS.values())}')
    return configs


def preprocessor_config(cfg: Config) -> dict:
    """A copy of the data preprocessor's config."""
    found = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    return {'type': 'ClsDataPreprocessor', **copy.deepcopy(found or {})}


def dataset_config(cfg: Config, split: str) -> dict:
    """The dataset's config of a split, itself.

    Raises:
        CacheError: If it wraps others.
    """
    dataset = cfg[f'{split}_dataloader'].dataset
    if 'pipeline' not in dataset:
        raise CacheError(
            f'the dataset of the {split} split, {type_name(dataset)}, has no '
            'pipeline of its own: a cache of priors needs a plain dataset')
    return dataset


def matching_split(cfg: Config, split: str,
                   done: Sequence[str]) -> Optional[str]:
    """An earlier split of the same images in the same pipeline, if any.

    Args:
        cfg (Config): The experiment.
        split (str): The split.
        done (Sequence[str]): Splits to choose from.
    """

    def content(name: str) -> str:
        dataset = dict(dataset_config(cfg, name))
        dataset['pipeline'] = clean_pipeline(dataset['pipeline'])[0]
        return config_hash(dataset)

    return next((d for d in done if content(d) == content(split)), None)


def build_dataset(cfg: Config, split: str, pipeline: Sequence[dict] = ()):
    """The dataset of a split, with another pipeline."""
    config = copy.deepcopy(dataset_config(cfg, split))
    config['pipeline'] = list(pipeline)
    with scope_of(cfg):
        return DATASETS.build(config)


def list_samples(dataset) -> Samples:
    """Names, file sizes and folds of a dataset's images.

    Other images under the same names are rarely as long.

    Raises:
        CacheError: If two samples have the same name.
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


def _file_hash(path: Optional[str]) -> Optional[str]:
    if path is None:
        return None
    file = local_file(path)
    if file is None:
        raise FileNotFoundError(
            f"a prior's checkpoint '{path}' is not here to be compared with "
            'the cache of priors')
    return file_hash(file)


def _weights_hash(state: Dict[str, torch.Tensor]) -> str:
    """Hash of weights, blind to what float16 does not show: a published
    checkpoint is rounded to it, and so are the rows."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu()
        if value.is_floating_point():
            value = value.half()
        digest.update(f'{name} {tuple(value.shape)};'.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_priors(checkpoint: str) -> Dict[str, Dict[str, torch.Tensor]]:
    """The weights of the priors' models in a checkpoint of the whole model.

    Args:
        checkpoint (str): The file.

    Returns:
        dict[str, dict[str, Tensor]]: State dicts of 'parsing', 'landmarks'.
    """
    content = CheckpointLoader.load_checkpoint(str(checkpoint), 'cpu')
    state = {
        k.removeprefix('module.'): v
        for k, v in content.get('state_dict', content).items()
    }
    prefixes = {k: f'backbone.{f}.model.' for k, f in FIELDS.items()}
    return {
        name: {
            k.removeprefix(prefix): v
            for k, v in state.items() if k.startswith(prefix)
        }
        for name, prefix in prefixes.items()
    }


def fingerprint(cfg: Config, split: str, samples: Samples,
                weights: Optional[dict], from_files: bool) -> dict:
    """What decides the rows of a cache, images apart.

    Args:
        cfg (Config): The experiment.
        split (str): The split.
        samples (dict): See :func:`list_samples`.
        weights (dict, optional): State dicts of the priors by name; None if
            they load their own files.
        from_files (bool): Whether the weights are those of the files that the
            config names, which are hashed then.

    Returns:
        dict: ``config``: hashes of the priors' configs, the data preprocessor
        and the pipeline. ``priors``: of each prior hashes of ``checkpoint``
        (``file``, ``folds``) and ``weights``; None where it does not apply.

    Raises:
        FileNotFoundError: If a prior's file is missing.
    """
    preprocessor = preprocessor_config(cfg)
    pipeline = clean_pipeline(dataset_config(cfg, split)['pipeline'])[0]
    folds = any(fold >= 0 for _, fold in samples.values())
    configs, priors = prior_configs(cfg), {}
    for name, prior in configs.items():
        pretrained = take_pretrained(copy.deepcopy(prior['model'])) or {}
        path = prior.get('checkpoint') or pretrained.get('checkpoint')
        priors[name] = dict(
            checkpoint=dict(
                file=_file_hash(path) if from_files else None,
                folds=[
                    _file_hash(p)
                    for p in folds and prior.get('fold_checkpoints') or ()
                ]),
            weights=weights and _weights_hash(weights[name]))
    return dict(
        config=dict(
            {
                k: config_hash(without_keys(v, _IGNORED))
                for k, v in configs.items()
            },
            preprocessor=config_hash({
                k: preprocessor.get(k)
                for k in ('mean', 'std', 'to_rgb', 'pad_size_divisor',
                          'pad_value')
            }),
            pipeline=config_hash(without_keys(pipeline, _IGNORED))),
        priors=priors)


def why_not(cache: PriorCache, cfg: Config, split: str, samples: Samples,
            checkpoint: Optional[str]) -> Optional[str]:
    """Why a complete cache is not that of a config, None if it is.

    Args:
        cache (PriorCache): The cache.
        cfg (Config): The experiment.
        split (str): The split.
        samples (dict): See :func:`list_samples`.
        checkpoint (str, optional): That of the whole model, with the priors'
            weights in it; None if they load their own files.
    """
    manifest = cache.manifest
    names = prior_configs(cfg)
    missing = [name for name in names if name not in manifest['priors']]
    if missing:
        return f'it has no {" and no ".join(missing)} prior'
    weights = load_priors(checkpoint) if checkpoint else None
    here = fingerprint(cfg, split, samples, weights, not checkpoint)
    other = [k for k, v in here['config'].items()
             if manifest['config'].get(k) != v]  # yapf: disable
    if other:
        return ('it was computed from another config, which differs in: '
                f'{", ".join(other)}')
    for name, prior in here['priors'].items():
        cached, owner = manifest['priors'][name], "the config's checkpoint"
        if prior['checkpoint']['folds'] != cached['checkpoint']['folds']:
            return (f'its {name} prior was computed with other '
                    'fold_checkpoints')
        same = prior['checkpoint']['file'] == cached['checkpoint']['file']
        if checkpoint:
            same = prior['weights'] == cached['weights']
            owner = f"'{checkpoint}'"
        if not same:
            return (f'its {name} prior was computed with other weights than '
                    f'those of {owner}')
    return _other_samples(cache.samples(), samples)


def _other_samples(cached: Samples, samples: Samples) -> Optional[str]:
    folds = any(fold >= 0 for _, fold in samples.values())
    for what, names in (
        ('others', [k for k in samples if k not in cached]),
        ('other files', [k for k, v in samples.items()
                         if k in cached and cached[k][0] != v[0]]),
        ('in other folds', [k for k, v in samples.items()
                            if folds and k in cached and cached[k][1] != v[1]])
    ):  # yapf: disable
        if names:
            more = ', ...' if len(names) > 3 else ''
            return (f'{len(names)} of {len(samples)} images are {what} than '
                    f'it was computed from ({", ".join(names[:3])}{more})')
    return None
