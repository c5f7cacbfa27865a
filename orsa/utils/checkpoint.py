# Copyright (c) orsa contributors. All rights reserved.
"""Loading checkpoints without running the code that a pickle may carry."""
import contextlib
import hashlib
import math
import os
import os.path as osp
import pickle
import re
import zipfile
from typing import Any, Dict, Optional, Union
from urllib.parse import urlparse

import torch
from mmengine.dist import get_dist_info
from mmengine.logging import print_log
from mmengine.runner import checkpoint as tables
from mmengine.runner.checkpoint import CheckpointLoader

from .checkpoint_records import ZOO_PREFIX, CheckpointError, safe_globals
from .fileio import file_hash
from .inspection import inspect


@contextlib.contextmanager
def _refusals(filename: str):
    """Turn what is raised for a bad file into one clear error."""
    try:
        yield
    except pickle.UnpicklingError as error:
        reason = str(error).split('\n')
        named = [
            i for i in reason
            if 'GLOBAL' in i or 'not allowed' in i or 'Can only build' in i
        ]
        raise CheckpointError(
            f"'{filename}' was refused: it is not a plain checkpoint of "
            'weights and MMEngine records '
            f'({(named or reason)[0].strip()}). Nothing in it was run. If '
            'you trust its origin, convert it to a plain state dict '
            'first') from error
    except (EOFError, zipfile.BadZipFile, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"'{filename}' cannot be read as a checkpoint, it is truncated or "
            f'of another kind ({type(error).__name__}: {error})') from error


def _check_content(content: Any, filename: str) -> None:
    """What every reader of a checkpoint takes for granted.

    Raises:
        CheckpointError: If an entry that has a meaning is of another type.
    """

    def demand(good: bool, what: str) -> None:
        if not good:
            raise CheckpointError(f"'{filename}' is no checkpoint: {what}")

    demand(
        isinstance(content, dict),
        f'it holds a {type(content).__name__}, not a dict')
    demand(
        all(isinstance(key, str) for key in content),
        'not all of its keys are texts')
    state = content.get('state_dict')
    if state is not None:
        demand(
            isinstance(state, dict),
            f'its state_dict is a {type(state).__name__}')
        wrong = [
            key for key, value in state.items()
            if not isinstance(key, str) or not (isinstance(
                value, torch.Tensor) or key.endswith('_extra_state'))
        ]
        demand(not wrong, f'{str(wrong[:1])[:80]} of its state_dict is no '
               'tensor')
    meta = content.get('meta')
    demand(meta is None or isinstance(meta, dict), 'its meta is no dict')
    data = (meta or {}).get('dataset_meta')
    demand(
        data is None or isinstance(data, dict),
        'its meta.dataset_meta is no dict')
    for names, key in (((data or {}).get('classes'), 'dataset_meta.classes'),
                       ((meta or {}).get('CLASSES'), 'CLASSES')):
        demand(
            names is None or (isinstance(names,
                                         (list, tuple)) and len(names) > 0
                              and all(isinstance(n, str) for n in names)),
            f'its meta.{key} are no names')


def check_finite(state: Dict[str, Any], filename: str) -> None:
    """Refuse weights that are not finite.

    Args:
        state (dict): Names and tensors; what is no tensor is passed over.
        filename (str): Where they come from, for the message.

    Raises:
        CheckpointError: If there is a NaN or an Inf in a tensor; its first
            names are in the message.
    """
    bad = []
    for key, value in state.items():
        if not isinstance(value, torch.Tensor) or not (
                value.is_floating_point() and value.numel()):
            continue
        # a sum of finite floats stays below the largest double
        if not math.isfinite(value.sum(dtype=torch.float64)):
            bad.append(str(key))
    if bad:
        raise CheckpointError(
            f"'{filename}' holds NaN or Inf in {len(bad)} of {len(state)} "
            f'entries, {", ".join(bad[:3])} among them: it is of a training '
            'that had diverged, or damaged. Take an earlier checkpoint')


def zoo_path(filename: str) -> str:
    """Resolve ``orsa://NAME`` to the file that ships with the package.

    Any other name is returned as it is.
    """
    if not str(filename).startswith(ZOO_PREFIX):
        return filename
    package = osp.dirname(osp.dirname(osp.abspath(__file__)))
    return osp.join(package, 'zoo', str(filename)[len(ZOO_PREFIX):])


def load_checkpoint_file(filename: str,
                         map_location: Optional[Union[str,
                                                      torch.device]] = 'cpu',
                         finite: bool = True) -> dict:
    """Load a local checkpoint file without unpickling arbitrary objects.

    Reads plain state dicts and the whole checkpoints that MMEngine writes
    (with their ``HistoryBuffer`` and numpy records). The file is looked at
    first (:func:`orsa.utils.inspection.inspect`), so that a small one cannot
    take the memory of the machine. ``meta.config``, which MMEngine runs as
    Python when it resumes, is left out.

    Args:
        filename (str): A local path, or ``orsa://NAME`` for weights that
            ship with the package.
        map_location (str | torch.device, optional): As in
            :func:`torch.load`. Defaults to 'cpu'.
        finite (bool): Whether weights with NaN or Inf are refused.
            Defaults to True.

    Returns:
        dict: The content of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If the file refers to anything beyond the allow-list,
            or claims memory that it does not have (no code of the file is
            run), is truncated or no checkpoint at all, or if weights are not
            finite.
    """
    filename = osp.expanduser(zoo_path(str(filename)))
    if not osp.isfile(filename):
        raise FileNotFoundError(f"there is no checkpoint at '{filename}'")
    # for good: torch's context of this name would take away what was allowed
    # before it, see allow_records
    torch.serialization.add_safe_globals(safe_globals())
    with _refusals(filename):
        inspect(filename)
        content = torch.load(
            filename, map_location=map_location, weights_only=True)
    _check_content(content, filename)
    if finite:
        state = content.get('state_dict')
        check_finite(content if state is None else state, filename)
    if 'config' in (content.get('meta') or {}):
        del content['meta']['config']
        print_log(
            f"meta.config of '{filename}' is left out: MMEngine would run it "
            'as Python',
            logger='current')
    return content


