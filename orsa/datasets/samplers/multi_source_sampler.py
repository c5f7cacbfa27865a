# Copyright (c) orsa contributors. All rights reserved.
import math
from typing import Iterator, List, Sequence, Tuple

import numpy as np
from mmengine.dataset import ConcatDataset
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from orsa.datasets.seeding import RepeatedIndex, set_dataset_epoch
from orsa.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class MultiSourceSampler(Sampler):
    """Draw from several datasets by stated shares, whatever their sizes.

    Each epoch has ``num_samples`` draws in random order, of which each
    dataset has its share: rounded in one epoch, exactly over many. Of a
    dataset all samples are drawn before one is drawn again. What it yields are
    :class:`RepeatedIndex`, so that a :class:`FERDataset` augments each draw
    anew.

    mmpose's sampler of this name works with its ``CombinedDataset`` alone, and
    resumes at the start of its sequence.

    Args:
        dataset (ConcatDataset): MMEngine's, of the datasets.
        shares (Sequence[float]): Of each dataset, which need not sum to 1.
        num_samples (int): Draws per epoch, over all ranks.
        seed (int, optional): The same on all ranks. Defaults to None, one that
            the ranks agree on.

    Raises:
        TypeError: If the dataset is of another type.
        ValueError: If there are not as many shares as datasets, or a share is
            negative, or all are 0.
    """

    def __init__(self,
                 dataset: ConcatDataset,
                 shares: Sequence[float],
                 num_samples: int,
                 seed: int = None):
        if not isinstance(dataset, ConcatDataset):
            raise TypeError('MultiSourceSampler needs a ConcatDataset, got '
                            f'{type(dataset).__name__}')
        if (len(shares) != len(dataset.datasets) or min(shares) < 0
                or sum(shares) <= 0):
            raise ValueError(
                f'shares should be {len(dataset.datasets)} numbers, one for '
                f'each dataset, none below 0, but got {shares}')
        self.dataset = dataset
        self.shares = np.array(shares, float) / sum(shares)
        self.rank, self.world_size = get_dist_info()
        self.num_samples = math.ceil(num_samples / self.world_size)
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        total = self.num_samples * self.world_size
        # where each source's draws of this and of the next epoch begin
        ends = np.cumsum(self.shares)
        begin, end = ((np.rint(ends * total * n))
                      for n in (self.epoch, self.epoch + 1))
        counts = np.diff(end - begin, prepend=0).astype(int)
        first = np.diff(begin, prepend=0).astype(int)
        draws: List[int] = []
        start = 0
        for source, part in enumerate(self.dataset.datasets):
            order = self._draws(source, len(part), first[source],
                                counts[source])
            draws += [
                RepeatedIndex(start + index, lap) for index, lap in order
            ]
            start += len(part)
        rng = np.random.default_rng((self.seed, self.epoch))
        rng.shuffle(draws)  # of a list, which keeps what an index knows
        yield from draws[self.rank:total:self.world_size]

    def _draws(self, source: int, size: int, first: int,
               count: int) -> List[Tuple[int, int]]:
        """Number ``first`` to ``first + count`` of a source's sequence.

        Each with its lap of the epoch, which makes it another draw.
        """
        last = first + count
        laps = range(first // size, -(-last // size))
        draws = []
        for number, lap in enumerate(laps):
            rng = np.random.default_rng((self.seed, source, lap))
            draws += [(i, number) for i in rng.permutation(size).tolist()]
        skip = first % size
        return draws[skip:skip + count]

    def __len__(self) -> int:
        """The number of samples of this rank."""
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, from 0, of this sampler and of its dataset."""
        self.epoch = epoch
        set_dataset_epoch(self.dataset, epoch)
