# Copyright (c) orsa contributors. All rights reserved.
from .epoch_train_loop import EpochTrainLoop
from .sam_loops import SAMIterBasedTrainLoop, SAMTrainLoop

__all__ = ['EpochTrainLoop', 'SAMIterBasedTrainLoop', 'SAMTrainLoop']
