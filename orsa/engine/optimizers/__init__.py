# Copyright (c) orsa contributors. All rights reserved.
from .bfloat16_optim_wrapper import BFloat16OptimWrapper
from .sam_optim_wrapper import SAMOptimWrapper

__all__ = ['BFloat16OptimWrapper', 'SAMOptimWrapper']
