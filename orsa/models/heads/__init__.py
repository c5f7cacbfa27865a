# Copyright (c) orsa contributors. All rights reserved.
from .dan_head import DANHead
from .dare_head import DAREHead

__all__ = ['DANHead', 'DAREHead']
