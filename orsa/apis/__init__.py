# Copyright (c) orsa contributors. All rights reserved.
from .model import build_model, init_model, load_config

__all__ = ['build_model', 'init_model', 'load_config']
