# Copyright (c) orsa contributors. All rights reserved.
from .dare_head import DAREHead

__all__ = ['DAREHead']
