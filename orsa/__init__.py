# Copyright (c) orsa contributors. All rights reserved.
import importlib
import os
import warnings

# A damaged or hostile image of a few bytes may claim a thousand million
# pixels, and OpenCV would take 3 GB for it. It reads this when it is loaded.
os.environ.setdefault('OPENCV_IO_MAX_IMAGE_PIXELS', '89478485')

from .utils.import_hook import when_imported  # noqa: E402
from .version import __version__  # noqa: E402

__all__ = [
    'FERInferencer', 'OcclusionSuite', '__version__', 'get_model',
    'inference_model', 'init_model', 'list_models'
]


def _know_configs() -> None:
    from .utils.config_scope import register_config_scope
    register_config_scope()


def _know_hub() -> None:
    from .utils.config_scope import register_hub
    register_hub()


def _load_shipped(filename: str, map_location=None) -> dict:
    from .utils.checkpoint import load_checkpoint_file
    return load_checkpoint_file(filename, map_location)


def _read_checkpoints() -> None:
    from mmengine.runner.checkpoint import CheckpointLoader

    from .utils.checkpoint_records import allow_records
    from .utils.shipped import ZOO_PREFIX
    allow_records()
    CheckpointLoader.register_scheme(ZOO_PREFIX, _load_shipped, force=True)


# mmcv-lite, which orsa recommends, says so whenever it is imported
warnings.filterwarnings('ignore', 'Fail to import ``MultiScaleDeformable')

# for whoever has them: predictions need neither MMEngine nor torch
when_imported('mmengine.config.config', _know_configs)
when_imported('mmengine.hub.hub', _know_hub)
when_imported('mmengine.runner.checkpoint', _read_checkpoints)

# imported when they are used; mmpretrain's two say what to type instead
_LAZY = dict(
    FERInferencer='orsa.apis',
    FeatureExtractor='orsa.apis',
    ImageClassificationInferencer='orsa.apis',
    OcclusionSuite='orsa.studies.occlusion_suite',
    get_model='orsa.apis',
    inference_model='orsa.apis',
    init_model='orsa.apis',
    list_models='orsa.apis')


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'orsa' has no attribute {name!r}")
