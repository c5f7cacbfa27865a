# Copyright (c) orsa contributors. All rights reserved.
"""Arguments that have other names elsewhere."""
import functools
import warnings
from typing import Callable


def renamed_arguments(**names: str) -> Callable:
    """Let a function take old names of arguments, with a warning.

    MMEngine's ``deprecated_api_warning`` where MMEngine is not needed.

    Args:
        **names: The new name of each old one.

    Raises:
        TypeError: When it is called with both.
    """

    def decorate(function: Callable) -> Callable:

        @functools.wraps(function)
        def call(*args, **kwargs):
            for old, new in names.items():
                if old not in kwargs:
                    continue
                if new in kwargs:
                    raise TypeError(f"'{old}' is now called '{new}': give one "
                                    'of them')
                warnings.warn(
                    f"'{old}' is now called '{new}'",
                    DeprecationWarning,
                    stacklevel=2)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate


def absent_arguments(**instead: str) -> Callable:
    """Let a function say what to type for arguments that it does not have.

    For flags that is :class:`orsa.utils.command.AbsentFlag`.

    Args:
        **instead: By argument, what to type.

    Raises:
        TypeError: When it is called with one of them.
    """

    def decorate(function: Callable) -> Callable:

        @functools.wraps(function)
        def call(*args, **kwargs):
            for name in kwargs:
                if name in instead:
                    raise TypeError(f"there is no '{name}': {instead[name]}")
            return function(*args, **kwargs)

        return call

    return decorate
