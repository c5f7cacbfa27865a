# Copyright (c) orsa contributors. All rights reserved.
"""Outputs of frozen priors on the disk: the format, and reading it."""
import contextlib
import os.path as osp
import zlib
from typing import Dict, Iterator, Tuple

import numpy as np

from .fileio import file_hash, load_json, load_npy

FORMAT = 1
MANIFEST = 'manifest.json'
SAMPLES = 'samples.json'
# name of a prior: the key that it has among the results of a pipeline
PRIOR_KEYS = dict(parsing='prior_parsing', landmarks='prior_landmarks')


class CacheError(ValueError):
    """A cache of priors cannot be used; the message has the reason."""


@contextlib.contextmanager
def _damaged(path: str) -> Iterator[None]:
    """Name the file in what goes wrong inside."""
    try:
        yield
    except CacheError:
        raise
    except Exception as error:  # of json, numpy, ast, tokenize, ...
        raise CacheError(f"'{path}' is damaged "
                         f'({type(error).__name__}: {error})') from error


def sample_key(results: dict) -> str:
    """The name of a sample in a cache: its name, else its image's path.

    Raises:
        CacheError: If it has neither.
    """
    key = results.get('name') or results.get('img_path')
    if not key:
        raise CacheError('a cache of priors is keyed by image, but the sample '
                         f'has no name and no img_path: {sorted(results)}')
    return str(key)


class PriorCache:
    """Outputs of frozen priors on the disk, one row an image, read lazily.

    A folder holds ``manifest.json``, ``samples.json`` (names, file sizes and
    folds of the images, in the order of the rows), and for each prior
    ``NAME.npy`` of shape (N, 2, ...) and ``NAME.crc.npy`` of shape (N, 2).
    Symbols: N images; 2 is for the image as it is and the flipped one. It
    is written by :mod:`orsa.prepare.cache_priors`, the manifest last: a folder
    without one is no cache.

    Args:
        folder (str): The folder.

    Raises:
        CacheError: If there is no complete cache in it, or a file of it is not
            the one that the manifest describes.
    """

    def __init__(self, folder: str):
        self.folder = osp.expanduser(str(folder))
        path = osp.join(self.folder, MANIFEST)
        if not osp.isdir(self.folder):
            raise CacheError(f"there is no folder '{self.folder}'")
        if not osp.isfile(path):
            raise CacheError(f"'{self.folder}' is not complete: it has no "
                             f'{MANIFEST}, which is written last')
        with _damaged(path):
            self.manifest = load_json(path)
            self._check()

    def _check(self) -> None:
        manifest = self.manifest
        if manifest['format'] != FORMAT or manifest['complete'] is not True:
            raise CacheError(
                f"'{self.folder}' is of format {str(manifest['format'])[:50]} "
                f"(complete: {str(manifest['complete'])[:50]}), this version "
                f'of orsa reads format {FORMAT}')
        sums = {SAMPLES: manifest['samples_sha256']}
        for name, prior in manifest['priors'].items():
            if name not in PRIOR_KEYS:
                raise CacheError(f"'{osp.join(self.folder, MANIFEST)}' names "
                                 f"a prior '{name[:100]}', expected some of "
                                 f'{list(PRIOR_KEYS)}')
            array = self._open(name)
            if (list(array.shape), str(array.dtype)) != (prior['shape'],
                                                         prior['dtype']):
                raise CacheError(
                    f"'{self._file(name)}' is damaged: it holds {array.dtype} "
                    f'of shape {array.shape}, the manifest has '
                    f'{str(prior["dtype"])[:50]} of '
                    f'{str(tuple(prior["shape"]))[:100]}')
            sums[f'{name}.crc.npy'] = prior['crc_sha256']
        for name, expected in sums.items():
            path = osp.join(self.folder, name)
            if not osp.isfile(path):
                raise CacheError(f"'{path}' is missing")
            if file_hash(path) != expected:
                raise CacheError(f"'{path}' is damaged: it is not the file "
                                 'that the manifest describes')

    def _file(self, name: str) -> str:
        return osp.join(self.folder, f'{name}.npy')

    def _open(self, name: str) -> np.ndarray:
        path = self._file(name)
        if not osp.isfile(path):
            raise CacheError(f"'{path}' is missing")
        with _damaged(path):
            return np.load(path, mmap_mode='r', allow_pickle=False)

    def samples(self) -> Dict[str, Tuple[int, int]]:
        """File size and fold (-1: none) of every image by its name, in the
        order of the rows.

        Raises:
            CacheError: If the file is damaged, or has not a name for each row.
        """
        path = osp.join(self.folder, SAMPLES)
        with _damaged(path):
            content = load_json(path)
            columns = [content[key] for key in ('names', 'sizes', 'folds')]
            found = dict(zip(columns[0], zip(*columns[1:])))
            rows = {p['shape'][0] for p in self.manifest['priors'].values()}
            if {len(found), *map(len, columns)} | rows != {len(found)}:
                raise ValueError(f'it has {len(found)} names, and the priors '
                                 f'have {sorted(rows)} rows')
        return found

    def open(self, name: str) -> Tuple[np.ndarray, np.ndarray]:
        """The rows of a prior, not read yet, and their check sums.

        Args:
            name (str): 'parsing' or 'landmarks'.

        Raises:
            CacheError: If the cache has no such prior.
        """
        if name not in self.manifest['priors']:
            raise CacheError(f"'{self.folder}' has no prior '{name}', only "
                             f'{sorted(self.manifest["priors"])}')
        array, path = self._open(name), osp.join(self.folder,
                                                 f'{name}.crc.npy')
        with _damaged(path):
            sums = load_npy(path)
            if sums.shape != array.shape[:2] or sums.shape[1:] != (2, ):
                raise ValueError(f'it has check sums of shape {sums.shape} '
                                 f'for {array.shape}')
        return array, sums

    def row(self, name: str, arrays: Tuple[np.ndarray, np.ndarray], i: int,
            flip: int) -> np.ndarray:
        """One row, checked.

        Args:
            name (str): 'parsing' or 'landmarks'.
            arrays (tuple): What :meth:`open` gave for it.
            i (int): Number of the image.
            flip (int): 1 for the flipped image, else 0.

        Returns:
            np.ndarray: The prior's output for one image, float16.

        Raises:
            CacheError: If it is not what was written.
        """
        row = np.array(arrays[0][i, flip])
        if zlib.crc32(row.tobytes()) != int(arrays[1][i, flip]):
            raise CacheError(
                f"'{self._file(name)}' is damaged: row {i}, "
                f'{"flipped" if flip else "as it is"}, is not what was '
                'written')
        return row
