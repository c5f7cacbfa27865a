# Copyright (c) orsa contributors. All rights reserved.
"""Do something once a module is imported, without importing it."""
import importlib.util
import sys
from typing import Callable


class _Finder:
    """Finds one module as the others do, and calls a function behind it."""

    def __init__(self, name: str, function: Callable[[], None]):
        self.name = name
        self.function = function

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (execute(module),
                                                  self.function())
        return spec


def when_imported(name: str, function: Callable[[], None]) -> None:
    """Call a function once a module is there.

    Args:
        name (str): The module.
        function (Callable): Is called at once if it has been imported, or else
            when somebody imports it.
    """
    if name in sys.modules:
        function()
    else:
        sys.meta_path.insert(0, _Finder(name, function))
