# Copyright (c) orsa contributors. All rights reserved.
import copy
from typing import Optional, Sequence, Union

import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader

from orsa.utils.classes import check_classes
from orsa.utils.compat import setup_stack
from orsa.utils.config_scope import config_path
from orsa.utils.state_fit import bare_keys, misfits
from .zoo import looks_like_name, resolve_model


def load_config(config: Union[str, Config]) -> Config:
    """Read a config file, or copy a Config.

    Args:
        config (str | Config): A path, a name inside a package such as
            'orsa::orsanet_rafdb.py', or a Config.

    Returns:
        Config: One that may be changed freely.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If ``config`` is neither.
    """
    setup_stack()
    if isinstance(config, Config):
        return copy.deepcopy(config)
    if not isinstance(config,
                      (str, bytes)) and not hasattr(config, '__fspath__'):
        raise TypeError('config should be a path or a Config, but got '
                        f'{type(config)}')
    config = str(config)
    if config.startswith('orsa::'):
        config = config_path(config.removeprefix('orsa::'))
    return Config.fromfile(config)


def build_model(cfg: Config, pretrained: bool = True) -> nn.Module:
    """Build the model of a config, without initialising its weights.

    Args:
        cfg (Config): The experiment.
        pretrained (bool): Whether ``init_weights`` shall later load the
            pretrained parts; False where a whole checkpoint follows, so that
            their files need not be there. Defaults to True.

    Returns:
        nn.Module: The model.
    """
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    model_cfg = copy.deepcopy(cfg.model)
    if not pretrained:
        from orsa.models.priors import skip_pretrained
        skip_pretrained(model_cfg)
    return MODELS.build(model_cfg)


def _load(model: nn.Module, checkpoint: dict, name: str, strict: bool) -> None:
    state = bare_keys(checkpoint.get('state_dict', checkpoint))
    problems = misfits(model, state)
    if problems and strict:
        raise ValueError(f"'{name}' does not fit the model of this config: "
                         f'{"; ".join(problems)}')
    own = model.state_dict()
    model.load_state_dict(
        {
            k: v
            for k, v in state.items() if k in own and v.shape == own[k].shape
        },
        strict=False)


def _config_classes(cfg: Config) -> Optional[Sequence[str]]:
    """Class names that a config states for its test data, if it does."""
    for loader in ('test_dataloader', 'val_dataloader', 'train_dataloader'):
        dataset = (cfg.get(loader) or {}).get('dataset') or {}
        metainfo = dataset.get('metainfo') or {}
        if 'classes' in metainfo:
            return metainfo['classes']
    return None


def init_model(config: Union[str, Config],
               checkpoint: Optional[str] = None,
               device: Union[str, torch.device] = 'cpu',
               strict: bool = True) -> nn.Module:
    """Build a model from a config and load a whole checkpoint into it.

    Args:
        config (str | Config): The name of a model that ships with its
            weights (see :func:`orsa.apis.available_models`), a config file,
            'orsa::NAME.py', or a Config, whose ``model.head.num_classes`` may
            have been changed.
        checkpoint (str, optional): A path or URL. It is read without running
            what a pickle may carry; weights in float16 are loaded into
            float32 ones, exactly. With None a model by name has the weights
            that ship; another has those of construction, that is random, and
            ``model.init_weights()`` then loads the pretrained parts that the
            config names. Defaults to None.
        device (str | torch.device): Where the model shall be.
            Defaults to 'cpu'.
        strict (bool): Whether a key that is missing, unknown or of another
            shape is an error. Defaults to True.

    Returns:
        nn.Module: The model in evaluation mode, with ``cfg`` and
        ``dataset_meta`` (its class names) as attributes.

    Raises:
        ValueError: If the checkpoint does not fit, its classes are not
            those of the config, or there is no model of that name or no such
            device.
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
    classes = _config_classes(cfg)
    num_classes = getattr(getattr(model, 'head', None), 'num_classes', None)
    if checkpoint is not None:
        content = CheckpointLoader.load_checkpoint(
            str(checkpoint), map_location='cpu')
        meta = (content.get('meta') or {}).get('dataset_meta') or {}
        names = meta.get('classes')
        if names is not None and num_classes not in (None, len(names)):
            raise ValueError(
                f"'{checkpoint}' has {len(names)} classes "
                f'({", ".join(names)}), but model.head.num_classes='
                f'{num_classes}')
        fallback = classes or _default_classes(num_classes)
        check_classes(names, classes if names else fallback)
        _load(model, content, str(checkpoint), strict)
        classes = names or fallback
    model.dataset_meta = dict(
        classes=tuple(classes or _default_classes(num_classes) or ()))
    model.cfg = cfg
    try:
        return model.to(device).eval()
    except (AssertionError, RuntimeError) as error:  # torch knows both
        raise ValueError(f"the model cannot be put on '{device}': {error}; "
                         "'cpu' is always there") from error


def _default_classes(num_classes: Optional[int]) -> Optional[Sequence[str]]:
    from orsa.utils.classes import RAFDB_CLASSES
    return RAFDB_CLASSES if num_classes == len(RAFDB_CLASSES) else None
