# Copyright (c) orsa contributors. All rights reserved.
"""What a checkpoint may hold, and the error of one that is refused."""
import pickle
from typing import Any

import numpy as np
from mmengine.logging.history_buffer import HistoryBuffer

ZOO_PREFIX = 'orsa://'


class CheckpointError(ValueError):
    """A checkpoint is refused; the message names it and says why."""


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


def safe_globals() -> list:
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


def allow_records() -> None:
    """Let MMEngine read its own checkpoints, and ours by ``orsa://NAME``.

    ``import orsa`` sees to it. MMEngine 0.10.7 calls ``torch.load`` plainly,
    which from torch 2.6 on refuses the ``HistoryBuffer`` that is in every
    checkpoint of a training. What is allowed in addition runs no code.
    """
    from mmengine.runner.checkpoint import CheckpointLoader
    from torch.serialization import add_safe_globals
    add_safe_globals(safe_globals())
    CheckpointLoader.register_scheme(ZOO_PREFIX, _load_shipped, force=True)


def _load_shipped(filename: str, map_location=None) -> dict:
    from .checkpoint import load_checkpoint_file
    return load_checkpoint_file(filename, map_location)
