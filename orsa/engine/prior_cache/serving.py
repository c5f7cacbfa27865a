# Copyright (c) orsa contributors. All rights reserved.
"""Training and testing with frozen priors that were computed before."""
import logging
import os.path as osp
from typing import Optional, Sequence

from mmengine.config import Config
from mmengine.logging import print_log

from orsa.utils.configs import split_pipeline, type_name
from orsa.utils.prior_cache import PRIOR_KEYS, CacheError, PriorCache
from .identity import (SPLITS, build_dataset, clean_pipeline, dataset_config,
                       list_samples, matching_split, preprocessor_config,
                       prior_configs, why_not)


def use_prior_cache(cfg: Config,
                    splits: Sequence[str],
                    checkpoint: Optional[str] = None) -> None:
    """Let a run take its priors from the disk if ``prior_cache`` is set.

    The cache is compared with the config, the weights and the samples at
    hand. Then ``orsa.LoadCachedPriors`` is put before ``PackInputs`` of every
    split that has a cache, and the data preprocessor becomes
    :class:`orsa.CompanionDataPreprocessor`. For other splits the priors are
    computed.

    Args:
        cfg (Config): The experiment, changed in place.
        splits (Sequence[str]): Those that the run uses.
        checkpoint (str, optional): The checkpoint of the whole model that
            will be loaded, with the priors' weights in it. Defaults to None,
            the priors load their own files.

    Raises:
        CacheError: If the cache is stale, partial or damaged, or priors would
            see other images than the cached ones; names the command that
            makes it anew.
    """
    root = cfg.get('prior_cache')
    if not root:
        return
    served = []
    for split in [s for s in splits if cfg.get(f'{s}_dataloader')]:
        folder = _find(cfg, split, osp.expanduser(root))
        if folder is None:
            print_log(
                f"the cache of priors '{root}' has no {split} split: there "
                'the priors are computed',
                logger='current')
            continue
        _verify(cfg, split, folder, checkpoint)
        _insert(cfg, split, folder)
        served.append(split)
    if not served:
        raise CacheError(f"prior_cache='{root}' has none of the splits "
                         f'{", ".join(splits)}. {_hint(cfg, splits)}')
    _swap_preprocessor(cfg)
    print_log(
        f"priors come from '{root}' for: {', '.join(served)}",
        logger='current')


def _hint(cfg: Config, splits: Sequence[str]) -> str:
    return ('Make it new: python tools/cache_priors.py '
            f'{cfg.filename or "CONFIG"} --split {" ".join(splits)} --out '
            f'{cfg.prior_cache} and the same --cfg-options, if any')


def _find(cfg: Config, split: str, root: str) -> Optional[str]:
    """The folder of a split, or of one with the same images."""
    present = [s for s in SPLITS if osp.isdir(osp.join(root, s))]
    name = split if split in present else matching_split(
        cfg, split, [s for s in present if cfg.get(f'{s}_dataloader')])
    return name and osp.join(root, name)


def _verify(cfg: Config, split: str, folder: str,
            checkpoint: Optional[str]) -> None:
    changed = clean_pipeline(dataset_config(cfg, split)['pipeline'])[1]
    if changed and not cfg.get('prior_cache_approximate'):
        raise CacheError(
            f'the {split} pipeline has {", ".join(changed)}: the priors would '
            'see another image each time, and a cache does not follow. '
            'Leave them out, or set prior_cache_approximate=True, with which '
            'the priors see the clean, unmoved face')
    try:
        cache = PriorCache(folder)
        samples = list_samples(build_dataset(cfg, split))
        reason = why_not(cache, cfg, split, samples, checkpoint)
        if reason:
            raise CacheError(f"'{folder}' cannot be used: {reason}")
    except CacheError as error:
        raise CacheError(
            f'prior_cache: {error}. {_hint(cfg, [split])}') from error
    if changed:
        print_log(
            f'THE PRIORS OF THE {split.upper()} SPLIT ARE APPROXIMATE: they '
            f'see the clean, unmoved face, not what {", ".join(changed)} make '
            'of it',
            logger='current',
            level=logging.WARNING)


def _insert(cfg: Config, split: str, folder: str) -> None:
    """Let a split's pipeline load the cache, right before it packs."""
    dataset, names = dataset_config(cfg, split), tuple(prior_configs(cfg))
    load, transforms, pack = split_pipeline(dataset['pipeline'])
    if len(pack) != 1 or type_name(pack[0]) != 'PackInputs':
        raise CacheError(f'the {split} pipeline should end with one '
                         f'PackInputs, but ends with {pack}')
    keys = (*pack[0].get('algorithm_keys',
                         ()), *(PRIOR_KEYS[name] for name in names))
    pack[0]['algorithm_keys'] = tuple(dict.fromkeys(keys))
    # a dumped config of an earlier run has the transform already
    dataset['pipeline'] = [
        *load, *(t for t in transforms if type_name(t) != 'LoadCachedPriors'),
        dict(type='orsa.LoadCachedPriors', cache=folder, priors=names), *pack
    ]


def _swap_preprocessor(cfg: Config) -> None:
    owner = cfg.model if cfg.model.get('data_preprocessor') else cfg
    config = preprocessor_config(cfg)
    kind = type_name(config)
    if kind not in ('ClsDataPreprocessor', 'CompanionDataPreprocessor'):
        raise CacheError(
            f'prior_cache needs a data_preprocessor of type '
            f'ClsDataPreprocessor or orsa.CompanionDataPreprocessor, not '
            f'{kind}')
    config['type'] = 'orsa.CompanionDataPreprocessor'
    owner['data_preprocessor'] = config
