# Copyright (c) orsa contributors. All rights reserved.
"""Loading checkpoints without running the code that a pickle may carry."""
import hashlib
import math
import mmap
import os
import os.path as osp
import pickle
import re
import zipfile
from typing import Any, Dict, Iterator, Optional, Sequence, Union
from urllib.parse import urlparse

import torch
from mmengine.dist import get_dist_info
from mmengine.logging import print_log
from mmengine.runner import checkpoint as tables
from mmengine.runner.checkpoint import CheckpointLoader

from .checkpoint_records import CheckpointError, safe_globals
from .fileio import file_hash
from .shipped import ZOO_PREFIX, zoo_path

_ZIP = b'PK\x03\x04'
# bytearray(n), which torch allows, takes n bytes
_ALLOCATES = b'\nbytearray\n'


def _check_container(filename: str) -> None:
    """Hold what a file claims against its bytes, before torch believes it.

    Raises:
        BadZipFile: If it is neither a zip nor a pickle, or damaged.
        UnpicklingError: If it claims more bytes than it has.
    """
    with open(filename, 'rb') as file:
        head = file.read(4)
        if head != _ZIP and head[:1] != b'\x80':
            raise zipfile.BadZipFile('neither a zip nor a pickle')
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if content.find(_ALLOCATES) >= 0:
                raise pickle.UnpicklingError('its pickle asks for a bytearray')
        if head != _ZIP:  # torch's format before 1.6
            return
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            # torch finds entries without regard of case
            names = {entry.orig_filename.lower() for entry in entries}
            if len(names) < len(entries):
                raise pickle.UnpicklingError('two entries have the same name')
            if sum(e.file_size for e in entries) > osp.getsize(filename):
                raise pickle.UnpicklingError(
                    'its entries unpack to more bytes than it has')
            damaged = archive.testzip()  # torch checks no sums
            if damaged:
                raise zipfile.BadZipFile(f'damaged in {damaged!r}')


def _tensors(content: Any) -> Iterator[torch.Tensor]:
    """The tensors of a checkpoint, however deep."""
    todo, seen = [content], set()
    while todo:
        node = todo.pop()
        if isinstance(node, torch.Tensor):
            yield node
        elif isinstance(node, (dict, list, tuple)) and id(node) not in seen:
            seen.add(id(node))
            todo += node.values() if isinstance(node, dict) else node


def _is_names(value: Any) -> bool:
    return value is None or isinstance(
        value, (list, tuple)) and len(value) > 0 and all(
            isinstance(name, str) for name in value)


def _entry(content: dict, key: str) -> Any:
    return {} if content.get(key) is None else content[key]


def _problem(content: Any) -> Optional[str]:
    """What keeps a content from being a checkpoint, None if nothing does.

    Entries that have a meaning are of the types that readers expect, and
    tensors have as many elements as their shapes claim.
    """
    if not isinstance(content, dict):
        return f'it holds a {type(content).__name__}, not a dict'
    if not all(isinstance(key, str) for key in content):
        return 'not all of its keys are strings'
    state = _entry(content, 'state_dict')
    if not isinstance(state, dict):
        return f'its state_dict is a {type(state).__name__}'
    for key, value in state.items():
        if not isinstance(key, str) or not (isinstance(value, torch.Tensor)
                                            or key.endswith('_extra_state')):
            return f'{str(key)[:80]!r} of its state_dict is no tensor'
    meta = _entry(content, 'meta')
    if not isinstance(meta, dict):
        return 'its meta is no dict'
    data = _entry(meta, 'dataset_meta')
    if not isinstance(data, dict):
        return 'its meta.dataset_meta is no dict'
    if not (_is_names(data.get('classes')) and _is_names(meta.get('CLASSES'))):
        return 'its classes are not a list of strings'
    for tensor in _tensors(content):
        if tensor.layout != torch.strided or tensor.device.type == 'meta':
            return 'it holds a tensor without its elements'
        if tensor.nbytes > tensor.untyped_storage().nbytes():
            return (f'a tensor of shape {tuple(tensor.shape)} claims more '
                    'elements than it has')
    return None


def check_finite(state: Dict[str, Any], filename: str) -> None:
    """Refuse weights that are not finite.

    Args:
        state (dict): Names and tensors; what is no tensor is passed over.
        filename (str): Where they come from, for the message.

    Raises:
        CheckpointError: If there is a NaN or an Inf in a tensor; its first
            names are in the message.
    """
    # a sum of finite floats stays below the largest double
    bad = [
        str(key) for key, value in state.items()
        if isinstance(value, torch.Tensor) and value.is_floating_point()
        and not math.isfinite(value.sum(dtype=torch.float64))
    ]
    if bad:
        raise CheckpointError(
            f"'{filename}' holds NaN or Inf in {len(bad)} of {len(state)} "
            f'entries, {", ".join(bad[:3])} among them: it is of a training '
            'that had diverged, or damaged. Take an earlier checkpoint')


