# Copyright (c) orsa contributors. All rights reserved.
"""Random numbers that depend on what is drawn for, not on who draws."""
import contextlib
import random
import zlib
from collections import Counter
from numbers import Integral
from typing import Iterator, Optional, Union

import numpy as np
import torch
from mmengine.dataset import ClassBalancedDataset
from torch.utils.data import Sampler


@contextlib.contextmanager
def seeded(*entropy: Union[int, str]):
    """Seed python, numpy and torch's CPU generator inside, restore outside.

    What is drawn inside depends on ``entropy`` alone, non-negative integers
    and strings, e.g. seed, epoch and index: not on the process, on the order
    of the calls or on what was drawn before. The generators of accelerators
    are left alone.
    """
    # The length goes in first: SeedSequence pads with zeros, (7,) and (7, 0)
    # would be one. hash() differs from process to process, crc32 does not.
    words = [len(entropy)] + [
        zlib.crc32(x.encode()) if isinstance(x, str) else int(x)
        for x in entropy
    ]
    state = np.random.SeedSequence(words).generate_state(6)
    saved = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        random.seed(int(state[0]) << 32 | int(state[1]))
        np.random.seed(state[2:4])
        # torch.manual_seed would seed every GPU too
        torch.default_generator.manual_seed(
            int(state[4]) << 32 | int(state[5]))
        yield
    finally:
        random.setstate(saved[0])
        np.random.set_state(saved[1])
        torch.set_rng_state(saved[2])


class SharedEpoch:
    """A seed and an epoch in shared memory, which a copy does not share.

    Workers of a DataLoader, persistent ones too, see what the main process
    sets.
    """

    def __init__(self, seed: int, epoch: int = -1):
        self._values = torch.tensor([seed, epoch]).share_memory_()

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return int(self._values[0])

    @property
    def epoch(self) -> int:
        """The epoch, from 0; -1 if none was set."""
        return int(self._values[1])

    def set(self, epoch: int, seed: Optional[int] = None) -> None:
        """Set the epoch and, unless None, the seed, in all workers."""
        self._values[1] = epoch
        if seed is not None:
            self._values[0] = seed

    def __deepcopy__(self, memo):
        return type(self)(self.seed, self.epoch)

    def __setstate__(self, state):
        self.__dict__.update(state)
        # a spawned worker gets the shared tensor itself, a plain pickle a copy
        if not self._values.is_shared():
            self._values.share_memory_()


class RepeatedIndex(int):
    """A sample's index that says which draw of the sample it is.

    That survives the arithmetic by which dataset wrappers find the index
    inside (``-`` and ``%``; the copies of a ``RepeatDataset`` are other
    draws).
    """

    def __new__(cls, index: int, draw: int = 0):
        self = super().__new__(cls, index)
        self.draw = draw
        return self

    def __getnewargs__(self):
        return int(self), self.draw

    def __sub__(self, other):
        return type(self)(int(self) - int(other), self.draw)

    def __mod__(self, other):
        copy, index = divmod(int(self), int(other))
        return type(self)(index, (self.draw << 16) + copy)


class NumberedSampler(Sampler):
    """A sampler whose indices are :class:`RepeatedIndex`.

    Indices that say so already, and what is no number, are handed on.

    Args:
        sampler (Sampler): What it draws.
        endless (bool): Whether passes over the data have no number of their
            own. The draw is then the place in the whole sequence, and else
            how often the index came in this pass.
    """

    def __init__(self, sampler: Sampler, endless: bool):
        self.sampler = sampler
        self.endless = endless
        self.place = 0

    def __iter__(self) -> Iterator[RepeatedIndex]:
        drawn: Counter = Counter()
        for index in self.sampler:
            if isinstance(index,
                          Integral) and not isinstance(index, RepeatedIndex):
                draw = self.place if self.endless else drawn[index]
                index = RepeatedIndex(index, draw)
            self.place += 1
            drawn[index] += 1
            yield index

    def __len__(self) -> int:
        return len(self.sampler)

    def __getattr__(self, name: str):
        if name == 'sampler':  # of an object that is not built yet
            raise AttributeError(name)
        return getattr(self.sampler, name)


def set_dataset_epoch(dataset: object,
                      epoch: int,
                      seed: Optional[int] = None) -> None:
    """Call ``set_epoch`` of a dataset and of all datasets that it wraps.

    Not inside a ``ClassBalancedDataset``, which loses :class:`RepeatedIndex`,
    so that the copies of a sample would be alike: its random numbers are those
    of the process. A seed of None leaves the datasets' own.
    """
    if hasattr(dataset, 'set_epoch'):
        if seed is None or not hasattr(dataset, 'seed'):
            dataset.set_epoch(epoch)  # of another library, without a seed
        else:
            dataset.set_epoch(epoch, seed)
        return
    inner = getattr(dataset, 'datasets', None) or []
    if hasattr(dataset,
               'dataset') and not isinstance(dataset, ClassBalancedDataset):
        inner = [dataset.dataset]
    for each in inner:
        set_dataset_epoch(each, epoch, seed)
