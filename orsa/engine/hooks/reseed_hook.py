# Copyright (c) orsa contributors. All rights reserved.
import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from orsa.datasets.seeding import NumberedSampler, set_dataset_epoch
from orsa.engine.distributed import loader_of, restart_loader
from orsa.registry import HOOKS


def seed_iteration(seed: int, iteration: int, rank: int = 0) -> None:
    """Seed all generators for one iteration of training.

    Args:
        seed (int): The run's.
        iteration (int): From 0.
        rank (int): Of the process. Defaults to 0.
    """
    entropy = np.random.SeedSequence((seed, iteration, rank))
    first, second, third = entropy.generate_state(3)
    random.seed(int(first))
    np.random.seed(int(second))
    torch.manual_seed(int(third))


@HOOKS.register_module()
class ReseedHook(Hook):
    """Make every random number of training a function of where it is drawn.

    MMEngine's checkpoints hold no random state. Instead of saving the states
    of all generators of all processes, this hook seeds them before every
    training iteration from (seed, iteration, rank), and sets the dataset's
    epoch, from which :class:`orsa.FERDataset` seeds each sample. A loop by
    iterations has no epochs: there a sample is seeded by its place in the
    sequence. A run that was interrupted then goes on with the same numbers as
    one that was not, with any number of workers, and validation in between
    changes nothing. Evaluation is not affected.
    """

    # After DistSamplerSeedHook (NORMAL), before anything that draws.
    priority = 'NORMAL'

    def before_train(self, runner: Runner) -> None:
        """Number the sampler's draws, and give it a resumed run's seed, which
        was not known when it was built."""
        loop, loader = runner.train_loop, loader_of(runner.train_loop)
        if runner._resume and isinstance(
                getattr(loader.sampler, 'seed', None), int):
            loader.sampler.seed = runner.seed
        batches = getattr(loader, 'batch_sampler', None)
        if hasattr(batches, 'sampler'):
            batches.sampler = NumberedSampler(
                batches.sampler, isinstance(loop, IterBasedTrainLoop))
            self.before_train_epoch(runner)  # before workers begin again
            restart_loader(loop)

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the dataset, and those inside wrappers, which epoch it is."""
        set_dataset_epoch(runner.train_dataloader.dataset, runner.epoch,
                          runner.seed)

    def before_val_epoch(self, runner: Runner) -> None:
        """The same random numbers in every validation, if it draws any."""
        set_dataset_epoch(loader_of(runner.val_loop).dataset, 0)

    def before_test_epoch(self, runner: Runner) -> None:
        """The same random numbers in every test, if it draws any."""
        set_dataset_epoch(loader_of(runner.test_loop).dataset, 0)

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch=None) -> None:
        """Seed Python, NumPy and torch for this iteration."""
        seed_iteration(runner.seed, runner.iter, get_rank())
