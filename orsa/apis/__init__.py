# Copyright (c) orsa contributors. All rights reserved.
from .model import build_model, init_model, load_config
from .zoo import available_models

__all__ = ['available_models', 'build_model', 'init_model', 'load_config']
