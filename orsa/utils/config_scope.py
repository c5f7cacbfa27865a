# Copyright (c) orsa contributors. All rights reserved.
"""Make ``_base_ = 'orsa::orsanet_rafdb.py'`` work from anywhere."""
import os.path as osp
import sys
from typing import Dict

from .shipped import ZOO_PREFIX

_PREFIX = 'orsa::'
_MIM = osp.join(osp.dirname(osp.dirname(osp.abspath(__file__))), '.mim')


def config_path(name: str) -> str:
    """Where a config of the package is.

    Args:
        name (str): Its path below ``configs/``.

    Returns:
        str: An absolute path.

    Raises:
        FileNotFoundError: If there is no such config.
    """
    path = osp.join(_MIM, 'configs', name)
    if not osp.isfile(path):
        known = osp.isfile(f'{path}.py')
        raise FileNotFoundError(f"orsa has no config '{name}'" +
                                f": type '{_PREFIX}{name}.py'" * known)
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


def metafile_rows() -> Dict[str, dict]:
    """The models that ``model-index.yml`` lists.

    Returns:
        dict[str, dict]: By name ``config`` ('orsa::NAME.py'), ``weights``
        ('orsa://NAME.pth', None where none ship) and ``tasks``, those of its
        results, 'null' without any.
    """
    import mmengine
    index = mmengine.load(osp.join(_MIM, 'model-index.yml'))
    rows = [
        row for path in index['Import']
        for row in mmengine.load(osp.join(_MIM, path))['Models']
    ]
    return {
        row['Name']:
        dict(
            config=_PREFIX + row['Config'].removeprefix('configs/'),
            # the slash at the end is for `mim download`
            weights=row['Weights'].rstrip('/')
            if row['Weights'].startswith(ZOO_PREFIX) else None,
            tasks=[r['Task'] for r in row['Results'] or [dict(Task='null')]])
        for row in rows
    }


def register_hub() -> None:
    """Let ``mmengine.hub`` get configs and models of orsa.

    It knows a fixed list of packages, wants a folder in the name, and does
    not find a package that is installed with ``pip install -e``.
    """
    from mmengine.config import Config
    from mmengine.hub import hub
    original = hub.get_config

    def get_config(cfg_path: str, pretrained: bool = False) -> Config:
        if not cfg_path.startswith(_PREFIX):
            return original(cfg_path, pretrained)
        cfg = Config.fromfile(config_path(cfg_path[len(_PREFIX):]))
        if pretrained:
            weights = {
                r['config']: r['weights']
                for r in metafile_rows().values()
            }.get(cfg_path)
            if weights is None:
                raise ValueError(f"no weights of '{cfg_path}' ship: train it")
            cfg.model_path = weights
        return cfg

    # the package has the name too, where it was imported before
    hub.get_config = sys.modules['mmengine.hub'].get_config = get_config
