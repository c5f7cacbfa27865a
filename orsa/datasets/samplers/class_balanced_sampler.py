# Copyright (c) orsa contributors. All rights reserved.
import math
from typing import Iterator, Optional, Sized

import numpy as np
import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from orsa.datasets.seeding import NumberedSampler, set_dataset_epoch
from orsa.registry import DATA_SAMPLERS


def _labels(dataset: Sized) -> np.ndarray:
    """The class of every sample of a dataset or of a wrapper of some."""
    if hasattr(dataset, 'get_gt_labels'):
        return np.asarray(dataset.get_gt_labels(), dtype=np.int64)
    if not hasattr(dataset, 'get_data_info'):
        raise TypeError(
            'ClassBalancedSampler needs the labels of its dataset: expected '
            f'get_gt_labels() or get_data_info(i) of {type(dataset).__name__}')
    # MMEngine's wrappers of datasets all have this one
    return np.array([
        int(dataset.get_data_info(i)['gt_label']) for i in range(len(dataset))
    ])


@DATA_SAMPLERS.register_module()
class ClassBalancedSampler(Sampler):
    """Draw samples with replacement, rare classes as often as common ones.

    A sample of a class with :math:`n_c` samples has the weight
    :math:`(1/n_c)^p`. With :math:`p=1`, as ORSANet is trained, every class
    that is present is drawn equally often on average; :math:`p=0` draws by the
    frequencies of the dataset.

    All ranks draw the same numbers and each takes every ``world_size``-th of
    them. What it yields are :class:`RepeatedIndex`, so that a
    :class:`FERDataset` augments each draw anew.

    Args:
        dataset (Sized): A dataset with labels, or a wrapper of some.
        power (float): :math:`p`. Defaults to 1.
        num_samples (int, optional): Draws per epoch, over all ranks. Defaults
            to None, the length of the dataset.
        seed (int, optional): The same on all ranks. Defaults to None, one that
            the ranks agree on.
        round_up (bool): Whether to repeat draws so that every rank has the
            same number, rather than leave out the last ones. Defaults to True.
    """

    def __init__(self,
                 dataset: Sized,
                 power: float = 1.,
                 num_samples: Optional[int] = None,
                 seed: Optional[int] = None,
                 round_up: bool = True):
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.power = power
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0

        labels = _labels(dataset)
        counts = np.bincount(labels)
        self.weights = torch.from_numpy((1. / counts[labels])**power)
        self.num_draws = len(labels) if num_samples is None else num_samples
        per_rank = self.num_draws / self.world_size
        self.num_samples = int(
            math.ceil(per_rank) if round_up else math.floor(per_rank))
        if self.num_samples < 1:
            raise ValueError(
                f'ClassBalancedSampler: {self.num_draws} draws leave nothing '
                f'for some of {self.world_size} ranks')

    def __iter__(self) -> Iterator[int]:
        state = np.random.SeedSequence((self.seed, self.epoch))
        generator = torch.Generator().manual_seed(
            int(state.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        indices = torch.multinomial(
            self.weights,
            self.num_draws,
            replacement=True,
            generator=generator).tolist()
        total = self.num_samples * self.world_size
        indices = (indices * math.ceil(total / len(indices)))[:total]

        draws = list(NumberedSampler(indices, endless=False))
        yield from draws[self.rank:total:self.world_size]

    def __len__(self) -> int:
        """The number of samples of this rank."""
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, from 0, of this sampler and of its dataset."""
        self.epoch = epoch
        set_dataset_epoch(self.dataset, epoch)
