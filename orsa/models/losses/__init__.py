# Copyright (c) orsa contributors. All rights reserved.
from .affinity_loss import AffinityLoss
from .composite_loss import CompositeLoss
from .dare_loss import DARELoss
from .marginal_loss import MarginalLoss
from .partition_loss import PartitionLoss

__all__ = [
    'AffinityLoss', 'CompositeLoss', 'DARELoss', 'MarginalLoss',
    'PartitionLoss'
]
