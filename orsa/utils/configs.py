# Copyright (c) orsa contributors. All rights reserved.
"""Helpers for reading configs."""
import argparse
import copy
import hashlib
import json
from typing import (Any, Collection, Iterator, List, NamedTuple, Optional,
                    Sequence)

from mmengine.config import DictAction
from mmengine.registry import DefaultScope, Registry


class OptionsAction(DictAction):
    """MMEngine's action for ``key=value``, which says what has no value."""

    def __call__(self, parser, namespace, values, option_string=None):
        """Refuse words without ``=``."""
        for value in values:
            if '=' not in value:
                raise argparse.ArgumentError(self,
                                             f"'{value}' should be key=value")
        super().__call__(parser, namespace, values, option_string)


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``; without it the options are an empty dict."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        default={},
        help='override settings of the config, as key=value; a list is '
        'key="[a,b]" or key=a,b')


def scope_of(cfg: dict):
    """The scope in which a config's parts are built, and which ends again.

    MMEngine's ``init_default_scope`` would stay, and let mmpose's, mmseg's
    and mmdet's registries build mmpretrain's classes where names are shared.

    Args:
        cfg (dict): With ``default_scope``; mmpretrain's without.

    Returns:
        ContextManager: Also a decorator.
    """
    return DefaultScope.overwrite_default_scope(
        cfg.get('default_scope', 'mmpretrain'))


def nested_dicts(cfg: Any) -> Iterator[dict]:
    """All dicts in a config, the outer ones first."""
    if isinstance(cfg, dict):
        yield cfg
        cfg = list(cfg.values())
    if isinstance(cfg, (list, tuple)):
        for value in cfg:
            yield from nested_dicts(value)


def without_keys(cfg: Any, keys: Collection[str]) -> Any:
    """A copy of a config, in which no dict has some keys."""
    if isinstance(cfg, dict):
        return {
            k: without_keys(v, keys)
            for k, v in cfg.items() if k not in keys
        }
    if isinstance(cfg, (list, tuple)):
        return [without_keys(v, keys) for v in cfg]
    return cfg


def class_of(cfg: dict, registry: Registry) -> Optional[type]:
    """The class that a config builds; None if it names none.

    Args:
        cfg (dict): With ``type``, a name or the class itself, or without.
        registry (Registry): What knows the name, in the scope of the moment.
    """
    kind = cfg.get('type')
    return registry.get(kind) if isinstance(kind, str) else kind


def type_name(cfg: dict) -> str:
    """The name of the class that a config builds, without its scope.

    Args:
        cfg (dict): With ``type``, 'orsa.RAFDB' or the class itself.
    """
    kind = cfg['type']
    return kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__


class Pipeline(NamedTuple):
    """A config of transforms in three lists, see :func:`split_pipeline`.

    Attributes:
        load (list[dict]): What brings the image: transforms at the beginning
            that are called ``Load...`` or ``Draw...``.
        transforms (list[dict]): What changes it.
        pack (list[dict]): What packs the sample: transforms at the end that
            are called ``Pack...``.
    """
    load: List[dict]
    transforms: List[dict]
    pack: List[dict]


def split_pipeline(pipeline: Sequence[dict]) -> Pipeline:
    """Copies of a pipeline's transforms, by what they do.

    A pipeline is changed by joining the lists again, as below.

    Args:
        pipeline (Sequence[dict]): Configs of transforms.

    Returns:
        Pipeline: Together they are ``pipeline``.

    Examples:
        >>> load, transforms, pack = split_pipeline([
        ...     dict(type='LoadFace'), dict(type='Resize', scale=224),
        ...     dict(type='PackInputs')])
        >>> occluded = [*load, dict(type='orsa.OccludeFace'),
        ...             *transforms, *pack]
    """
    names = [type_name(transform) for transform in pipeline]
    start, end = 0, len(names)
    while start < end and names[start].startswith(('Load', 'Draw')):
        start += 1
    while end > start and names[end - 1].startswith('Pack'):
        end -= 1
    copied = [copy.deepcopy(transform) for transform in pipeline]
    return Pipeline(copied[:start], copied[start:end], copied[end:])


def config_hash(obj) -> str:
    """SHA-256, in hex, of a config or of anything that JSON can say."""
    obj = obj.to_dict() if hasattr(obj, 'to_dict') else obj
    text = json.dumps(obj, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
