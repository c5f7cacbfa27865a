# Copyright (c) orsa contributors. All rights reserved.
from .composite_loss import CompositeLoss
from .dare_loss import DARELoss

__all__ = ['CompositeLoss', 'DARELoss']
