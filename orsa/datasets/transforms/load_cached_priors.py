# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional, Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from orsa.registry import TRANSFORMS
from orsa.utils.prior_cache import (PRIOR_KEYS, CacheError, PriorCache,
                                    sample_key)


@TRANSFORMS.register_module()
class LoadCachedPriors(BaseTransform):
    """Load the outputs of frozen priors for an image from the disk.

    The rows come from ``tools/cache_priors.py``. After a horizontal flip it is
    the row of the mirrored image; any other transform that moves or changes
    the image is not followed. ``PackInputs`` needs the added keys among its
    ``algorithm_keys``, and :class:`orsa.CompanionDataPreprocessor` brings them
    to the priors; the config variable ``prior_cache`` sets all of this up and
    checks that the cache belongs to the config, which this transform cannot
    do.

    **Required Keys:** name (or img_path); flip, flip_direction (optional)

    **Added Keys:** prior_parsing (C, h, w) and prior_landmarks (C, h, w) or
    (K, 3), outputs of the priors, float32

    Args:
        cache (str): The folder of one split's cache.
        priors (Sequence[str]): Which priors. Defaults to ('parsing',
            'landmarks').

    Raises:
        CacheError: If the cache is partial or damaged or lacks a prior or an
            image, or the image was flipped otherwise than horizontally.
    """

    def __init__(self,
                 cache: str,
                 priors: Sequence[str] = ('parsing', 'landmarks')):
        unknown = set(priors) - set(PRIOR_KEYS)
        if unknown:
            raise ValueError('LoadCachedPriors.priors should be some of '
                             f'{tuple(PRIOR_KEYS)}, but got {tuple(priors)}')
        self.cache = cache
        self.priors = tuple(priors)
        reader = PriorCache(cache)
        for name in self.priors:
            reader.open(name)
        self._reader = reader
        self._state: Optional[tuple] = None

    def __getstate__(self) -> dict:
        # A memory map would be pickled as all that it maps.
        return dict(self.__dict__, _state=None)

    def _opened(self) -> tuple:
        if self._state is None:
            index = {name: i for i, name in enumerate(self._reader.samples())}
            arrays = {name: self._reader.open(name) for name in self.priors}
            self._state = index, arrays
        return self._state

    def transform(self, results: dict) -> dict:
        """Add the rows of the image."""
        index, arrays = self._opened()
        key = sample_key(results)
        if key not in index:
            raise CacheError(f"'{self.cache}' has no row for '{key}', one of "
                             f'{len(index)} samples is expected')
        flip = int(bool(results.get('flip')))
        if flip and results.get('flip_direction') != 'horizontal':
            raise CacheError(
                f"'{key}' was flipped in the direction "
                f"'{results.get('flip_direction')}': a cache of priors has "
                'rows for horizontal flips only')
        for name in self.priors:
            row = self._reader.row(name, arrays[name], index[key], flip)
            results[PRIOR_KEYS[name]] = row.astype(np.float32)
        return results
