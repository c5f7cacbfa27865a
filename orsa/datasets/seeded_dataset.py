# Copyright (c) orsa contributors. All rights reserved.
import logging
from typing import Optional

import torch
from mmengine.logging import print_log
from mmpretrain.datasets import BaseDataset

from .images import name_sample
from .seeding import SharedEpoch, seeded
from .transforms.load_face import use_one_reader


class SeededDataset(BaseDataset):
    """A dataset whose pipeline draws the same random numbers in every run.

    They depend on (seed, epoch, index) alone, so they are the same for any
    number of workers and after a resume, provided that :meth:`set_epoch` is
    called: :class:`ReseedHook` does, and :class:`ClassBalancedSampler`, for
    wrappers of datasets as well. Python's, numpy's and torch's own generators
    are left as they were.

    Args:
        seed (int, optional): Of the pipeline's random numbers. Defaults to
            None: the run's (torch's initial seed), and 0 in test mode.
        **kwargs: Arguments of :class:`mmpretrain.datasets.BaseDataset`.
    """

    def __init__(self, seed: Optional[int] = None, **kwargs):
        super().__init__(**kwargs)
        use_one_reader(self.pipeline)
        self._own_seed = seed is not None
        if seed is None:
            # a call that draws nothing, so that building a dataset does not
            # change what the model is initialised with
            seed = 0 if self.test_mode else torch.initial_seed() % 2**63
        self._clock = SharedEpoch(seed)

    @property
    def epoch(self) -> int:
        """The epoch that the pipeline's random numbers are drawn for."""
        return self._clock.epoch

    @property
    def seed(self) -> int:
        """The seed of the pipeline's random numbers."""
        return self._clock.seed

    def set_epoch(self, epoch: int, seed: Optional[int] = None) -> None:
        """Set the epoch (and the seed) of the pipeline's random numbers.

        Workers that run already see it too.

        Args:
            epoch (int): From 0.
            seed (int, optional): That of the run. None keeps the present one,
                and so does a dataset that was given a seed of its own.
        """
        self._clock.set(epoch, None if self._own_seed else seed)

    def log(self, message: str, level: int = logging.INFO) -> None:
        """Log a message after the name of the dataset.

        Args:
            message (str): One line.
            level (int): Of :mod:`logging`. Defaults to ``logging.INFO``.
        """
        print_log(
            f'{type(self).__name__}: {message}', logger='current', level=level)

    def prepare_data(self, idx: int) -> Optional[dict]:
        """Run the pipeline on a sample with random numbers of its own.

        Args:
            idx (int): The index. A :class:`RepeatedIndex` makes every draw of
                the sample another one.

        Returns:
            dict: What the pipeline returns. In training a sample for which it
            returns None is replaced by another one.

        Raises:
            OSError: If the image cannot be read.
        """
        draw, idx = getattr(idx, 'draw', 0), int(idx)
        if idx < 0:
            idx += len(self)
        with seeded(self.seed, self.epoch, idx, draw):
            if self.test_mode:
                return self._run_pipeline(idx)
            for _ in range(self.max_refetch + 1):
                data = self._run_pipeline(idx)
                if data is not None:
                    return data
                idx = self._rand_another()
        raise RuntimeError(
            f'{type(self).__name__}: the pipeline returned None for '
            f'{self.max_refetch + 1} samples in a row')

    def _run_pipeline(self, idx: int) -> Optional[dict]:
        info = self.get_data_info(idx)
        with name_sample(self, idx, info, self.unreadable_file):
            return self.pipeline(info)

    def unreadable_file(self, info: dict) -> Optional[str]:
        """Find out why the image of a record cannot be read.

        Args:
            info (dict): As of :meth:`get_data_info`.

        Returns:
            str | None: The file and the reason; None if it can be read.
        """
        raise NotImplementedError
