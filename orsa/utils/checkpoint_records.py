# Copyright (c) orsa contributors. All rights reserved.
"""What a checkpoint may hold beyond weights; the error of a refused one."""
import pickle
from typing import Any

import numpy as np

_STATISTICS = ('current', 'mean', 'max', 'min')  # of a HistoryBuffer
_NUMBERS = ('f4', 'f8', 'i8')  # numpy's types in MMEngine's records


class CheckpointError(ValueError):
    """A checkpoint is refused; the message names it and says why."""


# Stand-ins for what MMEngine's records call by name. numpy's own dtype and
# array take flags and buffers that make it follow pointers of the file.


def _getattr(obj: Any, name: str) -> Any:
    """The methods that a pickled HistoryBuffer refers to, nothing else."""
    from mmengine.logging.history_buffer import HistoryBuffer
    if obj is HistoryBuffer and name in _STATISTICS:
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(
        f'getattr of {str(name)[:40]!r} is not allowed in a checkpoint')


def _dtype(name: str, align: bool = False, copy: bool = True) -> np.dtype:
    """A type of numbers; numpy ignores a state given to these singletons."""
    if name not in _NUMBERS:
        raise pickle.UnpicklingError(
            f'an array of type {str(name)[:40]!r} is not allowed')
    return np.dtype(name)


def _empty_array(kind: Any, shape: tuple, code: bytes) -> np.ndarray:
    """An array that its state fills."""
    return np.empty(0)


def safe_globals() -> list:
    """What torch may build in addition, as ``(object, name)``.

    numpy's classes are only given their state: they stand under names with a
    line break, which no pickle can write, so that none can call them.
    """
    # imports torch, and commands report the error above without it
    from mmengine.logging.history_buffer import HistoryBuffer
    scalar = np.float64(0).__reduce__()[0]
    found = [(cls, f'numpy.\n{cls.__name__}')
             for cls in (np.ndarray, np.dtypes.Float32DType,
                         np.dtypes.Float64DType, np.dtypes.Int64DType)]
    for core in ('numpy._core', 'numpy.core'):  # of numpy 2 and 1
        found += [(_empty_array, f'{core}.multiarray._reconstruct'),
                  (scalar, f'{core}.multiarray.scalar')]
    return [
        HistoryBuffer, *found, (_empty_array, 'numpy.ndarray'),
        (_dtype, 'numpy.dtype'), (_getattr, 'builtins.getattr'),
        (_getattr, '__builtin__.getattr')
    ]


def allow_records() -> None:
    """Let MMEngine read its own checkpoints.

    ``import orsa`` sees to it. MMEngine 0.10.7 calls ``torch.load`` plainly,
    which from torch 2.6 on refuses the ``HistoryBuffer`` that is in every
    checkpoint of a training. What is allowed in addition runs no code.
    """
    from torch.serialization import add_safe_globals
    add_safe_globals(safe_globals())
