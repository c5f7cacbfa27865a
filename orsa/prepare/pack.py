# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/dataset_converters/pack_images.py`` does, as functions."""
import argparse
import copy
import errno
import json
import os
import os.path as osp
import sys
from contextlib import closing, contextmanager
from typing import Any, Dict, Iterator, Sequence, Tuple

from mmengine.config import Config
from mmengine.registry import DATASETS
from mmengine.utils import ProgressBar

from orsa.apis.model import load_config
from orsa.apis.zoo import looks_like_name, resolve_model
from orsa.datasets import FERDataset
from orsa.datasets.packed_files import ABOUT, FORMAT, file_key, import_lmdb
from orsa.utils.configs import add_cfg_options, scope_of
from orsa.utils.fileio import atomic_path
from orsa.utils.image_files import read_bytes
from orsa.version import __version__

SPLITS = ('train', 'val', 'test')
# bytes in memory before they are written to the disk
_BATCH = 32 << 20
_PAGE = 4096


def add_pack_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of packing."""
    add = parser.add_argument
    add('config', help='a config, or the name of a model')
    add('--out', required=True, metavar='FILE.lmdb', help='the file to write')
    add('--splits',
        nargs='+',
        choices=SPLITS,
        default=list(SPLITS),
        help='whose images (default: all)')
    add_cfg_options(parser)


def pack(args: argparse.Namespace) -> None:
    """Pack the images of a config, see :func:`add_pack_arguments`."""
    config = args.config
    if looks_like_name(config):
        config = resolve_model(config)[0]
    cfg = load_config(config)
    cfg.merge_from_dict(args.cfg_options)
    files = find_images(cfg, args.splits)
    args.out = osp.expanduser(args.out)
    pack_files(files, args.out)
    print(f'packed and compared {len(files)} files, '
          f'{osp.getsize(args.out) / 2**20:.1f} MiB: {args.out}')
    print('Use it by --cfg-options ' +
          ' '.join(f'{place}.pack={args.out}'
                   for split in args.splits if cfg.get(f'{split}_dataloader')
                   for place in _places(cfg[f'{split}_dataloader'].dataset,
                                        f'{split}_dataloader.dataset')))


def _places(dataset: dict, place: str) -> Iterator[str]:
    """Where in a config the datasets are that read images."""
    if 'datasets' in dataset:
        for k, one in enumerate(dataset['datasets']):
            yield from _places(one, f'{place}.datasets.{k}')
    elif isinstance(dataset.get('dataset'), dict):
        yield from _places(dataset['dataset'], f'{place}.dataset')
    else:
        yield place


def find_images(cfg: Config, splits: Sequence[str] = SPLITS) -> Dict[str, str]:
    """The image files of a config's datasets.

    Args:
        cfg (Config): The experiment.
        splits (Sequence[str]): Of which loaders, where the config has them.

    Returns:
        dict[str, str]: The path of each file by its key, which is its path
        below the dataset's ``data_root``; sorted.

    Raises:
        ValueError: If a dataset is no :class:`FERDataset`, has no image
            files or has them elsewhere than below its ``data_root``, if two
            of them have different files of one key, or if there are none.
    """
    found: Dict[str, str] = {}
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        if not loader:
            continue
        with scope_of(cfg):
            built = _build(loader['dataset'])
        for key, path in _list(built):
            if osp.abspath(found.setdefault(key, path)) != osp.abspath(path):
                raise ValueError(
                    f"'{found[key]}' and '{path}' are both '{key}' below the "
                    'data_root of their datasets. Pack them into two files '
                    '(--splits)')
    if not found:
        raise ValueError(f'the config has no dataset for any of {splits}')
    return dict(sorted(found.items(), key=lambda item: os.fsencode(item[0])))


def _build(cfg: dict):
    """A dataset that reads its list from the disk, and no image."""

    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                k: [] if k == 'pipeline' else bare(v)
                for k, v in value.items() if k != 'pack'
            }
        return [bare(v) for v in value] if isinstance(value,
                                                      (list, tuple)) else value

    return DATASETS.build(bare(copy.deepcopy(cfg)))


def _list(dataset) -> Iterator[Tuple[str, str]]:
    """Keys and paths of a dataset, or of those inside a wrapper."""
    inner = getattr(dataset, 'datasets',
                    None) or [getattr(dataset, 'dataset', None)]
    if inner[0] is not None:
        for one in inner:
            yield from _list(one)
        return
    name = type(dataset).__name__
    if not isinstance(dataset, FERDataset):
        raise ValueError(f'{name} is no orsa.FERDataset: it cannot read '
                         'packed images')
    for i in range(len(dataset)):
        path = dataset.get_data_info(i).get('img_path')
        if path is None:
            raise ValueError(f'{name} ({dataset.data_root}) has no image '
                             'files, there is nothing to pack')
        key = file_key(path, dataset.data_root)
        if key is None:
            raise ValueError(
                f"'{path}' is not below data_root='{dataset.data_root}' of "
                f'{name}: set data_root to a folder that holds the images')
        yield key, path


def pack_files(files: Dict[str, str], out: str) -> None:
    """Write files into one LMDB, completely or not at all.

    In the end every file is compared with its copy.

    Args:
        files (dict[str, str]): Paths by key, sorted by the keys' bytes.
        out (str): The LMDB, a single file; one that is there is replaced.

    Raises:
        OSError: If a file cannot be read, is an image that no decoder should
            be given, or if ``out`` cannot be written.
        ValueError: If a key is longer than LMDB takes (511 bytes).
        RuntimeError: If a copy is not its file, which was changed meanwhile
            or whose disk is not sound.
    """
    bar = ProgressBar(2 * len(files), file=sys.stderr)  # write, compare
    with atomic_path(out) as temporary:
        with _lmdb(temporary, _map_size(files)) as environment:
            _write(environment, files, bar)
        with _lmdb(temporary) as environment:
            _compare(environment, files, bar)
    bar.file.write('\n')


def _map_size(files: Dict[str, str]) -> int:
    """More bytes than the LMDB will need: whole pages, and its tree."""
    pages = sum(osp.getsize(path) // _PAGE + 2 for path in files.values())
    return pages * _PAGE + sum(map(len, files)) * 4 + 2 * _BATCH


@contextmanager
def _lmdb(path: str, map_size: int = 0):
    """The LMDB, for writing if ``map_size`` is given, else for reading."""
    lmdb = import_lmdb()
    mode = dict(
        map_size=map_size, sync=False) if map_size else dict(readonly=True)
    try:
        environment = lmdb.open(path, subdir=False, lock=False, **mode)
        with closing(environment):
            yield environment
    except lmdb.Error as error:
        full = isinstance(error, (lmdb.DiskError, lmdb.MapFullError))
        raise OSError(errno.ENOSPC if full else errno.EIO,
                      f'LMDB could not write: {error}') from error


def _write(environment, files: Dict[str, str], bar: ProgressBar) -> None:
    longest = environment.max_key_size()
    about = dict(format=FORMAT, files=len(files), orsa=__version__)
    transaction, pending = environment.begin(write=True), 0
    try:
        transaction.put(ABOUT, json.dumps(about).encode())
        for key, path in files.items():
            name = os.fsencode(key)
            if len(name) > longest:
                raise ValueError(f"'{path}': its path below data_root has "
                                 f'{len(name)} bytes, LMDB takes {longest}. '
                                 'Shorten it')
            content = _read(path)
            # sorted, so that each is appended at the end
            transaction.put(name, content, append=True)
            pending += len(content)
            if pending > _BATCH:
                transaction.commit()
                transaction, pending = environment.begin(write=True), 0
            bar.update()
        transaction.commit()
    except BaseException:
        transaction.abort()
        raise


def _read(path: str) -> bytes:
    content = read_bytes(path)
    if not content:
        raise OSError(
            errno.EINVAL, f"'{path}' is empty. Restore it from the "
            'original archive, or set skip_unreadable=True in the '
            'config to leave it out')
    return content


def _compare(environment, files: Dict[str, str], bar: ProgressBar) -> None:
    with environment.begin() as read:
        for key, path in files.items():
            if read.get(os.fsencode(key)) != _read(path):
                raise RuntimeError(
                    f"the copy of '{path}' is not the file: it was changed "
                    'meanwhile, or the disk is not sound. Pack again')
            bar.update()
