# Copyright (c) orsa contributors. All rights reserved.
"""A model of a config, with the weights and class names of its checkpoint."""
import copy
import os
from typing import Optional, Tuple, Union

import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS
from mmengine.runner.checkpoint import CheckpointLoader

from orsa.engine.state_fit import bare_keys, misfits
from orsa.utils.checkpoint_records import CheckpointError
from orsa.utils.classes import check_classes, checkpoint_classes, class_names
from orsa.utils.compat import setup_stack
from orsa.utils.config_scope import config_path
from orsa.utils.configs import scope_of
from .zoo import looks_like_name, resolve_model


def load_config(config: Union[str, os.PathLike, Config]) -> Config:
    """Read a config file, or copy a Config.

    Args:
        config (str | os.PathLike | Config): A path, a name inside a package
            such as 'orsa::orsanet_rafdb.py', or a Config.

    Returns:
        Config: One that may be changed freely.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If ``config`` is neither.
    """
    setup_stack()
    if isinstance(config, Config):
        return _as_the_runner(copy.deepcopy(config))
    if not isinstance(config, (str, os.PathLike)):
        raise TypeError('config should be a path or a Config, but got '
                        f'{type(config)}')
    config = str(config)
    if config.startswith('orsa::'):
        config = config_path(config.removeprefix('orsa::'))
    return _as_the_runner(Config.fromfile(config))


def _as_the_runner(cfg: Config) -> Config:
    # a data preprocessor beside the model is the model's
    if cfg.get('data_preprocessor') and isinstance(cfg.get('model'), dict):
        cfg.model.setdefault('data_preprocessor',
                             copy.deepcopy(cfg.data_preprocessor))
    return cfg


def build_model(cfg: Config, pretrained: bool = True) -> nn.Module:
    """Build the model of a config, without initialising its weights.

    Args:
        cfg (Config): The experiment.
        pretrained (bool): Whether ``init_weights`` shall later load the
            pretrained parts; False where a complete checkpoint follows, so
            that their files need not be there. Defaults to True.

    Returns:
        nn.Module: The model.
    """
    model_cfg = copy.deepcopy(cfg.model)
    if not pretrained:
        from orsa.models.priors import skip_pretrained  # imports all models
        skip_pretrained(model_cfg)
    with scope_of(cfg):
        return MODELS.build(model_cfg)


def _load(model: nn.Module, checkpoint: dict, name: str, strict: bool) -> None:
    state = bare_keys(checkpoint.get('state_dict', checkpoint))
    problems = misfits(model, state)
    if problems and strict:
        raise CheckpointError(
            f"'{name}' does not fit the model of this config: "
            f'{"; ".join(problems)}')
    own = model.state_dict()
    fitting = {
        k: v
        for k, v in state.items() if k in own and v.shape == own[k].shape
    }
    model.load_state_dict(fitting, strict=False)


def dataset_classes(dataset: dict,
                    scope: str = 'mmpretrain',
                    defaults: bool = True) -> Optional[Tuple[str, ...]]:
    """The class names in the config of a dataset.

    Args:
        dataset (dict): The config; of a wrapper, that of its dataset.
        scope (str): Where its type is registered. Defaults to 'mmpretrain'.
        defaults (bool): Whether ``METAINFO`` of the type counts.
            Defaults to True.

    Returns:
        tuple[str] | None: Names by index from ``classes`` (a list, or a file
        of lines), ``metainfo.classes`` or ``METAINFO``, in that order; None
        if none of them has any.
    """
    while 'dataset' in dataset or 'datasets' in dataset:
        dataset = dataset.get('dataset') or dataset['datasets'][0]
    names = dataset.get('classes') or (dataset.get('metainfo')
                                       or {}).get('classes')
    if not names and defaults and dataset.get('type'):
        with DATASETS.switch_scope_and_registry(scope) as registry:
            kind = registry.get(dataset['type'])
        # folders of classes have no order of their own
        if not getattr(kind, 'ANY_CLASSES', False):
            names = getattr(kind, 'METAINFO', {}).get('classes')
    if isinstance(names, str):
        from orsa.datasets.text_files import read_classes  # all datasets
        names = read_classes(names)
    return tuple(names) if names else None


