# Copyright (c) orsa contributors. All rights reserved.
"""Make ``_base_ = 'orsa::orsanet_rafdb.py'`` work from anywhere."""
import os.path as osp

_PREFIX = 'orsa::'


def config_path(name: str) -> str:
    """Where a config of the package is.

    Args:
        name (str): Its path below ``configs/``.

    Returns:
        str: An absolute path.

    Raises:
        FileNotFoundError: If there is no such config.
    """
    package = osp.dirname(osp.dirname(osp.abspath(__file__)))
    path = osp.join(package, '.mim', 'configs', name)
    if not osp.isfile(path):
        raise FileNotFoundError(f"orsa has no config '{name}'")
    return path


def register_config_scope() -> None:
    """Tell MMEngine's config loader where orsa's configs are.

    MMEngine knows a fixed list of packages, wants a folder in the name, and
    would put every type of such a config under the package's scope, where
    mmpretrain's types are not found (our configs name their scopes).
    """
    from mmengine.config.config import Config
    original = Config._get_cfg_path
    if getattr(original, 'knows_orsa', False):
        return

    def _get_cfg_path(cfg_path: str, filename: str):
        if cfg_path.startswith(_PREFIX):
            return config_path(cfg_path[len(_PREFIX):]), None
        return original(cfg_path, filename)

    _get_cfg_path.knows_orsa = True
    Config._get_cfg_path = staticmethod(_get_cfg_path)
