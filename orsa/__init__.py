# Copyright (c) orsa contributors. All rights reserved.
from .utils.config_scope import register_config_scope
from .version import __version__

__all__ = ['OcclusionSuite', '__version__']

register_config_scope()


def __getattr__(name: str):
    # what needs the whole stack is imported when it is asked for
    if name == 'OcclusionSuite':
        from .apis.occlusion_suite import OcclusionSuite
        return OcclusionSuite
    raise AttributeError(f"module 'orsa' has no attribute {name!r}")