# -<SHA-256 prefix>.pth as torch has it, or with OpenMMLab's date after it
_NAMED_HASH = re.compile(r'-([0-9a-f]{8,64})(?:_[0-9]{8})?\.\w+$')


def cached_path(address: str, folder: Optional[str] = None) -> str:
    """Where the file of an address is kept once it was downloaded.

    Two addresses may end in the same name. If this says what its file's hash
    is (``resnet18-5c106cde.pth``), and such a file is there, it is that one,
    as for torch hub; otherwise the name gets a hash of the address.

    Args:
        address (str): Of http or https.
        folder (str, optional): Defaults to None, that of torch hub.

    Returns:
        str: A path, whether there is a file or not.
    """
    folder = folder or osp.join(torch.hub.get_dir(), 'checkpoints')
    name = osp.basename(urlparse(address).path)
    shared = osp.join(folder, name)
    if _NAMED_HASH.search(name) and osp.isfile(shared):
        return shared
    stem, suffix = osp.splitext(name)
    own = hashlib.sha256(address.encode()).hexdigest()[:8]
    return osp.join(folder, f'{stem}.{own}{suffix}')


def _download(address: str, path: str, progress: bool) -> None:
    """Get a file; where its name says its hash, and rightly so, under this
    name, which all addresses share."""
    os.makedirs(osp.dirname(path), exist_ok=True)
    # under a temporary name, then moved
    torch.hub.download_url_to_file(address, path, progress=progress)
    name = osp.basename(urlparse(address).path)
    said = _NAMED_HASH.search(name)
    if said and file_hash(path).startswith(said[1]):
        os.replace(path, osp.join(osp.dirname(path), name))


def _load_from_http(filename: str,
                    map_location: Optional[str] = None,
                    model_dir: Optional[str] = None,
                    progress: bool = True) -> dict:
    """Download once (rank 0 first), then load like a local file."""
    path = cached_path(filename, model_dir)
    rank, world_size = get_dist_info()
    if rank == 0 and not osp.isfile(path):
        _download(filename, path, progress)
    if world_size > 1:
        torch.distributed.barrier()
    return load_checkpoint_file(cached_path(filename, model_dir), map_location)


def _load_by_table(filename: str, map_location: Optional[str] = None) -> dict:
    """Load what MMEngine knows by name, from the address of its tables."""
    prefix, name = filename.split('://', 1)
    if prefix in ('modelzoo', 'torchvision'):
        table = tables.get_torchvision_models()
    elif prefix == 'mmcls':
        table = tables.get_mmcls_models()
    else:
        table = tables.get_external_models()
        name = tables.get_deprecated_model_names().get(name, name)
    if name not in table:
        raise FileNotFoundError(f"MMEngine's tables have no '{filename}'")
    content = CheckpointLoader.load_checkpoint(table[name], map_location)
    if prefix == 'mmcls':
        content = tables._process_mmcls_checkpoint(content)
    return content


def load_checkpoint(filename: str, map_location: str = 'cpu') -> dict:
    """Load a checkpoint from a path, an address or a name of MMEngine's
    tables, as :func:`load_checkpoint_file` does."""
    register_safe_loader()
    return CheckpointLoader.load_checkpoint(str(filename), map_location)


def _refuse_scheme(filename: str, map_location: Optional[str] = None) -> dict:
    raise ValueError(
        f"orsa reads no checkpoint from '{filename.split('://')[0]}://': copy "
        f"'{filename}' to a disk and name the path")


def register_safe_loader() -> None:
    """Make every checkpoint that MMEngine loads go the safe way.

    MMEngine 0.10.7 calls ``torch.load`` without ``weights_only``: with torch
    2.6 and later its own checkpoints fail to load, with an earlier one, or
    from an address, they may run code. This replaces its loaders in the place
    that MMEngine provides for it (:meth:`CheckpointLoader.register_scheme`):
    files, http(s), and the names of its tables; those of object stores are
    refused.
    """
    loaders = {
        '': load_checkpoint_file,
        ZOO_PREFIX: load_checkpoint_file,
        'http://': _load_from_http,
        'https://': _load_from_http
    }
    for name in ('modelzoo', 'torchvision', 'open-mmlab', 'openmmlab',
                 'mmcls'):
        loaders[f'{name}://'] = _load_by_table
    for prefix in CheckpointLoader._schemes:
        loaders.setdefault(prefix, _refuse_scheme)
    for prefix, load in loaders.items():
        CheckpointLoader.register_scheme(prefix, load, force=True)
