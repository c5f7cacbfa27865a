# Copyright (c) orsa contributors. All rights reserved.
import contextlib
import logging
from typing import List, Optional

import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.logging import print_log
from mmpretrain.datasets import BaseDataset

from orsa.utils.image_files import read_bytes
from .images import ImageOrReason, decode, name_sample, read_image
from .packed_files import BACKEND, PackedFiles
from .seeding import SharedEpoch, seeded
from .transforms.load_face import use_one_reader


class ImageDataset(BaseDataset):
    """A dataset of images, read and augmented the same in every run.

    Once :meth:`set_epoch` was called, which :class:`ReseedHook`,
    :class:`ClassBalancedSampler` and :class:`MultiSourceSampler` do, and
    always in test mode, the random numbers of its pipeline depend on (seed,
    epoch, index, draw of the index) alone: they are the same for any number
    of workers and after a resume, and Python's, numpy's and torch's own
    generators are left as they were. Before that it draws from these, as any
    dataset does.

    Args:
        pack (str, optional): A file of packed images, written by
            ``tools/dataset_converters/pack_images.py``: the pipeline reads
            them from it, and they need not be on the disk; lists of samples
            are still read there. Defaults to None.
        seed (int, optional): Of the pipeline's random numbers. Defaults to
            None: the run's (torch's initial seed), and 0 in test mode.
        **kwargs: Arguments of :class:`mmpretrain.datasets.BaseDataset`.
    """

    def __init__(self,
                 pack: Optional[str] = None,
                 seed: Optional[int] = None,
                 **kwargs):
        super().__init__(**kwargs)
        use_one_reader(self.pipeline)
        self.pack = pack and PackedFiles(pack, self.data_root)
        if self.pack:
            for transform in self.pipeline.transforms:
                if isinstance(transform, LoadImageFromFile):
                    transform.file_client_args = None
                    transform.backend_args = dict(
                        backend=BACKEND,
                        db_path=self.pack.db_path,
                        root=self.pack.root)
        # names of samples whose image cannot be read
        self.skipped: List[str] = []
        self._own_seed = seed is not None
        if seed is None:
            # a call that draws nothing, so that building a dataset does not
            # change what the model is initialised with
            seed = 0 if self.test_mode else torch.initial_seed() % 2**63
        self._clock = SharedEpoch(seed)

    @property
    def epoch(self) -> int:
        """The epoch that the pipeline's random numbers are drawn for, from 0;
        -1 if none was set."""
        return self._clock.epoch

    @property
    def seed(self) -> int:
        """The seed of the pipeline's random numbers."""
        return self._clock.seed

    def set_epoch(self, epoch: int, seed: Optional[int] = None) -> None:
        """Set the epoch (and the seed) of the pipeline's random numbers.

        Workers that run already see it too. A seed of None keeps the present
        one, and so does a dataset that was given a seed of its own.
        """
        self._clock.set(epoch, None if self._own_seed else seed)

    def log(self, message: str, level: int = logging.INFO) -> None:
        """Log a line after the name of the dataset."""
        print_log(
            f'{type(self).__name__}: {message}', logger='current', level=level)

    def prepare_data(self, idx: int) -> Optional[dict]:
        """Run the pipeline on a sample, see the class for random numbers.

        A :class:`RepeatedIndex` makes every draw of the sample another one. In
        training a sample for which the pipeline returns None is replaced.

        Raises:
            OSError: If the image cannot be read.
        """
        draw, idx = getattr(idx, 'draw', 0), int(idx)
        if idx < 0:
            idx += len(self)
        epoch = max(self.epoch, 0) if self.test_mode else self.epoch
        with (seeded(self.seed, epoch, idx, draw)
              if epoch >= 0 else contextlib.nullcontext()):
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

    def read_image(self, info: dict) -> ImageOrReason:
        """The image of a record and None; or None and why it has none."""
        path = info['img_path']
        if not self.pack:
            return read_image(path)
        data = self.pack.find(path)
        if data is None:
            return None, f"it is not in '{self.pack.db_path}'"
        image, reason = decode(data, path)
        return image, reason and f"in '{self.pack.db_path}' {reason}"

    def unreadable_file(self, info: dict) -> Optional[str]:
        """The image of a record and why it cannot be read, None if it can."""
        path = info.get('img_path')
        if path and self.pack:
            self.pack.check(path)
        reason = path and self.read_image(info)[1]
        return f"'{path}': {reason}" if reason else None

    def image_bytes(self, info: dict) -> bytes:
        """The stored image of a sample, as :meth:`duplicates` compares it."""
        path = info['img_path']
        return self.pack.get(path) if self.pack else read_bytes(path)

    def drop_unreadable(self, data_list: List[dict]) -> List[dict]:
        """Decode every image; leave out, log and count those that fail."""
        readable = []
        for info in data_list:
            reason = self.read_image(info)[1]
            if reason is None:
                readable.append(info)
                continue
            self.skipped.append(info['name'])
            self.log(
                f"'{info.get('img_path', info['name'])}' is skipped: {reason}",
                logging.WARNING)
        if self.skipped:
            self.log(
                f'{len(self.skipped)} of {len(data_list)} images cannot be '
                'read and are skipped', logging.WARNING)
        return readable
