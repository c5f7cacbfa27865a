# Copyright (c) orsa contributors. All rights reserved.
from .utils.config_scope import register_config_scope
from .version import __version__

__all__ = ['__version__']

register_config_scope()