def load_checkpoint_file(filename: str,
                         map_location: Optional[Union[str,
                                                      torch.device]] = 'cpu',
                         finite: bool = True) -> dict:
    """Load a local checkpoint file without unpickling arbitrary objects.

    Reads plain state dicts and the complete checkpoints that MMEngine writes
    (with their ``HistoryBuffer`` and numpy records). The sizes that the file
    claims are checked first. ``meta.config``, which MMEngine runs as Python
    when it resumes, is left out.

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
        CheckpointError: If the file refers to anything beyond the allow-list
            (no code of the file is run), claims more bytes than it has, is
            truncated or no checkpoint at all, or if weights are not finite.
    """
    filename = osp.expanduser(zoo_path(str(filename)))
    if not osp.isfile(filename):
        raise FileNotFoundError(f"there is no checkpoint at '{filename}'")
    # for good: torch's context of this name would take away what was allowed
    # before it, see allow_records
    torch.serialization.add_safe_globals(safe_globals())
    try:
        _check_container(filename)
        content = torch.load(
            filename, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        reason = re.search(
            r'(?:Trying to load|WeightsUnpickler error:)\s+(.+)', str(error))
        raise CheckpointError(
            f"'{filename}' was refused: it is not a plain checkpoint of "
            'weights and MMEngine records '
            f'({reason[1][:160] if reason else error}). Nothing in it was '
            'run. If you trust its origin, convert it to a plain state dict '
            'first') from error
    # torch's reader raises whatever comes up when a file is damaged
    except Exception as error:
        raise CheckpointError(
            f"'{filename}' cannot be read as a checkpoint, it is truncated or "
            f'of another kind ({type(error).__name__}: '
            f'{str(error)[:200]})') from error
    problem = _problem(content)
    if problem:
        raise CheckpointError(f"'{filename}' is no checkpoint: {problem}")
    if finite:
        check_finite(content.get('state_dict') or content, filename)
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
    """Where the file of an address is stored once it was downloaded.

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


def has_pretrained(init_cfg: Union[None, dict, Sequence[dict]]) -> bool:
    """Whether an ``init_cfg`` loads a file."""
    return take_pretrained(dict(init_cfg=init_cfg)) is not None


def take_pretrained(cfg: dict) -> Optional[dict]:
    """Take the 'Pretrained' item out of the ``init_cfg`` of a config.

    Args:
        cfg (dict): Config of a part, changed in place. What else its
            ``init_cfg`` has stays; nothing else leaves the part its default.

    Returns:
        dict: The item, with its 'checkpoint'; None if there is none.
    """
    init_cfg = cfg.get('init_cfg')
    items = [init_cfg] if isinstance(init_cfg, dict) else init_cfg or []
    taken = [i for i in items if i.get('type') == 'Pretrained']
    if not taken:
        return None
    del cfg['init_cfg']
    rest = [i for i in items if i.get('type') != 'Pretrained']
    if rest:
        cfg['init_cfg'] = rest
    return dict(taken[0])


def is_local(checkpoint: str) -> bool:
    """Whether a checkpoint is a path, not an address to download from."""
    return '://' not in checkpoint


def local_file(checkpoint: str) -> Optional[str]:
    """Where the file of a checkpoint lies on this machine.

    Args:
        checkpoint (str): A path, ``orsa://NAME``, or an address, whose file
            torch hub keeps once it was downloaded.

    Returns:
        str: A path, None if there is no such file.
    """
    path = osp.expanduser(zoo_path(checkpoint))
    if not is_local(path):
        path = cached_path(path)
    return path if osp.isfile(path) else None


def _load_from_http(filename: str,
                    map_location: Optional[str] = None,
                    model_dir: Optional[str] = None,
                    progress: bool = True) -> dict:
    """Download once a machine, then load like a local file."""
    path = cached_path(filename, model_dir)
    rank, world_size = get_dist_info()
    if int(os.environ.get('LOCAL_RANK', rank)) == 0 and not osp.isfile(path):
        os.makedirs(osp.dirname(path), exist_ok=True)
        # under a temporary name, then moved
        torch.hub.download_url_to_file(filename, path, progress=progress)
        name = osp.basename(urlparse(filename).path)
        claimed = _NAMED_HASH.search(name)
        if claimed and file_hash(path).startswith(claimed[1]):
            os.replace(path, osp.join(osp.dirname(path), name))
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
    loaders = dict.fromkeys(CheckpointLoader._schemes, _refuse_scheme)
    loaders.update(
        dict.fromkeys(('', ZOO_PREFIX), load_checkpoint_file),
        **dict.fromkeys(('http://', 'https://'), _load_from_http),
        **dict.fromkeys((f'{name}://'
                         for name in ('modelzoo', 'torchvision', 'open-mmlab',
                                      'openmmlab', 'mmcls')), _load_by_table))
    for prefix, load in loaders.items():
        CheckpointLoader.register_scheme(prefix, load, force=True)