def config_classes(cfg: Config,
                   defaults: bool = True) -> Optional[Tuple[str, ...]]:
    """The class names of a config's model.

    Args:
        cfg (Config): The experiment. ``model_classes`` of its test metric,
            which ``--data-from`` sets, come first, then the data it is
            tested, validated and trained on, see :func:`dataset_classes`.
        defaults (bool): Whether ``METAINFO`` of a dataset's type counts,
            after all others. Defaults to True.

    Returns:
        tuple[str] | None: Names by index, None if there are none.
    """
    metrics = cfg.get('test_evaluator') or []
    for metric in metrics if isinstance(metrics, list) else [metrics]:
        if metric.get('model_classes'):
            return tuple(metric['model_classes'])
    scope = cfg.get('default_scope', 'mmpretrain')
    for use_defaults in (False, True) if defaults else (False, ):
        for split in ('test', 'val', 'train'):
            dataset = (cfg.get(f'{split}_dataloader') or {}).get('dataset')
            names = dataset and dataset_classes(dataset, scope, use_defaults)
            if names:
                return names
    return None


def _names(content: dict, cfg: Config, num_classes: Optional[int],
           source: str) -> Tuple[str, ...]:
    """The names of a model's classes, for a classifier as many as it has."""
    saved = checkpoint_classes(content)
    named = config_classes(cfg, defaults=False)
    if saved is not None and num_classes not in (None, len(saved)):
        raise CheckpointError(
            f"'{source}' has {len(saved)} classes ({', '.join(saved)}), but "
            f'model.head.num_classes={num_classes}')
    if named is None and saved is None:
        named = config_classes(cfg)
        if named is None and num_classes is None:
            return ()  # a segmentor or pose estimator needs none
    names = class_names(content, named, source)
    if num_classes not in (None, len(names)):
        raise ValueError(
            f'the config names {len(names)} classes ({", ".join(names)}), but '
            f'model.head.num_classes={num_classes}: set dataset=dict('
            'classes=[...]) in its test_dataloader')
    if named:
        check_classes(names, named)
    return names


def init_model(config: Union[str, Config],
               checkpoint: Optional[str] = None,
               device: Union[str, torch.device] = 'cpu',
               strict: bool = True) -> nn.Module:
    """Build a model from a config and load a complete checkpoint into it.

    Args:
        config (str | Config): The name of a model that ships with its
            weights (see :func:`orsa.apis.available_models`), a config file,
            'orsa::NAME.py', or a Config, whose ``model.head.num_classes`` may
            have been changed.
        checkpoint (str, optional): A path or URL. It is read without running
            what a pickle may carry; weights in float16 are loaded into
            float32 ones, exactly. Defaults to None: a model by name has the
            weights that ship; another has random ones until
            ``model.init_weights()`` loads the pretrained parts of its config.
        device (str | torch.device): Of the model.
            Defaults to 'cpu'.
        strict (bool): Whether a key that is missing, unknown or of another
            shape is an error. Defaults to True.

    Returns:
        nn.Module: The model in evaluation mode, with ``cfg`` and
        ``dataset_meta`` (its class names) as attributes.

    Raises:
        ValueError: If the checkpoint does not fit, its classes are not
            those of the config, neither names them (no order is guessed), or
            there is no model of that name or no such device.
        FileNotFoundError: If the weights that should ship are missing.

    Examples:
        >>> from orsa.apis import init_model
        >>> model = init_model('orsa::orsanet_small_rafdb.py')
        >>> logits = model(torch.rand(1, 3, 224, 224), mode='tensor')
        >>> logits.shape
        torch.Size([1, 7])
    """
    if isinstance(config, str) and looks_like_name(config):
        config, checkpoint = resolve_model(config, checkpoint)
    cfg = load_config(config)
    model = build_model(cfg, pretrained=checkpoint is None)
    num_classes = getattr(getattr(model, 'head', None), 'num_classes', None)
    if checkpoint is not None:
        content = CheckpointLoader.load_checkpoint(
            str(checkpoint), map_location='cpu')
        classes = _names(content, cfg, num_classes, str(checkpoint))
        _load(model, content, str(checkpoint), strict)
    else:
        classes = config_classes(cfg) or ()
        if num_classes not in (None, len(classes)):
            classes = ()  # of other data than the head is for
    model.dataset_meta = dict(classes=classes)
    model.cfg = cfg
    try:
        model = model.to(device).eval()
    except (AssertionError, RuntimeError) as error:  # torch knows both
        raise ValueError(f"the model cannot be put on '{device}': {error}; "
                         "'cpu' is always there") from error
    return remember_checkpoint(model, checkpoint)


def remember_checkpoint(model: nn.Module,
                        checkpoint: Optional[str]) -> nn.Module:
    """Note in a model where its weights, as they are now, come from."""
    model.loaded_from = checkpoint, _version(model)
    return model


def unchanged_checkpoint(model: nn.Module) -> Optional[str]:
    """What :func:`init_model` has loaded, if it was not changed since."""
    checkpoint, version = getattr(model, 'loaded_from', (None, None))
    return checkpoint if version == _version(model) else None


def _version(model: nn.Module) -> int:
    # grows with every change in place
    return sum(t._version for t in (*model.parameters(), *model.buffers()))
