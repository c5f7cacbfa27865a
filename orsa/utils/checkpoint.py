# Copyright (c) orsa contributors. All rights reserved.
"""Loading checkpoints without running the code that a pickle may carry."""
import contextlib
import os.path as osp
import pickle
import zipfile
from typing import Any, Optional, Union

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

# The methods that a pickled HistoryBuffer refers to by name.
_STATISTICS = ('current', 'mean', 'max', 'min')


def _history_buffer_getattr(obj: Any, name: str) -> Any:
    """Serve the ``getattr`` calls of a pickled HistoryBuffer, nothing else.

    Allowing the real ``getattr`` would open a way to any attribute of any
    allowed class.
    """
    if obj is HistoryBuffer and name in _STATISTICS:
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(
        f'getattr({obj!r}, {name!r}) is not allowed in a checkpoint')


def _safe_globals() -> list:
    """What MMEngine's own checkpoints hold beyond tensors and containers."""
    reconstruct = np.array([0.]).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    return [
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        np.dtypes.Float32DType,
        np.dtypes.Float64DType,
        np.dtypes.Int64DType,
        reconstruct,
        scalar,
        # numpy 1 wrote the same two functions under another module's name
        (reconstruct, 'numpy.core.multiarray._reconstruct'),
        (scalar, 'numpy.core.multiarray.scalar'),
        (_history_buffer_getattr, 'builtins.getattr'),
        (_history_buffer_getattr, '__builtin__.getattr'),
    ]


@contextlib.contextmanager
def _refusals(filename: str):
    """Turn what torch raises for a bad file into one clear error."""
    try:
        yield
    except pickle.UnpicklingError as error:
        reason = str(error).split('\n')
        named = [
            i for i in reason
            if 'GLOBAL' in i or 'not allowed' in i or 'Can only build' in i
        ]
        raise pickle.UnpicklingError(
            f"'{filename}' was refused: it is not a plain checkpoint of "
            'weights and MMEngine records '
            f'({(named or reason)[0].strip()}). Nothing in it was run. If '
            'you trust its origin, convert it to a plain state dict '
            'first') from error
    except (EOFError, zipfile.BadZipFile, RuntimeError, ValueError) as error:
        raise RuntimeError(
            f"'{filename}' cannot be read as a checkpoint, it is truncated or "
            f'of another kind ({type(error).__name__}: {error})') from error


ZOO_PREFIX = 'orsa://'


def zoo_path(filename: str) -> str:
    """Resolve ``orsa://NAME`` to the file that ships with the package.

    Any other name is returned as it is.
    """
    if not str(filename).startswith(ZOO_PREFIX):
        return filename
    package = osp.dirname(osp.dirname(osp.abspath(__file__)))
    return osp.join(package, 'zoo', str(filename)[len(ZOO_PREFIX):])


def load_checkpoint_file(
    filename: str, map_location: Optional[Union[str, torch.device]] = ('cpu')
) -> dict:
    """Load a local checkpoint file without unpickling arbitrary objects.

    Reads plain state dicts and the whole checkpoints that MMEngine writes
    (with their ``HistoryBuffer`` and numpy records).

    Args:
        filename (str): A local path, or ``orsa://NAME`` for weights that
            ship with the package.
        map_location (str | torch.device, optional): As in
            :func:`torch.load`. Defaults to 'cpu'.

    Returns:
        dict: The content of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        pickle.UnpicklingError: If the file refers to anything beyond the
            allow-list. No code of the file is run.
        RuntimeError: If the file is truncated or no checkpoint at all.
    """
    filename = osp.expanduser(zoo_path(str(filename)))
    if not osp.isfile(filename):
        raise FileNotFoundError(f"there is no checkpoint at '{filename}'")
    with _refusals(filename), torch.serialization.safe_globals(
            _safe_globals()):
        return torch.load(
            filename, map_location=map_location, weights_only=True)


def _load_from_http(filename: str,
                    map_location: Optional[str] = None,
                    model_dir: Optional[str] = None,
                    progress: bool = True) -> dict:
    """Download once (rank 0 first), then load like a local file."""

    def load():
        with _refusals(filename), torch.serialization.safe_globals(
                _safe_globals()):
            return torch.hub.load_state_dict_from_url(
                filename,
                model_dir=model_dir,
                map_location=map_location,
                progress=progress,
                weights_only=True)

    rank, world_size = get_dist_info()
    checkpoint = load() if rank == 0 else None
    if world_size > 1:
        torch.distributed.barrier()
        if rank != 0:
            checkpoint = load()
    return checkpoint


def register_safe_loader() -> None:
    """Make MMEngine load local and http(s) checkpoints the safe way.

    MMEngine 0.10.7 calls ``torch.load`` without ``weights_only``: with torch
    2.6 and later its own checkpoints fail to load. This replaces its loaders
    in the place that MMEngine provides for it
    (:meth:`CheckpointLoader.register_scheme`).
    """
    CheckpointLoader.register_scheme(('', ZOO_PREFIX),
                                     load_checkpoint_file,
                                     force=True)
    CheckpointLoader.register_scheme(('http://', 'https://'),
                                     _load_from_http,
                                     force=True)
