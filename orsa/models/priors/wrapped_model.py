# Copyright (c) orsa contributors. All rights reserved.
"""Models of any library, built to stand inside a prior."""
import contextlib
from typing import Iterator, Union

import torch.nn as nn
from mmengine.registry import DefaultScope

from orsa.registry import MODELS
from orsa.utils.checkpoint import take_pretrained
from orsa.utils.compat import provide_mmcv_ops
from orsa.utils.configs import nested_dicts


def build_wrapped(cfg: dict) -> nn.Module:
    """Build a model of any library from its config, under its own scope.

    A config of mmseg or mmpose can then be used as it is, bare type names
    inside it included.
    """
    kind = cfg['type']
    if isinstance(kind, str):
        scope = kind.rpartition('.')[0]
    else:  # a class, in MMEngine's new style
        scope = kind.__module__.partition('.')[0]
    if scope in ('mmseg', 'mmpose', 'mmdet'):
        provide_mmcv_ops()
    if scope in ('', 'orsa'):
        return MODELS.build(cfg)
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(cfg)


def skip_pretrained(cfg: dict) -> dict:
    """Let the parts of a model do without their files.

    Args:
        cfg (dict): Config of a model whose checkpoint follows, changed in
            place: every part that takes ``allow_untrained`` gets it as
            'quiet', and no ``init_cfg`` names a pretrained file any more.

    Returns:
        dict: The same config.
    """
    for part in nested_dicts(cfg):
        if _takes_allow_untrained(part.get('type')):
            part['allow_untrained'] = 'quiet'
        take_pretrained(part)
    return cfg


def strip_pretrained(cfg: dict) -> None:
    """Remove every pretrained file from a config, in place, however deep."""
    for part in nested_dicts(cfg):
        take_pretrained(part)
        part.pop('pretrained', None)


def _takes_allow_untrained(kind: Union[str, type, None]) -> bool:
    if isinstance(kind, str):
        # other libraries' types are not imported for this
        kind = MODELS.get(kind) if kind.startswith('orsa.') else (
            MODELS.module_dict.get(kind))
    return hasattr(kind, 'allow_untrained')


class HiddenNumClasses:
    """Takes the attribute ``num_classes`` off all modules of a model.

    mmpretrain's ``ClassNumCheckHook`` would compare it with the dataset's.
    Some heads read theirs in the forward pass (Segmenter's, PointRend's),
    which therefore runs inside :meth:`shown`.
    """

    def __init__(self, model: nn.Module):
        self._counts = [(module, vars(module).pop('num_classes'))
                        for module in model.modules()
                        if 'num_classes' in vars(module)]

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Put the attributes back for as long as this lasts."""
        for module, count in self._counts:
            module.num_classes = count
        try:
            yield
        finally:
            for module, _ in self._counts:
                vars(module).pop('num_classes', None)
