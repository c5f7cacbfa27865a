# Copyright (c) orsa contributors. All rights reserved.
"""Registries of orsa, children of MMEngine's roots under the scope ``orsa``.

The parent has to be MMEngine's root: a child of mmpretrain's registry would be
invisible from an mmsegmentation or mmpose config. MMEngine imports this module
by its name (``orsa.registry``) when it meets ``type='orsa.X'``, so no
``custom_imports`` is needed anywhere.
"""
from importlib import import_module
from typing import Dict, Optional

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import \
    OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import Registry

__all__ = [
    'DATASETS', 'DATA_SAMPLERS', 'HOOKS', 'LOOPS', 'METRICS', 'MODELS',
    'OPTIM_WRAPPERS', 'OPTIM_WRAPPER_CONSTRUCTORS', 'TRANSFORMS', 'VISUALIZERS'
]

# Parts that are heirs of mmseg's or mmpose's. Importing them imports those, so
# that they are not found by their folder, which every look-up imports, but by
# name.
_MODELS_ON_DEMAND = {
    'SegFaceHead': 'orsa.models.heads.segface_head',
    'VisibilityHead': 'orsa.models.heads.visibility_head'
}


class _Registry(Registry):
    """A registry that also knows mmpretrain's names, on which ours build.

    Without a default scope a bare name is looked for in orsa, in mmpretrain
    and in MMEngine, so that ``MODELS.build(cfg.model)`` builds our configs.

    Args:
        on_demand (dict[str, str], optional): Modules that wait until a name is
            asked for, by that name. Defaults to None.
    """

    def __init__(self,
                 *args,
                 on_demand: Optional[Dict[str, str]] = None,
                 **kwargs):
        super().__init__(*args, **kwargs)
        self._on_demand = on_demand or {}

    def get(self, key: str) -> Optional[type]:
        if isinstance(key, str):
            scope, name = self.split_scope_key(key)
            if scope in (None, self.scope) and name in self._on_demand:
                import_module(self._on_demand[name])
            self.import_from_location()
            if scope is None and name not in self.module_dict:
                return self.parent.get(f'mmpretrain.{name}')
        return super().get(key)


def _child(parent: Registry, *locations: str, **kwargs) -> Registry:
    return _Registry(
        parent.name,
        parent=parent,
        scope='orsa',
        locations=list(locations),
        **kwargs)


MODELS = _child(MMENGINE_MODELS, 'orsa.models', on_demand=_MODELS_ON_DEMAND)
DATASETS = _child(MMENGINE_DATASETS, 'orsa.datasets')
DATA_SAMPLERS = _child(MMENGINE_DATA_SAMPLERS, 'orsa.datasets.samplers')
TRANSFORMS = _child(MMENGINE_TRANSFORMS, 'orsa.datasets.transforms')
METRICS = _child(MMENGINE_METRICS, 'orsa.evaluation.metrics')
HOOKS = _child(MMENGINE_HOOKS, 'orsa.engine.hooks')
LOOPS = _child(MMENGINE_LOOPS, 'orsa.engine.loops')
OPTIM_WRAPPERS = _child(MMENGINE_OPTIM_WRAPPERS, 'orsa.engine.optimizers')
OPTIM_WRAPPER_CONSTRUCTORS = _child(MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
                                    'orsa.engine.optimizers')
VISUALIZERS = _child(MMENGINE_VISUALIZERS, 'orsa.visualization')
