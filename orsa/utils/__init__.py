# Copyright (c) orsa contributors. All rights reserved.
"""Helpers shared by all packages of orsa.

Submodules are imported by name, so that this package stays light.
"""


def register_all_modules(init_default_scope: bool = True) -> None:
    """Make the registries know all modules of orsa, as in OpenMMLab.

    They are found by their names without it: this is for who calls it in
    every library, as ``mmengine.hub`` does.

    Args:
        init_default_scope (bool): Not used: orsa's configs are of mmpretrain's
            scope. Defaults to True.
    """
    from orsa import registry  # imports MMEngine
    for name in registry.__all__:
        getattr(registry, name).import_from_location()
