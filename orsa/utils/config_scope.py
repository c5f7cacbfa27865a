# Copyright (c) orsa contributors. All rights reserved.
"""Make ``_base_ = 'orsa::orsanet_rafdb.py'`` work from anywhere."""
import os.path as osp


def register_config_scope() -> None:
    """Tell MMEngine's config loader where orsa's configs are.

    MMEngine knows a fixed list of packages and finds their configs through
    the installed distribution, which leads astray for an editable install.
    """
    try:
        from mmengine.config import config, utils
    except ImportError as error:
        # Swallowed, it would surface as "orsa.X is not in the registry".
        raise ImportError('mmengine is missing or broken: pip install '
                          f'"mmengine>=0.10.4" ({error})') from error
    utils.MODULE2PACKAGE.setdefault('orsa', 'orsa')
    original = config.get_installed_path
    if getattr(original, 'knows_orsa', False):
        return

    def get_installed_path(package: str) -> str:
        if package == 'orsa':
            return osp.dirname(osp.dirname(osp.abspath(__file__)))
        return original(package)

    get_installed_path.knows_orsa = True
    config.get_installed_path = get_installed_path
