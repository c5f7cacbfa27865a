# Copyright (c) orsa contributors. All rights reserved.
from .sam_loops import SAMIterBasedTrainLoop, SAMTrainLoop

__all__ = ['SAMIterBasedTrainLoop', 'SAMTrainLoop']
