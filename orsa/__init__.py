# Copyright (c) orsa contributors. All rights reserved.
import os

# A damaged or hostile picture of a few bytes may claim a thousand million
# pixels, and OpenCV would take 3 GB for it. It reads this when it is loaded.
os.environ.setdefault('OPENCV_IO_MAX_IMAGE_PIXELS', '89478485')

from .utils.config_scope import register_config_scope  # noqa: E402
from .utils.import_hook import when_imported  # noqa: E402
from .version import __version__  # noqa: E402

__all__ = ['FERInferencer', 'OcclusionSuite', '__version__']

register_config_scope()


def _read_checkpoints() -> None:
    from .utils.checkpoint_records import allow_records
    allow_records()


# torch is not imported for it
when_imported('mmengine.runner.checkpoint', _read_checkpoints)


def __getattr__(name: str):
    # what needs torch is imported when it is asked for
    if name == 'FERInferencer':
        from orsa.apis import FERInferencer
        return FERInferencer
    if name == 'OcclusionSuite':
        from orsa.studies.occlusion_suite import OcclusionSuite
        return OcclusionSuite
    raise AttributeError(f"module 'orsa' has no attribute {name!r}")
